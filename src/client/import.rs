//! Owns imports: the cutting of a file into pieces, each one request under a key of its own, so that
//! a piece can be sent again to any node and takes effect once.

use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;

use super::Client;
use super::error::ClientError;
use super::request::Request;
use crate::model::OnConflict;
use crate::protocol::{Imported, LineFormat, RecordEnds, table_path};

/// About how large a piece is.
const PIECE: usize = 4 << 20;

/// A record that has not ended after so many bytes is sent as it is, for the node to refuse.
const LONGEST: usize = 8 << 20;

/// How long a node may be silent about a piece before another is asked beside it: longer than for
/// one write, as a piece is thousands of them.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where rows go, and how.
#[derive(Clone, Debug)]
pub struct Import {
    /// The table.
    pub table: String,
    /// How the rows stand in the file.
    pub format: LineFormat,
    /// How a row that is there is treated.
    pub on_conflict: OnConflict,
    /// The column that is the row id, where it is not `id` or `row_id`.
    pub id: Option<String>,
    /// What ids begin with that rows without one are given, if they are given any.
    pub generate_ids: Option<String>,
    /// How many bad lines may be left out.
    pub max_errors: usize,
    /// Whether to check only.
    pub dry_run: bool,
}

impl Client {
    /// Imports one piece of a file.
    ///
    /// # Errors
    /// As every call; the failure of a bad line says which it is. The lines before it may be in.
    pub async fn import(&self, import: &Import, piece: Piece) -> Result<Imported, ClientError> {
        let path = format!("{}/import", table_path(&import.table)?);
        let mut request = Request::write(Method::POST, path, Vec::new())
            .param("format", import.format.as_str())
            .param("on_conflict", import.on_conflict.as_str())
            .param("first_line", &piece.first_line.to_string());
        if let Some(id) = &import.id {
            request = request.param("id", id);
        }
        if let Some(prefix) = &import.generate_ids {
            request = request.param("generate_ids", prefix);
        }
        if import.max_errors > 0 {
            request = request.param("max_errors", &import.max_errors.to_string());
        }
        if import.dry_run {
            request = request.param("dry_run", "true");
        }
        let kind = match import.format {
            LineFormat::Csv => "text/csv",
            LineFormat::Jsonl => "application/x-ndjson",
        };
        request = request.header("content-type", kind.into());
        request.body = piece.body;
        self.patient(PATIENCE).ask(&request).await
    }
}

/// Some whole lines of a file; of CSV, below its header.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// The lines.
    pub body: Bytes,
    /// The line of the file at which they begin, the header aside.
    pub first_line: u64,
}

/// Cuts a file into pieces.
pub struct Pieces<R> {
    source: R,
    ends: RecordEnds,
    /// The header of a CSV file once it was read; empty for other files.
    header: Option<Vec<u8>>,
    pending: Vec<u8>,
    /// How much of `pending` has been searched for ends of records, and where the last one was.
    searched: usize,
    last_end: usize,
    line: u64,
    /// How many bytes were read so far.
    pub read: u64,
    size: usize,
    ended: bool,
    begun: bool,
}

