//! Owns the answers to writes and the descriptions of tables, both directions.

use std::sync::Arc;

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};

use super::cells::Exact;
use super::columns;
use super::json::{write_number, write_text, write_value};
use super::schema::IndexInfo;
use crate::model::{Code, ColumnSpec, Counts, Failure, Table, Value};

/// The answer to a write of a row or the drop of a table: `{"table","row_id","revision"}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Written {
    /// The table's name.
    pub table: String,
    /// The row id: `Int` in a table with `id:int`, else `Text`; absent where a whole table was dropped.
    #[serde(default, deserialize_with = "some_id")]
    pub row_id: Option<Value>,
    /// The revision of the write.
    pub revision: u64,
}

impl Written {
    /// The JSON of an answer, without building the answer first.
    pub fn encode(table: &str, row_id: Option<&Value>, revision: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(96 + table.len());
        out.extend_from_slice(b"{\"table\":");
        write_text(&mut out, table);
        if let Some(row_id) = row_id {
            out.extend_from_slice(b",\"row_id\":");
            write_value(&mut out, row_id);
        }
        out.extend_from_slice(b",\"revision\":");
        write_number(&mut out, revision);
        out.push(b'}');
        out
    }
}

fn some_id<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Value>, D::Error> {
    Exact::deserialize(reader).map(|id| Some(id.0))
}

/// The answer to an import: `{"table","rows","inserted","replaced","skipped","rejected","revision"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The table's name.
    pub table: String,
    /// How many rows there were.
    pub rows: u64,
    /// How many of them were absent and are there now.
    pub inserted: u64,
    /// How many were there and were replaced.
    pub replaced: u64,
    /// How many were there and were left as they are.
    pub skipped: u64,
    /// The lines that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<BadLine>,
    /// The revision of the last of them.
    pub revision: u64,
}

/// A line of an import that was left out: `{"line","code","message"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadLine {
    /// Its number.
    pub line: u64,
    /// The code of what is wrong with it.
    pub code: String,
    /// What is wrong with it.
    pub message: String,
}

impl BadLine {
    /// The line that a failure is said of, if it is said of one.
    pub fn of(failure: &Failure) -> Option<BadLine> {
        let (line, reason) = failure.line()?;
        Some(BadLine { line, code: failure.code.as_str().into(), message: reason.into() })
    }
}

impl Imported {
    /// The answer for an import that did so much.
    pub fn new(table: &str, counts: Counts, rejected: Vec<BadLine>, revision: u64) -> Imported {
        let Counts { inserted, replaced, skipped } = counts;
        Imported { table: table.into(), rows: counts.rows(), inserted, replaced, skipped, rejected, revision }
    }
}

/// The answer to a change of all rows that pass a filter: `{"table","rows","transactions","revision"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The table's name.
    pub table: String,
    /// How many rows were changed.
    pub rows: u64,
    /// In how many transactions, each of them all or nothing.
    pub transactions: u64,
    /// The revision of the last of them.
    pub revision: u64,
}

/// The answer to the creation of a table, or to a change of its schema:
/// `{"table","columns":[{"name","type"}],"indexes"?,"revision"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedTable {
    /// The table's name.
    pub table: String,
    /// Its columns, in declared order.
    #[serde(with = "columns")]
    pub columns: Vec<ColumnSpec>,
    /// Its indexes, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexInfo>,
    /// The revision of the write.
    pub revision: u64,
}

impl CreatedTable {
    /// The answer for `table`.
    pub fn new(table: &Table, revision: u64) -> CreatedTable {
        let indexes = IndexInfo::all(table);
        CreatedTable { table: table.name.clone(), columns: columns::specs(table), indexes, revision }
    }
}

/// A table described: `{"name","columns","indexes"?,"rows","bytes"?,"revision"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    /// The table's name.
    pub name: String,
    /// Its columns, in declared order.
    #[serde(with = "columns")]
    pub columns: Vec<ColumnSpec>,
    /// Its indexes, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexInfo>,
    /// How many rows it has.
    pub rows: u64,
    /// About how many bytes its rows take, where that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The revision of the last change to its schema.
    pub revision: u64,
}

