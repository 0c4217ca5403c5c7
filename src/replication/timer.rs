//! Owns a timer for short waits that follow each other closely, as those of every batch.
//!
//! tokio wakes its driver for each new timer that would be the first to go off, by a write to an event file and one more
//! round of polling. A timer that has not gone off yet is put off without any of that.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// A timer that is used again and again.
pub(super) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    pub(super) fn new() -> Timer {
        Timer(Box::pin(sleep(Duration::ZERO)))
    }

    /// What `future` comes to, or `None` where it takes longer than `limit`.
    pub(super) async fn within<F: Future>(&mut self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut set = false;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if !std::mem::replace(&mut set, true) {
                self.0.as_mut().reset(Instant::now() + limit);
            }
            self.0.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_what_is_waited_for_or_at_its_own_limit_whatever_was_waited_for_before() {
        let mut timer = Timer::new();
        assert_eq!(timer.within(Duration::ZERO, ready(1)).await, Some(1), "what is there needs no time");
        for (limit, takes) in [(9, 2), (5, 4), (1, 5), (30, 29), (3, 4), (2, 1)]
            .map(|(a, b): (u64, u64)| (Duration::from_millis(a), Duration::from_millis(b)))
        {
            let began = Instant::now();
            let ended = timer.within(limit, sleep(takes)).await;
            assert_eq!(ended.is_some(), takes < limit, "{takes:?} within {limit:?}");
            assert_eq!(began.elapsed(), takes.min(limit));
        }
        assert_eq!(timer.within(Duration::from_millis(1), pending::<()>()).await, None);
    }
}
