//! Owns where slow work is done: aside, so that it holds up nobody.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::chance::{number, simulated};

/// How long work may seem to take in a simulation, in microseconds.
const SEEMS: u64 = 4_000;

/// How much nicer background work is than the rest: at 10 a tenth of a busy core is left to it.
const NICE: i32 = 10;

/// For how long background work goes on, and how long it rests then. A system leaves the core to a thread for some
/// milliseconds at a time, whatever its priority: who is woken meanwhile would wait for that.
const STRIDE: Duration = Duration::from_micros(200);
const REST: Duration = Duration::from_micros(500);

thread_local! {
    /// Since when this thread has not rested; `None` where it takes no rests.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

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

/// Starts work as `work` does, for which nobody waits: where the cores are busy, it leaves them to others. It calls
/// `breathe` often.
pub fn background<T: Send + 'static>(patient: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if simulated() {
        return work(patient);
    }
    work(|| {
        // A thread without privileges never gets its priority back, so this one ends with its work.
        let done = std::thread::scope(|scope| {
            let run = || {
                yield_to_others();
                SINCE.set(Some(Instant::now()));
                patient()
            };
            scope.spawn(run).join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Rests for a moment, if this is background work that has gone on for a while and is in no hurry.
#[expect(clippy::disallowed_methods, reason = "it is no condition that is waited for: others shall have the core")]
pub fn breathe() {
    if SINCE.get().is_some_and(|since| since.elapsed() >= STRIDE) {
        std::thread::sleep(REST);
        SINCE.set(Some(Instant::now()));
    }
}

/// Whether this thread does background work that is in no hurry. In a simulation everybody has time, and nobody rests.
pub fn has_time() -> bool {
    SINCE.get().is_some() || simulated()
}

/// Ends the rests of the background work that calls it: it is waited for after all.
pub fn hurry() {
    SINCE.set(None);
}

/// Lowers the priority of this thread, where threads have one of their own: nice(2), on Linux only. That it
/// may not is no harm.
fn yield_to_others() {
    if cfg!(target_os = "linux") {
        let _ = rustix::process::nice(NICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_background_work_that_is_in_no_hurry_has_time() {
        assert!(!has_time());
        assert!(!work(has_time).await.unwrap());
        let told = background(|| {
            let at_first = has_time();
            breathe();
            let later = has_time();
            hurry();
            (at_first, later, has_time())
        });
        assert_eq!(told.await.unwrap(), (true, true, false));
    }

    #[tokio::test]
    async fn background_work_rests_after_each_stride() {
        let rested = background(|| {
            let began = Instant::now();
            while began.elapsed() < STRIDE {
                std::hint::spin_loop();
            }
            let before = SINCE.get();
            breathe();
            (SINCE.get() > before, began.elapsed())
        });
        let (anew, took) = rested.await.unwrap();
        assert!(anew && took >= STRIDE + REST, "{took:?}");
    }
}
