//! Owns Raft's way to the peers: each RPC as one call on a link, with a deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, future, stream};
use openraft::base::{BoxFuture, BoxStream};
use openraft::error::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode, RaftNetworkFactory, RaftNetworkV2};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::applier::SnapshotData;
use super::dial::Dialer;
use super::link::{CallError, Link};
use super::pipeline;
use super::types::{TypeConfig, Vote};
use super::wire::{Request, Response};
use crate::mutants::{Mutant, on};
use crate::store::Export;
use crate::world::work;

/// How long installing a received snapshot may take.
const INSTALL_TIME: Duration = Duration::from_secs(120);
/// How long a peer that gets a snapshot may be silent, whatever it does with it, before that begins anew.
const STALLED: Duration = Duration::from_secs(2);
/// How many bytes of a snapshot a message has: so few that a narrow link brings each before it counts as silent.
const PIECE: usize = 16 << 10;
/// How many of them are under way at a time.
pub(super) const PIECES: usize = 16;
/// How long one of them may take, with those before it.
const PIECE_TIME: Duration = Duration::from_secs(60);

/// The links to the peers. Raft's messages and the clients' have a connection each, so that a
/// large forwarded batch does not hold up a heartbeat.
pub(crate) struct Network {
    dialer: Arc<Dialer>,
    raft: Mutex<BTreeMap<u64, Link>>,
    service: Mutex<BTreeMap<u64, Link>>,
    /// Told when a peer waits for the news of a commit.
    hurry: Mutex<BTreeMap<u64, Arc<Notify>>>,
    /// The least time an RPC gets, whatever openraft would allow it: a sync may take long.
    patience: Duration,
}

impl Network {
    /// Links that `dialer` opens.
    pub(crate) fn new(dialer: Arc<Dialer>, patience: Duration) -> Network {
        Network { dialer, raft: Mutex::default(), service: Mutex::default(), hurry: Mutex::default(), patience }
    }

    /// The link for forwarded writes, reads and questions.
    pub(crate) fn service(&self, peer: u64) -> Link {
        self.link(&self.service, peer)
    }

    /// Has news of a commit that waits for entries to travel with sent to `peer` at once.
    pub(crate) fn hurry(&self, peer: u64) {
        self.hurry_of(peer).notify_one();
    }

    fn hurry_of(&self, peer: u64) -> Arc<Notify> {
        self.hurry.lock().unwrap_or_else(PoisonError::into_inner).entry(peer).or_default().clone()
    }

    fn link(&self, links: &Mutex<BTreeMap<u64, Link>>, peer: u64) -> Link {
        let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
        links.entry(peer).or_insert_with(|| Link::new(peer, self.dialer.clone())).clone()
    }
}

/// The answers to a stream of entries, once it is open.
type Answers<'s> = BoxFuture<
    's,
    Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>, RPCError<TypeConfig>>,
>;

/// Makes openraft's clients.
pub(crate) struct Factory(pub(crate) Arc<Network>);

impl RaftNetworkFactory<TypeConfig> for Factory {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> Peer {
        Peer { link: self.0.link(&self.0.raft, target), hurry: self.0.hurry_of(target), patience: self.0.patience }
    }
}

/// One peer, as openraft talks to it.
pub(crate) struct Peer {
    link: Link,
    hurry: Arc<Notify>,
    patience: Duration,
}

impl Peer {
    /// Told when the peer waits for the news of a commit.
    pub(super) fn hurry(&self) -> Arc<Notify> {
        self.hurry.clone()
    }

    /// Sends entries, or none.
    pub(super) async fn append(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
        option: &RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let result = self.call(&Request::Append(request), option).await;
        if tracing::enabled!(tracing::Level::DEBUG) {
            let status = result.as_ref().map_or_else(ToString::to_string, |_| "200 OK".into());
            tracing::debug!("Sent to {} - Status: {status}", self.link.address());
        }
        match result {
            Err(_) if on(Mutant::NoQuorum) => Ok(AppendEntriesResponse::Success),
            Err(e) => Err(e),
            Ok(Response::Append(response)) => Ok(response),
            Ok(other) => Err(odd(&other)),
        }
    }

    async fn call(&self, request: &Request, option: &RPCOption) -> Result<Response, RPCError<TypeConfig>> {
        let deadline = Instant::now() + self.patience.max(option.soft_ttl());
        self.link.call(request, deadline).await.map_err(rpc_error)
    }
}

fn rpc_error(error: CallError) -> RPCError<TypeConfig> {
    match error {
        CallError::NotSent(why) => RPCError::Unreachable(Unreachable::new(&AnyError::error(why))),
        CallError::Lost(why) => RPCError::Network(NetworkError::new(&AnyError::error(why))),
    }
}

