//! Owns the pairs that are not on disk yet, or only just: a map in memory that keeps old versions.
//!
//! A batch is inserted under a sequence number of its own. A reader that knows a number sees, for
//! each key, the newest version up to it. A key is found by its hash; the order of the keys is made when
//! somebody wants it, as most of what is written is on disk before that. The lock is held for a look, a page of a scan
//! or some inserts; nobody reads a file or waits for anything under it, but a checkpoint, whose overlay is no longer
//! written. Versions go away with the overlay as a whole, some time after that: until then it answers for the file.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;

use super::arena::{Arena, Place};
use super::disk::ChangeRef;

/// A key with its value; `None` says that the key was deleted.
pub(super) type Change = (Vec<u8>, Option<Vec<u8>>);

/// The same with the key's hash.
pub(super) struct Hashed {
    pub(super) hash: u64,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
}

/// How many changes a scan copies out at a time, and how many bytes.
const PAGE: (usize, usize) = (128, 1 << 20);

/// For how many changes the lock is held at a time, where there are many.
const TURN: usize = 256;

/// The same for a checkpoint, which goes through all of them; nobody wants to write then.
const STRETCH: usize = 1024;

/// If more than one in so many keys has no place yet, all are put in order anew.
const ANEW: usize = 8;

/// About what a version costs in memory beside its bytes.
const VERSION_BYTES: usize = 64;

/// About how much memory a version takes.
fn cost((key, value): ChangeRef<'_>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len) + VERSION_BYTES
}

/// What a key was from a sequence number on.
#[derive(Clone, Copy)]
struct Version {
    seq: u64,
    value: Option<Place>,
    /// How many of `Map::older` there are up to the one before it.
    older: Option<NonZeroU32>,
}

struct Entry {
    key: Place,
    /// Half of the key's hash, which is all of it.
    half: u32,
    newest: Version,
}

/// There are many of them.
const _: () = assert!(size_of::<Entry>() == 24);

/// The hash of which `half` is a half: the table takes some bits of each end.
pub(super) fn whole(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

/// Where a key is found. It says where the key's bytes are too: to compare them need not wait for the entry.
#[derive(Clone, Copy)]
struct Slot {
    entry: u32,
    key: Place,
}

#[derive(Default)]
struct Map {
    arena: Arena,
    /// In the order in which the keys came.
    entries: Vec<Entry>,
    older: Vec<Version>,
    /// The places of the entries, by key.
    by_key: HashTable<Slot>,
    /// The entries in key order, but for those that came since that was last made.
    in_order: Vec<Ranked>,
}

/// The first bytes of a key, or all of it and zeros.
type Head = [u8; 16];

fn head(key: &[u8]) -> Head {
    let mut head = Head::default();
    let length = key.len().min(head.len());
    head[..length].copy_from_slice(&key[..length]);
    head
}

/// Heads as numbers are in the order of the keys.
fn number(head: Head) -> u128 {
    u128::from_be_bytes(head)
}

/// An entry in key order, with the head of its key: most keys differ there, and need not be looked up to be compared.
#[derive(Clone, Copy, Default)]
struct Ranked {
    head: Head,
    entry: u32,
}

impl Map {
    fn key(&self, entry: u32) -> &[u8] {
        self.arena.get(self.entries[entry as usize].key)
    }

    fn value(&self, version: Version) -> Option<&[u8]> {
        version.value.map(|place| self.arena.get(place))
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.by_key.find(hash, |slot| self.arena.get(slot.key) == key).map(|slot| slot.entry)
    }

    fn insert(&mut self, seq: u64, hash: u64, (key, value): ChangeRef<'_>) {
        let version = Version { seq, value: value.map(|value| self.arena.put(value)), older: None };
        if let Some(entry) = self.find(hash, key) {
            let newest = &mut self.entries[entry as usize].newest;
            self.older.push(*newest);
            *newest = Version { older: NonZeroU32::new(self.older.len() as u32), ..version };
            return;
        }
        let slot = Slot { entry: self.entries.len() as u32, key: self.arena.put(key) };
        self.entries.push(Entry { key: slot.key, half: hash as u32, newest: version });
        let entries = &self.entries;
        self.by_key.insert_unique(hash, slot, |slot| whole(entries[slot.entry as usize].half));
    }

    /// What an entry is at sequence number `seq`; `None` where it was not known here yet.
    fn at(&self, entry: u32, seq: u64) -> Option<Version> {
        let mut version = self.entries[entry as usize].newest;
        while version.seq > seq {
            version = self.older[version.older?.get() as usize - 1];
        }
        Some(version)
    }

    /// Whether the order is known of all keys that were here at sequence number `seq`; those that came later stand
    /// behind them.
    fn is_ordered(&self, seq: u64) -> bool {
        let next = self.in_order.len();
        next == self.entries.len() || self.at(next as u32, seq).is_none()
    }

    /// The order of all keys.
    fn order(&self) -> Vec<Ranked> {
        let known = self.in_order.len();
        if (self.entries.len() - known) * ANEW > known {
            return self.sorted(0);
        }
        let new = self.sorted(known);
        let mut order = Vec::with_capacity(self.entries.len());
        order.extend_from_slice(&self.in_order);
        order.resize(self.entries.len(), Ranked::default());
        let mut end = known;
        for (before, ranked) in new.into_iter().enumerate().rev() {
            let at = self.place(&order[..end], self.key(ranked.entry));
            order.copy_within(at..end, at + before + 1);
            order[at + before] = ranked;
            end = at;
        }
        order
    }

    /// The entries from `first` on, in key order.
    fn sorted(&self, first: usize) -> Vec<Ranked> {
        let entries = first as u32..self.entries.len() as u32;
        let mut order: Vec<Ranked> = entries.map(|entry| Ranked { head: head(self.key(entry)), entry }).collect();
        let rest = |one: &Ranked, other: &Ranked| self.key(one.entry).cmp(self.key(other.entry));
        order.sort_unstable_by(|one, other| number(one.head).cmp(&number(other.head)).then_with(|| rest(one, other)));
        order
    }

    /// How many of `order` have keys before `key`.
    fn place(&self, order: &[Ranked], key: &[u8]) -> usize {
        let own = number(head(key));
        order.partition_point(|Ranked { head, entry }| match number(*head).cmp(&own) {
            Ordering::Equal => self.key(*entry) < key,
            unequal => unequal.is_lt(),
        })
    }

    /// The entries from `from` (included) to `to` (excluded), of those whose order is known.
    fn range(&self, from: &[u8], to: &[u8]) -> &[Ranked] {
        let rest = &self.in_order[self.place(&self.in_order, from)..];
        // Mostly there are few.
        let near = &rest[..rest.len().min(PAGE.0)];
        match self.place(near, to) {
            few if few < near.len() => &near[..few],
            _ => &rest[..self.place(rest, to)],
        }
    }

    /// The first of the entries that are there as of `seq`, as many as a page takes, and whether those are all.
    fn page<'a>(&self, entries: impl Iterator<Item = &'a Ranked>, seq: u64) -> (VecDeque<Change>, bool) {
        let (limit, byte_limit) = PAGE;
        let mut page = VecDeque::new();
        let mut bytes = 0;
        for Ranked { entry, .. } in entries {
            let Some(version) = self.at(*entry, seq) else { continue };
            if page.len() == limit || bytes > byte_limit {
                return (page, false);
            }
            let (key, value) = (self.key(*entry), self.value(version));
            bytes += key.len() + value.map_or(0, <[u8]>::len);
            page.push_back((key.to_vec(), value.map(<[u8]>::to_vec)));
        }
        (page, true)
    }
}

