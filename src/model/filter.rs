//! Owns the filter grammar, one for the command line and for `filter=`: `column=value`.
//!
//! Deliberately missing as yet: the operators other than equality. Their words
//! (`column.gt=value` and so on) are refused by name, not taken for column names.

use super::{Code, Column, ColumnType, Failure, Row, Table};

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `column=value`
    Eq,
}

/// One comparison of a column with a word, before the table's schema is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The column's name; `row_id` also names the row id.
    pub column: String,
    /// How it compares.
    pub op: Op,
    /// The word to compare with; its type is the column's.
    pub text: String,
}

impl Filter {
    /// Parses `column=value`.
    ///
    /// # Errors
    /// `bad_filter`, saying what was expected.
    pub fn parse(text: &str) -> Result<Filter, Failure> {
        let bad = |why: String| Err(Failure::new(Code::BadFilter, why).hint("write a filter as column=value"));
        let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
        let Some((column, value)) = text.split_once('=') else {
            return bad(format!("\"{shown}\" is not a filter: it has no ="));
        };
        if let Some((_, op)) = column.split_once('.') {
            return bad(format!("filter \"{shown}\" uses the operator \".{op}\", which this version does not have"));
        }
        if column.ends_with('!') {
            return bad(format!("filter \"{shown}\" uses the operator \"!=\", which this version does not have"));
        }
        if column.is_empty() {
            return bad(format!("filter \"{shown}\" names no column"));
        }
        Ok(Filter { column: column.into(), op: Op::Eq, text: value.into() })
    }

    /// Whether `row` of `table` passes.
    ///
    /// # Errors
    /// `unknown_column` where the table has no such column.
    pub fn matches(&self, table: &Table, row: &Row) -> Result<bool, Failure> {
        if self.column == "row_id" {
            let kind = table.id_type().unwrap_or(ColumnType::Text);
            return Ok(row.id.equals_text(kind, &self.text));
        }
        let index = table.column(&self.column)?;
        let Column { kind, .. } = table.columns[index];
        Ok(row.values[index].equals_text(kind, &self.text))
    }
}
