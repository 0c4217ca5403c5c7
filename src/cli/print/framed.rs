//! Owns framed tables; the only place that names comfy-table.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table};

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
    if let Some(width) = style.width {
        keep_numbers(&mut table, rows, usize::from(width));
    }
    table.lines().map(|line| line + "\n").collect()
}

/// Leaves columns of numbers as wide as they are, if the others can still be read then: half of a
/// number is another number.
fn keep_numbers(table: &mut Table, rows: &[Vec<Value>], width: usize) {
    let is_number = |value: &Value| matches!(value, Value::Int(_) | Value::Float(_));
    let of_numbers = |column: usize| {
        let mut values = rows.iter().filter_map(|row| row.get(column));
        rows.iter().any(|row| row.get(column).is_some_and(is_number))
            && values.all(|value| is_number(value) || *value == Value::Null)
    };
    let widths = table.column_max_content_widths();
    let numbers: Vec<usize> = (0..widths.len()).filter(|column| of_numbers(*column)).collect();
    // Two blanks and a line around each.
    let taken: usize = numbers.iter().map(|column| usize::from(widths[*column]) + 3).sum();
    if taken + (widths.len() - numbers.len()) * NARROWEST >= width {
        return;
    }
    for column in numbers {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

/// How wide the frame is that cuts nothing.
pub(super) fn natural_width(columns: &[String], rows: &[Vec<Value>], null: &str) -> usize {
    table(columns, rows, null, true, Style::default()).lines().next().map_or(0, |line| line.chars().count())
}

fn cell(value: &Value, null: &str) -> Cell {
    match value {
        Value::Null => Cell::new(null).add_attribute(Attribute::Dim),
        Value::Int(_) | Value::Float(_) => Cell::new(value_text(value)).set_alignment(CellAlignment::Right),
        value => Cell::new(escape(&value_text(value))),
    }
}