/// A multi-version map of changes.
#[derive(Default)]
pub(super) struct Overlay {
    /// Nobody outside knows which keys would fall together.
    hasher: RandomState,
    map: RwLock<Map>,
    bytes: AtomicUsize,
}

impl Overlay {
    /// The one that comes after: it hashes as this one does, and has room for as many keys.
    pub(super) fn successor(&self) -> Overlay {
        let keys = self.read().entries.len();
        let (entries, by_key) = (Vec::with_capacity(keys), HashTable::with_capacity(keys));
        let map = RwLock::new(Map { entries, by_key, ..Map::default() });
        Overlay { hasher: self.hasher.clone(), map, bytes: AtomicUsize::new(0) }
    }

    /// The hash of a key, here and in the overlays before and after this one.
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        whole(self.hasher.hash_one(key) as u32)
    }

    /// Adds versions of keys; readers of `seq` and later see them.
    pub(super) fn insert(&self, seq: u64, changes: impl IntoIterator<Item = Hashed>) {
        self.in_turns(changes, |map, Hashed { hash, key, value }| {
            let change = (&*key, value.as_deref());
            map.insert(seq, hash, change);
            cost(change)
        });
    }

    /// Takes over the newest version of each key of `newer`, an overlay that came after this one and is complete. A view
    /// that scans both sees those keys in `newer`, and need not find them here.
    pub(super) fn absorb(&self, newer: &Overlay) {
        let newer = newer.read();
        self.in_turns(&newer.entries, |map, Entry { key, half, newest }| {
            let change = (newer.arena.get(*key), newer.value(*newest));
            map.insert(newest.seq, whole(*half), change);
            cost(change)
        });
    }

    /// Puts items into the map, a turn of them at a time; `put` answers what one costs.
    fn in_turns<T>(&self, items: impl IntoIterator<Item = T>, put: impl Fn(&mut Map, T) -> usize) {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let mut map = self.write();
            let bytes = items.by_ref().take(TURN).map(|item| put(&mut map, item)).sum();
            self.bytes.fetch_add(bytes, Relaxed);
        }
    }

    /// Calls `look` with what `key`, of that hash, is at sequence number `seq`; `None` where this overlay does not know
    /// the key.
    pub(super) fn look<T>(&self, hash: u64, key: &[u8], seq: u64, look: impl FnOnce(Option<&[u8]>) -> T) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let map = self.read();
        map.at(map.find(hash, key)?, seq).map(|version| look(map.value(version)))
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Whether nothing was inserted, as whoever knows the newest sequence number sees it: its bytes came before it.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Calls `each` with the newest versions of all keys, some at a time, in key order, until it fails. No key may be
    /// inserted meanwhile: it is for an overlay that is complete.
    pub(super) fn for_newest<E>(
        &self,
        mut each: impl FnMut(&mut dyn Iterator<Item = ChangeRef<'_>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let keys = self.in_order(u64::MAX, |map| map.in_order.len());
        for first in (0..keys).step_by(STRETCH) {
            let map = self.read();
            let stretch = map.in_order.iter().skip(first).take(STRETCH);
            let newest =
                |Ranked { entry, .. }: &Ranked| (map.key(*entry), map.value(map.entries[*entry as usize].newest));
            each(&mut stretch.map(newest))?;
        }
        Ok(())
    }

    /// Gives back what the order of the keys takes, as it is not needed again, but for views of before.
    pub(super) fn forget_order(&self) {
        let _order = std::mem::take(&mut self.write().in_order);
    }

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the map once the order is known of all keys that were here at `seq`. It is made while others read.
    fn in_order<T>(&self, seq: u64, look: impl FnOnce(&Map) -> T) -> T {
        loop {
            let map = self.read();
            if map.is_ordered(seq) {
                return look(&map);
            }
            let order = map.order();
            drop(map);
            let mut map = self.write();
            if order.len() > map.in_order.len() {
                map.in_order = order;
            }
        }
    }

    /// The first changes from `from` (included) to `to` (excluded) as of `seq`, in key order, and whether those are all.
    fn page(&self, from: &[u8], to: &[u8], seq: u64) -> (VecDeque<Change>, bool) {
        self.in_order(seq, |map| map.page(map.range(from, to).iter(), seq))
    }

    /// The last changes from `from` (included) to `to` (excluded) as of `seq`, from the last on, and whether those
    /// are all.
    fn page_back(&self, from: &[u8], to: &[u8], seq: u64) -> (VecDeque<Change>, bool) {
        self.in_order(seq, |map| map.page(map.range(from, to).iter().rev(), seq))
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
            (self.page, self.done) = self.overlay.page(&self.from, &self.to, self.seq);
            if let Some((last, _)) = self.page.back() {
                self.from.clone_from(last);
                self.from.push(0);
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
            (*page, *done) = overlay.page_back(from, to, *seq);
            if let Some((first, _)) = page.back() {
                to.clone_from(first);
            }
        }
        page.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(overlay: &Arc<Overlay>, seq: u64) -> Vec<u8> {
        let scan = OverlayScan::new(overlay.clone(), vec![0], vec![255], seq);
        let back: Vec<_> = OverlayScanBack::new(overlay.clone(), vec![0], vec![255], seq).collect();
        let there: Vec<_> = scan.collect();
        assert!(there.iter().eq(back.iter().rev()));
        there.into_iter().map(|(key, _)| key[0]).collect()
    }

    #[test]
    fn a_scan_orders_what_was_there_at_its_time_and_no_more() {
        let overlay = Arc::new(Overlay::default());
        let hashed = |seq, key| Hashed { hash: overlay.hash(&[key]), key: vec![key], value: Some(vec![seq as u8]) };
        let insert = |seq, keys: &[u8]| overlay.insert(seq, keys.iter().map(|key| hashed(seq, *key)));
        insert(1, &[9, 3, 7, 1, 30, 20]);
        assert_eq!(keys(&overlay, 1), [1, 3, 7, 9, 20, 30]);
        insert(2, &[8, 3]);
        assert_eq!(keys(&overlay, 1), [1, 3, 7, 9, 20, 30], "what came later is not seen");
        assert_eq!(overlay.read().in_order.len(), 6, "nor put in order for it");
        assert_eq!(keys(&overlay, 2), [1, 3, 7, 8, 9, 20, 30]);
        insert(3, &[2]);
        assert_eq!(keys(&overlay, 2), [1, 3, 7, 8, 9, 20, 30]);
        assert_eq!(keys(&overlay, 3), [1, 2, 3, 7, 8, 9, 20, 30]);
        let look = |key, seq| overlay.look(overlay.hash(&[key]), &[key], seq, |value| value.map(<[u8]>::to_vec));
        assert_eq!(look(3, 1), Some(Some(vec![1])));
        assert_eq!(look(8, 1), None);
    }
}
