//! Owns the printing of rows as they arrive: what stands before, between and after them.

use super::{Format, Style, delimited, framed, json, prose};
use crate::model::Value;

/// Prints rows in one format; only a framed table has to wait for the last of them.
pub(crate) struct Printer {
    format: Format,
    style: Style,
    columns: Vec<String>,
    null: &'static str,
    /// Whether a framed table shows long values whole, on several lines.
    whole: bool,
    /// How many rows went by.
    count: u64,
    /// The rows of a framed table.
    kept: Vec<Vec<Value>>,
}

impl Printer {
    /// A printer of rows with these columns.
    pub(crate) fn new(format: Format, style: Style, columns: Vec<String>) -> Printer {
        Printer { format, style, columns, null: "NULL", whole: false, count: 0, kept: Vec::new() }
    }

    /// The same for what the program itself tells: what is null stays empty, and nothing is cut.
    #[must_use]
    pub(crate) fn own(self) -> Printer {
        Printer { null: "", whole: true, ..self }
    }

    /// What stands before the first row.
    pub(crate) fn head(&self) -> String {
        match self.format {
            Format::Csv => delimited::csv_head(&self.columns),
            Format::Tsv => delimited::tsv_head(&self.columns),
            Format::Markdown => prose::markdown_head(&self.columns),
            Format::Table | Format::Json | Format::Jsonl | Format::Line => String::new(),
        }
    }

    /// The rows, or what can be printed of them yet.
    pub(crate) fn rows(&mut self, rows: Vec<Vec<Value>>) -> String {
        let mut out = String::new();
        let first = self.count == 0;
        self.count += rows.len() as u64;
        match self.format {
            Format::Table => self.kept.extend(rows),
            Format::Json => json::items(&mut out, &self.columns, &rows, first),
            Format::Jsonl => json::lines(&mut out, &self.columns, &rows),
            Format::Csv => delimited::csv(&mut out, &rows, self.style.terminal),
            Format::Tsv => delimited::tsv(&mut out, &rows),
            Format::Line => prose::lines(&mut out, &self.columns, &rows, self.null, first),
            Format::Markdown => prose::markdown(&mut out, &rows, self.null),
        }
        out
    }

    /// What stands after the last row.
    pub(crate) fn foot(self) -> String {
        match self.format {
            Format::Table => framed::table(&self.columns, &self.kept, self.null, self.whole, self.style),
            Format::Json if self.count == 0 => "[]\n".into(),
            Format::Json => "\n]\n".into(),
            _ => String::new(),
        }
    }
}
