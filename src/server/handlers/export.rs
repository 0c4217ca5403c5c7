//! Owns the export of a table: one view of it, as a stream of lines.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::stream;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::Semaphore;
use warp::Reply as _;
use warp::reply::Response;

use super::super::dispatch::App;
use super::super::request::Ask;
use super::read::{broken, framed, view};
use super::scan::{PIECE, Rows, Turn};
use super::search::in_turn;
use super::way::Way;
use crate::model::{Condition, Failure, Table};
use crate::protocol::{LineFormat, write_csv_head, write_line};

/// `GET /v1/tables/{table}/export?format=&filter=`.
pub(in super::super) async fn export(app: &App, ask: Ask) -> Result<Response, Failure> {
    let format = ask.params.get("format").map_or(Ok(LineFormat::Jsonl), LineFormat::parse)?;
    let filters = ask.params.filters()?;
    let view = view(app, &ask).await?;
    let revision = view.revision();
    let table = view.table(&ask.table)?;
    let conditions = Condition::bind_all(&filters, &table)?;
    let way = Way::find(app, &view, &table, &conditions, None).await?;
    let rows = Mutex::new(way.rows(&app.group, &view, &table, None));
    let mut head = Vec::new();
    if format == LineFormat::Csv {
        write_csv_head(&mut head, &table);
    }
    let lines = Lines { rows, table, conditions, format, done: false };
    // The first piece is made before the answer begins, so that what fails at once is a failure.
    let (lines, first) = slice(lines, &app.scans).await?;
    head.extend_from_slice(&first);
    let pieces = stream::try_unfold((lines, app.scans.clone(), head), |(lines, turns, ready)| async move {
        if !ready.is_empty() {
            return Ok(Some((Bytes::from(ready), (lines, turns, Vec::new()))));
        }
        let (mut lines, mut piece) = (lines, Vec::new());
        while piece.is_empty() && !lines.done {
            (lines, piece) = slice(lines, &turns).await?;
        }
        Ok::<_, Failure>((!piece.is_empty()).then(|| (Bytes::from(piece), (lines, turns, Vec::new()))))
    });
    let mut response = warp::reply::stream(pieces).into_response();
    let kind = match format {
        LineFormat::Jsonl => "application/x-ndjson",
        LineFormat::Csv => "text/csv; charset=utf-8",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(framed(&ask, response, revision))
}

/// The lines of an export on their way.
struct Lines {
    /// In a mutex so that it can be shared, as warp asks of a body; nobody ever locks it.
    rows: Mutex<Rows>,
    table: Arc<Table>,
    conditions: Vec<Condition>,
    format: LineFormat,
    done: bool,
}

impl Lines {
    /// Writes lines until a piece is full, others have their turn or the rows are at their end.
    fn piece(&mut self) -> Result<Vec<u8>, Failure> {
        let turn = Turn::new();
        let mut out = Vec::new();
        for looked in 1.. {
            if out.len() >= PIECE || turn.is_over(looked) {
                break;
            }
            let Some(next) = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner).next() else {
                self.done = true;
                break;
            };
            let (_, row) = next.map_err(broken)?;
            if Condition::all_pass(&self.conditions, &row) {
                write_line(&mut out, self.format, &self.table, &row);
            }
        }
        Ok(out)
    }
}

/// Makes one piece when it is its turn.
async fn slice(mut lines: Lines, turns: &Arc<Semaphore>) -> Result<(Lines, Vec<u8>), Failure> {
    in_turn(turns, move || {
        let piece = lines.piece()?;
        Ok((lines, piece))
    })
    .await
}
