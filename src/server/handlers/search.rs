//! Owns the handlers of searches: what is asked for, and the answer that streams.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use warp::Reply as _;
use warp::reply::Response;

use super::super::dispatch::App;
use super::super::reply::json;
use super::super::request::Ask;
use super::read::{blocking, framed, unreadable, view};
use super::scan::{Rows, Scan};
use crate::model::{Code, Failure, Filter, Op, RowKey, Table, check_name};
use crate::protocol::{RowShape, decode_cursor};
use crate::replication::Group;
use crate::store::{StoreError, View};

/// `GET /search?table=&column=&value=`.
pub(in super::super) async fn search_v0(app: &App, ask: Ask) -> Result<Response, Failure> {
    let name = ask.params.get("table").ok_or_else(|| bad("parameter \"table\" is missing"))?;
    check_name("table", name)?;
    let filters = match (ask.params.get("column"), ask.params.get("value")) {
        (None, None) => Vec::new(),
        (Some(column), Some(value)) => vec![Filter { column: column.into(), op: Op::Eq, text: value.into() }],
        _ => return Err(bad("parameters \"column\" and \"value\" go together")),
    };
    search(app, &ask, name, filters, RowShape::Search { table: name.into() }).await
}

/// `GET /v1/tables/{table}/rows?filter=&columns=&limit=&cursor=`.
pub(in super::super) async fn rows(app: &App, ask: Ask) -> Result<Response, Failure> {
    if ask.params.get("order").is_some() {
        return Err(bad("parameter \"order\" is not supported yet").hint("rows come by row id"));
    }
    let filters = ask.params.all("filter").map(Filter::parse).collect::<Result<Vec<_>, Failure>>()?;
    search(app, &ask, &ask.table, filters, RowShape::Page).await
}

fn bad(message: &str) -> Failure {
    Failure::new(Code::BadRequest, message)
}

async fn search(app: &App, ask: &Ask, name: &str, filters: Vec<Filter>, shape: RowShape) -> Result<Response, Failure> {
    let limit = ask.params.number("limit")?;
    if limit == Some(0) {
        return Err(bad("parameter \"limit\" is 0; it is at least 1"));
    }
    let view = view(app, ask).await?;
    let table = view.table(name).map_err(unreadable(&app.group))??;
    let unknown = |filter: &&Filter| filter.column != "row_id" && table.column(&filter.column).is_err();
    if let Some(filter) = filters.iter().find(unknown) {
        table.column(&filter.column)?;
    }
    let shown = ask.params.get("columns").map(|columns| positions(&table, columns)).transpose()?;
    let after = ask.params.get("cursor").map(|cursor| decode_cursor(table.id, cursor)).transpose()?;
    let rows = Mutex::new(candidates(&app.group, &view, &table, &filters, after.as_ref())?);
    let revision = view.revision();
    let scan =
        Scan { rows, table, filters, shown, limit, shape, revision, count: 0, last: None, opened: false, done: false };
    Ok(framed(ask, stream(scan, &app.scans, ask.deadline).await?, revision))
}

/// The positions of the columns in a list of names: `a,b`.
fn positions(table: &Table, columns: &str) -> Result<Vec<usize>, Failure> {
    let mut positions = Vec::new();
    for name in columns.split(',') {
        let position = table.column(name)?;
        if positions.contains(&position) {
            return Err(bad(&format!("column \"{name}\" is asked for twice")));
        }
        positions.push(position);
    }
    Ok(positions)
}

/// The rows that may pass: all after `after`, or the one whose id a filter names.
fn candidates(
    group: &Group,
    view: &View,
    table: &Table,
    filters: &[Filter],
    after: Option<&RowKey>,
) -> Result<Rows, Failure> {
    let by_id = |filter: &&Filter| filter.column == "row_id" || filter.column == "id";
    let key = filters.iter().find(by_id).and_then(|filter| RowKey::new(table, &filter.text).ok());
    match key {
        Some(key) if after.is_some_and(|after| key <= *after) => Ok(Box::new(std::iter::empty())),
        Some(key) => {
            let row = view.row(table, &key).map_err(unreadable(group))?;
            Ok(Box::new(row.into_iter().map(move |row| Ok((key.clone(), row)))))
        }
        None => {
            let group = group.clone();
            let note = move |row: &Result<_, StoreError>| row.as_ref().err().into_iter().for_each(|e| group.note(e));
            Ok(Box::new(view.scan(table, after).inspect(note)))
        }
    }
}

