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
    stream::unfold((input.fuse(), hurry), async |(mut input, hurry)| {
        let mut request = input.next().await?;
        if request.entries.is_empty() {
            tokio::select! {
                biased;
                // At the end of the stream the news goes out as it is.
                next = input.next() => request = next.unwrap_or(request),
                () = hurry.notified() => {}
                () = tokio::time::sleep(NEWS_WAIT) => {}
            }
        }
        Some((request, (input, hurry)))
    })
}
