//! Owns the gathering of items into batches: one entry, or one forwarded message, for all that waits.
//!
//! While a batch is under way, newly submitted items gather; so under load a batch carries many
//! writes, and a lone write goes out at once. Most of what a batch costs (messages, syncs, wake-ups on three nodes) is
//! the same for one write and for a hundred. Where a batch takes long, a slow disk or a far
//! peer, the next ones follow it all the same, so that what waits is the disk or the wire and not a queue.
//! Two followers that forward much would have a batch each, by turns, and twice as many of them: so a batch with much
//! in it waits a moment for the one of the batch before, which as a rule was answered just now and forwards again.
//! And those who write through a follower would fall apart into many and few, by turns: so once it has much answered, the
//! next batch that it forwards waits a moment to be as large as the one after it. One is under way while the other is answered.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::Instant;

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
/// How long a batch waits for those who are expected to be in it, up to a tick of the timer more, which is as long.
const LATE: Duration = Duration::from_millis(1);
/// How many items make much.
const MUCH: usize = 8;
/// For how many batches nobody is waited for again once that was in vain.
const RESPITE: u32 = 8;
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
    /// The node that forwards them, where another does.
    from: Option<u64>,
    reply: Reply,
}

/// The queue in front of a way to deliver batches.
#[derive(Clone)]
pub(crate) struct Batcher {
    queue: mpsc::Sender<Submission>,
}

impl Batcher {
    /// Starts gathering; batches wait for who is `expected`, and go through `deliver`.
    pub(crate) fn start<D, F>(expected: Expected, deliver: D) -> Batcher
    where
        D: Fn(Batch, usize, Place) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Answers, Refusal>> + Send + 'static,
    {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(gather(waiting, expected, deliver));
        Batcher { queue }
    }

    /// Submits items, of another node's where it forwards them, and waits for their answers.
    pub(crate) async fn submit(&self, items: Bytes, count: usize, from: Option<u64>) -> Result<Answers, Refusal> {
        let (reply, answers) = oneshot::channel();
        if let Err(e) = self.queue.try_send(Submission { items, count, from, reply }) {
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

async fn gather<D, F>(mut waiting: mpsc::Receiver<Submission>, mut expected: Expected, deliver: D)
where
    D: Fn(Batch, usize, Place) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Answers, Refusal>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut timer = Timer::new();
    let mut before: Option<JoinHandle<Instant>> = None;
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
        let ended = match before.take() {
            // However it ended, whoever submitted has been told.
            Some(before) => timer.within(PATIENCE, before).await.and_then(Result::ok),
            None => None,
        };
        after_the_ready().await;
        if expected.come_again(ended) {
            // What they send now is read a little later.
            after_the_ready().await;
        }
        expected.begin(first.count + waiting.len());
        let mut gathered = Gathered::new(first);
        let late = Instant::now() + LATE;
        let mut waited = false;
        while let Some(next) = match waiting.try_recv() {
            Err(_) if Instant::now() < late && expected.lack(&gathered) => {
                waited = true;
                timer.within(late - Instant::now(), waiting.recv()).await.flatten()
            }
            next => next.ok(),
        } {
            held = gathered.add(next);
            if held.is_some() {
                break;
            }
        }
        expected.note(&gathered, waited);
        let count = gathered.count;
        let (batch, replies) = gathered.finish();
        let delivery = deliver(batch, count, place);
        before = Some(tokio::spawn(async move {
            answer(delivery.await, count, replies);
            Instant::now()
        }));
    }
}

/// The submissions of one batch.
struct Gathered {
    submissions: Vec<Submission>,
    bytes: usize,
    count: usize,
}

impl Gathered {
    fn new(first: Submission) -> Gathered {
        Gathered { bytes: first.items.len(), count: first.count, submissions: vec![first] }
    }

    /// Adds a submission, or gives it back where it would be too much.
    fn add(&mut self, next: Submission) -> Option<Submission> {
        let (bytes, count) = (self.bytes + next.items.len(), self.count + next.count);
        if bytes > BATCH_BYTES || count > BATCH_ITEMS {
            return Some(next);
        }
        (self.bytes, self.count) = (bytes, count);
        self.submissions.push(next);
        None
    }

    /// Whether some of it is of that node's, which forwards again once it is answered.
    fn has(&self, node: u64) -> bool {
        self.submissions.iter().any(|submission| submission.from == Some(node))
    }

