//! Owns the pairs that are not on disk yet: an ordered map in memory that keeps old versions.
//!
//! A batch is inserted under a sequence number of its own. A reader that knows a number sees, for
//! each key, the newest version up to it, so neither waits for the other. Versions go away with
//! the overlay as a whole, after a checkpoint.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_skiplist::SkipMap;

/// A key with its value; `None` says that the key was deleted.
pub(super) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Sorts by key, the newest version first.
pub(super) type Version = (Vec<u8>, Reverse<u64>);

/// How many changes a scan copies out at a time, and how many bytes.
const PAGE: (usize, usize) = (128, 1 << 20);

/// What an entry costs in memory beside its bytes: two vectors, a number, the tower of links.
const ENTRY_BYTES: usize = 100;

/// A multi-version map of changes.
#[derive(Default)]
pub(super) struct Overlay {
    map: SkipMap<Version, Option<Vec<u8>>>,
    bytes: AtomicUsize,
}

impl Overlay {
    /// Adds a version of a key; readers of `seq` and later see it.
    pub(super) fn insert(&self, seq: u64, (key, value): Change) {
        let bytes = key.len() + value.as_ref().map_or(0, Vec::len) + ENTRY_BYTES;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.map.insert((key, Reverse(seq)), value);
    }

    /// What `probe.0` is at sequence number `probe.1`; `None` where this overlay does not know the key.
    pub(super) fn get(&self, probe: &Version) -> Option<Option<Vec<u8>>> {
        let entry = self.map.lower_bound(Bound::Included(probe))?;
        (entry.key().0 == probe.0).then(|| entry.value().clone())
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Calls `each` with the newest version of every key, in key order, until it fails.
    pub(super) fn for_newest<E>(&self, mut each: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        let mut done: Option<crossbeam_skiplist::map::Entry<'_, Version, Option<Vec<u8>>>> = None;
        for entry in self.map.iter() {
            if done.as_ref().is_some_and(|done| done.key().0 == entry.key().0) {
                continue;
            }
            each(&entry.key().0, entry.value().as_deref())?;
            done = Some(entry);
        }
        Ok(())
    }

    /// The first changes from `from` (included) to `to` (excluded) as of `seq`, in key order.
    fn page(&self, from: &[u8], to: &[u8], seq: u64) -> VecDeque<Change> {
        let (limit, byte_limit) = PAGE;
        let newest = Reverse(u64::MAX);
        let mut page: VecDeque<Change> = VecDeque::new();
        let mut bytes = 0;
        for entry in self.map.range((from.to_vec(), newest)..(to.to_vec(), newest)) {
            let (key, Reverse(version)) = entry.key();
            if *version > seq || page.back().is_some_and(|(last, _)| last == key) {
                continue;
            }
            if page.len() == limit || bytes > byte_limit {
                break;
            }
            bytes += key.len() + entry.value().as_ref().map_or(0, Vec::len);
            page.push_back((key.clone(), entry.value().clone()));
        }
        page
    }
}

/// A walk over an overlay as of one sequence number, a page at a time.
pub(super) struct OverlayScan {
    overlay: Arc<Overlay>,
    from: Vec<u8>,
    to: Vec<u8>,
    seq: u64,
    page: VecDeque<Change>,
    done: bool,
}

impl OverlayScan {
    pub(super) fn new(overlay: Arc<Overlay>, from: Vec<u8>, to: Vec<u8>, seq: u64) -> OverlayScan {
        let done = from >= to;
        OverlayScan { overlay, from, to, seq, page: VecDeque::new(), done }
    }
}

impl Iterator for OverlayScan {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        if self.page.is_empty() && !self.done {
            self.page = self.overlay.page(&self.from, &self.to, self.seq);
            match self.page.back() {
                Some((last, _)) => {
                    self.from.clone_from(last);
                    self.from.push(0);
                }
                None => self.done = true,
            }
        }
        self.page.pop_front()
    }
}

impl Overlay {
    /// The last changes from `from` (included) to `to` (excluded) as of `seq`, from the last on.
    fn page_back(&self, from: &[u8], to: &[u8], seq: u64) -> VecDeque<Change> {
        let (limit, byte_limit) = PAGE;
        let newest = Reverse(u64::MAX);
        let mut page: VecDeque<Change> = VecDeque::new();
        let mut bytes = 0;
        // Of a key the oldest version comes first; a newer one takes its place.
        for entry in self.map.range((from.to_vec(), newest)..(to.to_vec(), newest)).rev() {
            let (key, Reverse(version)) = entry.key();
            if *version > seq {
                continue;
            }
            let size = key.len() + entry.value().as_ref().map_or(0, Vec::len);
            let full = page.len() == limit || bytes > byte_limit;
            match page.back_mut() {
                Some((last, value)) if last == key => value.clone_from(entry.value()),
                _ if full => break,
                _ => page.push_back((key.clone(), entry.value().clone())),
            }
            bytes += size;
        }
        page
    }
}

/// The same walk from the last change to the first.
pub(super) struct OverlayScanBack(OverlayScan);

impl OverlayScanBack {
    pub(super) fn new(overlay: Arc<Overlay>, from: Vec<u8>, to: Vec<u8>, seq: u64) -> OverlayScanBack {
        OverlayScanBack(OverlayScan::new(overlay, from, to, seq))
    }
}

impl Iterator for OverlayScanBack {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        let OverlayScan { overlay, from, to, seq, page, done } = &mut self.0;
        if page.is_empty() && !*done {
            *page = overlay.page_back(from, to, *seq);
            match page.back() {
                Some((first, _)) => to.clone_from(first),
                None => *done = true,
            }
        }
        page.pop_front()
    }
}
