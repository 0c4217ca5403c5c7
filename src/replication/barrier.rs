//! Owns the read barrier: from which log index on a linearizable read may be answered.
//!
//! ReadIndex (Raft dissertation, section 6.4): the leader notes its commit index and makes sure,
//! with a quorum, that it still leads. All reads that wait at one moment share one round; a read
//! that comes while a round is under way waits for the next, since the round may have begun first.

use std::future::Future;

use tokio::sync::{mpsc, oneshot};

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
