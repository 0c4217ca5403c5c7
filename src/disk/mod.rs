//! Files in one directory, as the log and the store need them: the real disk, and a simulated one.
//!
//! `Disk` and `File` are what is asked of a file system and no more: positioned reads and writes, lengths,
//! syncs of data and of names. `RealDisk` is a directory. `SimDisk` is test equipment: it keeps *live* and
//! *durable* bytes apart, loses the difference when its power goes, and fails or is full when told to; one
//! seed always loses the same bytes.
//!
//! Deliberately missing: knowledge of what is in the files, threads, and clocks.

mod failpoint;
mod file;
mod names;
mod real;
mod sim;
mod sim_file;
#[cfg(test)]
mod tests;

pub use failpoint::reach;
pub use file::{Disk, File};
pub use real::{RealDisk, RealFile};
pub use sim::SimDisk;