    /// The batch, and whom to answer. A lone submission's bytes are passed on as they are.
    fn finish(self) -> (Batch, Vec<(usize, Reply)>) {
        let batch = match &self.submissions[..] {
            [lone] => lone.items.clone(),
            all => {
                let mut bytes = BytesMut::with_capacity(self.bytes);
                all.iter().for_each(|submission| bytes.extend_from_slice(&submission.items));
                bytes.freeze()
            }
        };
        (Batch(batch), self.submissions.into_iter().map(|submission| (submission.count, submission.reply)).collect())
    }
}

/// Who is about to submit again, as they were in the batch before.
pub(crate) enum Expected {
    /// The nodes that forwarded much in it.
    Nodes {
        nodes: Vec<u64>,
        /// For how many batches nobody is waited for.
        respite: u32,
    },
    /// Those who write through this node.
    Writers {
        /// How many items that batch had.
        last: usize,
        /// How many items make half of those and of what waits.
        half: usize,
    },
}

impl Expected {
    /// For batches that other nodes forward to.
    pub(crate) fn nodes() -> Expected {
        Expected::Nodes { nodes: Vec::new(), respite: 0 }
    }

    /// For batches that are forwarded.
    pub(crate) fn writers() -> Expected {
        Expected::Writers { last: 0, half: 0 }
    }

    /// Whether many writers come again, as their batch ended just now.
    fn come_again(&mut self, ended: Option<Instant>) -> bool {
        let Expected::Writers { last, .. } = self else { return false };
        if *last < MUCH || ended.is_none_or(|ended| ended.elapsed() > LATE) {
            *last = 0;
        }
        *last > 0
    }

    /// Begins with a batch for which so many items wait.
    fn begin(&mut self, waiting: usize) {
        if let Expected::Writers { last, half } = self {
            *half = if *last > 0 { (*last + waiting) / 2 } else { 0 };
        }
    }

    /// Whether a batch is still without some of them.
    fn lack(&self, gathered: &Gathered) -> bool {
        match self {
            Expected::Nodes { nodes, respite } => {
                *respite == 0 && gathered.count >= MUCH && !nodes.iter().all(|node| gathered.has(*node))
            }
            Expected::Writers { half, .. } => gathered.count < *half,
        }
    }

    /// Notes a batch, and whether somebody was waited for.
    fn note(&mut self, gathered: &Gathered, waited: bool) {
        let in_vain = waited && self.lack(gathered);
        match self {
            Expected::Nodes { nodes, respite } => {
                *respite = if in_vain { RESPITE } else { respite.saturating_sub(1) };
                let much = gathered.submissions.iter().filter(|submission| submission.count >= MUCH);
                *nodes = much.filter_map(|submission| submission.from).collect();
            }
            // Those who did not come again make it smaller, and fewer are waited for.
            Expected::Writers { last, .. } => *last = gathered.count,
        }
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
    fn batcher(expected: Expected) -> (Batcher, mpsc::UnboundedReceiver<(usize, oneshot::Sender<()>)>) {
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
        (Batcher::start(expected, deliver), batches)
    }

    /// Submits so many items, each by itself.
    fn submit(batcher: &Batcher, items: usize) {
        for _ in 0..items {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.submit(Bytes::from_static(b"item"), 1, None).await });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_a_batch_is_under_way_makes_the_next_one() {
        let (batcher, mut batches) = batcher(Expected::nodes());
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
        let (batcher, mut batches) = batcher(Expected::nodes());
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

    /// Submits so many items of another node's, as one.
    fn forward(batcher: &Batcher, from: u64, count: usize) {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.submit(Bytes::from_static(b"items"), count, Some(from)).await });
    }

    /// Ends the next batch, which begins after so long, and tells how large it is.
    async fn next(batches: &mut mpsc::UnboundedReceiver<(usize, oneshot::Sender<()>)>, after: Duration) -> usize {
        let began = Instant::now();
        let (count, end) = batches.recv().await.unwrap();
        end.send(()).unwrap();
        assert_eq!(began.elapsed(), after, "{count}");
        count
    }

