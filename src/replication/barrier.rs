//! Owns the read barrier: from which log index on a linearizable read may be answered.
//!
//! All reads that wait at one moment share one round (`read_index`), or two where they are many; a read that comes
//! while a round is under way waits for the next, since the round may have begun first.
//! A round is messages and wake-ups on every node, so whoever is ready to ask goes before it.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{maybe_done, select};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::batcher::after_the_ready;
use super::timer::Timer;
use crate::model::{Code, Failure};

/// The most reads that come between two looks at the queue.
const QUEUE: usize = 16_384;

/// How many reads are many; so few in debug builds that tests and the simulation have as many.
const MANY: usize = if cfg!(debug_assertions) { 4 } else { 32 };

/// What a read takes to be answered, at least, on the cores of a small machine together; as long as any round in debug builds.
const ANSWERED: Duration = if cfg!(debug_assertions) { Duration::from_secs(1) } else { Duration::from_micros(2) };

/// How late a read may be told that its time is over.
const LATE: Duration = Duration::from_millis(10);

/// Why a read has no index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missed {
    /// Its time is over.
    Late,
    /// It cannot be had.
    Failed(Failure),
}

impl Missed {
    /// The node ends first.
    pub(super) fn shutting_down() -> Missed {
        Missed::Failed(Failure::new(Code::ShuttingDown, "the node is shutting down"))
    }
}

type Answer = Result<u64, Missed>;

/// A read that waits. Most rounds take far less than any read has time for, so the deadlines of all are looked at
/// together, now and then, and none needs a timer.
struct Waiter {
    until: Instant,
    answer: oneshot::Sender<Answer>,
}

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
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(answer(waiting, round));
        Barrier { queue }
    }

    /// The log index that must be applied before a read that begins now is answered; `Missed::Late` a moment after
    /// `until` at the latest.
    pub(crate) async fn index(&self, until: Instant) -> Answer {
        let (answer, waits) = oneshot::channel();
        if self.queue.try_send(Waiter { until, answer }).is_err() {
            let full = Failure::new(Code::Overloaded, "too many reads are waiting").hint("try again in a moment");
            return Err(Missed::Failed(full));
        }
        waits.await.unwrap_or_else(|_| Err(Missed::shutting_down()))
    }
}

/// Those of a round that has ended, and how.
type Ended = (Vec<Waiter>, Answer);

/// Answers reads, a round for all that wait at a time, but for a half where they are many.
async fn answer<F>(mut queue: mpsc::Receiver<Waiter>, round: impl Fn() -> F)
where
    F: Future<Output = Result<u64, Failure>>,
{
    let mut timer = Timer::new();
    let mut waiters = Vec::new();
    let mut ended: Option<Ended> = None;
    let mut took = Duration::MAX;
    loop {
        if ended.is_none() {
            if waiters.is_empty() {
                match queue.recv().await {
                    Some(first) => waiters.push(first),
                    None => return,
                }
            }
            after_the_ready().await;
            take(&mut queue, &mut waiters);
        }
        let all = waiters.len() + ended.as_ref().map_or(0, |(before, _)| before.len());
        let mut later = waiters.split_off(share(all, took).min(waiters.len()));
        let began = Instant::now();
        let mut round = pin!(maybe_done(round()));
        if let Some((before, outcome)) = ended.take() {
            // It is on its way by then.
            let ready = pin!(after_the_ready());
            let _ = select(&mut round, ready).await;
            tell(before, &outcome);
        }
        while timer.within(LATE, &mut round).await.is_none() {
            take(&mut queue, &mut later);
            send_away(&mut waiters);
            send_away(&mut later);
        }
        let outcome = round.take_output().expect("it is over").map_err(Missed::Failed);
        took = began.elapsed();
        let before = std::mem::replace(&mut waiters, later);
        take(&mut queue, &mut waiters);
        if waiters.len() < MANY / 2 {
            tell(before, &outcome);
        } else {
            ended = Some((before, outcome));
        }
    }
}

/// How many of the reads under way take part in one round, if the last one took so long. Where that is less than to
/// answer many, half of them wait for a round while the other half is answered, and the node is never idle.
fn share(all: usize, took: Duration) -> usize {
    if all < MANY || took > ANSWERED * all as u32 { all } else { all.div_ceil(2) }
}

fn tell(waiters: Vec<Waiter>, outcome: &Answer) {
    for waiter in waiters {
        // The reader may have given up.
        let _ = waiter.answer.send(outcome.clone());
    }
}

