//! Owns what is known of the log in memory: marks, the newest entries, and where the others lie.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::types::{Entry, LogId, Vote};
use super::super::vitals::Pace;
use super::format::{damaged, unseal};
use crate::disk::File;

/// How many bytes of durable entries are kept in the cache.
const CACHE_BYTES: usize = 2 << 20;

/// What the log's handles and its writer share.
pub(super) struct Shared {
    pub(super) group: u64,
    /// Never held across a disk write.
    state: Mutex<State>,
    /// Never held across a disk access; taken after `state`, if both are.
    places: Mutex<Places>,
    /// Bytes of entries that were appended and wait for the disk.
    pub(super) unsynced: AtomicU64,
    /// The disk has no room for what waits.
    pub(super) full: AtomicBool,
    /// How long its syncs take.
    pub(super) pace: Pace,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    /// The committed mark that is in no batch yet, sealed, and its index.
    pub(super) mark: Option<(u64, Vec<u8>)>,
    /// The writer has nothing to do, and looks for a mark only when it is told to.
    pub(super) resting: bool,
    pub(super) purged: Option<LogId>,
    pub(super) last: Option<LogId>,
    /// The newest entries, without holes: all that is not yet durable, and some that is.
    cache: BTreeMap<u64, (Entry, usize)>,
    cached_bytes: usize,
}

/// Where a durable entry lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) at: u64,
    pub(super) len: u32,
    pub(super) mask: u8,
}

/// The durable entries, without holes, and the files that they are in.
#[derive(Default)]
pub(super) struct Places {
    first: u64,
    places: VecDeque<Place>,
    pub(super) files: BTreeMap<u32, Arc<dyn File>>,
    pub(super) bytes: u64,
}

impl State {
    /// Makes an entry readable.
    pub(super) fn cache(&mut self, index: u64, entry: Entry, size: usize) {
        self.cached_bytes += size;
        if let Some((_, replaced)) = self.cache.insert(index, (entry, size)) {
            self.cached_bytes -= replaced;
        }
    }

    /// Forgets the entries from `from` on.
    pub(super) fn forget_from(&mut self, from: u64) {
        let gone = self.cache.split_off(&from);
        self.cached_bytes -= gone.values().map(|(_, size)| size).sum::<usize>();
    }

    /// Forgets the entries up to `upto`.
    pub(super) fn forget_upto(&mut self, upto: u64) {
        let kept = self.cache.split_off(&(upto + 1));
        let gone = std::mem::replace(&mut self.cache, kept);
        self.cached_bytes -= gone.values().map(|(_, size)| size).sum::<usize>();
    }
}

impl Places {
    /// The index after the last entry; `None` where there is none.
    pub(super) fn next(&self) -> Option<u64> {
        (!self.places.is_empty()).then(|| self.first + self.places.len() as u64)
    }

    /// The first entry's index and segment.
    pub(super) fn first(&self) -> Option<(u64, u32)> {
        self.places.front().map(|place| (self.first, place.segment))
    }

    /// The last entry, from the disk.
    pub(super) fn last(&self) -> io::Result<Option<Entry>> {
        let from = self.next().unwrap_or(0).saturating_sub(1);
        let found = self.find(from, u64::MAX, 0).into_iter().next();
        found.map(|(index, place, file)| read_entry(index, place, &*file)).transpose()
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, index: u64, place: Place) {
        if self.places.is_empty() {
            self.first = index;
        }
        self.bytes += u64::from(place.len);
        self.places.push_back(place);
    }

    /// Removes the entries from `from` on.
    pub(super) fn truncate(&mut self, from: u64) {
        while self.next().is_some_and(|next| next > from) {
            let gone = self.places.pop_back();
            self.bytes -= gone.map_or(0, |place| u64::from(place.len));
        }
    }

    /// Removes the entries up to `upto`.
    pub(super) fn purge(&mut self, upto: u64) {
        while !self.places.is_empty() && self.first <= upto {
            let gone = self.places.pop_front();
            self.first += 1;
            self.bytes -= gone.map_or(0, |place| u64::from(place.len));
        }
    }

    /// Where the entries `from..to` lie that are here, up to about `limit` bytes and at least one.
    fn find(&self, from: u64, to: u64, limit: usize) -> Vec<(u64, Place, Arc<dyn File>)> {
        let skipped = from.saturating_sub(self.first) as usize;
        let there = (self.first..).zip(&self.places).skip(skipped);
        let mut bytes = 0;
        let mut found = Vec::new();
        for (index, place) in there.take_while(|(index, _)| *index < to) {
            let Some(file) = self.files.get(&place.segment).filter(|_| bytes <= limit) else { break };
            bytes += place.len as usize;
            found.push((index, *place, file.clone()));
        }
        found
    }
}

impl Shared {
    pub(super) fn new(group: u64, state: State, places: Places) -> Shared {
        let (state, places) = (Mutex::new(state), Mutex::new(places));
        let (unsynced, full) = (AtomicU64::new(0), AtomicBool::new(false));
        Shared { group, state, places, unsynced, full, pace: Pace::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cache may forget its oldest entries that can be read from the disk.
    pub(super) fn trim(&self) {
        let mut state = self.state();
        if state.cached_bytes <= CACHE_BYTES {
            return;
        }
        let durable = self.places().next().unwrap_or(0);
        while state.cached_bytes > CACHE_BYTES
            && let Some(oldest) = state.cache.first_entry()
            && *oldest.key() < durable
        {
            let (_, size) = oldest.remove();
            state.cached_bytes -= size;
        }
    }

    /// Entries `from..to` from cache or disk, up to about `limit` bytes and at least one.
    pub(super) fn read(&self, from: u64, to: u64, limit: usize) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let (cached_from, places) = {
            let state = self.state();
            let first = state.cache.first_key_value().map_or(u64::MAX, |(first, _)| *first);
            if first <= from {
                for (entry, size) in state.cache.range(from..to.max(from)).map(|(_, cached)| cached) {
                    if bytes > limit {
                        break;
                    }
                    bytes += size;
                    found.push(entry.clone());
                }
                return Ok(found);
            }
            (first, self.places().find(from, to.min(first), limit))
        };
        for (index, place, file) in places {
            bytes += place.len as usize;
            found.push(read_entry(index, place, &*file)?);
        }
        if to > cached_from && bytes <= limit {
            found.extend(self.read(cached_from, to, limit - bytes)?);
        }
        Ok(found)
    }
}

fn read_entry(index: u64, place: Place, file: &dyn File) -> io::Result<Entry> {
    let mut sealed = vec![0; place.len as usize];
    file.read_at(place.at, &mut sealed)?;
    sealed.iter_mut().for_each(|byte| *byte ^= place.mask);
    let entry: Entry = unseal(&sealed, &format!("entry {index} in segment {}", place.segment))?;
    if entry.log_id.index != index {
        return Err(damaged(format!("entry {} stands where {index} should", entry.log_id.index)));
    }
    Ok(entry)
}
