//! One replicated group: the only room that names openraft.
//!
//! A write goes: `group` (propose, here or through the leader) → `batcher` (one entry for all that
//! waits) → `core` (openraft) → `log` (one sync for all) and `network` (the peers
//! do the same) → `applier` (the store, then the answer). A read goes: `group` → `barrier` (one
//! round for all that wait) → `read_index` → a view of the store.
//!
//! Deliberately missing: what a write means (`store`), how it is asked for (`server`), and more
//! than one group a node; everything here belongs to one group, so that a node can hold several.

mod applier;
mod barrier;
mod batcher;
mod builder;
mod core;
mod detector;
mod dial;
mod directory;
mod driver;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod group;
mod link;
mod log;
mod network;
mod peers;
mod pipeline;
mod propose;
mod read_index;
mod report;
mod runtime;
mod start;
#[cfg(test)]
mod suite;
mod timer;
mod types;
mod upkeep;
mod vitals;
mod wire;

pub use dial::PEER_HEADER;
pub use directory::{DirectoryError, Inspected, inspect};
pub use group::{Check, Group, ReadWant};
pub use start::StartError;
pub use upkeep::LEAST_FREE;
