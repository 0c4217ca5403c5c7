//! Owns the promises that are broken on purpose, to see that the simulation finds out.
//!
//! Each is one line at the place where the promise is kept, and asks `on`. That is `false` at compile
//! time unless the feature `mutants` is there, which no release can have. With the feature a process
//! breaks what DDB_MUTANT says, by its name in `Mutant::ALL`.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!("the feature `mutants` breaks promises on purpose: no release may have it");

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The log's batches are acknowledged without a sync.
    LogNotSynced,
    /// The name of a new file of the log is not synced.
    DirectoryNotSynced,
    /// A vote is kept in memory only.
    VoteNotSynced,
    /// The leader counts followers that did not answer.
    NoQuorum,
    /// A default read is served without asking the leader.
    LocalRead,
    /// What was answered under idempotency keys is left out of snapshots.
    SnapshotWithoutKeys,
    /// The applied index is saved before the data, not with it.
    AppliedApart,
    /// A node that lost its disk takes part under its old id.
    IdTwice,
}

impl Mutant {
    /// All, by name.
    pub const ALL: [(&str, Mutant); 8] = [
        ("log-not-synced", Mutant::LogNotSynced),
        ("directory-not-synced", Mutant::DirectoryNotSynced),
        ("vote-not-synced", Mutant::VoteNotSynced),
        ("no-quorum", Mutant::NoQuorum),
        ("local-read", Mutant::LocalRead),
        ("snapshot-without-keys", Mutant::SnapshotWithoutKeys),
        ("applied-apart", Mutant::AppliedApart),
        ("id-twice", Mutant::IdTwice),
    ];
}

/// The one that DDB_MUTANT names, with its name.
#[cfg(feature = "mutants")]
pub fn chosen() -> Option<(&'static str, Mutant)> {
    static CHOSEN: std::sync::OnceLock<Option<(&str, Mutant)>> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("DDB_MUTANT").ok()?;
        Mutant::ALL.into_iter().find(|(other, _)| *other == name)
    })
}

/// Whether `mutant` is to be broken here.
#[cfg(feature = "mutants")]
pub fn on(mutant: Mutant) -> bool {
    chosen().is_some_and(|(_, chosen)| chosen == mutant)
}

/// Whether `mutant` is to be broken here: never, in this build.
#[cfg(not(feature = "mutants"))]
pub const fn on(_: Mutant) -> bool {
    false
}

#[cfg(not(feature = "mutants"))]
const _: () = assert!(!on(Mutant::LogNotSynced), "a build without the feature breaks nothing");