/// Takes all that is queued.
fn take(queue: &mut mpsc::Receiver<Waiter>, waiters: &mut Vec<Waiter>) {
    while let Ok(next) = queue.try_recv() {
        waiters.push(next);
    }
}

/// Tells those whose time is over, and forgets those that have given up.
fn send_away(waiters: &mut Vec<Waiter>) {
    let now = Instant::now();
    for late in waiters.extract_if(.., |waiter| waiter.until <= now || waiter.answer.is_closed()) {
        // The reader may have given up.
        let _ = late.answer.send(Err(Missed::Late));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    fn in_a_second() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

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
            barrier.index(in_a_second()).await.unwrap()
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
            async move { barrier.index(in_a_second()).await.unwrap() }
        });
        let others = read(&barrier, 20);
        rounds.recv().await.unwrap().send(9).unwrap();
        assert_eq!(first.await.unwrap(), 9);
        let others = tokio::time::timeout(Duration::from_secs(1), others.join_all()).await;
        assert_eq!(others.expect("no second round is needed"), [9; 20]);
    }

    #[test]
    fn many_reads_share_out_where_a_round_takes_less_than_their_answers() {
        let most = ANSWERED * 65;
        for (all, took, share) in [
            (MANY - 1, Duration::ZERO, MANY - 1),
            (MANY, Duration::ZERO, MANY / 2),
            (65, most, 33),
            (65, most + Duration::from_nanos(1), 65),
            (1_000, Duration::MAX, 1_000),
        ] {
            assert_eq!(super::share(all, took), share, "{all} reads, {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_many_reads_wait_for_a_round_of_their_own() {
        let (barrier, mut rounds) = barrier();
        // The first round tells how long they take.
        for (reads, answers) in [(1, vec![1]), (64, [[2; 32], [3; 32]].concat()), (3, vec![4; 3])] {
            let reads = read(&barrier, reads);
            let mut indexes = answers.clone();
            indexes.dedup();
            for index in indexes {
                let round = tokio::time::timeout(Duration::from_secs(1), rounds.recv()).await;
                round.expect("a round for those left").unwrap().send(index).unwrap();
            }
            let mut answered = reads.join_all().await;
            answered.sort_unstable();
            assert_eq!(answered, answers);
        }
    }

    #[tokio::test]
    async fn each_read_is_answered_by_a_round_that_began_after_it() {
        let begun = Arc::new(AtomicU64::new(0));
        let barrier = Barrier::start({
            let begun = begun.clone();
            move || {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                async move {
                    for _ in 0..number % 7 {
                        tokio::task::yield_now().await;
                    }
                    Ok(number)
                }
            }
        });
        let mut readers = JoinSet::new();
        for reader in 0..40 {
            let (barrier, begun) = (barrier.clone(), begun.clone());
            readers.spawn(async move {
                for read in 0..50 {
                    let before = begun.load(Ordering::Relaxed);
                    let number = barrier.index(in_a_second()).await.unwrap();
                    assert!(number >= before, "round {number}, though {before} had begun");
                    for _ in 0..(reader * read) % 5 {
                        tokio::task::yield_now().await;
                    }
                }
            });
        }
        readers.join_all().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_is_told_when_its_time_is_over_whichever_round_it_waits_for() {
        let (barrier, mut rounds) = barrier();
        let began = Instant::now();
        let wait = |millis| {
            let barrier = barrier.clone();
            async move {
                let index = barrier.index(began + Duration::from_millis(millis)).await;
                (index, began.elapsed().as_millis() as u64)
            }
        };
        let (short, long) = (tokio::spawn(wait(55)), tokio::spawn(wait(900)));
        let round = rounds.recv().await.unwrap();
        // While that round is under way.
        let (next_short, next_long) = (tokio::spawn(wait(75)), tokio::spawn(wait(900)));
        for (read, until) in [(short, 55), (next_short, 75)] {
            let told = tokio::time::timeout(Duration::from_secs(1), read).await;
            let (index, at) = told.expect("it is told").unwrap();
            assert_eq!(index, Err(Missed::Late));
            assert!((until..=until + LATE.as_millis() as u64).contains(&at), "{at} ms, not {until}");
        }
        round.send(7).unwrap();
        assert_eq!(long.await.unwrap().0, Ok(7));
        rounds.recv().await.unwrap().send(8).unwrap();
        assert_eq!(next_long.await.unwrap().0, Ok(8));
    }
}