impl<R: Read> Pieces<R> {
    /// The pieces of what `source` gives; there is at least one, if only an empty one.
    pub fn new(source: R, format: LineFormat) -> Pieces<R> {
        let header = (format == LineFormat::Jsonl).then(Vec::new);
        Pieces {
            source,
            ends: RecordEnds::new(format),
            header,
            pending: Vec::new(),
            searched: 0,
            last_end: 0,
            line: 1,
            read: 0,
            size: PIECE,
            ended: false,
            begun: false,
        }
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece>> {
        loop {
            self.search();
            let full = self.pending.len() >= self.size && self.last_end > 0 || self.pending.len() > LONGEST;
            if self.ended || full {
                break;
            }
            self.fill()?;
        }
        let end = if self.ended || self.last_end == 0 { self.pending.len() } else { self.last_end };
        if end == 0 && self.begun {
            return Ok(None);
        }
        self.begun = true;
        let records = &self.pending[..end];
        let piece = Piece {
            body: [self.header.as_deref().unwrap_or_default(), records].concat().into(),
            first_line: self.line,
        };
        self.line += count_lines(records);
        self.drop_front(end);
        Ok(Some(piece))
    }

    fn search(&mut self) {
        while let Some(more) = self.ends.next(&self.pending[self.searched..]) {
            self.searched += more;
            if self.header.is_none() {
                self.line += count_lines(&self.pending[..self.searched]);
                self.header = Some(self.pending[..self.searched].to_vec());
                self.last_end = 0;
                self.drop_front(self.searched);
            } else {
                self.last_end = self.searched;
            }
        }
        self.searched = self.pending.len();
    }

    fn drop_front(&mut self, bytes: usize) {
        self.pending.drain(..bytes);
        self.searched -= bytes;
        self.last_end = 0;
    }

    fn fill(&mut self) -> io::Result<()> {
        let have = self.pending.len();
        self.pending.resize(have + (256 << 10), 0);
        let got = loop {
            match self.source.read(&mut self.pending[have..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.pending.truncate(have + *got.as_ref().unwrap_or(&0));
        let got = got?;
        self.read += got as u64;
        self.ended = got == 0;
        Ok(())
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, format: LineFormat, size: usize) -> Vec<(u64, String)> {
        let mut pieces = Pieces { size, ..Pieces::new(text.as_bytes(), format) };
        let mut found = Vec::new();
        while let Some(piece) = pieces.next_piece().unwrap() {
            found.push((piece.first_line, String::from_utf8(piece.body.to_vec()).unwrap()));
        }
        found
    }

    #[test]
    fn a_file_is_cut_at_the_ends_of_lines_and_csv_keeps_its_header() {
        let owned = |list: &[(u64, &str)]| list.iter().map(|(n, text)| (*n, text.to_string())).collect::<Vec<_>>();
        assert_eq!(pieces("", LineFormat::Jsonl, 10), owned(&[(1, "")]));
        assert_eq!(pieces("{}\n{}\n{}", LineFormat::Jsonl, 1), owned(&[(1, "{}\n{}\n"), (3, "{}")]));
        assert_eq!(pieces("a,b\n1,\"x\ny\"\n2,z\n", LineFormat::Csv, 99), owned(&[(2, "a,b\n1,\"x\ny\"\n2,z\n")]));
        assert_eq!(
            pieces("a,b\n1,\"x\ny\"\n2,z", LineFormat::Csv, 1),
            owned(&[(2, "a,b\n1,\"x\ny\"\n"), (4, "a,b\n2,z")])
        );
        assert_eq!(pieces("a,b", LineFormat::Csv, 1), owned(&[(1, "a,b")]));
        assert_eq!(pieces("a,b\n", LineFormat::Csv, 1), owned(&[(2, "a,b\n")]));
    }

    #[test]
    fn every_line_of_a_large_file_is_in_one_piece_under_its_number() {
        let text: String = (1..=200_000).map(|n| format!("{{\"id\":{n}}}\n")).collect();
        let found = pieces(&text, LineFormat::Jsonl, 1 << 20);
        assert!(found.len() > 1, "{}", found.len());
        for (first, body) in &found {
            assert!(body.starts_with(&format!("{{\"id\":{first}}}\n")), "{first}");
        }
        assert_eq!(found.into_iter().map(|(_, body)| body).collect::<String>(), text);
    }

    #[test]
    fn a_record_without_an_end_is_not_gathered_for_ever() {
        let endless = io::repeat(b'x');
        let piece = Pieces::new(endless, LineFormat::Jsonl).next_piece().unwrap().unwrap();
        assert!(piece.body.len() > LONGEST && piece.body.len() < 2 * LONGEST);
    }
}
