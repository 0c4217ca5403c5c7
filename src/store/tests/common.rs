//! Owns short ways to say what tests say often.

use crate::disk::SimDisk;
use crate::model::{Answer, Cell, ColumnSpec, IdempotencyKey, Proposal, PutMode, Row, RowKey, When, Write};

use super::super::{Marks, Store, StoreError, View};

pub(super) fn create(name: &str, columns: &[&str]) -> Write {
    let columns = columns.iter().map(|column| ColumnSpec::parse(column).unwrap()).collect();
    Write::CreateTable { name: name.into(), columns }
}

pub(super) fn drop_table(name: &str) -> Write {
    Write::DropTable { name: name.into() }
}

pub(super) fn put(table: &str, row_id: impl ToString, cells: &[(&str, &str)]) -> Write {
    let cells = cells.iter().map(|(name, text)| (name.to_string(), Cell::Text(text.to_string()))).collect();
    let row_id = row_id.to_string();
    Write::Put { table: table.into(), row_id, cells, mode: PutMode::Replace, when: When::Always }
}

pub(super) fn delete(table: &str, row_id: impl ToString) -> Write {
    Write::Delete { table: table.into(), row_id: row_id.to_string(), when: When::Always }
}

pub(super) fn keyed(key: impl ToString, at_ms: u64, write: Write) -> Proposal {
    let digest = xxhash_rust::xxh3::xxh3_128(format!("{write:?}").as_bytes());
    Proposal { write, key: Some(IdempotencyKey { key: key.to_string(), digest }), at_ms }
}

pub(super) fn plain(write: Write) -> Proposal {
    Proposal { write, key: None, at_ms: 0 }
}

pub(super) fn applied(position: u64) -> Marks {
    Marks { applied: Some(position.to_be_bytes().to_vec()), membership: None }
}

/// Applies writes as one batch, marked with the revision after it.
pub(super) fn apply(store: &Store, writes: impl IntoIterator<Item = Write>) -> Vec<Answer> {
    let proposals: Vec<Proposal> = writes.into_iter().map(plain).collect();
    let after = store.view().revision() + proposals.len() as u64;
    store.apply(&proposals, applied(after)).unwrap()
}

/// A table's name, its count of rows, and its rows.
pub(super) type Contents = (String, u64, Vec<(RowKey, Row)>);

/// All rows of all tables, by name: what two equal stores have alike.
pub(super) fn contents(view: &View) -> Vec<Contents> {
    let tables = view.tables().unwrap();
    tables
        .into_iter()
        .map(|(table, count)| (table.name.clone(), count, view.scan(&table, None).map(Result::unwrap).collect()))
        .collect()
}

/// The store on a simulated disk, if it opens.
pub(super) fn try_on(disk: &SimDisk) -> Result<Store, StoreError> {
    Store::in_file(disk.open_or_create("store").unwrap())
}

/// The store on a simulated disk.
pub(super) fn on(disk: &SimDisk) -> Store {
    try_on(disk).unwrap()
}
