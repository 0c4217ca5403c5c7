//! Owns the keys that are known to be there, so that who only wants to know that need not look them up.
//!
//! A key is in it from when it was found until it is deleted, or all are forgotten for want of room. So what it has was
//! there when the batch under construction began, but not all that was there. (The rows of a dropped table stay in it:
//! nobody asks for them, as table ids are never used again.)

use hashbrown::HashTable;

/// How much memory the keys may take: 200,000 of 15 bytes, whose table takes a third as much.
const MOST_BYTES: usize = 4 << 20;

/// What stands before a key: half of its hash, and its length.
const HEAD: usize = 6;

/// Keys that are there.
#[derive(Default)]
pub(super) struct Known {
    /// The keys behind their heads, also those that were removed.
    keys: Vec<u8>,
    /// Where the heads are, by key.
    by_key: HashTable<u32>,
}

/// The half of a hash, and the key, that stand there.
fn read(keys: &[u8], at: u32) -> (u32, &[u8]) {
    let (head, rest) = keys[at as usize..].split_at(HEAD);
    let (half, length) = head.split_at(size_of::<u32>());
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |all, byte| all << 8 | u32::from(*byte));
    (number(half), &rest[..number(length) as usize])
}

impl Known {
    /// Whether `key`, of that hash, is known to be there.
    pub(super) fn has(&self, hash: u64, key: &[u8]) -> bool {
        self.by_key.find(hash, |at| read(&self.keys, *at).1 == key).is_some()
    }

    /// Notes that `key`, which was not known, is there.
    pub(super) fn add(&mut self, hash: u64, key: &[u8]) {
        let Ok(length) = u16::try_from(key.len()) else { return };
        if self.keys.len() + HEAD + key.len() > MOST_BYTES {
            *self = Known::default();
        }
        let at = self.keys.len() as u32;
        self.keys.extend_from_slice(&(hash as u32).to_le_bytes());
        self.keys.extend_from_slice(&length.to_le_bytes());
        self.keys.extend_from_slice(key);
        let keys = &self.keys;
        self.by_key.insert_unique(hash, at, |at| super::overlay::whole(read(keys, *at).0));
    }

    /// Notes that `key` is not there any more.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) {
        if let Ok(found) = self.by_key.find_entry(hash, |at| read(&self.keys, *at).1 == key) {
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
        let long = vec![8; 1 << 16];
        known.add(hasher.hash(&long), &long);
        assert!(!known.has(hasher.hash(&long), &long), "it is too long to be noted");
        for n in 20_000..60_000 {
            known.add(hasher.hash(&key(n)), &key(n));
        }
        assert!(known.keys.len() <= MOST_BYTES && known.has(hasher.hash(&key(59_999)), &key(59_999)));
        assert!(keys.iter().all(|(hash, key)| !known.has(*hash, key)), "all were forgotten");
    }
}
