//! Owns what a node tells of its own disk: how long syncs take, how much it holds, what is free.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many of the last syncs are remembered.
const REMEMBERED: usize = 1_000;

/// How long the last syncs of a log took.
#[derive(Default)]
pub(crate) struct Pace(Mutex<VecDeque<u64>>);

impl Pace {
    /// Notes a sync.
    pub(crate) fn note(&self, took: Duration) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(took.as_micros() as u64);
    }

    /// The time, in microseconds, that 99 of 100 stayed within; `None` before the first.
    pub(crate) fn p99_us(&self) -> Option<u64> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times: Vec<u64> = last.iter().copied().collect();
        drop(last);
        let place = (times.len() * 99).div_ceil(100).checked_sub(1)?;
        Some(*times.select_nth_unstable(place).1)
    }
}

/// How many bytes the files below a directory have.
pub(crate) fn used(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => used(&entry.path()),
        Ok(about) => about.len(),
        // Gone meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_syncs() {
        let pace = Pace::default();
        assert_eq!(pace.p99_us(), None);
        pace.note(Duration::from_secs(9));
        assert_eq!(pace.p99_us(), Some(9_000_000));
        (1..=1_000).for_each(|ms| pace.note(Duration::from_millis(ms)));
        assert_eq!(pace.p99_us(), Some(990_000));
    }

    #[test]
    fn all_files_below_a_directory_count() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/b"), "123").unwrap();
        std::fs::write(dir.path().join("c"), "4567").unwrap();
        assert_eq!(used(dir.path()), 7);
    }
}
