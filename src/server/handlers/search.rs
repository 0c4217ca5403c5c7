//! Owns the handlers of searches: what is asked for, and the answer that streams.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::Instant;
use warp::Reply as _;
use warp::reply::Response;

use super::super::dispatch::App;
use super::super::params::Params;
use super::super::reply::json;
use super::super::request::Ask;
use super::read::{blocking, framed, view};
use super::scan::{Plan, Scan};
use super::sort::Sort;
use super::way::{Way, entries, rows_of};
use crate::model::{Code, Condition, Failure, Filter, Op, Order, Standing, Table, check_name};
use crate::protocol::{RowShape, decode_cursor, decode_ordered_cursor};
use crate::store::View;

/// `GET /search?table=&column=&value=`.
pub(in super::super) async fn search_v0(app: &App, ask: Ask) -> Result<Response, Failure> {
    let name = ask.params.get("table").ok_or_else(|| bad("parameter \"table\" is missing"))?;
    check_name("table", name)?;
    let filters = match (ask.params.get("column"), ask.params.get("value")) {
        (None, None) => Vec::new(),
        (Some(column), Some(value)) => vec![Filter::new(column, Op::Eq, value)?],
        _ => return Err(bad("parameters \"column\" and \"value\" go together")),
    };
    search(app, &ask, name, filters, RowShape::Search { table: name.into() }).await
}

/// `GET /v1/tables/{table}/rows?filter=&columns=&order=&limit=&cursor=&explain=`.
pub(in super::super) async fn rows(app: &App, ask: Ask) -> Result<Response, Failure> {
    let filters = ask.params.filters()?;
    search(app, &ask, &ask.table, filters, RowShape::Page).await
}

fn bad(message: &str) -> Failure {
    Failure::new(Code::BadRequest, message)
}

async fn search(app: &App, ask: &Ask, name: &str, filters: Vec<Filter>, shape: RowShape) -> Result<Response, Failure> {
    let answer = find(app, ask, name, filters, shape).await?;
    // Whoever is ready goes first: answers that go out one after another wake their reader once, and each part of the
    // work finds its own things in the caches.
    yield_now().await;
    Ok(answer)
}

async fn find(app: &App, ask: &Ask, name: &str, filters: Vec<Filter>, shape: RowShape) -> Result<Response, Failure> {
    let params = &ask.params;
    let limit = params.number("limit")?;
    if limit == Some(0) {
        return Err(bad("parameter \"limit\" is 0; it is at least 1"));
    }
    let explain = switch(params, "explain")?;
    let count = switch(params, "count")?;
    let view = view(app, ask).await?;
    let table = view.table(name)?;
    let conditions = Condition::bind_all(&filters, &table)?;
    let order = params.get("order").map(|order| Order::parse(&table, order)).transpose()?.flatten();
    let shown = params.get("columns").map(|columns| positions(&table, columns)).transpose()?;
    let revision = view.revision();
    let explain = explain.then(String::new);
    let mut plan = Plan { table, conditions, order, shown, limit, explain, count, shape, revision };
    let way = Way::find(app, &view, &plan.table, &plan.conditions, plan.order.as_ref()).await?;
    plan.explain = plan.explain.map(|_| way.name(&plan.table));
    let cursor = params.get("cursor");
    let scan = match plan.order.clone() {
        Some(order) => {
            let after = cursor.map(|cursor| decode_ordered_cursor(plan.table.id, &order, cursor)).transpose()?;
            match way {
                Way::Index(index) => {
                    let index = after.map_or(index.clone(), |after| index.after(&after));
                    let rows = entries(&app.group, &view, &plan.table, &index);
                    Scan::new(plan, rows)
                }
                way if order.is_rows_backwards() => {
                    let after = after.as_ref().map(Standing::key);
                    let rows = way.rows_back(&app.group, &view, &plan.table, after);
                    Scan::new(plan, rows)
                }
                way => sorted(app, ask, view, plan, way, order, after).await?,
            }
        }
        None => {
            let after = cursor.map(|cursor| decode_cursor(plan.table.id, cursor)).transpose()?;
            let rows = way.rows(&app.group, &view, &plan.table, after.as_ref());
            Scan::new(plan, rows)
        }
    };
    Ok(framed(ask, stream(scan, &app.scans, ask.deadline).await?, revision))
}

