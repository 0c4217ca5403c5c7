//! Owns the redb file: one table of pairs, each value under a checksum. The only file that opens redb.
//!
//! A checksum covers key and value and is checked at each read, since redb trusts its pages. redb
//! may also panic on a page that was altered; every call into it is caught and becomes `Damaged`.
//!
//! After one failed write redb refuses all further use, reads too. The database is then opened
//! anew over the same backend, and the old one's lease on the backend ends, so that nothing it
//! still wants to write can reach the file. Only a commit writes: closing ends the lease first.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::io;
use std::iter::Peekable;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{
    AccessGuard, CursorError, Database, Durability, Range, ReadOnlyTable, ReadableDatabase, ReadableTable,
    StorageBackend, Table, TableDefinition, WriteTransaction,
};

use super::StoreError;
use super::keys;
use super::records::Tip;

const PAIRS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("pairs");

/// The layout of keys and records that this version reads and writes.
const FORMAT: &[u8] = &[3];

/// What redb keeps of the file, beside what the system keeps.
const CACHE_BYTES: usize = 4 << 20;

/// Runs a call into redb; a panic in there is damage.
fn guarded<T>(file: &str, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call))
        .unwrap_or_else(|_| Err(StoreError::damaged(file, "a page in it makes no sense")))
}

fn checksum(key: &[u8], value: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize().to_le_bytes()
}

/// What is stored for a value, in `stored`.
fn with_checksum<'a>(stored: &'a mut Vec<u8>, key: &[u8], value: &[u8]) -> &'a [u8] {
    stored.clear();
    stored.extend_from_slice(&checksum(key, value));
    stored.extend_from_slice(value);
    stored
}

fn check<'a>(file: &str, key: &[u8], stored: &'a [u8]) -> Result<&'a [u8], StoreError> {
    match stored.split_first_chunk::<4>() {
        Some((sum, value)) if *sum == checksum(key, value) => Ok(value),
        _ => Err(StoreError::damaged(file, format!("the checksum of key {} does not match", key.escape_ascii()))),
    }
}

/// One database's right to write to a backend.
#[derive(Debug)]
struct Lease {
    backend: Arc<dyn StorageBackend>,
    ended: Arc<AtomicBool>,
}

impl Lease {
    fn check(&self) -> io::Result<()> {
        if self.ended.load(Ordering::Acquire) { Err(io::Error::other("the file was opened anew")) } else { Ok(()) }
    }
}

impl StorageBackend for Lease {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check().and_then(|()| self.backend.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check().and_then(|()| self.backend.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check().and_then(|()| self.backend.write(offset, data))
    }
}

/// An open database. It ends its lease before it closes: redb would write once more then, and
/// panic over a damaged file, while the last commit is all that the next opening needs.
struct Opened {
    db: Option<Database>,
    lease_ended: Arc<AtomicBool>,
}

impl Opened {
    fn db(&self, file: &str) -> Result<&Database, StoreError> {
        self.db.as_ref().ok_or_else(|| StoreError::redb(file, redb::Error::DatabaseClosed))
    }

