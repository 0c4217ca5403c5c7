//! Owns where slow work is done: aside, so that it holds up nobody.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::chance::{number, simulated};

/// How long work may seem to take in a simulation, in microseconds.
const SEEMS: u64 = 4_000;

/// How much nicer background work is than the rest: at 10 a tenth of a busy core is left to it.
const NICE: i32 = 10;

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

/// Starts work as `work` does, for which nobody waits: where the cores are busy, it leaves them to others.
pub fn background<T: Send + 'static>(patient: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if simulated() {
        return work(patient);
    }
    work(|| {
        // A thread without privileges never gets its priority back, so this one ends with its work.
        let done = std::thread::scope(|scope| {
            let run = || {
                yield_to_others();
                patient()
            };
            scope.spawn(run).join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Lowers the priority of this thread, where threads have one of their own: nice(2), on Linux only. That it
/// may not is no harm.
fn yield_to_others() {
    if cfg!(target_os = "linux") {
        let _ = rustix::process::nice(NICE);
    }
}
