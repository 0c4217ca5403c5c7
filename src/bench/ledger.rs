//! Owns what a worker knows of the rows it wrote.

use std::collections::HashMap;

/// The writes of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The count of the last write that was acknowledged.
    pub(super) acknowledged: u64,
    /// The count of the last write that was sent.
    pub(super) sent: u64,
}

/// All keys of a worker, or of a run.
pub(super) struct Ledger {
    /// What each key begins with: how often it was written before the run.
    before: Account,
    accounts: HashMap<u64, Account>,
}

impl Ledger {
    /// A ledger of keys that have all been written `before` times.
    pub(super) fn new(before: u64) -> Ledger {
        Ledger { before: Account { acknowledged: before, sent: before }, accounts: HashMap::new() }
    }

    /// The count that the next write of a key has; `None` if one of its writes ended in doubt: it may still land,
    /// after a newer one, which would look like a loss.
    pub(super) fn next(&mut self, key: u64) -> Option<u64> {
        let account = self.accounts.entry(key).or_insert(self.before);
        if account.sent > account.acknowledged {
            return None;
        }
        account.sent += 1;
        Some(account.sent)
    }

    /// Notes that the last write of a key was acknowledged.
    pub(super) fn acknowledged(&mut self, key: u64) {
        if let Some(account) = self.accounts.get_mut(&key) {
            account.acknowledged = account.sent;
        }
    }

    /// Takes in another worker's keys.
    pub(super) fn merge(&mut self, other: Ledger) {
        self.accounts.extend(other.accounts);
    }

    /// The keys with at least one acknowledged write, in order.
    pub(super) fn kept(&self) -> Vec<(u64, Account)> {
        let accounts = self.accounts.iter().filter(|(_, account)| account.acknowledged > 0);
        let mut kept: Vec<_> = accounts.map(|(key, account)| (*key, *account)).collect();
        kept.sort_unstable_by_key(|(key, _)| *key);
        kept
    }
}
