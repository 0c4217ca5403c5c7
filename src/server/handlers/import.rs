//! Owns the import of rows from a stream of lines: cut into batches, each one write, one after the other.
//!
//! No more than a batch is held in memory: the next is read while the one before is proposed, and
//! then the stream waits. Batches are cut by the lines alone, so that the same stream sent again
//! under the same key gives the same batches, and each takes effect once.

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use hyper::header::CONTENT_TYPE;
use tokio::time::timeout;
use warp::reply::Response;

use super::super::dispatch::App;
use super::super::reply::{self, at_revision, encoded};
use super::super::request::Ask;
use super::read::rehearse;
use crate::model::{Applied, Code, Counts, Effect, Failure, Fate, OnConflict, PutRow, Write, excerpt};
use crate::protocol::{BadLine, Imported, LineFormat, RecordEnds, RowReader};
use crate::replication::ReadWant;

/// How many rows make a batch, and how many bytes of lines.
const BATCH_ROWS: usize = 1_000;
const BATCH_BYTES: usize = 256 << 10;

/// The same where bad lines are left out: of each batch that the store refuses, the rest is proposed anew.
const SMALL_ROWS: usize = 100;
const SMALL_BYTES: usize = 32 << 10;

/// How many bad lines may be left out, and how many of them an error names.
const MAX_ERRORS: u64 = 1_000;
const SHOWN: usize = 20;

/// The highest number that the first line of a part may have.
const MAX_FIRST_LINE: u64 = 1 << 32;

/// `POST /v1/tables/{table}/import?format=&on_conflict=&id=&generate_ids=&max_errors=&first_line=&dry_run=`.
pub(in super::super) async fn import<S, B, E>(
    app: &App,
    ask: Ask,
    body: &mut S,
    consumed: &mut bool,
) -> Result<Response, Failure>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    let _place = app.large_body()?;
    let format = format(&ask)?;
    let on_conflict = on_conflict(&ask)?;
    let dry = ask.params.flag("dry_run")?;
    let first_line = first_line(&ask)?;
    let max_errors = max_errors(&ask)?;
    let view = app.group.read(ReadWant::default(), ask.deadline).await?;
    let table = view.table(&ask.table)?;
    let mut reader = RowReader::new(format, table.as_ref().clone(), ask.params.get("id"));
    if let Some(prefix) = ask.params.get("generate_ids") {
        reader = reader.generate(prefix)?;
    }
    let lines = Lines::new(body, format, app, first_line);
    let source = Batches {
        columns: reader.columns(),
        lines,
        reader,
        on_conflict,
        max_errors,
        bad: Vec::new(),
        held: None,
        first: 0,
    };
    // The key of a request that brought none is its own: a batch may then be repeated, the request not.
    let key = ask.key_text()?.unwrap_or_else(crate::world::name);
    let resumes = on_conflict == OnConflict::Same;
    let (counts, revision) = (Counts::default(), view.revision());
    let mut run =
        Run { app, ask: &ask, dry, key, max_errors, resumes, batches: 0, counts, rejected: Vec::new(), revision };
    drop(view);
    match run.all(source).await {
        Ok(()) => {
            *consumed = true;
            run.rejected.sort_by_key(|bad| bad.line);
            let answer = Imported::new(&ask.table, run.counts, run.rejected, run.revision);
            Ok(at_revision(encoded(200, &answer)?, run.revision))
        }
        Err(failure) => Ok(run.stopped(failure)),
    }
}

fn bad(message: String) -> Failure {
    Failure::new(Code::BadRequest, message)
}

/// The format that the request names, or else the one of its content type.
fn format(ask: &Ask) -> Result<LineFormat, Failure> {
    if let Some(name) = ask.params.get("format") {
        return LineFormat::parse(name);
    }
    let kind = ask.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let csv =
        kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii().eq_ignore_ascii_case(b"text/csv");
    Ok(if csv { LineFormat::Csv } else { LineFormat::Jsonl })
}

fn on_conflict(ask: &Ask) -> Result<OnConflict, Failure> {
    let Some(word) = ask.params.get("on_conflict") else { return Ok(OnConflict::Error) };
    let known = OnConflict::NAMES.iter().find(|(name, _)| *name == word);
    known.map(|(_, way)| *way).ok_or_else(|| {
        let shown = excerpt(word, 40);
        bad(format!("parameter \"on_conflict\" is \"{shown}\"")).hint(OnConflict::HINT)
    })
}

fn first_line(ask: &Ask) -> Result<Option<u64>, Failure> {
    match ask.params.number("first_line")? {
        Some(0) => Err(bad("parameter \"first_line\" is 0; it is at least 1".into())),
        Some(line) if line > MAX_FIRST_LINE => {
            Err(bad(format!("parameter \"first_line\" is more than {MAX_FIRST_LINE}")))
        }
        line => Ok(line),
    }
}

