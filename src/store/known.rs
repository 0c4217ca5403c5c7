//! Owns the keys that are known to be there, so that who only wants to know that need not look them up.
//!
//! A key is in it from when it was found until it is deleted, or all are forgotten for want of room. So what it has was
//! there when the batch under construction began, but not all that was there. (The rows of a dropped table stay in it:
//! nobody asks for them, as table ids are never used again.)

use hashbrown::HashTable;

use super::arena::{Arena, Place};
use super::overlay::whole;

/// How many bytes of keys there may be; the table of 200,000 takes half as much.
const MOST_BYTES: usize = 4 << 20;

struct Entry {
    key: Place,
    /// Half of the key's hash, which is all of it.
    half: u32,
}

/// Keys that are there.
#[derive(Default)]
pub(super) struct Known {
    /// The keys, also those that were removed.
    arena: Arena,
    /// How many bytes of them there are.
    bytes: usize,
    by_key: HashTable<Entry>,
}

impl Known {
    /// Whether `key`, of that hash, is known to be there.
    pub(super) fn has(&self, hash: u64, key: &[u8]) -> bool {
        self.by_key.find(hash, |entry| self.arena.get(entry.key) == key).is_some()
    }

    /// Notes that `key`, which was not known, is there.
    pub(super) fn add(&mut self, hash: u64, key: &[u8]) {
        if self.bytes + key.len() > MOST_BYTES {
            *self = Known::default();
        }
        self.bytes += key.len();
        let entry = Entry { key: self.arena.put(key), half: hash as u32 };
        self.by_key.insert_unique(hash, entry, |entry| whole(entry.half));
    }

    /// Notes that `key` is not there any more.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) {
        if let Ok(found) = self.by_key.find_entry(hash, |entry| self.arena.get(entry.key) == key) {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::overlay::Overlay;
    use super::*;

    #[test]
    fn what_was_added_is_there_until_it_is_removed_or_room_is_short() {
        let (mut known, hasher) = (Known::default(), Overlay::default());
        let key = |n: u32| [vec![7; (n % 300) as usize], n.to_be_bytes().to_vec()].concat();
        let keys: Vec<(u64, Vec<u8>)> = (0..20_000).map(key).map(|key| (hasher.hash(&key), key)).collect();
        for (hash, key) in &keys {
            assert!(!known.has(*hash, key));
            known.add(*hash, key);
        }
        let even = |n: &usize| n.is_multiple_of(2);
        for (n, (hash, key)) in keys.iter().enumerate() {
            assert!(known.has(*hash, key));
            if even(&n) {
                known.remove(*hash, key);
                known.remove(*hash, key);
            }
        }
        assert!(keys.iter().enumerate().all(|(n, (hash, key))| known.has(*hash, key) != even(&n)));
        for n in 20_000..60_000 {
            known.add(hasher.hash(&key(n)), &key(n));
        }
        assert!(known.bytes <= MOST_BYTES && known.has(hasher.hash(&key(59_999)), &key(59_999)));
        assert!(keys.iter().all(|(hash, key)| !known.has(*hash, key)), "all were forgotten");
    }
}
