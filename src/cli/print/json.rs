//! Owns rows as JSON: flat objects with the columns in order, every digit kept.

use super::escape::escape_json;
use crate::model::Value;

/// Appends the rows as items of an array, which begins before the first.
pub(super) fn items(out: &mut String, columns: &[String], rows: &[Vec<Value>], mut first: bool) {
    for row in rows {
        out.push_str(if first { "[\n  " } else { ",\n  " });
        first = false;
        out.push_str(&object(columns, row));
    }
}

/// Appends the rows as objects, one a line.
pub(super) fn lines(out: &mut String, columns: &[String], rows: &[Vec<Value>]) {
    for row in rows {
        out.push_str(&object(columns, row));
        out.push('\n');
    }
}

fn object(columns: &[String], row: &[Value]) -> String {
    let mut out = String::from("{");
    for (at, (column, value)) in columns.iter().zip(row).enumerate() {
        if at > 0 {
            out.push(',');
        }
        Value::Text(column.clone()).write_json(&mut out);
        out.push(':');
        value.write_json(&mut out);
    }
    out.push('}');
    escape_json(out)
}
