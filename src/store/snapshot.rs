//! Owns reading at one moment: the overlays over the file, merged.

use std::iter::Peekable;
use std::sync::Arc;

use super::StoreError;
use super::disk::{Base, BaseScan};
use super::overlay::{Overlay, OverlayScan};
use super::records::Tip;

/// The keyspace as of one sequence number; it never changes.
#[derive(Clone)]
pub(super) struct Snapshot {
    /// The overlay that takes writes, or took them when this was the present.
    pub(super) active: Arc<Overlay>,
    /// The overlay that a checkpoint is writing to the file.
    pub(super) sealed: Option<Arc<Overlay>>,
    /// The file.
    pub(super) base: Arc<Base>,
    /// The last batch that is seen.
    pub(super) seq: u64,
    /// Revision and marks of that batch.
    pub(super) tip: Arc<Tip>,
}

impl Snapshot {
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let in_memory = self.active.get(key, self.seq).or_else(|| self.sealed.as_ref()?.get(key, self.seq));
        match in_memory {
            Some(found) => Ok(found),
            None => self.base.get(key),
        }
    }

    /// The pairs from `from` (included) to `to` (excluded), in key order.
    pub(super) fn range(&self, from: Vec<u8>, to: Vec<u8>) -> Result<Merge, StoreError> {
        let base = self.base.scan(&from, &to)?.peekable();
        let overlays = [Some(&self.active), self.sealed.as_ref()];
        let overlays = overlays
            .into_iter()
            .flatten()
            .map(|overlay| OverlayScan::new(overlay.clone(), from.clone(), to.clone(), self.seq).peekable())
            .collect();
        Ok(Merge { overlays, base, failed: false })
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
pub(super) struct Merge {
    /// The newest first.
    overlays: Vec<Peekable<OverlayScan>>,
    base: Peekable<BaseScan>,
    failed: bool,
}

impl Merge {
    /// The overlay that holds the least key, unless the file holds a lesser one. Of equal keys the
    /// newest overlay's wins.
    fn newest_least(&mut self) -> Option<usize> {
        let mut least: Option<(usize, &[u8])> = None;
        for (index, scan) in self.overlays.iter_mut().enumerate() {
            if let Some((key, _)) = scan.peek()
                && least.is_none_or(|(_, other)| key.as_slice() < other)
            {
                least = Some((index, key));
            }
        }
        let (index, key) = least?;
        match self.base.peek() {
            Some(Ok((other, _))) if other.as_slice() < key => None,
            _ => Some(index),
        }
    }
}

impl Iterator for Merge {
    type Item = Result<(Vec<u8>, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(Err(error)) = self.base.next_if(Result::is_err) {
                self.failed = true;
                return Some(Err(error));
            }
            let Some(index) = self.newest_least() else {
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