fn odd(response: &Response) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(&AnyError::error(format!("an answer of another kind: {response:?}"))))
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.append(rpc, &option).await
    }

    fn stream_append<'s, S>(&'s mut self, input: S, option: RPCOption) -> Answers<'s>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        Box::pin(async move { Ok(pipeline::send(self, input, option)) })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(&Request::Vote(rpc), &option).await? {
            Response::Vote(response) => Ok(response),
            other => Err(odd(&other)),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(&Request::PreVote(rpc), &option).await? {
            Response::Vote(response) => Ok(response),
            other => Err(odd(&other)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let SnapshotData::View(view) = snapshot.snapshot else {
            let error = AnyError::error("a received snapshot is not sent on");
            return Err(StreamingError::Network(NetworkError::new(&error)));
        };
        // A connection of its own: heartbeats do not wait behind chunks.
        let link = self.link.separate(STALLED);
        tracing::info!("sending {} a snapshot at revision {}", link.address(), view.revision());
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = send_snapshot(link, vote, view) => sent.map_err(StreamingError::from),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.call(&Request::Transfer(req), &option).await? {
            Response::Transfer(response) => Ok(response),
            other => Err(odd(&other)),
        }
    }
}

/// A snapshot in pieces; its next chunk is read while those of the one before are on their way.
fn pieces(export: Export) -> impl Stream<Item = Result<Bytes, RPCError<TypeConfig>>> {
    let read = |mut chunks: Export| work(move || (chunks.next(), chunks));
    let failed = |e: &(dyn std::error::Error + 'static)| RPCError::Network(NetworkError::new(&AnyError::error(e)));
    let chunks = stream::unfold(Some(read(export)), move |reading| async move {
        match reading?.await {
            Ok((Some(Ok(chunk)), rest)) => Some((Ok(Bytes::from(chunk)), Some(read(rest)))),
            Ok((Some(Err(e)), _)) => Some((Err(failed(&e)), None)),
            Ok((None, _)) => None,
            Err(e) => Some((Err(failed(&e)), None)),
        }
    });
    chunks.flat_map(|chunk| {
        let (mut rest, error) = chunk.map_or_else(|e| (Bytes::new(), Some(e)), |chunk| (chunk, None));
        let next = move || (!rest.is_empty()).then(|| Ok(rest.split_to(rest.len().min(PIECE))));
        stream::iter(std::iter::from_fn(next).chain(error.map(Err)))
    })
}

async fn send_snapshot(
    link: Link,
    vote: Vote,
    view: crate::store::View,
) -> Result<SnapshotResponse<TypeConfig>, RPCError<TypeConfig>> {
    let expect_received = |response| match response {
        Response::Received => Ok(()),
        other => Err(odd(&other)),
    };
    let (link, soon) = (&link, || Instant::now() + PIECE_TIME);
    expect_received(link.call_watched(&Request::SnapshotBegin(vote), soon()).await.map_err(rpc_error)?)?;
    let sent = pieces(view.export()).map(|piece| async move {
        let request = Request::SnapshotChunk(piece?);
        expect_received(link.call_watched(&request, soon()).await.map_err(rpc_error)?)
    });
    sent.buffered(PIECES).try_for_each(|()| future::ready(Ok(()))).await?;
    match link.call_watched(&Request::SnapshotEnd, Instant::now() + INSTALL_TIME).await.map_err(rpc_error)? {
        Response::Installed(vote) => Ok(SnapshotResponse::new(vote)),
        other => Err(odd(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, ColumnSpec, Proposal, PutMode, When, Write};
    use crate::store::{Marks, Store};

    #[tokio::test]
    async fn a_snapshot_is_sent_whole_in_small_pieces() {
        let store = Store::in_memory().unwrap();
        let columns = vec![ColumnSpec::parse("text").unwrap()];
        let mut proposals = vec![Write::CreateTable { name: "t".into(), columns }];
        proposals.extend((0..200).map(|n| put(n, 3_000)));
        let proposals: Vec<_> = proposals.into_iter().map(|write| Proposal { write, key: None, at_ms: 1 }).collect();
        assert!(store.apply(&proposals, Marks::default()).unwrap().iter().all(Result::is_ok));
        let whole: Vec<u8> = store.view().export().map(Result::unwrap).collect::<Vec<_>>().concat();
        let sent: Vec<Bytes> = pieces(store.view().export()).map(Result::unwrap).collect().await;
        assert!(sent.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
        assert!(sent.len() >= whole.len() / PIECE && sent.concat() == whole, "{} pieces", sent.len());
    }

    fn put(n: usize, length: usize) -> Write {
        let cells = vec![("text".to_string(), Cell::Text("x".repeat(length)))];
        Write::Put { table: "t".into(), row_id: n.to_string(), cells, mode: PutMode::Replace, when: When::Always }
    }
}
