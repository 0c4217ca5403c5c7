//! Owns the way in: a stream becomes a file of its own beside the store's, or nothing.

use std::path::PathBuf;

use super::disk::{Disk, Transaction};
use super::records::Marks;
use super::snapshot::Snapshot;
use super::stream::{Frame, bad, parse};
use super::{StoreError, keys};
use crate::disk::reach;

/// Removes a file that did not become the store's.
pub(super) struct Temporary(pub(super) Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // What cannot be removed now is removed when the store is opened.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes the stream of an `Export`. Dropped before its end, it leaves nothing.
pub struct Receiver {
    disk: Disk,
    temporary: Temporary,
    transaction: Transaction,
    /// The beginning of a frame whose end has not come.
    waiting: Vec<u8>,
    last_key: Vec<u8>,
    count: u64,
    ended: bool,
}

impl Receiver {
    pub(super) fn new(disk: Disk, temporary: Temporary) -> Result<Receiver, StoreError> {
        let transaction = disk.begin()?;
        let (waiting, last_key) = (Vec::new(), Vec::new());
        Ok(Receiver { disk, temporary, transaction, waiting, last_key, count: 0, ended: false })
    }

    /// Takes the next bytes of the stream; they may be cut anywhere.
    ///
    /// # Errors
    /// `BadSnapshot` for what no export can have sent; a full or failing disk. Drop the receiver then.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(chunk);
        let mut used = 0;
        while let Some((frame, length)) = parse(&waiting[used..])? {
            self.take(frame)?;
            used += length;
        }
        waiting.drain(..used);
        if self.ended && !waiting.is_empty() {
            return Err(bad("it goes on after its end"));
        }
        self.waiting = waiting;
        Ok(())
    }

    fn take(&mut self, frame: Frame<'_>) -> Result<(), StoreError> {
        let pairs = match frame {
            _ if self.ended => return Err(bad("it goes on after its end")),
            Frame::Pairs(pairs) => pairs,
            Frame::End(count) if count == self.count => {
                self.ended = true;
                return Ok(());
            }
            Frame::End(count) => return Err(bad(&format!("{} of {count} pairs came", self.count))),
        };
        for (key, _) in &pairs {
            let shared = |space: &u8| (keys::META..keys::END).contains(space) && *space != keys::DROPPED;
            let known = key.first().is_some_and(shared);
            if !known || *key <= self.last_key.as_slice() {
                return Err(bad("its keys are out of order"));
            }
            self.last_key.clear();
            self.last_key.extend_from_slice(key);
        }
        self.count += pairs.len() as u64;
        reach("snapshot-receive").map_err(|error| StoreError::io(self.disk.file(), error))?;
        self.transaction.with(|all| all.change(pairs.iter().map(|(key, value)| (*key, Some(*value)))))
    }

    /// Checks that all came and puts it on disk, beside the store's file.
    ///
    /// # Errors
    /// `BadSnapshot` for a stream that is not at its end; records that make no sense; a full or failing disk.
    pub fn finish(self) -> Result<Received, StoreError> {
        if !self.ended {
            return Err(bad("it ends too early"));
        }
        reach("snapshot-commit").map_err(|error| StoreError::io(self.disk.file(), error))?;
        self.transaction.commit()?;
        // As the store begins with it: what it needs is read before the old one is given up.
        let marks = Snapshot::of(self.disk.base()?, 0)?.tip.marks.clone();
        Ok(Received { disk: self.disk, temporary: self.temporary, marks })
    }
}

/// A whole copy of another store, ready to be installed. Dropped, it leaves nothing.
pub struct Received {
    pub(super) disk: Disk,
    pub(super) temporary: Temporary,
    marks: Marks,
}

impl Received {
    /// The marks that came with it.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }
}
