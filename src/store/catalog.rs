//! Owns what the writer knows by heart.
//!
//! A catalog equals the keyspace at the end of each batch. An error in the middle of a batch makes
//! it useless: the next batch reads it anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Table;

use super::StoreError;
use super::batch::Batch;
use super::keys;
use super::records::{Counters, Marks, Tip, decode, encode};
use super::snapshot::{Schemas, Snapshot};

/// A table as the writer knows it.
#[derive(Clone)]
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
    /// Whether this batch changed a schema.
    schemas_changed: bool,
    touched: Vec<String>,
    /// What to go back to, from the savepoint on.
    undo: Option<Undo>,
}

/// What the catalog was at the savepoint.
struct Undo {
    counters: Counters,
    touched: usize,
    /// Tables as they were before they changed, the latest last; `None` where there was none.
    tables: Vec<(String, Option<Entry>)>,
}

impl Catalog {
    /// Reads it from the keyspace.
    pub(super) fn load(snapshot: &Snapshot) -> Result<Catalog, StoreError> {
        let file = snapshot.file();
        let counters: Option<Counters> = snapshot.look(&keys::counters(), |own| decode(file, own))?;
        let counters = counters.unwrap_or_default();
        let mut tables = BTreeMap::new();
        for (name, table) in snapshot.schemas.iter() {
            let rows = read_count(snapshot, table.id)?;
            tables.insert(name.clone(), Entry { table: table.clone(), rows, touched: false });
        }
        Ok(Catalog { counters, tables, schemas_changed: false, touched: Vec::new(), undo: None })
    }

    /// Begins to note what changes, until `keep` or `roll_back`.
    pub(super) fn savepoint(&mut self) {
        let (counters, touched) = (self.counters.clone(), self.touched.len());
        self.undo = Some(Undo { counters, touched, tables: Vec::new() });
    }

    /// Lets what changed since the savepoint stand.
    pub(super) fn keep(&mut self) {
        self.undo = None;
    }

    /// Makes all as it was at the savepoint.
    pub(super) fn roll_back(&mut self) {
        let Some(Undo { counters, touched, tables }) = self.undo.take() else { return };
        self.counters = counters;
        self.touched.truncate(touched);
        for (name, before) in tables.into_iter().rev() {
            match before {
                Some(entry) => self.tables.insert(name, entry),
                None => self.tables.remove(&name),
            };
        }
    }

    /// Notes a table that is about to change; once, where it is the one that changed last.
    fn note(&mut self, name: &str) {
        if let Some(undo) = &mut self.undo
            && undo.tables.last().is_none_or(|(last, _)| last != name)
        {
            undo.tables.push((name.to_string(), self.tables.get(name).cloned()));
        }
    }

    /// Adds a table without rows.
    pub(super) fn add_table(&mut self, table: Arc<Table>) {
        self.note(&table.name);
        self.schemas_changed = true;
        self.tables.insert(table.name.clone(), Entry { table, rows: 0, touched: false });
    }

    /// Gives a table another schema.
    pub(super) fn set_table(&mut self, table: Arc<Table>) {
        self.note(&table.name);
        self.schemas_changed = true;
        if let Some(entry) = self.tables.get_mut(&table.name) {
            entry.table = table;
        }
    }

    /// Forgets a table.
    pub(super) fn remove_table(&mut self, name: &str) {
        self.note(name);
        self.schemas_changed = true;
        self.tables.remove(name);
    }

    /// Notes that a table got or lost a row.
    pub(super) fn count(&mut self, table: &str, rows: impl FnOnce(u64) -> u64) {
        self.note(table);
        let Some(entry) = self.tables.get_mut(table) else { return };
        entry.rows = rows(entry.rows);
        if !entry.touched {
            entry.touched = true;
            self.touched.push(table.to_string());
        }
    }

    /// Puts counts, counters and marks into the batch; answers what becomes known with it.
    pub(super) fn finish(&mut self, batch: &mut Batch<'_>, marks: Marks) -> Result<(Tip, Schemas), StoreError> {
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
        let schemas = if std::mem::take(&mut self.schemas_changed) {
            Arc::new(self.tables.iter().map(|(name, entry)| (name.clone(), entry.table.clone())).collect())
        } else {
            batch.snapshot.schemas.clone()
        };
        Ok((Tip { revision: self.counters.revision, marks: all }, schemas))
    }
}

/// How many rows a table has.
pub(super) fn read_count(snapshot: &Snapshot, table: u32) -> Result<u64, StoreError> {
    let count = snapshot.look(&keys::count(table), |count| decode(snapshot.file(), count))?;
    Ok(count.unwrap_or(0))
}
