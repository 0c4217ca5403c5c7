//! Owns rows as comma- and tab-separated values; what is null is an empty field in both, and in CSV
//! empty text is `""`.

use super::escape;
use super::view::value_text;
use crate::model::Value;

/// The header of a CSV file.
pub(super) fn csv_head(columns: &[String]) -> String {
    let mut out = String::new();
    records(&mut out, std::iter::once(columns.to_vec()));
    out
}

/// Appends rows as RFC 4180 has them, but with `\n` at the end of a line.
pub(super) fn csv(out: &mut String, rows: &[Vec<Value>], terminal: bool) {
    let field = |value: &Value| {
        let text = value_text(value);
        if terminal { escape(&text).into_owned() } else { text }
    };
    for row in rows {
        let is_empty_text = |value: &Value| matches!(value, Value::Text(text) if text.is_empty());
        if !row.iter().any(is_empty_text) {
            records(out, std::iter::once(row.iter().map(field).collect()));
            continue;
        }
        // What the writer never does of itself: quotes around nothing.
        let one = |value: &Value| {
            let mut alone = String::new();
            records(&mut alone, std::iter::once(vec![field(value), String::new()]));
            if is_empty_text(value) { "\"\"".into() } else { alone.trim_end_matches(",\n").to_string() }
        };
        out.push_str(&row.iter().map(one).collect::<Vec<_>>().join(","));
        out.push('\n');
    }
}

fn records(out: &mut String, rows: impl Iterator<Item = Vec<String>>) {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        // Writing to memory cannot fail.
        let _ = writer.write_record(row);
    }
    out.push_str(&String::from_utf8_lossy(&writer.into_inner().unwrap_or_default()));
}

/// The header of a TSV file.
pub(super) fn tsv_head(columns: &[String]) -> String {
    format!("{}\n", columns.join("\t"))
}

/// Appends rows whose tabs, line breaks and backslashes are escaped, so that a row is a line.
pub(super) fn tsv(out: &mut String, rows: &[Vec<Value>]) {
    for row in rows {
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                out.push('\t');
            }
            out.push_str(&escape(&value_text(value).replace('\\', "\\\\")));
        }
        out.push('\n');
    }
}
