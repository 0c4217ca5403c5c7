//! Owns the gathering of items into batches: one entry, or one forwarded message, for all that waits.
//!
//! While a batch is under way, newly submitted items gather; so under load a batch carries many
//! writes, and a lone write goes out at once. Most of what a batch costs (messages, syncs, wake-ups on three nodes) is
//! the same for one write and for a hundred. Where a batch takes long, a slow disk or a far
//! peer, the next ones follow it all the same, so that what waits is the disk or the wire and not a queue.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};

use super::timer::Timer;
use super::types::{Answers, Batch};
use super::wire::Refusal;
use crate::model::{Code, Failure};

/// The most bytes that are gathered into one batch.
const BATCH_BYTES: usize = 1 << 20;
/// The most items that are gathered into one batch.
const BATCH_ITEMS: usize = 1024;
/// The most batches that are under way, beside those that a lost leader owes an answer to.
const IN_FLIGHT: usize = 8;
/// How long a batch waits for the one before it.
const PATIENCE: Duration = Duration::from_millis(5);
/// How often whoever is ready to submit goes first.
const COURTESIES: usize = 3;
/// The most submissions that wait; beyond it the door is closed.
const QUEUE: usize = 8192;

/// The place of a batch that is under way among `IN_FLIGHT`; whoever delivers it gives it back.
pub(crate) type Place = OwnedSemaphorePermit;

type Reply = oneshot::Sender<Result<Answers, Refusal>>;

/// Some encoded items of one submitter.
struct Submission {
    items: Bytes,
    count: usize,
    reply: Reply,
}

/// The queue in front of a way to deliver batches.
#[derive(Clone)]
pub(crate) struct Batcher {
    queue: mpsc::Sender<Submission>,
}

impl Batcher {
    /// Starts gathering; batches go through `deliver`.
    pub(crate) fn start<D, F>(deliver: D) -> Batcher
    where
        D: Fn(Batch, usize, Place) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Answers, Refusal>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(gather(waiting, deliver));
        Batcher { queue }
    }

    /// Submits items and waits for their answers.
    pub(crate) async fn submit(&self, items: Bytes, count: usize) -> Result<Answers, Refusal> {
        let (reply, answers) = oneshot::channel();
        if let Err(e) = self.queue.try_send(Submission { items, count, reply }) {
            let full = matches!(e, mpsc::error::TrySendError::Full(_));
            return Err(Refusal::Refused(if full {
                Failure::new(Code::Overloaded, "too many writes are waiting; nothing was written")
                    .hint("try again in a moment")
            } else {
                Failure::new(Code::ShuttingDown, "the node is shutting down; nothing was written")
            }));
        }
        answers.await.unwrap_or_else(|_| Err(Refusal::Unknown("the node stopped".into())))
    }
}

/// Lets whoever is ready run first, so that what they submit is gathered too.
pub(super) async fn after_the_ready() {
    for _ in 0..COURTESIES {
        yield_now().await;
    }
}

async fn gather<D, F>(mut waiting: mpsc::Receiver<Submission>, deliver: D)
where
    D: Fn(Batch, usize, Place) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answers, Refusal>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut timer = Timer::new();
    let mut before: Option<JoinHandle<()>> = None;
    let mut held: Option<Submission> = None;
    loop {
        let first = match held.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let Ok(place) = places.clone().acquire_owned().await else { return };
        if let Some(before) = before.take() {
            // However it ended, whoever submitted has been told.
            let _ = timer.within(PATIENCE, before).await;
        }
        after_the_ready().await;
        let mut bytes = BytesMut::new();
        let mut items = first.items;
        let mut count = first.count;
        let mut replies = vec![(first.count, first.reply)];
        while let Ok(next) = waiting.try_recv() {
            let size = bytes.len().max(items.len()) + next.items.len();
            if size > BATCH_BYTES || count + next.count > BATCH_ITEMS {
                held = Some(next);
                break;
            }
            if bytes.is_empty() {
                bytes.extend_from_slice(&items);
                items = Bytes::new();
            }
            bytes.extend_from_slice(&next.items);
            count += next.count;
            replies.push((next.count, next.reply));
        }
        // A lone submission's bytes are passed on as they are.
        let batch = Batch(if bytes.is_empty() { items } else { bytes.freeze() });
        let delivery = deliver(batch, count, place);
        before = Some(tokio::spawn(async move {
            answer(delivery.await, count, replies);
        }));
    }
}

/// Gives each submitter its own part of the answers, or what became of all.
fn answer(outcome: Result<Answers, Refusal>, count: usize, replies: Vec<(usize, Reply)>) {
    let outcome = match outcome {
        Ok(answers) if answers.0.len() != count => {
            Err(Refusal::Unknown(format!("{} answers came for {count} writes", answers.0.len())))
        }
        other => other,
    };
    // Whoever submitted may have given up.
    match outcome {
        Ok(Answers(mut answers)) => {
            let mut answers = answers.drain(..);
            for (own, reply) in replies {
                let _ = reply.send(Ok(Answers(answers.by_ref().take(own).collect())));
            }
        }
        Err(refusal) => {
            for (_, reply) in replies {
                let _ = reply.send(Err(refusal.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// A batcher whose batches are told with their sizes, and end when they are told to.
    fn batcher() -> (Batcher, mpsc::UnboundedReceiver<(usize, oneshot::Sender<()>)>) {
        let (began, batches) = mpsc::unbounded_channel();
        let deliver = move |_, count, place| {
            let (end, ended) = oneshot::channel();
            began.send((count, end)).unwrap();
            async move {
                let _ = ended.await;
                drop(place);
                Err(Refusal::Unknown("of no matter".into()))
            }
        };
        (Batcher::start(deliver), batches)
    }

    /// Submits so many items, each by itself.
    fn submit(batcher: &Batcher, items: usize) {
        for _ in 0..items {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.submit(Bytes::from_static(b"item"), 1).await });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_a_batch_is_under_way_makes_the_next_one() {
        let (batcher, mut batches) = batcher();
        submit(&batcher, 1);
        let (count, end) = batches.recv().await.unwrap();
        assert_eq!(count, 1);
        submit(&batcher, 10);
        let began = Instant::now();
        yield_now().await;
        end.send(()).unwrap();
        assert_eq!(batches.recv().await.map(|(count, _)| count), Some(10));
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited longer than for the batch before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_takes_long_holds_up_the_next_ones_only_so_far() {
        let (batcher, mut batches) = batcher();
        let mut under_way = Vec::new();
        let began = Instant::now();
        for _ in 0..IN_FLIGHT {
            submit(&batcher, 1);
            under_way.push(batches.recv().await.unwrap());
        }
        assert!(began.elapsed() >= PATIENCE * (IN_FLIGHT as u32 - 1), "{:?}", began.elapsed());
        // All places are taken: more of them only gather.
        submit(&batcher, 3);
        assert!(timeout(PATIENCE * 20, batches.recv()).await.is_err());
        under_way.swap_remove(0).1.send(()).unwrap();
        assert_eq!(batches.recv().await.map(|(count, _)| count), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_gave_its_place_back_holds_up_none() {
        let (began, mut batches) = mpsc::unbounded_channel();
        let batcher = Batcher::start(move |_, count, place| {
            drop(place);
            began.send(count).unwrap();
            std::future::pending()
        });
        for _ in 0..=IN_FLIGHT {
            submit(&batcher, 1);
            assert_eq!(batches.recv().await, Some(1));
        }
    }
}
