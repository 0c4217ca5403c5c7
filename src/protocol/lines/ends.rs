//! Owns the two formats, and where a record of each ends in a stream of bytes.

use crate::model::{Code, Failure, excerpt};

/// How rows stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values; the first record names the columns.
    Csv,
}

impl LineFormat {
    /// The format of that name: `jsonl` or `csv`.
    ///
    /// # Errors
    /// `bad_request` for any other.
    pub fn parse(text: &str) -> Result<LineFormat, Failure> {
        match text {
            "jsonl" => Ok(LineFormat::Jsonl),
            "csv" => Ok(LineFormat::Csv),
            _ => {
                let shown = excerpt(text, 40);
                Err(Failure::new(Code::BadRequest, format!("\"{shown}\" is not a format of rows"))
                    .hint("formats are jsonl and csv"))
            }
        }
    }

    /// The format's name.
    pub fn as_str(self) -> &'static str {
        match self {
            LineFormat::Jsonl => "jsonl",
            LineFormat::Csv => "csv",
        }
    }
}

/// Where in a field of CSV the last byte stood.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At its start.
    Start,
    /// In a field without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// After a quote that ends the field, or is the first of two.
    Closed,
}

/// Finds the ends of records in a stream, piece by piece.
#[derive(Clone, Copy, Debug)]
pub struct RecordEnds {
    format: LineFormat,
    place: Place,
}

impl RecordEnds {
    /// At the start of a stream.
    pub fn new(format: LineFormat) -> RecordEnds {
        RecordEnds { format, place: Place::Start }
    }

    /// How many of `bytes`, which go on where the last call ended, belong to the record under way,
    /// its line break included; `None` if it does not end in them.
    pub fn next(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.format == LineFormat::Jsonl {
            return memchr::memchr(b'\n', bytes).map(|at| at + 1);
        }
        for (at, byte) in bytes.iter().enumerate() {
            self.place = match (self.place, byte) {
                (Place::Start | Place::Closed, b'"') => Place::Quoted,
                (Place::Quoted, b'"') => Place::Closed,
                (Place::Quoted, _) => Place::Quoted,
                (_, b'\n') => {
                    self.place = Place::Start;
                    return Some(at + 1);
                }
                (_, b',') => Place::Start,
                _ => Place::Plain,
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(format: LineFormat, text: &str, step: usize) -> Vec<String> {
        let mut ends = RecordEnds::new(format);
        let (mut found, mut record) = (Vec::new(), Vec::new());
        for mut piece in text.as_bytes().chunks(step) {
            while let Some(end) = ends.next(piece) {
                record.extend_from_slice(&piece[..end]);
                found.push(String::from_utf8(std::mem::take(&mut record)).unwrap());
                piece = &piece[end..];
            }
            record.extend_from_slice(piece);
        }
        found.push(String::from_utf8(record).unwrap());
        found
    }

    #[test]
    fn a_record_ends_at_a_line_break_outside_quotes_however_the_stream_is_cut() {
        let text = "a,b\n\"x\ny\",\"he said \"\"no\"\"\n\"\n5\" pipe,z\r\n\"\",\n\nlast";
        let wanted = ["a,b\n", "\"x\ny\",\"he said \"\"no\"\"\n\"\n", "5\" pipe,z\r\n", "\"\",\n", "\n", "last"];
        for step in 1..text.len() + 1 {
            assert_eq!(records(LineFormat::Csv, text, step), wanted, "{step}");
            assert_eq!(records(LineFormat::Jsonl, "{\"a\n\":1}\n\n{}", step), ["{\"a\n", "\":1}\n", "\n", "{}"]);
        }
    }
}
