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
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;

use super::types::{Answers, Batch};
use super::wire::Refusal;
use crate::model::{Code, Failure};

/// The most bytes that are gathered into one batch.
const BATCH_BYTES: usize = 1 << 20;
/// The most items that are gathered into one batch.
const BATCH_ITEMS: usize = 1024;
/// The most batches that are under way.
const IN_FLIGHT: usize = 8;
/// How long a batch waits for the one before it.
const PATIENCE: Duration = Duration::from_millis(5);
/// How often whoever is ready to submit goes first.
const COURTESIES: usize = 3;
/// The most submissions that wait; beyond it the door is closed.
const QUEUE: usize = 8192;

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
        D: Fn(Batch, usize) -> F + Send + Sync + 'static,
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

async fn gather<D, F>(mut waiting: mpsc::Receiver<Submission>, deliver: D)
where
    D: Fn(Batch, usize) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answers, Refusal>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
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
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        if let Some(before) = before.take() {
            // However it ended, whoever submitted has been told.
            let _ = timeout(PATIENCE, before).await;
        }
        for _ in 0..COURTESIES {
            yield_now().await;
        }
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
        let delivery = deliver(batch, count);
        before = Some(tokio::spawn(async move {
            let outcome = delivery.await;
            drop(slot);
            answer(outcome, count, replies);
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
