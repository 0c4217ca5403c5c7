//! Owns reading the tables at one moment.

use std::collections::VecDeque;
use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::model::{Answer, Failure, Index, IndexState, IndexUse, KeyRange, Row, RowKey, Table, Walk, Write};

use super::StoreError;
use super::apply::apply_write;
use super::backwards::IndexScanBack;
use super::batch::Batch;
use super::catalog::{Catalog, read_count};
use super::disk::Pair;
use super::export::{Export, Live};
use super::index::row_of;
use super::keys;
use super::known::Known;
use super::reader::RowReader;
use super::records::{Marks, Progress, RowRecord, decode};
use super::refusals;
use super::snapshot::{Merge, MergeBack, Snapshot};

/// How many rows tell the size of all.
const SAMPLE: usize = 1_000;

/// The tables as of one batch; it never changes. Clones are cheap.
///
/// A view keeps what it sees from being freed: do not hold one longer than it is read.
#[derive(Clone)]
pub struct View {
    snapshot: Arc<Snapshot>,
}

/// A hash of all that replicas have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// 128 bits over schemas, rows, counters and idempotency records.
    pub hash: u128,
    /// How many tables were hashed.
    pub tables: u64,
    /// How many rows were hashed.
    pub rows: u64,
}

impl View {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> View {
        View { snapshot }
    }

    /// The revision of the last write that it reflects.
    pub fn revision(&self) -> u64 {
        self.snapshot.tip.revision
    }

    /// The marks as of the last batch that it reflects.
    pub fn marks(&self) -> Marks {
        self.snapshot.tip.marks.clone()
    }

    /// The table of that name.
    ///
    /// # Errors
    /// `table_not_found`.
    pub fn table(&self, name: &str) -> Result<Arc<Table>, Failure> {
        let schemas = &self.snapshot.schemas;
        let table = schemas.get(name).cloned();
        table.ok_or_else(|| refusals::table_not_found(name, schemas.keys().map(String::as_str)))
    }

    /// What `write` would be answered now; nothing changes.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn rehearse(&self, write: &Write) -> Result<Answer, StoreError> {
        let (mut catalog, mut known) = (Catalog::load(&self.snapshot)?, Known::default());
        apply_write(&mut catalog, &mut Batch::new(&self.snapshot, &mut known, 0), write)
    }

    /// All tables with their numbers of rows, by name.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn tables(&self) -> Result<Vec<(Arc<Table>, u64)>, StoreError> {
        let tables = self.snapshot.schemas.values();
        tables.map(|table| self.rows(table).map(|rows| (table.clone(), rows))).collect()
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn rows(&self, table: &Table) -> Result<u64, StoreError> {
        read_count(&self.snapshot, table.id)
    }

    /// The row under that key.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn row(&self, table: &Table, key: &RowKey) -> Result<Option<Row>, StoreError> {
        self.snapshot.look(&keys::row(table.id, key), |record| decode_row(self.snapshot.file(), table, key, record))
    }

    /// The rows under these keys, for keys of which some lie close together. They are read as the iterator goes.
    pub fn rows_under<K>(&self, table: &Arc<Table>, keys: K) -> RowReader<K>
    where
        K: Iterator<Item = Result<RowKey, StoreError>>,
    {
        RowReader::new(self.snapshot.clone(), table.clone(), keys)
    }

    /// The table's rows in key order, from the first, or from the first after `after`. They are
    /// read as the iterator goes.
    pub fn scan(&self, table: &Arc<Table>, after: Option<&RowKey>) -> Scan {
        let all = KeyRange::default();
        self.range(table, &after.map_or(all.clone(), |after| all.after(after)))
    }

    /// The table's rows with keys in `range`, in key order. They are read as the iterator goes.
    pub fn range(&self, table: &Arc<Table>, range: &KeyRange) -> Scan {
        let (from, to) = bounds(&keys::rows(table.id), range);
        self.rows_of(table, self.snapshot.range(from, to).map(Pairs::Forward))
    }

    /// The same from the last row to the first.
    pub fn range_back(&self, table: &Arc<Table>, range: &KeyRange) -> Scan {
        let (from, to) = bounds(&keys::rows(table.id), range);
        self.rows_of(table, self.snapshot.range_back(from, to).map(Pairs::Back))
    }

    fn rows_of(&self, table: &Arc<Table>, pairs: Result<Pairs, StoreError>) -> Scan {
        let (pairs, error) = pairs.map_or_else(|error| (None, Some(error)), |pairs| (Some(pairs), None));
        Scan { table: table.clone(), file: self.snapshot.file().to_string(), pairs, error }
    }

    /// The row keys in stretches of an index, in its order; stretches must not overlap. They are read as the
    /// iterator goes, and a `RowReader` reads the rows.
    pub fn index_scan(&self, table: &Table, index: &Index, ranges: &[KeyRange]) -> IndexScan {
        let prefix = keys::index(table.id, index.id);
        let ranges = ranges.iter().map(|range| bounds(&prefix, range)).collect();
        IndexScan { snapshot: self.snapshot.clone(), ranges, current: None }
    }

    /// The row keys that an index names, the way it is to be walked.
    pub fn walk(&self, table: &Table, by: &IndexUse) -> Box<dyn Iterator<Item = Result<RowKey, StoreError>> + Send> {
        let index = &table.indexes[by.index];
        if by.walk == Walk::Forward {
            return Box::new(self.index_scan(table, index, &by.ranges));
        }
        let prefix = keys::index(table.id, index.id);
        let stretches = by.ranges.iter().map(|range| bounds(&prefix, range)).collect();
        Box::new(IndexScanBack::new(self.snapshot.clone(), stretches, by.walk == Walk::BackwardByValues))
    }

    /// About how many bytes the table's `rows` rows take, keys included: as many as its first ones do on average.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn bytes(&self, table: &Table, rows: u64) -> Result<u64, StoreError> {
        let prefix = keys::rows(table.id);
        let (mut sampled, mut bytes) = (0, 0);
        for pair in self.snapshot.range(prefix.clone(), keys::end(&prefix))?.take(SAMPLE) {
            let (key, record) = pair?;
            sampled += 1;
            bytes += (key.len() + record.len()) as u64;
        }
        Ok((bytes * rows).checked_div(sampled).unwrap_or(0))
    }

    /// The indexes that are being built, and how far they are.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn builds(&self) -> Result<Vec<Build>, StoreError> {
        let mut builds = Vec::new();
        for table in self.snapshot.schemas.values() {
            for index in table.indexes.iter().filter(|index| index.state == IndexState::Building) {
                let progress = |record: &[u8]| decode::<Progress>(self.snapshot.file(), record);
                if let Some(Progress { rows, .. }) = self.snapshot.look(&keys::build(table.id, index.id), progress)? {
                    builds.push(Build { table: table.name.clone(), index: index.name.clone(), rows });
                }
            }
        }
        Ok(builds)
    }

    /// Hashes all that replicas have in common; equal for replicas that applied the same writes.
    ///
    /// # Errors
    /// The store's file cannot be read, or is damaged.
    pub fn digest(&self) -> Result<Digest, StoreError> {
        let mut hasher = Xxh3::new();
        let mut digest = Digest { hash: 0, tables: 0, rows: 0 };
        // Marks are the caller's; they may differ between replicas that applied the same writes.
        let own = [keys::format(), keys::applied(), keys::membership()];
        for pair in Live::new(&self.snapshot) {
            let (key, value) = pair?;
            if own.contains(&key) {
                continue;
            }
            match key.first() {
                Some(&keys::TABLE) => digest.tables += 1,
                Some(&keys::ROW) => digest.rows += 1,
                _ => {}
            }
            for part in [&key, &value] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        }
        digest.hash = hasher.digest128();
        Ok(digest)
    }

    /// A whole copy as a stream of chunks, about 256 KiB each, for a `Receiver`.
    pub fn export(self) -> Export {
        Export::new(self.snapshot)
    }
}