impl TableInfo {
    /// The description of `table`.
    pub fn new(table: &Table, rows: u64) -> TableInfo {
        let (columns, indexes) = (columns::specs(table), IndexInfo::all(table));
        TableInfo { name: table.name.clone(), columns, indexes, rows, bytes: None, revision: table.revision }
    }

    /// The same with what is known beside the schema: the bytes of its rows, and how many of them have been
    /// entered into an index that is being built.
    #[must_use]
    pub fn with(mut self, bytes: u64, built: impl Fn(&str) -> Option<u64>) -> TableInfo {
        self.bytes = Some(bytes);
        for index in &mut self.indexes {
            index.rows_built = built(&index.name);
        }
        self
    }
}

/// All tables: `{"tables":[…],"count","revision"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableList {
    /// The tables, by name.
    pub tables: Vec<TableInfo>,
    /// How many they are.
    pub count: u64,
    /// The revision that the list reflects.
    pub revision: u64,
}

impl TableList {
    /// The list of `tables`, each with its number of rows, at `revision`.
    pub fn new(tables: &[(Arc<Table>, u64)], revision: u64) -> TableList {
        let tables: Vec<_> = tables.iter().map(|(table, rows)| TableInfo::new(table, *rows)).collect();
        TableList { count: tables.len() as u64, tables, revision }
    }
}

/// Reads an answer of any form in this room: `Written`, `CreatedTable`, `TableInfo`, `TableList`,
/// `RowObject`, `Page`, or the status and verify report of the model.
///
/// # Errors
/// `internal`: the other side does not speak this protocol.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::new(Code::Internal, format!("the node's answer could not be understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ColumnType;

    #[test]
    fn answers_to_writes_come_back() {
        let id = Value::Text("a\"é".into());
        let body = Written::encode("students", Some(&id), 42);
        assert_eq!(String::from_utf8_lossy(&body), r#"{"table":"students","row_id":"a\"é","revision":42}"#);
        assert_eq!(decode(&body), Ok(Written { table: "students".into(), row_id: Some(id), revision: 42 }));
        let body = Written::encode("t", Some(&Value::Int(i64::MIN)), 1);
        assert_eq!(String::from_utf8_lossy(&body), r#"{"table":"t","row_id":-9223372036854775808,"revision":1}"#);
        let written = Written { table: "t".into(), row_id: Some(Value::Int(i64::MIN)), revision: 1 };
        assert_eq!(decode(&body), Ok(written.clone()));
        let body = Written::encode("t", None, 1);
        assert_eq!(String::from_utf8_lossy(&body), r#"{"table":"t","revision":1}"#);
        assert_eq!(decode(&body), Ok(Written { row_id: None, ..written }));
    }

    #[test]
    fn descriptions_of_tables_come_back() {
        let specs = [ColumnSpec::parse("id:int").unwrap(), ColumnSpec::parse("name").unwrap()];
        let table = Table::declare(1, "students", &specs, 3).unwrap();
        let list = TableList::new(&[(Arc::new(table.clone()), 9)], 7);
        let body = serde_json::to_vec(&list).unwrap();
        let text = r#"{"tables":[{"name":"students","columns":[{"name":"id","type":"int"},{"name":"name","type":"any"}],"rows":9,"revision":3}],"count":1,"revision":7}"#;
        assert_eq!(String::from_utf8_lossy(&body), text);
        assert_eq!(decode(&body), Ok(list));
        let created = CreatedTable::new(&table, 3);
        assert_eq!(decode(&serde_json::to_vec(&created).unwrap()), Ok(created.clone()));
        assert_eq!(created.columns[0].kind, ColumnType::Int);
        let failure = decode::<CreatedTable>(b"[]").unwrap_err();
        assert_eq!(failure.code, Code::Internal);
    }
}
