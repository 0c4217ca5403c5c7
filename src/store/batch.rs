//! Owns the batch under construction: changes that become visible together.

use hashbrown::HashTable;

use super::StoreError;
use super::gap::Gap;
use super::known::Known;
use super::overlay::Hashed;
use super::snapshot::Snapshot;

/// A key with its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Changes that become visible together; it reads its own.
pub(super) struct Batch<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// In the order in which the keys were staged first.
    staged: Vec<Hashed>,
    /// Their places, by key.
    by_key: HashTable<u32>,
    undo: Option<Undo>,
    /// Keys that were there before it, but for those it deletes.
    known: &'a mut Known,
    /// Where the file has no keys.
    gap: Gap,
}

/// What to go back to, from the savepoint on.
struct Undo {
    /// How many keys were staged then.
    staged: usize,
    /// What those that changed were staged as before, the latest change last.
    before: Vec<(u32, Option<Vec<u8>>)>,
    /// The bytes of the values that were put since.
    bytes: usize,
}

impl<'a> Batch<'a> {
    /// An empty one, with room for so many changes.
    pub(super) fn new(snapshot: &'a Snapshot, known: &'a mut Known, changes: usize) -> Batch<'a> {
        let (staged, by_key) = (Vec::with_capacity(changes), HashTable::with_capacity(changes));
        Batch { snapshot, staged, by_key, undo: None, known, gap: Gap::default() }
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.by_key.find(hash, |place| self.staged[*place as usize].key == key).copied()
    }

    /// Calls `look` with the value of `key`, if it is there.
    pub(super) fn look<T>(
        &self,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let hash = self.snapshot.hash(key);
        match self.find(hash, key) {
            Some(place) => self.staged[place as usize].value.as_deref().map(look).transpose(),
            None => self.snapshot.look_hashed(hash, key, look),
        }
    }

    /// Whether `key` is there.
    pub(super) fn has(&mut self, key: &[u8]) -> Result<bool, StoreError> {
        self.has_hashed(key, |batch, hash| batch.snapshot.look_hashed(hash, key, |_| Ok(())))
    }

    /// The same for a key that is one of many, and most likely a new one beside the last.
    pub(super) fn has_new(&mut self, key: &[u8]) -> Result<bool, StoreError> {
        self.has_hashed(key, |batch, hash| batch.look_below(hash, key, |_| Ok(())))
    }

    fn has_hashed(
        &mut self,
        key: &[u8],
        below: impl FnOnce(&mut Self, u64) -> Result<Option<()>, StoreError>,
    ) -> Result<bool, StoreError> {
        let hash = self.snapshot.hash(key);
        if let Some(place) = self.find(hash, key) {
            return Ok(self.staged[place as usize].value.is_some());
        }
        if self.known.has(hash, key) {
            return Ok(true);
        }
        let there = below(self, hash)?.is_some();
        if there {
            self.known.add(hash, key);
        }
        Ok(there)
    }

    /// Calls `look` with the value of a key that is one of many, and most likely a new one beside the last.
    pub(super) fn look_new<T>(
        &mut self,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let hash = self.snapshot.hash(key);
        match self.find(hash, key) {
            Some(place) => self.staged[place as usize].value.as_deref().map(look).transpose(),
            None => self.look_below(hash, key, look),
        }
    }

    /// The same for a key that is not staged.
    fn look_below<T>(
        &mut self,
        hash: u64,
        key: &[u8],
        look: impl Fn(&[u8]) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        if let Some(found) = self.snapshot.look_pending(hash, key, &look) {
            return found;
        }
        if self.gap.holds(key) {
            return Ok(None);
        }
        let found =
            self.snapshot.look_written(hash, key, &look).unwrap_or_else(|| self.snapshot.base.look(key, &look))?;
        if found.is_none() {
            self.gap.missed(&self.snapshot.base, key)?;
        }
        Ok(found)
    }

    /// The first pairs from `from` (included) to `to` (excluded), in key order: at most so many, and none
    /// after so many bytes.
    pub(super) fn range(&self, from: &[u8], to: &[u8], most: usize, bytes: usize) -> Result<Vec<Pair>, StoreError> {
        let inside = |change: &&Hashed| change.key.as_slice() >= from && change.key.as_slice() < to;
        let mut staged: Vec<&Hashed> = self.staged.iter().filter(inside).collect();
        staged.sort_unstable_by(|a, b| b.key.cmp(&a.key));
        let mut below = self.snapshot.range(from.to_vec(), to.to_vec())?.peekable();
        let (mut found, mut size) = (Vec::new(), 0);
        while found.len() < most && size < bytes {
            let next = match (below.peek(), staged.last()) {
                (Some(Err(_)), _) | (Some(Ok(_)), None) => below.next(),
                (Some(Ok((key, _))), Some(own)) if *key < own.key => below.next(),
                (None, None) => None,
                (other, Some(_)) => {
                    // What is staged comes before what is below.
                    let covered = matches!((other, staged.last()), (Some(Ok((key, _))), Some(own)) if *key == own.key);
                    if covered {
                        below.next();
                    }
                    let Some(own) = staged.pop() else { break };
                    match &own.value {
                        Some(value) => Some(Ok((own.key.clone(), value.clone()))),
                        None => continue,
                    }
                }
            };
            let Some(pair) = next.transpose()? else { break };
            size += pair.1.len();
            found.push(pair);
        }
        Ok(found)
    }

    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.stage(key, Some(value));
    }

    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.stage(key, None);
    }

    fn stage(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let hash = self.snapshot.hash(&key);
        if let Some(undo) = &mut self.undo {
            undo.bytes += value.as_ref().map_or(0, Vec::len);
        }
        if value.is_none() {
            self.known.remove(hash, &key);
        }
        let Some(place) = self.find(hash, &key) else {
            let place = self.staged.len() as u32;
            self.staged.push(Hashed { hash, key, value });
            let staged = &self.staged;
            self.by_key.insert_unique(hash, place, |place| staged[*place as usize].hash);
            return;
        };
        let before = std::mem::replace(&mut self.staged[place as usize].value, value);
        match &mut self.undo {
            Some(undo) if (place as usize) < undo.staged => undo.before.push((place, before)),
            _ => {}
        }
    }

    /// Begins to note what changes, until `keep` or `roll_back`.
    pub(super) fn savepoint(&mut self) {
        self.undo = Some(Undo { staged: self.staged.len(), before: Vec::new(), bytes: 0 });
    }

    /// Lets what changed since the savepoint stand.
    pub(super) fn keep(&mut self) {
        self.undo = None;
    }

    /// How many bytes of values were put since the savepoint.
    pub(super) fn written(&self) -> usize {
        self.undo.as_ref().map_or(0, |undo| undo.bytes)
    }

    /// Makes all as it was at the savepoint.
    pub(super) fn roll_back(&mut self) {
        let Some(Undo { staged, before, .. }) = self.undo.take() else { return };
        for (place, value) in before.into_iter().rev() {
            self.staged[place as usize].value = value;
        }
        for (place, change) in self.staged.iter().enumerate().skip(staged) {
            if let Ok(found) = self.by_key.find_entry(change.hash, |other| *other as usize == place) {
                found.remove();
            }
        }
        self.staged.truncate(staged);
    }

    /// All changes, each key once.
    pub(super) fn into_changes(self) -> impl Iterator<Item = Hashed> + use<> {
        self.staged.into_iter()
    }

    /// The name of the file, for messages.
    pub(super) fn file(&self) -> &'a str {
        self.snapshot.file()
    }
}
