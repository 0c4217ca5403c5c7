//! Owns the handler of SQL: a query on a thread of its own, and its answer, which streams with back pressure.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout_at};
use warp::Reply as _;
use warp::reply::Response;

use super::super::dispatch::App;
use super::super::reply::bytes;
use super::super::request::Ask;
use super::read::{broken, framed, view};
use super::scan::PIECE;
use crate::model::{Code, Failure, SqlColumn, SqlQuery, Value};
use crate::protocol::{SqlShape, parse_sql};
use crate::replication::Group;
use crate::sql::{Gate, Sink, SqlError, run};
use crate::store::View;

/// How many pieces of an answer wait for their reader.
const AHEAD: usize = 2;

/// `POST /v1/sql?format=`.
pub(in super::super) async fn sql(app: &App, ask: Ask) -> Result<Response, Failure> {
    let shape = ask.params.get("format").map_or(Ok(SqlShape::Whole), SqlShape::parse)?;
    let query = parse_sql(&ask.body)?;
    let place = app.queries.clone().try_acquire_owned().map_err(|_| {
        Failure::new(Code::Overloaded, "this node runs all the SQL queries at a time that it takes")
            .hint("try again, or ask another node")
    })?;
    let view = view(app, &ask).await?;
    let revision = view.revision();
    let gate = Arc::new(Gate::new(ask.deadline.saturating_duration_since(Instant::now())));
    let (pieces, received) = channel(AHEAD);
    let work = Work { view, query, shape, gate: gate.clone(), group: app.group.clone() };
    tokio::task::spawn_blocking(move || {
        work.run(pieces);
        drop(place);
    });
    let mut answer = Answer { received, gate };
    let first = timeout_at(ask.deadline, answer.received.recv()).await;
    let kind = match shape {
        SqlShape::Whole => "application/json",
        SqlShape::Lines => "application/x-ndjson",
    };
    let response = match first {
        Err(_) => return Err(Failure::new(Code::Timeout, "the query did not begin to answer in time")),
        Ok(None) => return Err(Failure::internal("the query broke off, by a fault of the server's own")),
        Ok(Some(Piece::Failed(failure))) => return Err(failure),
        Ok(Some(Piece::Last(whole))) => bytes(200, kind, whole),
        Ok(Some(Piece::More(first))) => {
            let mut response = warp::reply::stream(answer.stream(first)).into_response();
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        }
    };
    Ok(framed(&ask, response, revision))
}

/// A part of an answer.
enum Piece {
    More(Bytes),
    Last(Bytes),
    Failed(Failure),
}

/// The reader's end of a query; when it goes, the query ends.
struct Answer {
    received: Receiver<Piece>,
    gate: Arc<Gate>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.gate.close();
    }
}

impl Answer {
    /// The body: it breaks off where the query failed and its shape has no words for that.
    fn stream(self, first: Bytes) -> impl futures::Stream<Item = Result<Bytes, Failure>> {
        stream::try_unfold((Some(self), Some(first)), |(answer, first)| async move {
            if let Some(first) = first {
                return Ok(Some((first, (answer, None))));
            }
            let Some(mut answer) = answer else { return Ok(None) };
            match answer.received.recv().await {
                Some(Piece::More(piece)) => Ok(Some((piece, (Some(answer), None)))),
                Some(Piece::Last(piece)) => Ok(Some((piece, (None, None)))),
                Some(Piece::Failed(failure)) => Err(failure),
                None => Err(Failure::internal("the query broke off, by a fault of the server's own")),
            }
        })
    }
}

/// A query to be run.
struct Work {
    view: View,
    query: SqlQuery,
    shape: SqlShape,
    gate: Arc<Gate>,
    group: Group,
}

impl Work {
    /// Runs the query to its end; it blocks, also while the reader is slow.
    fn run(self, pieces: Sender<Piece>) {
        let Work { view, query, shape, gate, group } = self;
        let revision = view.revision();
        let mut out = Writer { shape, revision, out: Vec::new(), count: 0, sent: false, pieces, gate: gate.clone() };
        let ended = match run(&view, &query, &gate, &mut out) {
            Ok(count) => {
                shape.close(&mut out.out, count, revision);
                Piece::Last(std::mem::take(&mut out.out).into())
            }
            Err(error) => {
                let failure = match error {
                    SqlError::Refused(failure) => failure,
                    SqlError::Store(error) => {
                        group.note(&error);
                        broken(error)
                    }
                };
                // Once a part is out, only the shape can still tell why the rest is missing.
                match shape.cut_short(&failure).filter(|_| out.sent) {
                    Some(line) => Piece::Last([std::mem::take(&mut out.out), line].concat().into()),
                    None => Piece::Failed(failure),
                }
            }
        };
        // A reader that has gone wants no end.
        let _ = out.pieces.blocking_send(ended);
    }
}

/// Writes rows into pieces.
struct Writer {
    shape: SqlShape,
    revision: u64,
    out: Vec<u8>,
    count: u64,
    /// Whether a piece is out.
    sent: bool,
    pieces: Sender<Piece>,
    gate: Arc<Gate>,
}

impl Sink for Writer {
    fn columns(&mut self, columns: Vec<SqlColumn>) -> bool {
        self.shape.open(&mut self.out, &columns, self.revision);
        true
    }

    fn row(&mut self, row: &[Value]) -> bool {
        self.shape.row(&mut self.out, row, self.count == 0);
        self.count += 1;
        if self.out.len() < PIECE {
            return true;
        }
        self.sent = true;
        let piece = Piece::More(std::mem::take(&mut self.out).into());
        self.gate.waiting(|| self.pieces.blocking_send(piece)).is_ok()
    }
}
