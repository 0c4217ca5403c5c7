//! The tables of one group on one ordered key-value engine; the only room that names redb.
//!
//! The store is a deterministic state machine: the same writes in the same order make the same
//! tables, answers and digest on every node. It is blocking and single-writer.
//!
//! **Engine** (`overlay`, `disk`, `snapshot`, `engine`). One flat keyspace of bytes. Batches go to a
//! multi-version map in memory, the overlay; a checkpoint seals it and writes it to one redb file
//! in one synced transaction, and reads merge the active overlay, the sealed one and the file. A key is looked
//! up before the file in what the last checkpoints wrote, too.
//! A crash loses what was applied since the last checkpoint, whole batches at a time, and the
//! caller's marks say from where to replay.
//!
//! **Tables** (`keys`, `records`, `catalog`, `known`, `batch`, `apply`, `change`, `index`, `transaction`, `idempotency`,
//! `refusals`, `view`, `reader`, `dropped`) give the keyspace its meaning. They see get, range, put and delete, and no file.
//!
//! **Copies** (`stream`, `export`, `receive`) move a whole store to another node.
//!
//! Invariants: only `apply` makes batches; only a checkpoint or an install writes the file; a view
//! never changes; table ids are never used again, so the remains of a dropped table are invisible.
//!
//! Deliberately missing: Raft, HTTP, async, randomness, clocks (but for the pace of a checkpoint); also a change log.

mod apply;
mod arena;
mod backend;
mod backwards;
mod batch;
mod catalog;
mod change;
mod checked;
mod disk;
mod dropped;
mod engine;
mod error;
mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod gap;
mod handle;
mod idempotency;
mod index;
mod keys;
mod known;
mod overlay;
mod reader;
mod receive;
mod records;
mod refusals;
mod snapshot;
mod stream;
mod transaction;
mod view;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use export::Export;
pub use handle::Store;
pub use reader::RowReader;
pub use receive::{Received, Receiver};
pub use records::Marks;
pub use view::{Build, Digest, IndexScan, Scan, View};
