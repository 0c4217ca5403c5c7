//! Owns the walk over the entries of an index from the last values to the first.
//!
//! Rows of the same values come by row id, as everywhere. So entries are gathered as long as their values are the
//! same; of values that very many rows have, the entries are read once more, forwards, instead of being kept.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::Arc;

use crate::model::RowKey;

use super::StoreError;
use super::disk::Pair;
use super::index::values_and_row;
use super::keys;
use super::snapshot::{Merge, MergeBack, Snapshot};

/// How many entries of the same values are kept at a time; so few in tests that they meet more.
const MOST_KEPT: usize = if cfg!(test) { 3 } else { 1_000 };

/// A walk over stretches of an index, each backwards.
pub(super) struct IndexScanBack {
    snapshot: Arc<Snapshot>,
    /// Those still to come.
    stretches: VecDeque<(Vec<u8>, Vec<u8>)>,
    /// Whether rows of the same values come by row id, and not from the last to the first, too.
    by_values: bool,
    /// Where the present stretch begins, and what comes of it next.
    from: Vec<u8>,
    back: Option<Peekable<MergeBack>>,
    /// Rows of the same values, the next on top.
    kept: Vec<RowKey>,
    /// Rows of the same values where they are too many to be kept.
    again: Option<Merge>,
}

impl IndexScanBack {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        stretches: VecDeque<(Vec<u8>, Vec<u8>)>,
        by_values: bool,
    ) -> IndexScanBack {
        IndexScanBack { snapshot, stretches, by_values, from: Vec::new(), back: None, kept: Vec::new(), again: None }
    }

    /// The next row, if one is at hand or the next entry can be taken up; `None` where the stretches are over.
    fn advance(&mut self) -> Result<Option<RowKey>, StoreError> {
        loop {
            if let Some(key) = self.kept.pop() {
                return Ok(Some(key));
            }
            if let Some(pair) = self.again.as_mut().and_then(Iterator::next) {
                return self.entry(pair).map(|(_, key)| Some(key));
            }
            self.again = None;
            let Some(back) = &mut self.back else {
                let Some((from, to)) = self.stretches.pop_front() else { return Ok(None) };
                self.back = Some(self.snapshot.range_back(from.clone(), to)?.peekable());
                self.from = from;
                continue;
            };
            match back.next() {
                Some(pair) => self.take_up(pair)?,
                None => self.back = None,
            }
        }
    }

    /// Keeps an entry's row, and those of the entries before it that have the same values.
    fn take_up(&mut self, pair: Pair) -> Result<(), StoreError> {
        let (values, key) = self.entry(pair)?;
        self.kept.push(key);
        if !self.by_values {
            return Ok(());
        }
        while let Some(Ok((place, _))) = self.back.as_mut().and_then(Peekable::peek)
            && place.starts_with(&values)
        {
            if self.kept.len() == MOST_KEPT {
                self.kept.clear();
                let first = self.from.clone().max(values.clone());
                self.again = Some(self.snapshot.range(first, keys::end(&values))?);
                self.back = Some(self.snapshot.range_back(self.from.clone(), values)?.peekable());
                break;
            }
            let Some(next) = self.back.as_mut().and_then(Iterator::next) else { break };
            let (_, key) = self.entry(next)?;
            self.kept.push(key);
        }
        Ok(())
    }

    /// What an entry begins with up to its row's key, and the key.
    fn entry(&self, pair: Pair) -> Result<(Vec<u8>, RowKey), StoreError> {
        let (place, value) = pair?;
        values_and_row(place, &value)
            .ok_or_else(|| StoreError::damaged(self.snapshot.file(), "an entry of an index makes no sense"))
    }
}

impl Iterator for IndexScanBack {
    type Item = Result<RowKey, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
