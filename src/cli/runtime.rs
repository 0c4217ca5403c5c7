//! Owns how many threads the long-running commands have.

use std::io;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How long a thread for slow work waits for more. What it had in memory, as the lines of an import, goes back to the system
/// with it.
const IDLE: Duration = Duration::from_millis(100);

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
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    // With one thread the number of workers has no effect.
    builder.worker_threads(threads).enable_all().thread_keep_alive(IDLE).build()
}