fn switch(params: &Params, name: &str) -> Result<bool, Failure> {
    match params.get(name) {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(bad(&format!("parameter \"{name}\" is neither 1 nor 0"))),
    }
}

/// A scan of the rows in an order of their own, which has to be found first.
async fn sorted(
    app: &App,
    ask: &Ask,
    view: View,
    mut plan: Plan,
    way: Way,
    order: Order,
    after: Option<Standing>,
) -> Result<Scan, Failure> {
    let rows = way.rows(&app.group, &view, &plan.table, None);
    // The semaphore is never closed; who waits for it in vain has run out of time.
    let turn = tokio::time::timeout_at(ask.deadline, app.sorts.acquire()).await.map_err(|_| too_late())?;
    let mut sort = Sort::new(order, rows, after, plan.limit);
    while !sort.is_done() {
        in_time(ask.deadline)?;
        (sort, plan) = in_turn(&app.scans, move || {
            sort.slice(&plan)?;
            Ok((sort, plan))
        })
        .await?;
    }
    drop(turn);
    let (keys, examined) = sort.finish();
    let rows = rows_of(&app.group, &view, &plan.table, keys.into_iter().map(Ok));
    Ok(Scan::sorted(plan, rows, examined))
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

/// The answer of a scan: whole if it fits one piece, else a stream that breaks off if the scan fails.
async fn stream(mut scan: Scan, turns: &Arc<Semaphore>, deadline: Instant) -> Result<Response, Failure> {
    let mut first = scan.glance()?;
    while !scan.done && first.len() < super::scan::PIECE {
        in_time(deadline)?;
        let (next, piece) = slice(scan, turns).await?;
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
        let (scan, piece) = slice(scan, &turns).await?;
        Ok::<_, Failure>(Some((Bytes::from(piece), (scan, turns, None))))
    });
    let mut response = warp::reply::stream(pieces).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Runs one slice of a scan when it is its turn.
async fn slice(mut scan: Scan, turns: &Arc<Semaphore>) -> Result<(Scan, Vec<u8>), Failure> {
    in_turn(turns, move || {
        let piece = scan.slice()?;
        Ok((scan, piece))
    })
    .await
}

/// Does a slice of work when it is its turn.
pub(super) async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    // The semaphore is never closed; without a turn the work only runs earlier.
    let turn = turns.clone().acquire_owned().await.ok();
    blocking(move || {
        let done = work()?;
        drop(turn);
        Ok(done)
    })
    .await
}

pub(super) fn in_time(deadline: Instant) -> Result<(), Failure> {
    if Instant::now() < deadline { Ok(()) } else { Err(too_late()) }
}

fn too_late() -> Failure {
    Failure::new(Code::Timeout, "the search did not find enough to answer with in time")
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::BodyExt as _;

    use super::super::scan::Rows;
    use super::*;
    use crate::model::{ColumnSpec, Row, RowKey, Value};
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
        let plan = Plan {
            table: table.into(),
            conditions: vec![],
            order: None,
            shown: None,
            limit: None,
            explain: None,
            count: false,
            shape: RowShape::Page,
            revision: 1,
        };
        Scan::new(plan, rows)
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
        scan.plan.conditions = vec![Filter::parse("note=x").unwrap().bind(&scan.plan.table).unwrap()];
        let failure = stream(scan, &turns, Instant::now()).await.map(|_| ()).unwrap_err();
        assert_eq!(failure.code, Code::Timeout);
    }
}