    fn end_lease(&self) {
        self.lease_ended.store(true, Ordering::Release);
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.end_lease();
        let db = self.db.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

/// The open database; whoever holds it is the only one to write it.
pub(super) struct Disk {
    file: Arc<str>,
    backend: Arc<dyn StorageBackend>,
    opened: Arc<Opened>,
}

impl Disk {
    /// Opens the database in `backend`; `file` is its name in messages. An empty backend gets an
    /// empty database, on disk at return.
    pub(super) fn open(file: &str, backend: Arc<dyn StorageBackend>) -> Result<Disk, StoreError> {
        let new = backend.len().map_err(|error| StoreError::io(file, error))? == 0;
        let opened = open_database(file, &backend)?;
        let disk = Disk { file: file.into(), backend, opened };
        if new {
            disk.write(|pairs| pairs.put(&keys::format(), FORMAT))?;
        }
        Ok(disk)
    }

    /// Opens the database anew after a failed write; it is at its last commit, or at the one that failed.
    pub(super) fn reopen(&mut self) -> Result<(), StoreError> {
        self.opened.end_lease();
        self.opened = open_database(&self.file, &self.backend)?;
        Ok(())
    }

    /// A read transaction on the last commit.
    pub(super) fn base(&self) -> Result<Arc<Base>, StoreError> {
        let file = self.file.clone();
        let table = guarded(&file, || {
            let transaction = self.opened.db(&file)?.begin_read().map_err(|error| StoreError::redb(&file, error))?;
            transaction.open_table(PAIRS).map_err(|error| StoreError::redb(&file, error))
        })?;
        let (opened, backend) = (self.opened.clone(), self.backend.clone());
        let mut base = Base { table, _opened: opened, backend, file, tip: Tip::default() };
        let format = base.get(&keys::format())?;
        if format.as_deref() != Some(FORMAT) {
            let what = format!("its format is {format:?}, and this version reads {FORMAT:?}");
            return Err(StoreError::damaged(&base.file, what));
        }
        base.tip = Tip::load(&base.file, |key| base.get(key))?;
        Ok(Arc::new(base))
    }

    /// Runs `work` in one transaction that is on disk at return, or leaves no trace.
    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Pairs) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut transaction = self.begin()?;
        let result = transaction.with(work)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Begins a transaction that may take more than one call.
    pub(super) fn begin(&self) -> Result<Transaction, StoreError> {
        guarded(&self.file, || {
            let mut inner =
                self.opened.db(&self.file)?.begin_write().map_err(|error| StoreError::redb(&self.file, error))?;
            inner.set_durability(Durability::Immediate).map_err(|error| StoreError::redb(&self.file, error))?;
            // After a crash the file opens at once, whatever its size.
            inner.set_quick_repair(true);
            Ok(Transaction { inner, file: self.file.clone() })
        })
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn set_file(&mut self, file: &str) {
        self.file = file.into();
    }
}

fn open_database(file: &str, backend: &Arc<dyn StorageBackend>) -> Result<Arc<Opened>, StoreError> {
    let lease_ended = Arc::new(AtomicBool::new(false));
    let lease = Lease { backend: backend.clone(), ended: lease_ended.clone() };
    let db = guarded(file, || {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(lease)
            .map_err(|error| StoreError::redb(file, error))
    })?;
    Ok(Arc::new(Opened { db: Some(db), lease_ended }))
}

/// A write transaction; dropped without a commit, it leaves no trace.
pub(super) struct Transaction {
    inner: WriteTransaction,
    file: Arc<str>,
}

impl Transaction {
    /// Lets `work` change the pairs.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Pairs) -> Result<T, StoreError>) -> Result<T, StoreError> {
        guarded(&self.file, || {
            let table = self.inner.open_table(PAIRS).map_err(|error| StoreError::redb(&self.file, error))?;
            work(&mut Pairs { table, file: &self.file, stored: Vec::new(), new: 0, wanted: RUN })
        })
    }

    /// Puts the changes on disk.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        guarded(&self.file, || self.inner.commit().map_err(|error| StoreError::redb(&self.file, error)))
    }
}

/// A change of a pair; no value deletes it.
pub(super) type ChangeRef<'c> = (&'c [u8], Option<&'c [u8]>);

/// How many new keys in a row make a run of them likely, and how many it should have.
const RUN: usize = 8;
/// How many new keys in a row are put one by one at most where runs turn out to be short.
const LONGEST_TRIAL: usize = 1024;

/// The pairs inside a write transaction.
pub(super) struct Pairs<'a> {
    table: Table<'a, &'static [u8], &'static [u8]>,
    file: &'a str,
    /// What is written for a value.
    stored: Vec<u8>,
    /// How many keys were new in a row.
    new: usize,
    /// How many it takes until a run is tried.
    wanted: usize,
}

