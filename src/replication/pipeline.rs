//! Owns the stream of log entries to one follower: several requests under way at a time, in order, the news of
//! a commit travelling with the next entries, and rests between requests that no commit waits for.
//!
//! The follower takes requests off a connection in the order in which they were sent (`peers`), so the
//! next need not wait for the answer to the one before. A request without entries only tells how far the
//! leader has committed; under load entries follow at once and tell it too, so it waits a moment for them.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use openraft::base::BoxStream;
use openraft::error::RPCError;
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, StreamAppendResult};
use tokio::sync::Notify;

use super::network::Peer;
use super::types::{LogId, TypeConfig};

/// How many requests are under way to a follower at a time.
const WINDOW: usize = 8;
/// How long a follower rests between requests that no commit needs.
const REST: Duration = Duration::from_millis(3);
/// A request with so many entries is not followed by a rest: there may be more for one that is behind.
const MANY: usize = 64;
/// How long the news of a commit waits for entries to travel with.
const NEWS_WAIT: Duration = Duration::from_millis(1);

type Append = AppendEntriesRequest<TypeConfig>;
/// What became of a request, as openraft wants to hear it.
type Appended = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// Sends the requests of `input` to `peer`; their answers, in order. Who replicates stops at the first that
/// is no success, and what was sent after it is then refused by the follower, as its log lacks what comes before.
pub(super) fn send<'a, S>(peer: &'a Peer, input: S, option: RPCOption) -> BoxStream<'a, Appended>
where
    S: Stream<Item = Append> + Send + Unpin + 'static,
{
    let answers = paced(input, peer.hurry(), peer.can_wait()).map(move |request| {
        let option = option.clone();
        async move {
            let (before, last) = (request.prev_log_id, last_of(&request));
            let answer = peer.append(request, &option).await;
            let answer = answer.map(|answer| answer.into_stream_result(before, last));
            peer.note(matches!(answer, Ok(Ok(_))).then(|| last.map_or(0, |id| id.index)));
            answer
        }
    });
    Box::pin(answers.buffered(WINDOW))
}

/// The last log id that a follower has which took `request`.
fn last_of(request: &Append) -> Option<LogId> {
    request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id)
}

/// The requests of `input`, less those without entries that another followed within a moment, and a moment apart where
/// the follower `can_wait` for what it had been sent. `hurry` ends the waiting: somebody needs to know.
fn paced<S, F>(input: S, hurry: Arc<Notify>, can_wait: F) -> impl Stream<Item = Append> + Send
where
    S: Stream<Item = Append> + Send + Unpin,
    F: Fn(u64) -> bool + Send,
{
    let state = (input.fuse(), hurry, can_wait, 0, false);
    stream::unfold(state, async |(mut input, hurry, can_wait, before, rests)| {
        let hurried = rests && told_within(&hurry, REST).await;
        let mut request = input.next().await?;
        if request.entries.is_empty() && !hurried {
            tokio::select! {
                biased;
                // At the end of the stream the news goes out as it is.
                next = input.next() => request = next.unwrap_or(request),
                _ = told_within(&hurry, NEWS_WAIT) => {}
            }
        }
        // Asked of what was sent a request ago: others have had the time to answer that.
        let rests = (1..MANY).contains(&request.entries.len()) && can_wait(before);
        let before = last_of(&request).map_or(0, |id| id.index);
        Some((request, (input, hurry, can_wait, before, rests)))
    })
}

