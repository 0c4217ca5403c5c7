//! Owns the read barrier: from which log index on a linearizable read may be answered.
//!
//! All reads that wait at one moment share one round (`read_index`); a read that comes while
//! a round is under way waits for the next, since the round may have begun first.
//! A round is messages and wake-ups on every node, so whoever is ready to ask goes before it.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

use super::batcher::after_the_ready;
use crate::model::{Code, Failure};

type Waiter = oneshot::Sender<Result<u64, Failure>>;

/// The most reads that wait for one round.
const QUEUE: usize = 16_384;

/// The queue in front of the rounds.
#[derive(Clone)]
pub(crate) struct Barrier {
    queue: mpsc::Sender<Waiter>,
}

impl Barrier {
    /// Starts answering; `round` is one ReadIndex round.
    pub(crate) fn start<R, F>(round: R) -> Barrier
    where
        R: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<u64, Failure>> + Send + 'static,
    {
        let (queue, mut waiting) = mpsc::channel::<Waiter>(QUEUE);
        tokio::spawn(async move {
            while let Some(first) = waiting.recv().await {
                after_the_ready().await;
                let mut waiters = vec![first];
                while let Ok(next) = waiting.try_recv() {
                    waiters.push(next);
                }
                let outcome = round().await;
                for waiter in waiters {
                    // The reader may have given up.
                    let _ = waiter.send(outcome.clone());
                }
            }
        });
        Barrier { queue }
    }

    /// The log index that must be applied before a read that begins now is answered.
    pub(crate) async fn index(&self) -> Result<u64, Failure> {
        let (waiter, answer) = oneshot::channel();
        if self.queue.try_send(waiter).is_err() {
            return Err(Failure::new(Code::Overloaded, "too many reads are waiting").hint("try again in a moment"));
        }
        answer.await.unwrap_or_else(|_| Err(Failure::new(Code::ShuttingDown, "the node is shutting down")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;

    /// A barrier whose rounds end when they are told to, with the index that they are told.
    fn barrier() -> (Barrier, mpsc::UnboundedReceiver<oneshot::Sender<u64>>) {
        let (began, rounds) = mpsc::unbounded_channel();
        let round = move || {
            let (end, ended) = oneshot::channel();
            began.send(end).unwrap();
            async move { Ok(ended.await.unwrap()) }
        };
        (Barrier::start(round), rounds)
    }

    /// So many reads, each of which first has something else to do.
    fn read(barrier: &Barrier, reads: usize) -> JoinSet<u64> {
        let barrier = Arc::new(barrier.clone());
        let read = |barrier: Arc<Barrier>| async move {
            tokio::task::yield_now().await;
            barrier.index().await.unwrap()
        };
        (0..reads).map(|_| read(barrier.clone())).collect()
    }

    #[tokio::test]
    async fn a_read_that_comes_while_a_round_is_under_way_waits_for_the_next() {
        let (barrier, mut rounds) = barrier();
        let first = read(&barrier, 3);
        let round = rounds.recv().await.unwrap();
        let second = read(&barrier, 2);
        // They ask now, and no second round begins beside the first.
        after_the_ready().await;
        assert!(rounds.try_recv().is_err());
        round.send(7).unwrap();
        assert_eq!(first.join_all().await, [7; 3]);
        rounds.recv().await.unwrap().send(8).unwrap();
        assert_eq!(second.join_all().await, [8; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_are_ready_share_the_round_of_the_first() {
        let (barrier, mut rounds) = barrier();
        let first = tokio::spawn({
            let barrier = barrier.clone();
            async move { barrier.index().await.unwrap() }
        });
        let others = read(&barrier, 20);
        rounds.recv().await.unwrap().send(9).unwrap();
        assert_eq!(first.await.unwrap(), 9);
        let others = tokio::time::timeout(Duration::from_secs(1), others.join_all()).await;
        assert_eq!(others.expect("no second round is needed"), [9; 20]);
    }
}
