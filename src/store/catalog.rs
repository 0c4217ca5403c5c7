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

    /// Notes a table that is about to change.
    fn note(&mut self, name: &str) {
        if let Some(undo) = &mut self.undo {
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

/// A key with its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Changes that become visible together; it reads its own.
pub(super) struct Batch<'a> {
    snapshot: &'a Snapshot,
    staged: HashMap<Vec<u8>, Staged>,
    undo: Option<Staging>,
}

/// What was staged since the savepoint.
#[derive(Default)]
struct Staging {
    /// What each key was staged as before, the latest change last.
    before: Vec<(Vec<u8>, Option<Staged>)>,
    /// The bytes of the values.
    bytes: usize,
}

/// What a key becomes; `None` where it is deleted.
type Staged = Option<Vec<u8>>;

impl<'a> Batch<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Batch<'a> {
        Batch { snapshot, staged: HashMap::new(), undo: None }
    }

    /// Calls `look` with the value of `key`, if it is there.
    pub(super) fn look<T>(
        &self,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match self.staged.get(key) {
            Some(value) => value.as_deref().map(look).transpose(),
            None => self.snapshot.look(key, look),
        }
    }

    /// The first pairs from `from` (included) to `to` (excluded), in key order: at most so many, and none
    /// after so many bytes.
    pub(super) fn range(&self, from: &[u8], to: &[u8], most: usize, bytes: usize) -> Result<Vec<Pair>, StoreError> {
        let inside = |key: &Vec<u8>| key.as_slice() >= from && key.as_slice() < to;
        let mut staged: Vec<&Vec<u8>> = self.staged.keys().filter(|key| inside(key)).collect();
        staged.sort_unstable_by(|a, b| b.cmp(a));
        let mut below = self.snapshot.range(from.to_vec(), to.to_vec())?.peekable();
        let (mut found, mut size) = (Vec::new(), 0);
        while found.len() < most && size < bytes {
            let next = match (below.peek(), staged.last()) {
                (Some(Err(_)), _) | (Some(Ok(_)), None) => below.next(),
                (Some(Ok((key, _))), Some(own)) if key < *own => below.next(),
                (None, None) => None,
                (other, Some(_)) => {
                    // What is staged comes before what is below.
                    let covered = matches!((other, staged.last()), (Some(Ok((key, _))), Some(own)) if key == *own);
                    if covered {
                        below.next();
                    }
                    let Some(own) = staged.pop() else { break };
                    match self.staged.get(own) {
                        Some(Some(value)) => Some(Ok((own.clone(), value.clone()))),
                        _ => continue,
                    }
                }
            };
            let Some(pair) = next.transpose()? else { break };
            size += pair.1.len();
            found.push(pair);
        }
        Ok(found)
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.stage(key, Some(value));
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.stage(key, None);
    }

    fn stage(&mut self, key: Vec<u8>, value: Staged) {
        match &mut self.undo {
            None => drop(self.staged.insert(key, value)),
            Some(undo) => {
                undo.bytes += value.as_ref().map_or(0, Vec::len);
                let before = self.staged.insert(key.clone(), value);
                undo.before.push((key, before));
            }
        }
    }

    /// Begins to note what changes, until `keep` or `roll_back`.
    pub(super) fn savepoint(&mut self) {
        self.undo = Some(Staging::default());
    }

    /// Lets what changed since the savepoint stand.
    pub(super) fn keep(&mut self) {
        self.undo = None;
    }

    /// How many bytes of values were put since the savepoint.
    pub(super) fn written(&self) -> usize {
        self.undo.as_ref().map_or(0, |undo| undo.bytes)
    }

    /// Makes all as it was at the savepoint.
    pub(super) fn roll_back(&mut self) {
        for (key, before) in self.undo.take().unwrap_or_default().before.into_iter().rev() {
            match before {
                Some(staged) => self.staged.insert(key, staged),
                None => self.staged.remove(&key),
            };
        }
    }

    pub(super) fn into_changes(self) -> impl Iterator<Item = Change> {
        self.staged.into_iter()
    }

    /// The name of the file, for messages.
    pub(super) fn file(&self) -> &'a str {
        self.snapshot.file()
    }
}
