//! Owns the handlers of writes: rows of the first version and of `/v1`, and tables.

use warp::reply::Response;

use super::super::dispatch::App;
use super::super::reply::{at_revision, encoded, json, tagged};
use super::super::request::Ask;
use super::read::rehearse;
use crate::model::{Applied, Effect, Failure, Ids, Operation, PutMode, Write, check_name};
use crate::protocol::{
    CreatedTable, Transacted, Written, parse_alter_table, parse_create_index, parse_row_body, parse_transaction,
};
use crate::replication::ReadWant;

/// `POST /insert`, `/update` and `/delete`, which differ in how the body is read.
pub(in super::super) async fn row_v0(
    app: &App,
    ask: Ask,
    parse: fn(&[u8]) -> Result<Write, Failure>,
    status: u16,
) -> Result<Response, Failure> {
    let write = parse(&ask.body)?;
    let (table, row_id) = match &write {
        Write::Put { table, row_id, .. } | Write::Delete { table, row_id, .. } => (table.clone(), row_id.clone()),
        other => return Err(Failure::internal(format!("a row's body was read as {other:?}"))),
    };
    let applied = apply(app, &ask, write).await?;
    Ok(written(status, &table, &row_id, &applied))
}

/// `PUT` and `PATCH /v1/tables/{table}/rows/{id}`.
pub(in super::super) async fn put(app: &App, ask: Ask, mode: PutMode) -> Result<Response, Failure> {
    let cells = parse_row_body(&ask.body)?;
    let when = ask.when(mode == PutMode::Replace)?;
    let write = Write::Put { table: ask.table.clone(), row_id: ask.row_id.clone(), cells, mode, when };
    let applied = apply(app, &ask, write).await?;
    let status = if matches!(applied.effect, Effect::Inserted(_)) { 201 } else { 200 };
    Ok(tagged(written(status, &ask.table, &ask.row_id, &applied), applied.revision))
}

/// `DELETE /v1/tables/{table}/rows/{id}`.
pub(in super::super) async fn delete(app: &App, ask: Ask) -> Result<Response, Failure> {
    let write = Write::Delete { table: ask.table.clone(), row_id: ask.row_id.clone(), when: ask.when(false)? };
    let applied = apply(app, &ask, write).await?;
    Ok(written(200, &ask.table, &ask.row_id, &applied))
}

/// `POST /create_table` and `/v1/tables`, which differ in how the body is read.
pub(in super::super) async fn create_table(
    app: &App,
    ask: Ask,
    parse: fn(&[u8]) -> Result<Write, Failure>,
) -> Result<Response, Failure> {
    let write = parse(&ask.body)?;
    schema(app, &ask, write, 201).await
}

/// `PATCH /v1/tables/{table}`.
pub(in super::super) async fn alter_table(app: &App, ask: Ask) -> Result<Response, Failure> {
    let write = parse_alter_table(&ask.table, &ask.body)?;
    schema(app, &ask, write, 200).await
}

/// `POST /v1/tables/{table}/indexes`.
pub(in super::super) async fn create_index(app: &App, ask: Ask) -> Result<Response, Failure> {
    let write = parse_create_index(&ask.table, &ask.body)?;
    schema(app, &ask, write, 201).await
}

/// `DELETE /v1/tables/{table}/indexes/{index}`.
pub(in super::super) async fn drop_index(app: &App, ask: Ask) -> Result<Response, Failure> {
    check_name("index", &ask.row_id)?;
    let write = Write::DropIndex { table: ask.table.clone(), index: ask.row_id.clone() };
    schema(app, &ask, write, 200).await
}

/// Changes a table's schema, and answers with what it is then.
async fn schema(app: &App, ask: &Ask, write: Write, status: u16) -> Result<Response, Failure> {
    let Applied { revision, effect } = apply(app, ask, write).await?;
    match effect {
        Effect::Created(table) | Effect::Altered(table) => {
            Ok(at_revision(encoded(status, &CreatedTable::new(&table, revision))?, revision))
        }
        other => Err(Failure::internal(format!("a change of a schema was answered with {other:?}"))),
    }
}

/// `DELETE /v1/tables/{table}`.
pub(in super::super) async fn drop_table(app: &App, ask: Ask) -> Result<Response, Failure> {
    let Applied { revision, .. } = apply(app, &ask, Write::DropTable { name: ask.table.clone() }).await?;
    Ok(at_revision(json(200, Written::encode(&ask.table, None, revision)), revision))
}

/// `POST /v1/transactions?dry_run=`.
pub(in super::super) async fn transaction(app: &App, ask: Ask) -> Result<Response, Failure> {
    let write = parse_transaction(&ask.body)?;
    let place = |operation: &Operation| {
        let (table, row_id) = operation.place();
        (table.to_string(), row_id.to_string())
    };
    let places: Vec<_> = match &write {
        Write::Transaction { operations, .. } => operations.iter().map(place).collect(),
        other => return Err(Failure::internal(format!("a transaction was read as {other:?}"))),
    };
    let Applied { revision, effect } =
        if ask.params.flag("dry_run")? { try_out(app, &ask, write).await? } else { apply(app, &ask, write).await? };
    match effect {
        Effect::Transacted(done) => {
            Ok(at_revision(json(200, Transacted::new(places, done, revision).encode()), revision))
        }
        other => Err(Failure::internal(format!("a transaction was answered with {other:?}"))),
    }
}

/// What a write would do now; it is done to nothing, and the revision is that of now.
async fn try_out(app: &App, ask: &Ask, write: Write) -> Result<Applied, Failure> {
    ask.key(&write)?;
    let view = app.group.read(ReadWant::default(), ask.deadline).await?;
    let revision = view.revision();
    Ok(Applied { revision, ..rehearse(app, view, write).await? })
}

/// Proposes a write under the request's idempotency key and deadline.
async fn apply(app: &App, ask: &Ask, write: Write) -> Result<Applied, Failure> {
    let key = ask.key(&write)?;
    app.group.propose(write, key, ask.deadline).await
}

/// The answer to a write of a row; its id is what ids are in its table.
fn written(status: u16, table: &str, row_id: &str, applied: &Applied) -> Response {
    let ids = match applied.effect {
        Effect::Inserted(ids) | Effect::Updated(ids) | Effect::Deleted(ids) => ids,
        _ => Ids::Text,
    };
    let body = Written::encode(table, Some(&ids.value(row_id)), applied.revision);
    at_revision(json(status, body), applied.revision)
}
