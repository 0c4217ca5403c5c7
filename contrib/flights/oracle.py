#!/usr/bin/env python3
"""Answers the searches and queries of tests/data/flights with SQLite, over the same files.

    oracle.py searches DIRECTORY SEARCHES   a line a search: how many rows, and the CRC-32 of their ids
    oracle.py queries DIRECTORY QUERIES     a line a query: its rows as JSON
    oracle.py fill DIRECTORY TO             the flights into a new database, synced: rows, seconds, CPU seconds
    oracle.py cut DIRECTORY TO              a small part of the files

An id is the row's first column in airlines, airports and planes; elsewhere the number of its line.
"""
import csv
import json
import os
import sqlite3
import sys
import time
import zlib

KEYED = ("airlines", "airports", "planes")
TEXT = {"carrier", "name", "faa", "dst", "tzone", "tailnum", "type", "manufacturer", "model", "engine",
        "origin", "dest", "time_hour"}
REAL = {"lat", "lon", "temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"}
PARTS = {"airlines": 1, "airports": 12, "planes": 25, "weather": 70, "flights": 337}


def kind(column):
    return "TEXT" if column in TEXT else "REAL" if column in REAL else "INTEGER"


def load(directory):
    db = sqlite3.connect(":memory:")
    for table in PARTS:
        with open(os.path.join(directory, table + ".csv"), newline="") as file:
            rows = csv.reader(file)
            head = next(rows)
            db.execute(f"CREATE TABLE {table} (row_id TEXT PRIMARY KEY, {', '.join(f'{c} {kind(c)}' for c in head)})")
            marks = ",".join("?" * (len(head) + 1))
            filled = ([None if field == "NA" else field for field in row] for row in rows)
            ids = ((row[0] if table in KEYED else f"{line:010}", row) for line, row in enumerate(filled, 2))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", ([id, *row] for id, row in ids))
    return db


def fill(directory, to):
    began, cpu = time.monotonic(), time.process_time()
    db = sqlite3.connect(to)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    with db, open(os.path.join(directory, "flights.csv"), newline="") as file:
        rows = csv.reader(file)
        head = next(rows)
        db.execute(f"CREATE TABLE flights (row_id TEXT PRIMARY KEY, {', '.join(f'{c} {kind(c)}' for c in head)})")
        filled = ([f"{line:010}", *(None if f == "NA" else f for f in row)] for line, row in enumerate(rows, 2))
        count = db.executemany(f"INSERT INTO flights VALUES ({','.join('?' * (len(head) + 1))})", filled).rowcount
    print(count, time.monotonic() - began, time.process_time() - cpu)


def lines(file):
    with open(file) as text:
        return [line.rstrip("\n") for line in text if line.strip() and not line.startswith("#")]


def searches(directory, file):
    db = load(directory)
    for line in lines(file):
        table, _, where, _ = line.split("\t")
        ids = [row[0] for row in db.execute(f"SELECT row_id FROM {table} WHERE {where} ORDER BY row_id")]
        print(len(ids), zlib.crc32("".join(id + "\n" for id in ids).encode()))


def queries(directory, file):
    db = load(directory)
    for line in lines(file):
        print(json.dumps([list(row) for row in db.execute(line)], ensure_ascii=False))


def cut(directory, to):
    for table, part in PARTS.items():
        with open(os.path.join(directory, table + ".csv")) as file:
            all_lines = file.readlines()
        with open(os.path.join(to, table + ".csv"), "w") as file:
            file.writelines([all_lines[0], *all_lines[1::part]])


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], sys.argv[3])
