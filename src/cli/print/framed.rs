//! Owns framed tables; the only place that names comfy-table.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Row, Table};

use super::view::value_text;
use super::{Style, escape, prose};
use crate::model::Value;

/// Below so many characters a column a table cannot be read any more.
const NARROWEST: usize = 8;

/// The rows in a frame that fits the terminal: long values are cut, or wrapped where they are to be
/// `whole`; as lines where it is too narrow.
pub(super) fn table(columns: &[String], rows: &[Vec<Value>], null: &str, whole: bool, style: Style) -> String {
    if let Some(width) = style.width
        && usize::from(width) < columns.len() * NARROWEST
        && !rows.is_empty()
    {
        let mut out = String::new();
        prose::lines(&mut out, columns, rows, null, true);
        return out;
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).force_no_tty();
    if style.color {
        table.enforce_styling();
    }
    match style.width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(columns.iter().map(|column| Cell::new(column).add_attribute(Attribute::Bold)));
    for row in rows {
        let mut row = Row::from(row.iter().map(|value| cell(value, null)));
        if !whole && style.width.is_some() {
            row.max_height(1);
        }
        table.add_row(row);
    }
    table.lines().map(|line| line + "\n").collect()
}

fn cell(value: &Value, null: &str) -> Cell {
    match value {
        Value::Null => Cell::new(null).add_attribute(Attribute::Dim),
        Value::Int(_) | Value::Float(_) => Cell::new(value_text(value)).set_alignment(CellAlignment::Right),
        value => Cell::new(escape(&value_text(value))),
    }
}
