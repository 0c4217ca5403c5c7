//! Owns which followers get each entry at once, and which a moment later, with those that came meanwhile.
//!
//! A commit waits for as many followers as make a quorum with the leader. Those with the lowest ids get entries as they
//! come, and so the one that would lead next is among them. The others get them all the same, in fewer and larger requests:
//! what a request costs on both sides, with its sync, is the same for one entry as for five.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the followers have, as far as this node has heard while it led.
pub(super) struct Pace {
    /// How many followers make a quorum with the leader.
    needed: usize,
    /// The log index up to which each peer has entries; 0 since a request to it failed.
    has: BTreeMap<u64, AtomicU64>,
}

impl Pace {
    /// That of a cluster of this node and `peers`.
    pub(super) fn new(peers: impl IntoIterator<Item = u64>) -> Pace {
        let has: BTreeMap<u64, AtomicU64> = peers.into_iter().map(|peer| (peer, AtomicU64::new(0))).collect();
        Pace { needed: has.len().div_ceil(2), has }
    }

    /// Notes up to where `peer` has the log, or that it did not answer well.
    pub(super) fn note(&self, peer: u64, has: Option<u64>) {
        if let Some(index) = self.has.get(&peer) {
            index.store(has.unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Whether a commit of what `peer` was sent up to `index` needs it not: enough with lower ids have that.
    pub(super) fn can_wait(&self, peer: u64, index: u64) -> bool {
        let have = |has: &&AtomicU64| has.load(Ordering::Relaxed) >= index;
        self.has.range(..peer).map(|(_, has)| has).filter(have).count() >= self.needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_makes_no_quorum_can_wait_while_the_others_keep_up() {
        let pace = Pace::new([2, 3, 5, 7]);
        let waits = |index| [2, 3, 5, 7].map(|peer| pace.can_wait(peer, index));
        assert_eq!(waits(9), [false; 4], "nobody has it");
        pace.note(2, Some(9));
        assert_eq!(waits(9), [false; 4], "one is no quorum with the leader, of five");
        pace.note(3, Some(9));
        assert_eq!(waits(9), [false, false, true, true]);
        assert_eq!(waits(10), [false; 4], "they are behind");
        pace.note(7, Some(10));
        pace.note(2, None);
        assert_eq!(waits(9), [false; 4], "one failed, and a higher id does not count");
    }

    #[test]
    fn of_two_nodes_none_can_wait() {
        let pace = Pace::new([1]);
        pace.note(1, Some(9));
        assert!(!pace.can_wait(1, 1));
    }
}
