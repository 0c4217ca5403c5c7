//! Owns the shape of a result: columns and rows, and how they differ from a plain list of rows.

use super::{Format, Printer, Style, escape};
use crate::model::Value;

/// A whole result.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    /// The columns' names.
    pub(crate) columns: Vec<String>,
    /// The rows, each with a value a column.
    pub(crate) rows: Vec<Vec<Value>>,
    /// How it looks in the format `table`.
    pub(crate) look: Look,
    /// The document for `json` and `jsonl`, where it is not the rows.
    pub(crate) json: Option<String>,
    /// Whether `json` has the one row as an object, and not an array of rows.
    pub(crate) single: bool,
}

/// How a result looks in the format `table`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Look {
    /// A frame around columns and rows.
    #[default]
    Framed,
    /// The same below some lines of text; what is null stays empty.
    Titled(String),
    /// The bare values, a row a line.
    Bare,
    /// These lines instead of the rows, escaped already.
    Text(String),
    /// A sentence instead of the rows.
    Sentence(String),
}

impl View {
    /// A list of rows.
    pub(crate) fn list(columns: &[&str], rows: Vec<Vec<Value>>) -> View {
        View { columns: columns.iter().map(ToString::to_string).collect(), rows, ..View::default() }
    }

    /// One row.
    pub(crate) fn single(columns: &[&str], row: Vec<Value>) -> View {
        View { single: true, ..View::list(columns, vec![row]) }
    }

    /// The same with another look.
    #[must_use]
    pub(crate) fn look(self, look: Look) -> View {
        View { look, ..self }
    }

    /// The same with a JSON document of its own.
    #[must_use]
    pub(crate) fn json(self, document: &impl serde::Serialize) -> View {
        View { json: serde_json::to_string(document).ok(), ..self }
    }

    /// The text of the whole result.
    pub(crate) fn render(&self, format: Format, style: Style) -> String {
        if format.is_json()
            && let Some(document) = &self.json
        {
            return format!("{document}\n");
        }
        if format == Format::Table {
            match &self.look {
                Look::Sentence(sentence) => return format!("{}\n", escape(sentence)),
                Look::Text(lines) => return lines.clone(),
                Look::Bare => return self.rows.iter().map(|row| bare(row)).collect(),
                Look::Titled(title) => return format!("{title}\n{}", self.print(format, style)),
                Look::Framed => {}
            }
        }
        // One object alone is what `jsonl` has for one row.
        self.print(if self.single && format == Format::Json { Format::Jsonl } else { format }, style)
    }

    fn print(&self, format: Format, style: Style) -> String {
        let mut printer = Printer::new(format, style, self.columns.clone());
        if matches!(self.look, Look::Titled(_)) {
            printer = printer.own();
        }
        let mut out = printer.head();
        out.push_str(&printer.rows(self.rows.clone()));
        out.push_str(&printer.foot());
        out
    }
}

fn bare(row: &[Value]) -> String {
    let words: Vec<String> = row.iter().map(|value| escape(&value_text(value)).into_owned()).collect();
    format!("{}\n", words.join("\t"))
}

/// A value as plain text; null is empty.
pub(crate) fn value_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        other => {
            let mut out = String::new();
            other.write_json(&mut out);
            out
        }
    }
}

/// A number as a value.
pub(crate) fn number(number: u64) -> Value {
    i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Int)
}

/// A number of bytes, with a unit that fits.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

/// A text as a value.
pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}