    /// Does something with the batcher once a batch of what is there would have begun.
    fn later(batcher: &Batcher, submit: impl FnOnce(&Batcher) + Send + 'static) {
        let batcher = batcher.clone();
        tokio::spawn(async move {
            for _ in 0..4 {
                after_the_ready().await;
            }
            submit(&batcher);
        });
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_forwarded_waits_a_moment_to_be_half_of_those_who_write() {
        let (batcher, mut batches) = batcher(Expected::writers());
        submit(&batcher, 3 * MUCH);
        let (count, end) = batches.recv().await.unwrap();
        assert_eq!(count, 3 * MUCH);
        submit(&batcher, MUCH);
        end.send(()).unwrap();
        later(&batcher, |batcher| submit(batcher, MUCH));
        assert_eq!(next(&mut batches, Duration::ZERO).await, 2 * MUCH, "some of those answered came again meanwhile");
        submit(&batcher, 2 * MUCH);
        assert_eq!(next(&mut batches, Duration::ZERO).await, 2 * MUCH, "half of them wait for nobody");
        submit(&batcher, 1);
        assert_eq!(next(&mut batches, LATE).await, 1, "in vain");
        submit(&batcher, MUCH - 1);
        assert_eq!(next(&mut batches, Duration::ZERO).await, MUCH - 1, "one is not much");
        submit(&batcher, 1);
        assert_eq!(next(&mut batches, Duration::ZERO).await, 1, "nor are these");
        submit(&batcher, MUCH);
        assert_eq!(next(&mut batches, Duration::ZERO).await, MUCH);
        tokio::time::sleep(2 * LATE).await;
        submit(&batcher, 1);
        assert_eq!(next(&mut batches, Duration::ZERO).await, 1, "who was answered longer ago does not come");
    }

    #[tokio::test(start_paused = true)]
    async fn who_writes_on_while_many_wait_for_a_batch_that_takes_long_waits_for_none_of_them() {
        let (batcher, mut batches) = batcher(Expected::writers());
        submit(&batcher, 2 * MUCH);
        let (_, _under_way) = batches.recv().await.unwrap();
        submit(&batcher, 1);
        assert_eq!(next(&mut batches, PATIENCE).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_a_moment_for_a_node_that_forwarded_much_in_the_one_before() {
        let (batcher, mut batches) = batcher(Expected::nodes());
        let mut next = async |after: Duration| next(&mut batches, after).await;
        let both = |second: usize| {
            forward(&batcher, 2, MUCH);
            forward(&batcher, 3, second);
        };
        both(MUCH);
        assert_eq!(next(Duration::ZERO).await, 2 * MUCH, "who is ready is not waited for");
        forward(&batcher, 2, MUCH);
        later(&batcher, |batcher| forward(batcher, 3, MUCH));
        assert_eq!(next(Duration::ZERO).await, 2 * MUCH, "the third node's came while it was waited for");
        forward(&batcher, 2, MUCH - 1);
        assert_eq!(next(Duration::ZERO).await, MUCH - 1, "few wait for nobody");
        both(MUCH - 1);
        assert_eq!(next(Duration::ZERO).await, 2 * MUCH - 1);
        forward(&batcher, 2, MUCH);
        assert_eq!(next(Duration::ZERO).await, MUCH, "nobody waits for few");
        both(MUCH);
        assert_eq!(next(Duration::ZERO).await, 2 * MUCH);
        forward(&batcher, 2, MUCH);
        assert_eq!(next(LATE).await, MUCH, "in vain");
        for _ in 0..RESPITE {
            both(MUCH);
            assert_eq!(next(Duration::ZERO).await, 2 * MUCH);
        }
        forward(&batcher, 2, MUCH);
        assert_eq!(next(LATE).await, MUCH, "it may be waited for again");
        both(MUCH);
        assert_eq!(next(Duration::ZERO).await, 2 * MUCH);
        forward(&batcher, 3, MUCH);
        assert_eq!(next(Duration::ZERO).await, MUCH, "but not so soon");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_into_a_batch_was_waited_for_in_vain() {
        let (batcher, mut batches) = batcher(Expected::nodes());
        let large = BATCH_ITEMS / 2 + 1;
        forward(&batcher, 2, MUCH);
        forward(&batcher, 3, MUCH);
        let mut next = async || {
            let (count, end) = batches.recv().await.unwrap();
            end.send(()).unwrap();
            count
        };
        assert_eq!(next().await, 2 * MUCH);
        forward(&batcher, 2, large);
        later(&batcher, move |batcher| forward(batcher, 3, large));
        assert_eq!(next().await, large);
        let began = Instant::now();
        assert_eq!(next().await, large, "the third node's, without the second's");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_gave_its_place_back_holds_up_none() {
        let (began, mut batches) = mpsc::unbounded_channel();
        let batcher = Batcher::start(Expected::writers(), move |_, count, place| {
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
