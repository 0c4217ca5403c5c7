"""Teaches schemathesis to send lines of rows as they are, and to aim: names that are well formed become those of
the table, columns and rows that are there, else nearly every answer would be that there is no such table."""
import re
import zlib

import schemathesis

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}\Z")
COLUMNS = ("name", "grade")


@schemathesis.serializer("application/x-ndjson", "text/csv")
def lines(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def is_name(value):
    return isinstance(value, str) and NAME.match(value) is not None


def table(value):
    return "students" if is_name(value) else value


def row(value):
    """Every second row id that is text is one of a few."""
    number = zlib.crc32(value.encode("utf-8", "replace")) if isinstance(value, str) else 1
    return value if number % 2 or not NAME.match(value) else str(number // 2 % 5)


def cells(value):
    """The first two columns, where all are well formed; words and exact values keep to one column each."""
    if not isinstance(value, dict) or not all(is_name(name) for name in value):
        return value
    return dict(zip(COLUMNS, value.values()))


def aimed(body):
    if isinstance(body, list):
        return [aimed(item) for item in body]
    if not isinstance(body, dict):
        return body
    aims = {"table": table, "table_name": table, "row_id": row, "data": cells, "text": cells}
    body = {key: aims.get(key, aimed)(value) for key, value in body.items()}
    if isinstance(body.get("data"), dict) and isinstance(body.get("text"), dict):
        body["text"] = {key: value for key, value in body["text"].items() if key not in body["data"]}
    return body


@schemathesis.hook
def before_call(ctx, case, kwargs):
    path = case.operation.path
    if path != "/create_table" and not (path == "/v1/tables/{table}" and case.method == "DELETE"):
        for name, aim in (("table", table), ("id", row)):
            if name in (case.path_parameters or {}):
                case.path_parameters[name] = aim(case.path_parameters[name])
        case.body = aimed(case.body)
