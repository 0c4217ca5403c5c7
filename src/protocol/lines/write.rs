//! Owns a row as a line: a flat JSON object or CSV fields, columns in declared order, the row id
//! first where no column has it.

use super::super::json::{write_text, write_value};
use super::LineFormat;
use crate::model::{ColumnType, Row, Table, Value};

/// Appends the header of a CSV file.
pub fn write_csv_head(out: &mut Vec<u8>, table: &Table) {
    let own = table.id_column().is_none().then_some("row_id");
    for (at, name) in own.into_iter().chain(table.columns.iter().map(|column| column.name.as_str())).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        // A name holds nothing that needs quotes: `model::check_name`.
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b'\n');
}

/// Appends a row as a line.
pub fn write_line(out: &mut Vec<u8>, format: LineFormat, table: &Table, row: &Row) {
    let own = table.id_column().is_none().then_some(("row_id", ColumnType::Any, &row.id));
    let columns = table.columns.iter().zip(&row.values);
    let cells = own.into_iter().chain(columns.map(|(column, value)| (column.name.as_str(), column.kind, value)));
    if format == LineFormat::Jsonl {
        out.push(b'{');
    }
    for (at, (name, kind, value)) in cells.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        match format {
            LineFormat::Csv => write_field(out, kind, value),
            LineFormat::Jsonl => {
                write_text(out, name);
                out.push(b':');
                write_value(out, value);
            }
        }
    }
    out.extend_from_slice(if format == LineFormat::Jsonl { b"}\n" } else { b"\n" });
}

fn write_field(out: &mut Vec<u8>, kind: ColumnType, value: &Value) {
    match value {
        Value::Null => {}
        Value::Text(text) if kind != ColumnType::Json => write_quoted(out, text.as_bytes(), text.is_empty()),
        other => {
            let mut json = Vec::new();
            write_value(&mut json, other);
            write_quoted(out, &json, false);
        }
    }
}

/// Appends a field, in quotes where it needs them.
fn write_quoted(out: &mut Vec<u8>, text: &[u8], always: bool) {
    // A space at either end is quoted for the sake of readers that trim.
    let edge = text.first() == Some(&b' ') || text.last() == Some(&b' ');
    if !always && !edge && !text.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