/// Where a range begins and ends, of keys that all start with `prefix`.
fn bounds(prefix: &[u8], range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let to = range.to.as_ref().map_or_else(|| keys::end(prefix), |to| [prefix, to].concat());
    ([prefix, &range.from].concat(), to)
}

/// An index that is being built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The table's name.
    pub table: String,
    /// The index's name.
    pub index: String,
    /// How many of the table's rows have been entered.
    pub rows: u64,
}

/// A walk over the entries of one index in one view.
pub struct IndexScan {
    snapshot: Arc<Snapshot>,
    ranges: VecDeque<(Vec<u8>, Vec<u8>)>,
    current: Option<Merge>,
}

impl Iterator for IndexScan {
    type Item = Result<RowKey, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.current.as_mut().and_then(Iterator::next) {
                return Some(pair.and_then(|(place, value)| {
                    row_of(place, &value)
                        .ok_or_else(|| StoreError::damaged(self.snapshot.file(), "an entry of an index makes no sense"))
                }));
            }
            let (from, to) = self.ranges.pop_front()?;
            match self.snapshot.range(from, to) {
                Ok(range) => self.current = Some(range),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Pairs of rows, either way.
enum Pairs {
    Forward(Merge),
    Back(MergeBack),
}

impl Iterator for Pairs {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        match self {
            Pairs::Forward(pairs) => pairs.next(),
            Pairs::Back(pairs) => pairs.next(),
        }
    }
}

/// A walk over the rows of one table in one view.
pub struct Scan {
    table: Arc<Table>,
    file: String,
    pairs: Option<Pairs>,
    error: Option<StoreError>,
}

impl Iterator for Scan {
    type Item = Result<(RowKey, Row), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let pair = self.pairs.as_mut()?.next()?;
        Some(pair.and_then(|(key, record)| {
            let key = keys::row_key(&key);
            let row = decode_row(&self.file, &self.table, &key, &record)?;
            Ok((key, row))
        }))
    }
}

pub(super) fn decode_row(file: &str, table: &Table, key: &RowKey, record: &[u8]) -> Result<Row, StoreError> {
    RowRecord::read(file, table, record).map(|record| record.into_row(table, key))
}