impl Pairs<'_> {
    /// Makes changes whose keys rise. Where many new ones lie side by side they fill pages whole, which takes a third
    /// of the time and half of the room.
    pub(super) fn change<'c>(&mut self, changes: impl Iterator<Item = ChangeRef<'c>>) -> Result<(), StoreError> {
        let mut changes = changes.peekable();
        while let Some((key, value)) = changes.next() {
            match value {
                Some(value) => self.put(key, value)?,
                None => self.delete(key)?,
            }
            if self.new >= self.wanted && changes.peek().is_some() {
                let run = self.fill(key, &mut changes)?;
                self.wanted = if run < RUN { (self.wanted * 2).min(LONGEST_TRIAL) } else { RUN };
                self.new = run;
            }
        }
        Ok(())
    }

    /// Puts what is new and comes next between `key` and its neighbour; answers how many that were.
    fn fill<'c>(
        &mut self,
        key: &[u8],
        changes: &mut Peekable<impl Iterator<Item = ChangeRef<'c>>>,
    ) -> Result<usize, StoreError> {
        let failed = |error| StoreError::redb(self.file, error);
        let mut gap = self.table.upper_bound_mut(Bound::Included(key)).map_err(failed)?;
        let mut run = 0;
        while let Some((key, Some(value))) = changes.peek() {
            match gap.insert_before(*key, with_checksum(&mut self.stored, key, value)) {
                Ok(()) => run += 1,
                Err(CursorError::UnorderedKey) => break,
                Err(error) => return Err(StoreError::redb(self.file, error)),
            }
            changes.next();
        }
        gap.close().map_err(failed)?;
        Ok(run)
    }

    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let stored = with_checksum(&mut self.stored, key, value);
        let before = self.table.insert(key, stored).map_err(|error| StoreError::redb(self.file, error))?;
        self.new = if before.is_none() { self.new + 1 } else { 0 };
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.new = 0;
        self.table.remove(key).map(drop).map_err(|error| StoreError::redb(self.file, error))
    }

    /// The first keys from `from` (included) to `to` (excluded), `limit` at most.
    pub(super) fn first_keys(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let range = self.table.range(from..to).map_err(|error| StoreError::redb(self.file, error))?;
        range
            .take(limit)
            .map(|pair| pair.map(|(key, _)| key.value().to_vec()).map_err(|error| StoreError::redb(self.file, error)))
            .collect()
    }
}

/// The pairs as of one commit; later commits do not change it.
pub(super) struct Base {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// Keeps the database open for as long as it is read.
    _opened: Arc<Opened>,
    backend: Arc<dyn StorageBackend>,
    file: Arc<str>,
    tip: Tip,
}

impl Base {
    /// Revision and marks of the commit.
    pub(super) fn tip(&self) -> &Tip {
        &self.tip
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The length of the file, as it is now.
    pub(super) fn bytes(&self) -> u64 {
        self.backend.len().unwrap_or(0)
    }

    /// How many pages the pairs lie on.
    #[cfg(test)]
    pub(super) fn leaf_pages(&self) -> u64 {
        redb::ReadableTableMetadata::stats(&self.table).map_or(0, |stats| stats.leaf_pages())
    }

    /// Calls `look` with the value of `key`, if it is there.
    pub(super) fn look<T>(
        &self,
        key: &[u8],
        look: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        guarded(&self.file, || {
            let found = self.table.get(key).map_err(|error| StoreError::redb(&self.file, error))?;
            found.map(|stored| check(&self.file, key, stored.value()).and_then(look)).transpose()
        })
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(key, |value| Ok(value.to_vec()))
    }

    /// The pairs from `from` (included) to `to` (excluded), in key order.
    pub(super) fn scan(self: &Arc<Self>, from: &[u8], to: &[u8]) -> Result<BaseScan, StoreError> {
        // redb panics on a range that ends before it begins.
        let to = to.max(from);
        let range = guarded(&self.file, || {
            self.table.range::<&[u8]>(from..to).map_err(|error| StoreError::redb(&self.file, error))
        })?;
        Ok(BaseScan { range, base: self.clone() })
    }

    /// The first key after `key`.
    pub(super) fn key_after(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(&self.file, || {
            let next = self.tail(key)?.find(|pair| !matches!(pair, Ok((found, _)) if found.value() == key));
            next.map(|pair| pair.map(|(found, _)| found.value().to_vec()))
                .transpose()
                .map_err(|error| StoreError::redb(&self.file, error))
        })
    }

    /// A finger on the pair of `key`, or where it would be.
    pub(super) fn finger(self: &Arc<Self>, key: &[u8]) -> Result<Finger, StoreError> {
        guarded(&self.file, || Ok(Finger { range: self.tail(key)?, ahead: None, base: self.clone() }))
    }

    /// The pairs from that key on.
    fn tail(&self, key: &[u8]) -> Result<Range<'static, &'static [u8], &'static [u8]>, StoreError> {
        self.table.range::<&[u8]>(key..).map_err(|error| StoreError::redb(&self.file, error))
    }
}

