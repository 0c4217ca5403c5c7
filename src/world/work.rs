//! Owns where slow work is done: aside, so that it holds up nobody.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::chance::{number, simulated};

/// How long work may seem to take in a simulation, in microseconds.
const SEEMS: u64 = 4_000;

/// Starts work that may wait for a disk or take long, on a thread that may wait. In a simulation it
/// is a task that does it after a while, all at once.
pub fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if simulated() {
        let takes = Duration::from_micros(number() % SEEMS);
        return tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            work()
        });
    }
    tokio::task::spawn_blocking(work)
}