/// Waits so long, or until `hurry` is told: whether it was.
async fn told_within(hurry: &Notify, time: Duration) -> bool {
    tokio::time::timeout(time, hurry.notified()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry as _;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::super::types::{Entry, Vote};
    use super::*;

    /// News of a commit at `commit`, with so many entries.
    fn request(commit: u64, entries: u64) -> Append {
        let entry = |index| Entry::new(LogId::new_term_index(1, index), EntryPayload::Blank);
        Append {
            vote: Vote::new_committed(1, 1),
            prev_log_id: None,
            entries: (0..entries).map(entry).collect(),
            leader_commit: Some(LogId::new_term_index(1, commit)),
        }
    }

    fn told(request: &Append) -> (u64, usize) {
        (request.leader_commit.map_or(0, |id| id.index), request.entries.len())
    }

    /// A stream into which requests are put by hand, and what comes out of it for a follower that `can_wait`.
    fn line(
        can_wait: impl Fn(u64) -> bool + Send,
    ) -> (mpsc::UnboundedSender<Append>, Arc<Notify>, impl Stream<Item = Append> + Unpin) {
        let (put, mut taken) = mpsc::unbounded_channel();
        let hurry = Arc::new(Notify::new());
        let input = stream::poll_fn(move |cx| taken.poll_recv(cx));
        (put, hurry.clone(), Box::pin(paced(input, hurry, can_wait)))
    }

    /// How long the next request takes to come.
    async fn next_after(out: &mut (impl Stream<Item = Append> + Unpin)) -> Duration {
        let began = Instant::now();
        out.next().await.unwrap();
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_rests_while_it_can_wait_for_what_it_was_sent_a_request_ago() {
        // The others have what came up to the log index 5.
        let (put, hurry, mut out) = line(|index| index <= 5);
        let rested = |time: Duration| time >= REST && time < REST * 2;
        for (prev, entries) in [(0, 5), (5, 2), (7, 1), (8, 1)] {
            let prev_log_id = Some(LogId::new_term_index(1, prev));
            let entry = |index| Entry::new(LogId::new_term_index(1, index), EntryPayload::Blank);
            let entries = (prev + 1..=prev + entries).map(entry).collect();
            put.send(Append { prev_log_id, entries, ..request(0, 0) }).unwrap();
        }
        assert_eq!(next_after(&mut out).await, Duration::ZERO);
        assert!(rested(next_after(&mut out).await), "nothing was sent before the first");
        assert!(rested(next_after(&mut out).await), "the others have what the first brought");
        assert_eq!(next_after(&mut out).await, Duration::ZERO, "but not what the second did");
        put.send(request(9, 1)).unwrap();
        put.send(request(9, 1)).unwrap();
        next_after(&mut out).await;
        hurry.notify_one();
        assert_eq!(next_after(&mut out).await, Duration::ZERO, "somebody needs it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_catches_up_does_not_rest() {
        let (put, _hurry, mut out) = line(|_| true);
        put.send(request(1, MANY as u64)).unwrap();
        put.send(request(1, 1)).unwrap();
        put.send(request(1, 1)).unwrap();
        assert_eq!(next_after(&mut out).await, Duration::ZERO);
        assert_eq!(next_after(&mut out).await, Duration::ZERO);
        assert!(next_after(&mut out).await >= REST);
    }

    #[tokio::test(start_paused = true)]
    async fn news_travels_with_the_entries_that_follow_at_once() {
        let (put, _hurry, mut out) = line(|_| false);
        for request in [request(1, 2), request(2, 0), request(3, 1), request(4, 0), request(5, 0)] {
            put.send(request).unwrap();
        }
        drop(put);
        let got: Vec<_> = out.by_ref().map(|request| told(&request)).collect().await;
        assert_eq!(got, [(1, 2), (3, 1), (5, 0)], "no entry and no commit is lost");
    }

    #[tokio::test(start_paused = true)]
    async fn news_that_nothing_follows_goes_alone_after_a_moment() {
        let (put, _hurry, mut out) = line(|_| false);
        put.send(request(7, 0)).unwrap();
        let began = Instant::now();
        assert_eq!(out.next().await.map(|request| told(&request)), Some((7, 0)));
        assert!(began.elapsed() >= NEWS_WAIT && began.elapsed() < NEWS_WAIT * 3, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn news_that_somebody_waits_for_goes_at_once() {
        let (put, hurry, mut out) = line(|_| false);
        put.send(request(7, 0)).unwrap();
        hurry.notify_one();
        let began = Instant::now();
        assert_eq!(out.next().await.map(|request| told(&request)), Some((7, 0)));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
