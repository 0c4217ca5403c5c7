//! Owns what the writer knows by heart, and the batch under construction.
//!
//! A catalog equals the keyspace at the end of each batch. An error in the middle of a batch makes
//! it useless: the next batch reads it anew.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::Table;

use super::StoreError;
use super::keys;
use super::overlay::Change;
use super::records::{Counters, Marks, Tip, decode, encode};
use super::snapshot::Snapshot;

/// A table as the writer knows it.
pub(super) struct Entry {
    pub(super) table: Arc<Table>,
    pub(super) rows: u64,
    /// Whether this batch changed the number of rows.
    touched: bool,
}

/// Schemas, row counts and counters.
pub(super) struct Catalog {
    pub(super) counters: Counters,
    pub(super) tables: BTreeMap<String, Entry>,
    touched: Vec<String>,
}

impl Catalog {
    /// Reads it from the keyspace.
    pub(super) fn load(snapshot: &Snapshot) -> Result<Catalog, StoreError> {
        let file = snapshot.file();
        let counters = snapshot.get(&keys::counters())?.map_or(Ok(Counters::default()), |own| decode(file, &own))?;
        let mut tables = BTreeMap::new();
        for table in read_tables(snapshot)? {
            let rows = read_count(snapshot, table.id)?;
            tables.insert(table.name.clone(), Entry { table: Arc::new(table), rows, touched: false });
        }
        Ok(Catalog { counters, tables, touched: Vec::new() })
    }

    /// Adds a table without rows.
    pub(super) fn add_table(&mut self, table: Arc<Table>) {
        self.tables.insert(table.name.clone(), Entry { table, rows: 0, touched: false });
    }

    /// Notes that a table got or lost a row.
    pub(super) fn count(&mut self, table: &str, rows: impl FnOnce(u64) -> u64) {
        let Some(entry) = self.tables.get_mut(table) else { return };
        entry.rows = rows(entry.rows);
        if !entry.touched {
            entry.touched = true;
            self.touched.push(table.to_string());
        }
    }

    /// Puts counts, counters and marks into the batch; answers what becomes known with it.
    pub(super) fn finish(&mut self, batch: &mut Batch<'_>, marks: Marks) -> Result<Tip, StoreError> {
        for name in self.touched.drain(..) {
            if let Some(entry) = self.tables.get_mut(&name) {
                entry.touched = false;
                batch.put(keys::count(entry.table.id), encode(batch.file(), &entry.rows)?);
            }
        }
        batch.put(keys::counters(), encode(batch.file(), &self.counters)?);
        let mut all = batch.snapshot.tip.marks.clone();
        if let Some(applied) = marks.applied {
            batch.put(keys::applied(), applied.clone());
            all.applied = Some(applied);
        }
        if let Some(membership) = marks.membership {
            batch.put(keys::membership(), membership.clone());
            all.membership = Some(membership);
        }
        Ok(Tip { revision: self.counters.revision, marks: all })
    }
}

/// All tables, by name.
pub(super) fn read_tables(snapshot: &Snapshot) -> Result<Vec<Table>, StoreError> {
    let space = [keys::TABLE];
    let pairs = snapshot.range(space.to_vec(), keys::end(&space))?;
    pairs.map(|pair| decode(snapshot.file(), &pair?.1)).collect()
}

/// How many rows a table has.
pub(super) fn read_count(snapshot: &Snapshot, table: u32) -> Result<u64, StoreError> {
    match snapshot.get(&keys::count(table))? {
        Some(count) => decode(snapshot.file(), &count),
        None => Ok(0),
    }
}

/// Changes that become visible together; it reads its own.
pub(super) struct Batch<'a> {
    snapshot: &'a Snapshot,
    staged: HashMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Batch<'a> {
        Batch { snapshot, staged: HashMap::new() }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.staged.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.snapshot.get(key),
        }
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.staged.insert(key, Some(value));
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.staged.insert(key, None);
    }

    pub(super) fn into_changes(self) -> impl Iterator<Item = Change> {
        self.staged.into_iter()
    }

    /// The name of the file, for messages.
    pub(super) fn file(&self) -> &'a str {
        self.snapshot.file()
    }
}