/// The answer of a scan: whole if it fits one piece, else a stream that breaks off if the scan fails.
async fn stream(scan: Scan, turns: &Arc<Semaphore>, deadline: Instant) -> Result<Response, Failure> {
    let (mut scan, mut first) = slice(scan, turns.clone()).await?;
    while !scan.done && first.len() < super::scan::PIECE {
        if Instant::now() >= deadline {
            return Err(Failure::new(Code::Timeout, "the search did not find enough to answer with in time"));
        }
        let (next, piece) = slice(scan, turns.clone()).await?;
        (scan, first) = (next, [first, piece].concat());
    }
    if scan.done {
        return Ok(json(200, first));
    }
    let state = (scan, turns.clone(), Some(first));
    let pieces = stream::try_unfold(state, |(scan, turns, first)| async move {
        if let Some(first) = first {
            return Ok(Some((Bytes::from(first), (scan, turns, None))));
        }
        if scan.done {
            return Ok(None);
        }
        let (scan, piece) = slice(scan, turns.clone()).await?;
        Ok::<_, Failure>(Some((Bytes::from(piece), (scan, turns, None))))
    });
    let mut response = warp::reply::stream(pieces).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Runs one slice of a scan when it is its turn.
async fn slice(mut scan: Scan, turns: Arc<Semaphore>) -> Result<(Scan, Vec<u8>), Failure> {
    // The semaphore is never closed; without a turn the scan only runs earlier.
    let turn = turns.acquire_owned().await.ok();
    blocking(move || {
        let piece = scan.slice()?;
        drop(turn);
        Ok((scan, piece))
    })
    .await
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::model::{ColumnSpec, Row, Value};
    use crate::store::StoreError;

    /// A scan of `good` rows of 1,000 bytes each, then one that cannot be read.
    fn breaking(good: i64) -> Scan {
        let table = Table::declare(1, "t", &[ColumnSpec::parse("note").unwrap()], 1).unwrap();
        let row = |n: i64| {
            let values = vec![Value::Text("n".repeat(1_000))];
            Ok((RowKey(n.to_be_bytes().to_vec()), Row { id: Value::Text(n.to_string()), values, revision: 1 }))
        };
        let broken = std::iter::once(Err(StoreError::Damaged { file: "f".into(), what: "w".into() }));
        let rows: Rows = Box::new((0..good).map(row).chain(broken));
        Scan {
            rows: Mutex::new(rows),
            table,
            filters: vec![],
            shown: None,
            limit: None,
            shape: RowShape::Page,
            revision: 1,
            count: 0,
            last: None,
            opened: false,
            done: false,
        }
    }

    #[tokio::test]
    async fn a_search_that_fails_is_a_failure_at_first_and_a_broken_stream_later() {
        let turns = Arc::new(Semaphore::new(1));
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        let early = stream(breaking(3), &turns, deadline).await.map(|_| ()).unwrap_err();
        assert_eq!(early.code, Code::Internal);
        let late = stream(breaking(1_000), &turns, deadline).await.unwrap();
        assert_eq!(late.status(), 200);
        assert!(late.into_body().collect().await.is_err(), "the body must not look whole");
    }

    #[tokio::test]
    async fn a_search_that_finds_nothing_in_time_says_so() {
        let turns = Arc::new(Semaphore::new(1));
        let mut scan = breaking(1);
        let row = scan.rows.get_mut().unwrap().next().unwrap().unwrap();
        scan.rows = Mutex::new(Box::new(std::iter::repeat_with(move || Ok(row.clone()))));
        scan.filters = vec![Filter::parse("note=x").unwrap()];
        let failure = stream(scan, &turns, Instant::now()).await.map(|_| ()).unwrap_err();
        assert_eq!(failure.code, Code::Timeout);
    }
}
