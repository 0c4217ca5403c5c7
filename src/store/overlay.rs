//! Owns the pairs that are not on disk yet: an ordered map in memory that keeps old versions.
//!
//! A batch is inserted under a sequence number of its own. A reader that knows a number sees, for
//! each key, the newest version up to it. The lock is held for a look, a page of a scan or some inserts;
//! nobody reads a file or waits for anything under it. Versions go away with the overlay as a whole, after a
//! checkpoint, which reads an overlay that is no longer written.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// A key with its value; `None` says that the key was deleted.
pub(super) type Change = (Vec<u8>, Option<Vec<u8>>);

/// How many changes a scan copies out at a time, and how many bytes.
const PAGE: (usize, usize) = (128, 1 << 20);

/// How many changes are inserted at a time.
const INSERTS: usize = 256;

/// What an entry costs in memory beside its bytes: its place in a node, and what the allocator adds.
const ENTRY_BYTES: usize = 100;

/// What a key was from a sequence number on.
struct Version {
    seq: u64,
    value: Option<Box<[u8]>>,
}

/// All that is kept of a key.
struct Versions {
    newest: Version,
    /// The oldest first; hardly any key has some.
    #[expect(clippy::box_collection, reason = "a word in every entry instead of three")]
    older: Option<Box<Vec<Version>>>,
}

impl Versions {
    /// What the key is at sequence number `seq`; `None` where it was not known here yet.
    fn at(&self, seq: u64) -> Option<&Version> {
        let older = self.older.iter().flat_map(|older| older.iter().rev());
        std::iter::once(&self.newest).chain(older).find(|version| version.seq <= seq)
    }
}

type Map = BTreeMap<Box<[u8]>, Versions>;

/// A multi-version map of changes.
#[derive(Default)]
pub(super) struct Overlay {
    map: RwLock<Map>,
    bytes: AtomicUsize,
}

impl Overlay {
    /// Adds versions of keys; readers of `seq` and later see them.
    pub(super) fn insert(&self, seq: u64, changes: impl IntoIterator<Item = Change>) {
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in changes.by_ref().take(INSERTS) {
                let bytes = key.len() + value.as_ref().map_or(0, Vec::len) + ENTRY_BYTES;
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                let version = Version { seq, value: value.map(Vec::into_boxed_slice) };
                match map.entry(key.into_boxed_slice()) {
                    Entry::Vacant(place) => drop(place.insert(Versions { newest: version, older: None })),
                    Entry::Occupied(mut there) => {
                        let there = there.get_mut();
                        let before = std::mem::replace(&mut there.newest, version);
                        there.older.get_or_insert_default().push(before);
                    }
                }
            }
        }
    }

    /// What `key` is at sequence number `seq`; `None` where this overlay does not know the key.
    pub(super) fn get(&self, key: &[u8], seq: u64) -> Option<Option<Vec<u8>>> {
        let map = self.read();
        let version = map.get(key)?.at(seq)?;
        Some(version.value.as_deref().map(<[u8]>::to_vec))
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Calls `each` with the newest version of every key, in key order, until it fails. No key may be inserted
    /// meanwhile or later: it is for an overlay that is complete.
    pub(super) fn for_newest<E>(&self, mut each: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>) -> Result<(), E> {
        self.read().iter().try_for_each(|(key, versions)| each(key, versions.newest.value.as_deref()))
    }

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first changes from `from` (included) to `to` (excluded) as of `seq`, in key order.
    fn page(&self, from: &[u8], to: &[u8], seq: u64) -> VecDeque<Change> {
        page_of(self.read().range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))), seq)
    }

    /// The last changes from `from` (included) to `to` (excluded) as of `seq`, from the last on.
    fn page_back(&self, from: &[u8], to: &[u8], seq: u64) -> VecDeque<Change> {
        page_of(self.read().range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).rev(), seq)
    }
}

/// The first changes that are there as of `seq`, as many as a page takes.
fn page_of<'a>(entries: impl Iterator<Item = (&'a Box<[u8]>, &'a Versions)>, seq: u64) -> VecDeque<Change> {
    let (limit, byte_limit) = PAGE;
    let mut page = VecDeque::new();
    let mut bytes = 0;
    for (key, versions) in entries {
        let Some(version) = versions.at(seq) else { continue };
        if page.len() == limit || bytes > byte_limit {
            break;
        }
        bytes += key.len() + version.value.as_ref().map_or(0, |value| value.len());
        page.push_back((key.to_vec(), version.value.as_deref().map(<[u8]>::to_vec)));
    }
    page
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
