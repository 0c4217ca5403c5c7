//! Owns the stream of log entries to one follower: several requests under way at a time, in order, and
//! the news of a commit travelling with the next entries.
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
use super::timer::Timer;
use super::types::TypeConfig;

/// How many requests are under way to a follower at a time.
const WINDOW: usize = 8;
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
    let answers = with_news(input, peer.hurry()).map(move |request| {
        let option = option.clone();
        async move {
            let before = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id).or(before);
            Ok(peer.append(request, &option).await?.into_stream_result(before, last))
        }
    });
    Box::pin(answers.buffered(WINDOW))
}

/// The requests of `input`, less those without entries that another followed within a moment. `hurry` ends the
/// waiting: somebody needs to know.
fn with_news<S>(input: S, hurry: Arc<Notify>) -> impl Stream<Item = Append> + Send
where
    S: Stream<Item = Append> + Send + Unpin,
{
    stream::unfold((input.fuse(), hurry, Timer::new()), async |(mut input, hurry, mut timer)| {
        let mut request = input.next().await?;
        if request.entries.is_empty() {
            let more = async {
                tokio::select! {
                    biased;
                    next = input.next() => next,
                    () = hurry.notified() => None,
                }
            };
            // At the end of the stream the news goes out as it is.
            request = timer.within(NEWS_WAIT, more).await.flatten().unwrap_or(request);
        }
        Some((request, (input, hurry, timer)))
    })
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry as _;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::super::types::{Entry, LogId, Vote};
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

    /// A stream into which requests are put by hand, and what comes out of it.
    fn line() -> (mpsc::UnboundedSender<Append>, Arc<Notify>, impl Stream<Item = Append> + Unpin) {
        let (put, mut taken) = mpsc::unbounded_channel();
        let hurry = Arc::new(Notify::new());
        let input = stream::poll_fn(move |cx| taken.poll_recv(cx));
        (put, hurry.clone(), Box::pin(with_news(input, hurry)))
    }

    #[tokio::test(start_paused = true)]
    async fn news_travels_with_the_entries_that_follow_at_once() {
        let (put, _hurry, mut out) = line();
        for request in [request(1, 2), request(2, 0), request(3, 1), request(4, 0), request(5, 0)] {
            put.send(request).unwrap();
        }
        drop(put);
        let got: Vec<_> = out.by_ref().map(|request| told(&request)).collect().await;
        assert_eq!(got, [(1, 2), (3, 1), (5, 0)], "no entry and no commit is lost");
    }

    #[tokio::test(start_paused = true)]
    async fn news_that_nothing_follows_goes_alone_after_a_moment() {
        let (put, _hurry, mut out) = line();
        put.send(request(7, 0)).unwrap();
        let began = Instant::now();
        assert_eq!(out.next().await.map(|request| told(&request)), Some((7, 0)));
        assert!(began.elapsed() >= NEWS_WAIT && began.elapsed() < NEWS_WAIT * 3, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn news_that_somebody_waits_for_goes_at_once() {
        let (put, hurry, mut out) = line();
        put.send(request(7, 0)).unwrap();
        hurry.notify_one();
        let began = Instant::now();
        assert_eq!(out.next().await.map(|request| told(&request)), Some((7, 0)));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
