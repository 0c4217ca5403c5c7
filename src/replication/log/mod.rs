//! The Raft log on disk: segment files that are only ever appended to.
//!
//! `store` is what openraft sees; `state` holds the newest entries and knows where the others lie;
//! `writer` is the one thread that writes: all that waits becomes one batch, one write and one sync;
//! `tail` knows where the next batch goes; `format` says what a batch looks like and why a torn one can
//! be told from a damaged one; `recover` reads it all back.
//!
//! Deliberately missing: what entries mean, and any change of a byte that was synced.

mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz;
mod recover;
mod state;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

pub(super) use format::io_error;
pub(super) use store::LogStore;
