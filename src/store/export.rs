//! Owns the way out: all pairs that replicas have in common, and their stream.

use std::collections::VecDeque;
use std::sync::Arc;

use super::StoreError;
use super::keys;
use super::snapshot::{Merge, Snapshot};
use super::stream::{FrameWriter, end_frame};
use crate::mutants::{Mutant, on};

/// A walk over all pairs but those that are local: in key order, without remains of what was dropped.
pub(super) struct Live {
    snapshot: Arc<Snapshot>,
    ranges: VecDeque<(Vec<u8>, Vec<u8>)>,
    current: Option<Merge>,
}

impl Live {
    pub(super) fn new(snapshot: &Arc<Snapshot>) -> Live {
        let mut tables: Vec<_> = snapshot.schemas.values().collect();
        tables.sort_unstable_by_key(|table| table.id);
        let mut ranges = VecDeque::from([(vec![keys::META], vec![keys::ROW])]);
        let whole = |prefix: Vec<u8>| (prefix.clone(), keys::end(&prefix));
        ranges.extend(tables.iter().map(|table| whole(keys::rows(table.id))));
        ranges.push_back((vec![keys::COUNT], vec![keys::DROPPED]));
        for table in tables {
            // They stand in the order of their ids. One that failed holds only remains.
            let indexes = table.indexes.iter().filter(|index| !index.is_failed());
            ranges.extend(indexes.map(|index| whole(keys::index(table.id, index.id))));
        }
        ranges.push_back((vec![keys::BUILD], vec![keys::END]));
        Live { snapshot: snapshot.clone(), ranges, current: None }
    }
}

impl Iterator for Live {
    type Item = Result<(Vec<u8>, Vec<u8>), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.current.as_mut().and_then(Iterator::next) {
                return Some(pair);
            }
            let (from, to) = self.ranges.pop_front()?;
            match self.snapshot.range(from, to) {
                Ok(range) => self.current = Some(range),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The stream of a whole copy, chunk by chunk.
pub struct Export {
    stage: Stage,
    count: u64,
}

enum Stage {
    Start(Arc<Snapshot>),
    Pairs(Box<Live>),
    Done,
}

impl Export {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Export {
        Export { stage: Stage::Start(snapshot), count: 0 }
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if let Stage::Start(snapshot) = &self.stage {
            self.stage = Stage::Pairs(Box::new(Live::new(snapshot)));
        }
        let Stage::Pairs(pairs) = &mut self.stage else { return Ok(None) };
        let mut frame = FrameWriter::new();
        while !frame.is_full() {
            let Some(pair) = pairs.next() else { break };
            let (key, value) = pair?;
            if on(Mutant::SnapshotWithoutKeys) && matches!(key.first(), Some(&(keys::ANSWER | keys::ORDER))) {
                continue;
            }
            frame.add(&key, &value);
            self.count += 1;
        }
        if frame.is_empty() {
            self.stage = Stage::Done;
            return Ok(Some(end_frame(self.count)));
        }
        Ok(Some(frame.finish()))
    }
}

impl Iterator for Export {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunk();
        if chunk.is_err() {
            self.stage = Stage::Done;
        }
        chunk.transpose()
    }
}
