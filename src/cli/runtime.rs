//! Owns how many threads the long-running commands have.

use std::io;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};

/// A runtime with so many threads; with 0, one where there are two cores at most, else one a core.
///
/// On one thread no task wakes another thread on the way of a request, which costs a third less where cores are
/// few. Slow work and the log have threads of their own in any case.
pub(super) fn with_threads(threads: usize) -> io::Result<Runtime> {
    let threads = match (threads, available_parallelism().map_or(1, usize::from)) {
        (0, 1 | 2) => 1,
        (0, cores) => cores,
        (threads, _) => threads,
    };
    if threads == 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}
