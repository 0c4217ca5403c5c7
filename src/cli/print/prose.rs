//! Owns rows as lines of `column = value`, and as a Markdown table.

use std::fmt::Write as _;

use super::escape;
use super::view::value_text;
use crate::model::Value;

/// Appends rows with a line a column, and an empty line between two rows.
pub(super) fn lines(out: &mut String, columns: &[String], rows: &[Vec<Value>], null: &str, mut first: bool) {
    let width = columns.iter().map(String::len).max().unwrap_or_default();
    for row in rows {
        if !first {
            out.push('\n');
        }
        first = false;
        for (column, value) in columns.iter().zip(row) {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{column:>width$} = {}", shown(value, null));
        }
    }
}

/// The header of a Markdown table.
pub(super) fn markdown_head(columns: &[String]) -> String {
    format!("| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()))
}

/// Appends the rows of a Markdown table.
pub(super) fn markdown(out: &mut String, rows: &[Vec<Value>], null: &str) {
    for row in rows {
        let cells: Vec<String> = row.iter().map(|value| shown(value, null).replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

fn shown(value: &Value, null: &str) -> String {
    match value {
        Value::Null => null.into(),
        value => escape(&value_text(value)).into_owned(),
    }
}