/// How many pairs, or bytes of them, a finger passes before it is cheaper to begin at the root.
const STRIDE: usize = 32;
const STRIDE_BYTES: usize = 8 << 10;

/// A place among the pairs of one commit, to look up keys that rise and lie close together: it is some pairs from one
/// to the next, and not another way down the tree.
pub(super) struct Finger {
    range: Range<'static, &'static [u8], &'static [u8]>,
    /// The pair that was met beyond the last key.
    ahead: Option<(Vec<u8>, Vec<u8>)>,
    base: Arc<Base>,
}

impl Finger {
    /// Calls `look` with the value of `key`, if it is there; only keys after it may be looked for afterwards.
    pub(super) fn look<T>(
        &mut self,
        key: &[u8],
        look: impl FnOnce(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let Finger { range, ahead, base } = self;
        guarded(&base.file, || {
            if let Some((at, stored)) = ahead.take_if(|(at, _)| at.as_slice() <= key) {
                if at == key {
                    return check(&base.file, key, &stored).and_then(look).map(Some);
                }
            } else if ahead.is_some() {
                return Ok(None);
            }
            let (mut steps, mut bytes) = (0, 0);
            loop {
                let Some(pair) = range.next() else { return Ok(None) };
                let (at, stored) = pair.map_err(|error| StoreError::redb(&base.file, error))?;
                match at.value().cmp(key) {
                    Less => (steps, bytes) = (steps + 1, bytes + stored.value().len()),
                    Equal => return check(&base.file, key, stored.value()).and_then(look).map(Some),
                    Greater => {
                        *ahead = Some((at.value().to_vec(), stored.value().to_vec()));
                        return Ok(None);
                    }
                }
                if steps == STRIDE || bytes > STRIDE_BYTES {
                    *range = base.tail(key)?;
                    bytes = 0;
                }
            }
        })
    }
}

/// A walk over the pairs of one commit.
pub(super) struct BaseScan {
    range: Range<'static, &'static [u8], &'static [u8]>,
    base: Arc<Base>,
}

/// A pair, or why it cannot be read.
pub(super) type Pair = Result<(Vec<u8>, Vec<u8>), StoreError>;

/// What redb finds next.
type Found<'a> = Option<Result<(AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>), redb::StorageError>>;

impl BaseScan {
    fn step(
        &mut self,
        step: impl FnOnce(&mut Range<'static, &'static [u8], &'static [u8]>) -> Found<'static>,
    ) -> Option<Pair> {
        let file = &self.base.file;
        guarded(file, || {
            let Some(pair) = step(&mut self.range) else { return Ok(None) };
            let (key, stored) = pair.map_err(|error| StoreError::redb(file, error))?;
            let key = key.value().to_vec();
            let value = check(file, &key, stored.value())?.to_vec();
            Ok(Some((key, value)))
        })
        .transpose()
    }
}

impl Iterator for BaseScan {
    type Item = Pair;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Range::next)
    }
}

impl DoubleEndedIterator for BaseScan {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(Range::next_back)
    }
}
