//! Owns the handlers that read one row or tell of tables.

use std::sync::Arc;

use warp::reply::Response;

use super::super::dispatch::App;
use super::super::reply::{at_level, at_revision, encoded, json, tagged};
use super::super::request::Ask;
use crate::model::{Applied, Code, Failure, RowKey, Table, Write};
use crate::protocol::{TableInfo, TableList, write_row};
use crate::replication::Group;
use crate::store::{StoreError, View};

/// `GET /v1/tables/{table}/rows/{id}`.
pub(in super::super) async fn row(app: &App, ask: Ask) -> Result<Response, Failure> {
    let view = view(app, &ask).await?;
    let table = view.table(&ask.table)?;
    let key = RowKey::new(&table, &ask.row_id)?;
    let Some(row) = view.row(&table, &key).map_err(unreadable(&app.group))? else {
        let shown = ask.row_id.escape_debug();
        return Err(Failure::new(Code::RowNotFound, format!("table \"{}\" has no row \"{shown}\"", table.name)));
    };
    let mut body = Vec::with_capacity(256);
    write_row(&mut body, &table, &row, None);
    let answer = if ask.has(row.revision) { json(304, "") } else { json(200, body) };
    Ok(framed(&ask, tagged(answer, row.revision), view.revision()))
}

/// `GET /v1/tables`.
pub(in super::super) async fn tables(app: &App, ask: Ask) -> Result<Response, Failure> {
    let view = view(app, &ask).await?;
    let revision = view.revision();
    let tables = all_tables(app, view).await?;
    Ok(framed(&ask, encoded(200, &TableList::new(&tables, revision))?, revision))
}

/// `GET /v1/tables/{table}`.
pub(in super::super) async fn table(app: &App, ask: Ask) -> Result<Response, Failure> {
    let view = view(app, &ask).await?;
    let (table, revision) = (view.table(&ask.table)?, view.revision());
    let group = app.group.clone();
    let info = blocking(move || describe(&view, &table).map_err(unreadable(&group))).await?;
    Ok(framed(&ask, encoded(200, &info)?, revision))
}

fn describe(view: &View, table: &Table) -> Result<TableInfo, StoreError> {
    let rows = view.rows(table)?;
    let builds = view.builds()?;
    let built = |index: &str| {
        builds.iter().find(|build| build.table == table.name && build.index == index).map(|build| build.rows)
    };
    Ok(TableInfo::new(table, rows).with(view.bytes(table, rows)?, built))
}

async fn all_tables(app: &App, view: View) -> Result<Vec<(Arc<Table>, u64)>, Failure> {
    let group = app.group.clone();
    blocking(move || view.tables().map_err(unreadable(&group))).await
}

/// A view as fresh as the request asks.
pub(super) async fn view(app: &App, ask: &Ask) -> Result<View, Failure> {
    app.group.read(ask.params.want, ask.deadline).await
}

/// What a write would do to the tables as `view` has them.
pub(super) async fn rehearse(app: &App, view: View, write: Write) -> Result<Applied, Failure> {
    let group = app.group.clone();
    blocking(move || view.rehearse(&write).map_err(unreadable(&group))).await?
}

/// The answer with what every answer from the tables carries.
pub(super) fn framed(ask: &Ask, response: Response, revision: u64) -> Response {
    at_level(at_revision(response, revision), ask.params.want.level)
}

/// The failure of a read that the store could not do, which the group is told of.
pub(super) fn unreadable(group: &Group) -> impl Fn(StoreError) -> Failure + '_ {
    |error| {
        group.note(&error);
        broken(error)
    }
}

/// The failure of a read that the store could not do.
pub(super) fn broken(error: StoreError) -> Failure {
    tracing::error!(%error, "the store could not be read");
    Failure::internal(format!("the store could not be read: {error}"))
}

/// Runs what may wait for a disk where waiting holds up nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match crate::world::work(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::internal(format!("the read broke off: {error}"))),
    }
}
