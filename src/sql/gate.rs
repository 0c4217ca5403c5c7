//! Owns when a query has to end: its time is up, or nobody waits for it any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What stops a query from outside. It is looked at all the while the query runs.
#[derive(Debug)]
pub struct Gate {
    began: Instant,
    time: Duration,
    /// How long the query waited for its reader, in microseconds; that does not count.
    waited: AtomicU64,
    closed: AtomicBool,
}

/// Why a query was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its time was up.
    Late,
    /// Nobody waits for it.
    Unwanted,
}

impl Gate {
    /// A query may work for so long, from now on.
    pub fn new(time: Duration) -> Gate {
        Gate { began: Instant::now(), time, waited: AtomicU64::new(0), closed: AtomicBool::new(false) }
    }

    /// Ends the query: nobody waits for it.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Waits for the reader of the answer, which is no work of the query.
    pub fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = wait();
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.waited.fetch_add(took, Ordering::Relaxed);
        done
    }

    /// How long the query may work.
    pub(super) fn time(&self) -> Duration {
        self.time
    }

    /// Whether the query has to end, and why.
    pub(super) fn ended(&self) -> Option<Ended> {
        if self.closed.load(Ordering::Relaxed) {
            return Some(Ended::Unwanted);
        }
        let waited = Duration::from_micros(self.waited.load(Ordering::Relaxed));
        (self.began.elapsed().saturating_sub(waited) >= self.time).then_some(Ended::Late)
    }
}
