//! Owns reading at one moment: the overlays over the file, merged.

use std::collections::BTreeMap;
use std::iter::{Peekable, Rev};
use std::sync::Arc;

use super::StoreError;
use super::disk::{Base, BaseScan, Pair};
use super::keys;
use super::overlay::{Change, Overlay, OverlayScan, OverlayScanBack};
use super::records::{Tip, decode};
use crate::model::Table;

/// All tables, by name.
pub(super) type Schemas = Arc<BTreeMap<String, Arc<Table>>>;

/// The keyspace as of one sequence number; it never changes.
#[derive(Clone)]
pub(super) struct Snapshot {
    /// The overlay that takes writes, or took them when this was the present.
    pub(super) active: Arc<Overlay>,
    /// The overlay that a checkpoint is writing to the file.
    pub(super) sealed: Option<Arc<Overlay>>,
    /// What the last checkpoints wrote, the newest first: what is in it need not be looked up in the file.
    pub(super) written: Arc<[Arc<Overlay>]>,
    /// The file.
    pub(super) base: Arc<Base>,
    /// The last batch that is seen.
    pub(super) seq: u64,
    /// Revision and marks of that batch.
    pub(super) tip: Arc<Tip>,
    /// The tables as of that batch.
    pub(super) schemas: Schemas,
}

impl Snapshot {
    /// What is in the file, with nothing over it.
    pub(super) fn of(base: Arc<Base>, seq: u64) -> Result<Snapshot, StoreError> {
        let space = [keys::TABLE];
        let tables = base.scan(&space, &keys::end(&space))?.map(|pair| {
            let table: Table = decode(base.file(), &pair?.1)?;
            Ok((table.name.clone(), Arc::new(table)))
        });
        let (schemas, tip) = (Arc::new(tables.collect::<Result<_, StoreError>>()?), Arc::new(base.tip().clone()));
        Ok(Snapshot { active: Arc::default(), sealed: None, written: Arc::default(), base, seq, tip, schemas })
    }

    /// The hash of a key.
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.active.hash(key)
    }

    /// Calls `look` with the value of `key`, if it is there.
    pub(super) fn look<T>(
        &self,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.look_hashed(self.hash(key), key, look)
    }

    /// The same for a key of that hash.
    pub(super) fn look_hashed<T>(
        &self,
        hash: u64,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.look_in_memory(hash, key, &look).unwrap_or_else(|| self.base.look(key, &look))
    }

    /// The same if it is known without the file.
    pub(super) fn look_in_memory<T>(
        &self,
        hash: u64,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Option<Result<Option<T>, StoreError>> {
        self.look_pending(hash, key, &look).or_else(|| self.look_written(hash, key, &look))
    }

    /// The same if it is not on disk yet.
    pub(super) fn look_pending<T>(
        &self,
        hash: u64,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Option<Result<Option<T>, StoreError>> {
        let known = |value: Option<&[u8]>| value.map(&look).transpose();
        let found = self.active.look(hash, key, self.seq, known);
        found.or_else(|| self.sealed.as_ref()?.look(hash, key, self.seq, known))
    }

    /// The same if it was written to the file of late: all that this knows, the file knows too.
    pub(super) fn look_written<T>(
        &self,
        hash: u64,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Option<Result<Option<T>, StoreError>> {
        let known = |value: Option<&[u8]>| value.map(&look).transpose();
        self.written.iter().find_map(|overlay| overlay.look(hash, key, self.seq, known))
    }

    /// The pairs from `from` (included) to `to` (excluded), in key order.
    pub(super) fn range(&self, from: Vec<u8>, to: Vec<u8>) -> Result<Merge, StoreError> {
        let base = self.base.scan(&from, &to)?.peekable();
        let overlays = self.over(|overlay| OverlayScan::new(overlay, from.clone(), to.clone(), self.seq));
        Ok(Merging { overlays, base, backwards: false, failed: false })
    }

    /// The same from the last to the first.
    pub(super) fn range_back(&self, from: Vec<u8>, to: Vec<u8>) -> Result<MergeBack, StoreError> {
        let base = self.base.scan(&from, &to)?.rev().peekable();
        let overlays = self.over(|overlay| OverlayScanBack::new(overlay, from.clone(), to.clone(), self.seq));
        Ok(Merging { overlays, base, backwards: true, failed: false })
    }

    /// A walk over each overlay, the newest first.
    fn over<O: Iterator>(&self, walk: impl Fn(Arc<Overlay>) -> O) -> Vec<Peekable<O>> {
        let overlays = [Some(&self.active), self.sealed.as_ref()];
        overlays
            .into_iter()
            .flatten()
            .filter(|overlay| !overlay.is_empty())
            .map(|overlay| walk(overlay.clone()).peekable())
            .collect()
    }

    /// The name of the file, for messages.
    pub(super) fn file(&self) -> &str {
        self.base.file()
    }

    /// About how many bytes are in memory and not yet on disk.
    pub(super) fn pending_bytes(&self) -> usize {
        self.active.bytes() + self.sealed.as_ref().map_or(0, |sealed| sealed.bytes())
    }
}

/// A walk over a snapshot's live pairs, in key order.
pub(super) type Merge = Merging<OverlayScan, BaseScan>;

/// The same against key order.
pub(super) type MergeBack = Merging<OverlayScanBack, Rev<BaseScan>>;

/// A walk over what walks over overlays `O` and over the file `B` find.
pub(super) struct Merging<O: Iterator, B: Iterator> {
    /// The newest first.
    overlays: Vec<Peekable<O>>,
    base: Peekable<B>,
    backwards: bool,
    failed: bool,
}

impl<O: Iterator<Item = Change>, B: Iterator<Item = Pair>> Merging<O, B> {
    /// The overlay that holds the key that comes first, unless the file holds one before it. Of equal keys the
    /// newest overlay's wins.
    fn newest_first(&mut self) -> Option<usize> {
        let backwards = self.backwards;
        let before = |a: &[u8], b: &[u8]| if backwards { a > b } else { a < b };
        let mut first: Option<(usize, &[u8])> = None;
        for (index, scan) in self.overlays.iter_mut().enumerate() {
            if let Some((key, _)) = scan.peek()
                && first.is_none_or(|(_, other)| before(key, other))
            {
                first = Some((index, key));
            }
        }
        let (index, key) = first?;
        match self.base.peek() {
            Some(Ok((other, _))) if before(other, key) => None,
            _ => Some(index),
        }
    }
}

impl<O: Iterator<Item = Change>, B: Iterator<Item = Pair>> Iterator for Merging<O, B> {
    type Item = Pair;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(Err(error)) = self.base.next_if(Result::is_err) {
                self.failed = true;
                return Some(Err(error));
            }
            let Some(index) = self.newest_first() else {
                return self.base.next();
            };
            let Some((key, value)) = self.overlays[index].next() else { continue };
            for older in &mut self.overlays[index + 1..] {
                older.next_if(|(other, _)| *other == key);
            }
            self.base.next_if(|pair| pair.as_ref().is_ok_and(|(other, _)| *other == key));
            if let Some(value) = value {
                return Some(Ok((key, value)));
            }
        }
        None
    }
}
