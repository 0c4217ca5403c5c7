//! Owns the quick writing of JSON into a buffer, and the reading of a body with errors that say where.

use serde::Deserialize;

use crate::model::{Code, Failure, Value};

/// Reads `body`, which must be one JSON object, as a `T`.
pub(super) fn read_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) => {
            let good = &body[..error.valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = good.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
            return Err(bad_json(&format!("this is not UTF-8 at line {line} column {column}")));
        }
    };
    match text.trim_start_matches([' ', '\t', '\r', '\n']).chars().next() {
        // Checked here, as a derived reader would take an array for an object.
        Some('{') => serde_json::from_str(text).map_err(|error| bad_json(&error.to_string())),
        None => Err(bad_json("it is empty; an object was expected at line 1 column 1")),
        Some(_) => Err(bad_json("an object was expected at line 1 column 1")),
    }
}

/// The same for one line of a file: the failure tells the place in the line.
pub(super) fn read_line<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Failure> {
    read_object(line).map_err(|failure| Failure {
        message: failure.message.replace("the body is", "it is").replace(" at line 1 column", " at column"),
        ..failure
    })
}

/// `bad_json` for what a reader said, cut to a bearable length with the place kept.
pub(super) fn bad_json(said: &str) -> Failure {
    let (what, place) = said
        .rsplit_once(" at line ")
        .map_or((said, String::new()), |(what, place)| (what, format!(" at line {place}")));
    let dots = if what.chars().nth(200).is_some() { "…" } else { "" };
    let shown = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    let short: String = what.chars().take(200).map(shown).collect();
    Failure::new(Code::BadJson, format!("the body is not the JSON that was expected: {short}{dots}{place}"))
}

/// What a reader of a part of the body said, without the place: that counts from the part's start.
pub(super) fn without_place(said: &str) -> &str {
    said.rsplit_once(" at line ").map_or(said, |(what, _)| what)
}

/// Appends a string literal.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    // Without a branch a byte, so that many are looked at at a time.
    if text.bytes().fold(false, |any, byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(out, text);
        return;
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Appends an integer.
pub(super) fn write_number(out: &mut Vec<u8>, number: u64) {
    let _ = serde_json::to_writer(out, &number);
}

/// Appends a value.
pub(super) fn write_value(out: &mut Vec<u8>, value: &Value) {
    let _ = match value {
        Value::Null => serde_json::to_writer(out, &()),
        Value::Bool(truth) => serde_json::to_writer(out, truth),
        Value::Int(number) => serde_json::to_writer(out, number),
        Value::Float(number) => serde_json::to_writer(out, number),
        Value::Text(text) => return write_text(out, text),
        Value::Json(text) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_wherever_it_has_to_be() {
        let long = "n".repeat(100);
        for c in ('\0'..='\u{7f}').chain(['\u{80}', '\u{2028}', 'é', '\u{10ffff}']) {
            for text in [c.to_string(), format!("{c}{long}"), format!("{long}{c}{long}"), format!("{long}{c}")] {
                let mut out = Vec::new();
                write_text(&mut out, &text);
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
            }
        }
    }
}
