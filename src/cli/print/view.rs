//! Owns the shape of a result: columns and rows, and how they differ from a plain list of rows.

use super::{Format, Printer, Style, escape, framed};
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
    /// Columns that a table leaves out where the terminal is too narrow for all, the first one first.
    pub(crate) spare: &'static [&'static str],
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

    /// The same with columns that a narrow terminal may do without.
    #[must_use]
    pub(crate) fn sparing(self, spare: &'static [&'static str]) -> View {
        View { spare, ..self }
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
                Look::Titled(title) => {
                    let title: String = title.lines().map(|line| wrapped(line, style.width)).collect();
                    let fits = self.fitting(style.width);
                    let gone: Vec<&str> = self.spare.iter().copied().filter(|name| !fits.has(name)).collect();
                    let note = if gone.is_empty() { "".into() } else { format!("(no room for {})", gone.join(", ")) };
                    let note: String = note.lines().map(|line| wrapped(line, style.width)).collect();
                    return title + &fits.print(format, style) + &note;
                }
                Look::Framed => {}
            }
        }
        // One object alone is what `jsonl` has for one row.
        self.print(if self.single && format == Format::Json { Format::Jsonl } else { format }, style)
    }

    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|name| name == column)
    }

    /// The view without the columns for which a table of this width has no room.
    fn fitting(&self, width: Option<u16>) -> View {
        let mut view = self.clone();
        let Some(width) = width.map(usize::from) else { return view };
        for spare in self.spare {
            if framed::natural_width(&view.columns, &view.rows, "") <= width {
                break;
            }
            let Some(at) = view.columns.iter().position(|name| name == spare) else { continue };
            view.columns.remove(at);
            view.rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
        view
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

/// A line broken at blanks so that each part fits; what follows the first is indented.
fn wrapped(line: &str, width: Option<u16>) -> String {
    let width = width.map_or(usize::MAX, usize::from);
    let lead = line.len() - line.trim_start_matches([' ', '-']).len();
    let mut out = String::with_capacity(line.len() + 1);
    let mut used = 0;
    for (at, word) in line.split(' ').enumerate() {
        let length = word.chars().count();
        if used > lead && used + 1 + length > width {
            out += &format!("\n{:lead$}", "");
            used = lead;
        } else if at > 0 {
            out.push(' ');
            used += 1;
        }
        out += word;
        used += length;
    }
    out + "\n"
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