fn max_errors(ask: &Ask) -> Result<usize, Failure> {
    match ask.params.number("max_errors")?.unwrap_or(0) {
        number @ 0..=MAX_ERRORS => Ok(number as usize),
        _ => Err(bad(format!("parameter \"max_errors\" is more than {MAX_ERRORS}"))),
    }
}

/// The lines of a body, as they arrive.
struct Lines<'a, S> {
    body: &'a mut S,
    ends: RecordEnds,
    buffer: BytesMut,
    /// How much of the buffer has been searched for the end of a record.
    searched: usize,
    ended: bool,
    /// The line at which the next record begins.
    line: u64,
    /// The line at which the rows begin, where a header of CSV stands apart from them.
    first_line: Option<u64>,
    longest: usize,
    patience: std::time::Duration,
}

impl<'a, S, B, E> Lines<'a, S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    fn new(body: &'a mut S, format: LineFormat, app: &App, first_line: Option<u64>) -> Lines<'a, S> {
        let (line, first_line) = match format {
            LineFormat::Jsonl => (first_line.unwrap_or(1), None),
            LineFormat::Csv => (1, first_line),
        };
        Lines {
            body,
            ends: RecordEnds::new(format),
            buffer: BytesMut::new(),
            searched: 0,
            ended: false,
            line,
            first_line,
            longest: app.limits.body,
            patience: app.limits.progress,
        }
    }

    /// The next record and the line at which it begins.
    async fn next(&mut self) -> Result<Option<(u64, Bytes)>, Failure> {
        loop {
            if let Some(more) = self.ends.next(&self.buffer[self.searched..]) {
                let record = self.buffer.split_to(self.searched + more).freeze();
                self.searched = 0;
                return Ok(Some(self.count(record)));
            }
            self.searched = self.buffer.len();
            if self.searched > self.longest {
                let failure = Failure::new(Code::TooLarge, format!("it is longer than {} bytes", self.longest));
                return Err(failure.at_line(self.line));
            }
            if self.ended {
                let record = self.buffer.split().freeze();
                self.searched = 0;
                return Ok((!record.is_empty()).then(|| self.count(record)));
            }
            match timeout(self.patience, self.body.next()).await {
                Ok(Some(Ok(piece))) => self.buffer.extend_from_slice(&take(piece)),
                Ok(None) => self.ended = true,
                Ok(Some(Err(_))) => return Err(bad("the body broke off before its end".into())),
                Err(_) => return Err(Failure::new(Code::Timeout, "the body did not arrive in time")),
            }
        }
    }

    fn count(&mut self, record: Bytes) -> (u64, Bytes) {
        let line = self.line;
        self.line = match self.first_line.take() {
            Some(first) => first,
            None => line + record.iter().filter(|byte| **byte == b'\n').count() as u64,
        };
        (line, record)
    }
}

fn take(mut piece: impl Buf) -> Bytes {
    piece.copy_to_bytes(piece.remaining())
}

/// The batches that a stream of lines makes.
struct Batches<'a, S> {
    columns: Vec<String>,
    lines: Lines<'a, S>,
    reader: RowReader,
    on_conflict: OnConflict,
    max_errors: usize,
    /// What is wrong with the lines that were left out of the batch read last.
    bad: Vec<Failure>,
    /// The row that was too much for the last batch, with its bytes.
    held: Option<(PutRow, usize)>,
    /// The line at which the batch begins that was read last.
    first: u64,
}

impl<S, B, E> Batches<'_, S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    async fn next(&mut self, table: &str) -> Result<Option<Write>, Failure> {
        let mut rows: Vec<PutRow> = Vec::new();
        let mut bytes = 0;
        self.first = self.held.as_ref().map_or(self.lines.line, |(row, _)| row.line);
        if let Some((row, size)) = self.held.take() {
            rows.push(row);
            bytes = size;
        }
        let (most_rows, most_bytes) =
            if self.max_errors > 0 { (SMALL_ROWS, SMALL_BYTES) } else { (BATCH_ROWS, BATCH_BYTES) };
        while rows.len() < most_rows {
            let Some((line, record)) = self.lines.next().await? else { break };
            if rows.is_empty() && self.bad.is_empty() {
                self.first = line;
            }
            let skippable = self.reader.is_ready() && self.bad.len() < self.max_errors;
            let row = match self.reader.read(line, &record) {
                Ok(Some(row)) => row,
                Ok(None) => continue,
                Err(failure) if skippable => {
                    self.bad.push(failure);
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            if bytes + record.len() > most_bytes && !rows.is_empty() {
                self.held = Some((row, record.len()));
                break;
            }
            bytes += record.len();
            rows.push(row);
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let (columns, on_conflict) = (self.columns.clone(), self.on_conflict);
        Ok(Some(Write::PutRows { table: table.into(), columns, rows, on_conflict }))
    }
}

/// An import under way.
struct Run<'a> {
    app: &'a App,
    ask: &'a Ask,
    dry: bool,
    key: String,
    max_errors: usize,
    /// Whether all rows so far were there already, as an import that goes on finds them.
    resumes: bool,
    /// How many batches have been read.
    batches: u64,
    /// What came of those that were answered.
    counts: Counts,
    /// The lines that were left out.
    rejected: Vec<BadLine>,
    revision: u64,
}

