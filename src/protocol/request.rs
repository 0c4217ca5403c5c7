//! Owns the bodies of requests: read strictly on the node, written by the client.

use serde::Deserialize;

use super::cells::{Columns, Exact, RowId};
use super::columns::{self, Declared};
use super::json::{bad_json, read_object, write_text, write_value};
use crate::model::{Cell, ColumnSpec, Failure, PutMode, Table, When, Write, check_name, check_row_id, excerpt};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateV0 {
    table_name: String,
    columns: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    columns: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutV0 {
    table_name: String,
    row_id: RowId,
    data: Option<Columns<Exact>>,
    text: Option<Columns<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteV0 {
    table_name: String,
    row_id: RowId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowBody {
    data: Option<Columns<Exact>>,
    text: Option<Columns<String>>,
}

/// `POST /create_table`: `{"table_name","columns":["id","name:type",{"name","type"}…]}`.
///
/// # Errors
/// `bad_json`, or what is wrong with the declaration.
pub fn parse_create_table_v0(body: &[u8]) -> Result<Write, Failure> {
    let CreateV0 { table_name, columns } = read_object(body)?;
    create(table_name, columns)
}

/// `POST /v1/tables`: `{"name","columns":["id","name:type",{"name","type"}…]}`.
///
/// # Errors
/// `bad_json`, or what is wrong with the declaration.
pub fn parse_create_table(body: &[u8]) -> Result<Write, Failure> {
    let Create { name, columns } = read_object(body)?;
    create(name, columns)
}

fn create(name: String, columns: Vec<Declared>) -> Result<Write, Failure> {
    check_name("table", &name)?;
    let columns = columns.into_iter().map(Declared::spec).collect::<Result<Vec<ColumnSpec>, Failure>>()?;
    // Declared here for its errors only: what can be refused at the door need not go through the log.
    Table::declare(0, &name, &columns, 0)?;
    Ok(Write::CreateTable { name, columns })
}

/// `POST /insert`: `{"table_name","row_id","data","text"?}`; the row must be absent.
///
/// # Errors
/// `bad_json` or `bad_name`.
pub fn parse_insert(body: &[u8]) -> Result<Write, Failure> {
    put_v0(body, PutMode::Insert)
}

/// `POST /update`: `{"table_name","row_id","data","text"?}`; the row must exist.
///
/// # Errors
/// `bad_json` or `bad_name`.
pub fn parse_update(body: &[u8]) -> Result<Write, Failure> {
    put_v0(body, PutMode::Update)
}

fn put_v0(body: &[u8], mode: PutMode) -> Result<Write, Failure> {
    let PutV0 { table_name, row_id: RowId(row_id), data, text } = read_object(body)?;
    check_name("table", &table_name)?;
    check_row_id(&row_id)?;
    Ok(Write::Put { table: table_name, row_id, cells: join(data, text)?, mode, when: When::Always })
}

/// `POST /delete`: `{"table_name","row_id"}`.
///
/// # Errors
/// `bad_json` or `bad_name`.
pub fn parse_delete(body: &[u8]) -> Result<Write, Failure> {
    let DeleteV0 { table_name, row_id: RowId(row_id) } = read_object(body)?;
    check_name("table", &table_name)?;
    check_row_id(&row_id)?;
    Ok(Write::Delete { table: table_name, row_id, when: When::Always })
}

/// The body of a row's PUT and PATCH: `{"data","text"?}`.
///
/// # Errors
/// `bad_json`.
pub fn parse_row_body(body: &[u8]) -> Result<Vec<(String, Cell)>, Failure> {
    let RowBody { data, text } = read_object(body)?;
    join(data, text)
}

/// The cells of a body: values with their types from `data`, shell words from `text`.
pub(super) fn join(
    data: Option<Columns<Exact>>,
    text: Option<Columns<String>>,
) -> Result<Vec<(String, Cell)>, Failure> {
    if data.is_none() && text.is_none() {
        return Err(bad_json("missing field `data`, an object of column names and values"));
    }
    let exact = data.map_or_else(Vec::new, |columns| columns.0).into_iter();
    let mut cells: Vec<(String, Cell)> = exact.map(|(name, value)| (name, Cell::Exact(value.0))).collect();
    if let Some(Columns(words)) = text {
        let names: std::collections::HashSet<&str> = cells.iter().map(|(name, _)| name.as_str()).collect();
        if let Some((name, _)) = words.iter().find(|(name, _)| names.contains(name.as_str())) {
            let short = excerpt(name, 80);
            return Err(bad_json(&format!("column \"{short}\" stands both in `data` and in `text`")));
        }
        cells.extend(words.into_iter().map(|(name, word)| (name, Cell::Text(word))));
    }
    Ok(cells)
}

/// The body that `parse_create_table` reads.
pub fn encode_create_table(name: &str, columns: &[ColumnSpec]) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        name: &'a str,
        #[serde(serialize_with = "columns::serialize")]
        columns: &'a [ColumnSpec],
    }
    // Strings only: there is nothing in it that JSON cannot hold.
    serde_json::to_vec(&Body { name, columns }).unwrap_or_default()
}

/// The body that `parse_insert` and `parse_update` read.
pub fn encode_insert(table: &str, row_id: &str, cells: &[(String, Cell)]) -> Vec<u8> {
    let mut out = b"{\"table_name\":".to_vec();
    write_text(&mut out, table);
    out.extend_from_slice(b",\"row_id\":");
    write_text(&mut out, row_id);
    out.push(b',');
    write_cells(&mut out, cells);
    out
}

/// The body that `parse_row_body` reads.
pub fn encode_row_body(cells: &[(String, Cell)]) -> Vec<u8> {
    let mut out = b"{".to_vec();
    write_cells(&mut out, cells);
    out
}

/// Appends `"data":{…},"text":{…}}`.
pub(super) fn write_cells(out: &mut Vec<u8>, cells: &[(String, Cell)]) {
    let mut object = |key: &str, wanted: fn(&Cell) -> bool| {
        out.extend_from_slice(key.as_bytes());
        for (at, (name, cell)) in cells.iter().filter(|(_, cell)| wanted(cell)).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_text(out, name);
            out.push(b':');
            match cell {
                Cell::Exact(value) => write_value(out, value),
                Cell::Text(word) => write_text(out, word),
            }
        }
    };
    object("\"data\":{", |cell| matches!(cell, Cell::Exact(_)));
    object("},\"text\":{", |cell| matches!(cell, Cell::Text(_)));
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Value};

    fn refused<T: std::fmt::Debug>(parse: fn(&[u8]) -> Result<T, Failure>, body: &str, code: Code, said: &str) {
        let failure = parse(body.as_bytes()).unwrap_err();
        assert_eq!(failure.code, code, "{body}");
        assert!(failure.message.contains(said), "{body}\n{}", failure.message);
    }

    #[test]
    fn a_bad_body_is_refused_and_told_where() {
        let deep = format!("{{\"data\":{{\"a\":{}}}}}", "[".repeat(100_000));
        let deep_closed = format!("{{\"data\":{{\"a\":{}{}}}}}", "[".repeat(100_000), "]".repeat(100_000));
        for (body, said) in [
            ("", "empty; an object was expected at line 1 column 1"),
            ("[]", "an object was expected at line 1"),
            ("[{},{}]", "an object was expected at line 1"),
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{}", "missing field `data`"),
            ("{\"data\":null}", "missing field `data`"),
            ("{\"data\":[]}", "expected an object of column names and values at line 1 column 8"),
            ("{\"data\":{}} x", "trailing characters at line 1 column 13"),
            ("{\"data\":{},\n\"date\":1}", "unknown field `date`, expected `data` or `text` at line 2 column 6"),
            ("{\"data\":{},\n\"data\":{}}", "duplicate field `data` at line 2 column 6"),
            ("{\"data\":{\"a\":1,\n\"a\":2}}", "column \"a\" stands twice at line 2"),
            ("{\"data\":{\"a\":1},\"text\":{\"a\":\"1\"}}", "column \"a\" stands both in `data` and in `text`"),
            ("{\"text\":{\"a\":1}}", "column \"a\": invalid type: integer `1`, expected a string at line 1 column 14"),
            ("{\"data\":{\"a\":18446744073709551616}}", "column \"a\": the integer 18446744073709551616 does not fit"),
            ("{\"data\":{\"a\":9223372036854775808}}", "in 64 bits at line 1 column"),
            ("{\"data\":{\"a\":\n1e400}}", "column \"a\": number out of range at line 2 column"),
            ("{\"data\":{\"a\":\"\\ud800\"}}", "column \"a\": "),
            ("{\"data\":{\"a\":{\"b\":1,\"b\":2}}}", "column \"a\": the key \"b\" stands twice at line 1 column"),
            ("{\"data\":{\"a\":nan}}", "at line 1 column"),
            (&deep, "at line 1 column"),
            (&deep_closed, "column \"a\": recursion limit exceeded at line 1 column"),
        ] {
            refused(parse_row_body, body, Code::BadJson, said);
        }
        let failure = parse_row_body(b"{\n \"data\":{\"a\":\"\xff\"}}").unwrap_err();
        assert!(failure.message.ends_with("this is not UTF-8 at line 2 column 15"), "{}", failure.message);
        let long = parse_row_body(format!("{{\"{}\":1}}", "x".repeat(1_000_000)).as_bytes()).unwrap_err();
        assert!(long.message.len() < 400 && long.message.contains(" at line 1 column "), "{}", long.message);
    }

    #[test]
    fn a_repeated_column_is_found_among_many() {
        let many: String = (0..50).map(|n| format!("\"c{n}\":{n},")).collect();
        refused(
            parse_row_body,
            &format!("{{\"data\":{{{many}\"c3\":1}}}}"),
            Code::BadJson,
            "column \"c3\" stands twice",
        );
        refused(
            parse_row_body,
            &format!("{{\"data\":{{{many}\"c40\":1}}}}"),
            Code::BadJson,
            "column \"c40\" stands twice",
        );
        assert_eq!(parse_row_body(format!("{{\"data\":{{{many}\"z\":1}}}}").as_bytes()).map(|c| c.len()), Ok(51));
    }

    #[test]
    fn the_first_versions_bodies_are_strict() {
        let insert = parse_insert;
        refused(insert, r#"{"row_id":"1","data":{}}"#, Code::BadJson, "missing field `table_name` at line 1");
        refused(insert, r#"{"table_name":"t","data":{}}"#, Code::BadJson, "missing field `row_id` at line 1");
        refused(insert, r#"{"table_name":"t","row_id":"1"}"#, Code::BadJson, "missing field `data`");
        refused(
            insert,
            r#"{"table_name":1,"row_id":"1","data":{}}"#,
            Code::BadJson,
            "expected a string at line 1 column 15",
        );
        refused(
            insert,
            r#"{"table_name":"t","row_id":1.5,"data":{}}"#,
            Code::BadJson,
            "row_id must be a string or an integer",
        );
        refused(insert, r#"{"table_name":"_t","row_id":1,"data":{}}"#, Code::BadName, "reserved");
        refused(insert, r#"{"table_name":"t","row_id":"","data":{}}"#, Code::BadName, "it is empty");
        refused(parse_delete, r#"{"table_name":"t","row_id":"1","data":{}}"#, Code::BadJson, "unknown field `data`");
        refused(parse_delete, r#"{"table_name":"t","row_id":true}"#, Code::BadJson, "row_id must be");
        let delete = Write::Delete { table: "t".into(), row_id: "-7".into(), when: When::Always };
        assert_eq!(parse_delete(br#"{"table_name":"t","row_id":-7}"#), Ok(delete));
    }

    #[test]
    fn columns_are_declared_in_either_form() {
        let spec = |word: &str| ColumnSpec::parse(word).unwrap();
        let columns = vec![spec("id"), spec("age:int"), spec("bio:text"), spec("note")];
        let wanted = Write::CreateTable { name: "t".into(), columns: columns.clone() };
        let list = r#"["id","age:int",{"name":"bio","type":"text"},{"name":"note"}]"#;
        assert_eq!(parse_create_table(format!(r#"{{"name":"t","columns":{list}}}"#).as_bytes()).as_ref(), Ok(&wanted));
        let v0 = format!(r#"{{"table_name":"t","columns":{list}}}"#);
        assert_eq!(parse_create_table_v0(v0.as_bytes()).as_ref(), Ok(&wanted));
        assert_eq!(parse_create_table(&encode_create_table("t", &columns)), Ok(wanted));
    }

    #[test]
    fn a_bad_declaration_is_refused() {
        for (columns, code, said) in [
            ("[]", Code::BadRequest, "has 0 columns"),
            ("[\"a\",\"a\"]", Code::BadName, "column \"a\" is declared twice"),
            ("[\"a:word\"]", Code::BadRequest, "unknown type \"word\""),
            ("[\"a-b\"]", Code::BadName, "only letters"),
            (
                "[1]",
                Code::BadJson,
                "expected a column: \"name\", \"name:type\" or {\"name\", \"type\"} at line 1 column",
            ),
            ("[{\"name\":\"a:int\"}]", Code::BadName, "only letters"),
            ("[{\"name\":\"a\",\"kind\":\"int\"}]", Code::BadJson, "unknown field `kind`"),
            ("[{\"type\":\"int\"}]", Code::BadJson, "missing field `name`"),
            ("[{\"name\":\"a\",\"name\":\"b\"}]", Code::BadJson, "duplicate field `name`"),
            ("\"id\"", Code::BadJson, "expected a sequence at line 1"),
            ("[\"row_id\"]", Code::BadName, "row_id"),
        ] {
            refused(parse_create_table, &format!("{{\"name\":\"t\",\"columns\":{columns}}}"), code, said);
        }
        refused(parse_create_table, r#"{"name":"1t","columns":["a"]}"#, Code::BadName, "letter");
        refused(
            parse_create_table,
            r#"{"table_name":"t","columns":["a"]}"#,
            Code::BadJson,
            "unknown field `table_name`",
        );
    }

    #[test]
    fn what_the_client_writes_the_node_reads() {
        let cells = vec![
            ("age".to_string(), Cell::Exact(Value::Int(i64::MAX))),
            ("list".to_string(), Cell::Exact(Value::Json("[1,2.50]".into()))),
            ("none".to_string(), Cell::Exact(Value::Null)),
            ("name".to_string(), Cell::Text("\"Ahmed\"\n".into())),
        ];
        assert_eq!(parse_row_body(&encode_row_body(&cells)).as_ref(), Ok(&cells));
        assert_eq!(parse_row_body(&encode_row_body(&[])), Ok(vec![]));
        let put =
            |mode| Write::Put { table: "t".into(), row_id: "1".into(), cells: cells.clone(), mode, when: When::Always };
        assert_eq!(parse_insert(&encode_insert("t", "1", &cells)), Ok(put(PutMode::Insert)));
        assert_eq!(parse_update(&encode_insert("t", "1", &cells)), Ok(put(PutMode::Update)));
    }
}
