//! Owns the change of all rows that pass a filter: found in one view, changed in batches, each one write.
//!
//! A batch is all or nothing and looks again at each of its rows before it changes it. Its answer says
//! up to which row it went, and the next goes on there: so the same request sent again under the same
//! key, also to another node, follows the batches that took effect and adds those that are missing.

use std::sync::Arc;

use warp::reply::Response;

use super::super::dispatch::App;
use super::super::reply::{self, at_revision, encoded};
use super::super::request::Ask;
use super::read::rehearse;
use super::scan::{Rows, Turn};
use super::search::{in_time, in_turn};
use super::way::Way;
use crate::model::{
    Applied, Change, Code, Condition, Effect, Failure, Fate, Filter, IdempotencyKey, MAX_OPERATIONS, RowKey, Table,
    Write,
};
use crate::protocol::{Changed, idempotency_key, parse_row_body};
use crate::replication::ReadWant;
use crate::store::View;

/// `PATCH /v1/tables/{table}/rows?filter=&all=&dry_run=`.
pub(in super::super) async fn update(app: &App, ask: Ask) -> Result<Response, Failure> {
    let change = Change::Update(parse_row_body(&ask.body)?);
    run(app, &ask, change).await
}

/// `DELETE /v1/tables/{table}/rows?filter=&all=&dry_run=`.
pub(in super::super) async fn delete(app: &App, ask: Ask) -> Result<Response, Failure> {
    run(app, &ask, Change::Delete).await
}

async fn run(app: &App, ask: &Ask, change: Change) -> Result<Response, Failure> {
    let filters = filters(ask)?;
    let dry = ask.params.flag("dry_run")?;
    let template = Write::ChangeRows {
        table: ask.table.clone(),
        row_ids: Vec::new(),
        filters: filters.clone(),
        change,
        last: false,
    };
    let given = ask.key(&template)?;
    let keyed = given.is_some();
    // The key of a request that brought none is its own: a batch may then be repeated, the request not.
    let own = || idempotency_key(crate::world::name().as_bytes(), &template);
    let key = given.map_or_else(own, Ok)?;
    let view = app.group.read(ReadWant::default(), ask.deadline).await?;
    let table = view.table(&ask.table)?;
    let conditions = Condition::bind_all(&filters, &table)?;
    let way = Way::find(app, &view, &table, &conditions, None).await?;
    let told = Changed { table: ask.table.clone(), rows: 0, transactions: 0, revision: view.revision() };
    let mut run = Run { app, ask, view, way, table, conditions, template, dry, keyed, key, told };
    match run.all().await {
        Ok(()) => Ok(at_revision(encoded(200, &run.told)?, run.told.revision)),
        Err(failure) => Ok(run.stopped(failure)),
    }
}

fn filters(ask: &Ask) -> Result<Vec<Filter>, Failure> {
    let filters = ask.params.filters()?;
    let bad = |message: &str| Failure::new(Code::BadRequest, message);
    match (filters.is_empty(), ask.params.flag("all")?) {
        (true, false) => Err(bad("no filter says which rows; nothing was written").hint("for all rows say all=true")),
        (false, true) => Err(bad("parameters \"filter\" and \"all\" exclude each other")),
        _ => Ok(filters),
    }
}

/// A change of rows under way.
struct Run<'a> {
    app: &'a App,
    ask: &'a Ask,
    /// What the rows are found in.
    view: View,
    /// How they are found.
    way: Way,
    table: Arc<Table>,
    conditions: Vec<Condition>,
    /// Each batch but for its rows.
    template: Write,
    dry: bool,
    /// Whether the request brought its key, so that batches may have been answered before.
    keyed: bool,
    key: IdempotencyKey,
    told: Changed,
}

impl Run<'_> {
    async fn all(&mut self) -> Result<(), Failure> {
        let mut after: Option<RowKey> = None;
        loop {
            let (found, end) = self.find(after.as_ref()).await?;
            if found.is_empty() && (self.dry || !self.keyed) {
                return Ok(());
            }
            let Applied { revision, effect } = self.apply(found, end).await?;
            let Effect::Changed { rows, through, last } = effect else {
                return Err(Failure::internal(format!("a change of rows was answered with {effect:?}")));
            };
            self.told.rows += rows;
            self.told.transactions += 1;
            if !self.dry {
                self.told.revision = revision;
            }
            match through {
                Some(row_id) if !last => after = Some(RowKey::new(&self.table, &row_id)?),
                _ => return Ok(()),
            }
        }
    }

    /// The ids of the next rows that pass, and whether no more do.
    async fn find(&self, after: Option<&RowKey>) -> Result<(Vec<String>, bool), Failure> {
        let rows = self.way.rows(&self.app.group, &self.view, &self.table, after);
        let (table, conditions) = (self.table.clone(), self.conditions.clone());
        let mut finder = Finder { table, rows, conditions, found: Vec::new(), done: None };
        let deadline = self.ask.batch_deadline();
        loop {
            finder = in_turn(&self.app.scans, move || finder.slice()).await?;
            if let Some(end) = finder.done {
                return Ok((finder.found, end));
            }
            in_time(deadline)?;
        }
    }

    async fn apply(&self, found: Vec<String>, end: bool) -> Result<Applied, Failure> {
        let mut write = self.template.clone();
        if let Write::ChangeRows { row_ids, last, .. } = &mut write {
            (*row_ids, *last) = (found, end);
        }
        if self.dry {
            return rehearse(self.app, self.view.clone(), write).await;
        }
        let IdempotencyKey { key, digest } = &self.key;
        let key = IdempotencyKey { key: format!("{key}#{}", self.told.transactions + 1), digest: *digest };
        self.app.group.propose(write, Some(key), self.ask.batch_deadline()).await
    }

    /// The answer to a change that stopped: the failure, and how many rows were changed before.
    fn stopped(&self, mut failure: Failure) -> Response {
        let rows = if self.dry { 0 } else { self.told.rows };
        if rows > 0 {
            // Of the request as a whole "not applied" would be wrong; the message tells what was.
            failure.fate = Fate::Unknown;
            failure.message.push_str(&format!("; before it {rows} rows were changed"));
        }
        reply::failure_with_rows(&failure, rows)
    }
}

/// The rows of one batch, as far as they have been found.
struct Finder {
    table: Arc<Table>,
    rows: Rows,
    conditions: Vec<Condition>,
    found: Vec<String>,
    /// Once all are found: whether no more follow.
    done: Option<bool>,
}

impl Finder {
    /// Looks on until the batch is full and one more is known to follow, or the slice is over.
    fn slice(mut self) -> Result<Finder, Failure> {
        let turn = Turn::new();
        for looked in 1.. {
            let Some(next) = self.rows.next() else {
                self.done = Some(true);
                break;
            };
            let (key, row) = next.map_err(super::read::broken)?;
            if Condition::all_pass(&self.conditions, &row) {
                if self.found.len() == MAX_OPERATIONS {
                    self.done = Some(false);
                    break;
                }
                self.found.push(key.text(&self.table));
            }
            if turn.is_over(looked) {
                break;
            }
        }
        Ok(self)
    }
}