impl Run<'_> {
    async fn all<S, B, E>(&mut self, mut source: Batches<'_, S>) -> Result<(), Failure>
    where
        S: Stream<Item = Result<B, E>> + Unpin,
        B: Buf,
    {
        let table = self.ask.table.as_str();
        let mut next = source.next(table).await;
        loop {
            let from = source.first;
            for failure in std::mem::take(&mut source.bad) {
                self.leave_out(failure).map_err(|failure| rest_out(failure, from))?;
            }
            let write = match next {
                Ok(Some(write)) => write,
                Ok(None) => return Ok(()),
                Err(failure) => return Err(rest_out(failure, from)),
            };
            // One at a time, or a change of leader could swap two of them.
            let (counts, read) = tokio::join!(self.apply(write), source.next(table));
            self.counts.add(counts.map_err(|failure| rest_out(failure, from))?);
            next = read;
        }
    }

    /// Notes a bad line, or gives the failure back where that is one too many, or no line's.
    fn leave_out(&mut self, failure: Failure) -> Result<u64, Failure> {
        let whole = failure.fate == Fate::Unknown || failure.retryable;
        match BadLine::of(&failure) {
            Some(line) if !whole && self.rejected.len() < self.max_errors => {
                let number = line.line;
                self.rejected.push(line);
                Ok(number)
            }
            _ => Err(failure),
        }
    }

    /// Puts a batch in; without its bad lines, where some may be left out.
    async fn apply(&mut self, mut write: Write) -> Result<Counts, Failure> {
        self.batches += 1;
        for attempt in 0.. {
            let again = (self.rejected.len() < self.max_errors).then(|| write.clone());
            let failure = match self.put(write, attempt).await {
                Ok(Applied { revision, effect: Effect::Imported(counts) }) => {
                    if !self.dry {
                        self.revision = revision;
                    }
                    return Ok(counts);
                }
                Ok(Applied { effect, .. }) => Failure::internal(format!("an import was answered with {effect:?}")),
                Err(failure) => failure,
            };
            let bad = self.leave_out(failure)?;
            let Some(Write::PutRows { table, columns, mut rows, on_conflict }) = again else { break };
            rows.retain(|row| row.line != bad);
            if rows.is_empty() {
                break;
            }
            write = Write::PutRows { table, columns, rows, on_conflict };
        }
        Ok(Counts::default())
    }

    async fn put(&mut self, write: Write, attempt: u32) -> Result<Applied, Failure> {
        if self.dry {
            return self.rehearse(write).await;
        }
        if self.resumes {
            // What is there as it should be needs no place in the log.
            let there = self.rehearse(write.clone()).await;
            if let Ok(Applied { effect: effect @ Effect::Imported(Counts { inserted: 0, .. }), .. }) = there {
                return Ok(Applied { revision: self.revision, effect });
            }
            self.resumes = false;
        }
        let mut key = crate::protocol::idempotency_key(self.key.as_bytes(), &write)?;
        key.key = match attempt {
            0 => format!("{}#{}", key.key, self.batches),
            _ => format!("{}#{}.{attempt}", key.key, self.batches),
        };
        self.app.group.propose(write, Some(key), self.ask.batch_deadline()).await
    }

    /// What a batch would do to what is there now.
    async fn rehearse(&self, write: Write) -> Result<Applied, Failure> {
        let view = self.app.group.read(ReadWant::default(), self.ask.batch_deadline()).await?;
        rehearse(self.app, view, write).await
    }

    /// The answer to an import that stopped: the failure, and how many rows went in before.
    fn stopped(&self, mut failure: Failure) -> Response {
        let rows = if self.dry { 0 } else { self.counts.rows() };
        if rows > 0 {
            // Of the request as a whole "not applied" would be wrong; the message tells what was.
            failure.fate = Fate::Unknown;
        }
        if !self.rejected.is_empty() {
            let mut lines: Vec<u64> = self.rejected.iter().map(|bad| bad.line).collect();
            lines.sort_unstable();
            let mut lines: Vec<String> = lines.iter().take(SHOWN).map(u64::to_string).collect();
            if self.rejected.len() > SHOWN {
                lines.push("…".into());
            }
            let before = format!("{} bad lines before it were left out: {}", self.rejected.len(), lines.join(", "));
            failure.hint = Some(failure.hint.map_or(before.clone(), |hint| format!("{hint}; {before}")));
        }
        reply::failure_with_rows(&failure, rows)
    }
}

/// The failure, saying that the lines from `line` on are not in.
fn rest_out(mut failure: Failure, line: u64) -> Failure {
    if failure.fate == Fate::NotApplied {
        failure.message.push_str(&format!("; lines from {line} on were not imported"));
    } else {
        failure.message.push_str(&format!("; it is unknown whether lines from {line} on were imported"));
    }
    failure
}
