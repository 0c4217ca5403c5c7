//! Owns the accepting side of a peer connection: requests come in, answers go out as they are ready.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;

use super::applier::received_snapshot;
use super::batcher::Batcher;
use super::core::Core;
use super::detector;
use super::link::drain_frames;
use super::network::PIECES;
use super::types::Vote;
use super::wire::{FrameReader, Request, Response, encode};
use crate::store::{Receiver, StoreError};

/// The most requests of one connection that are worked on at once; the rest waits in the socket.
const IN_FLIGHT: usize = 1024;

/// How long closing a connection in good order may take.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves a peer's connection until it closes, or until `ending` is told: then in good order.
pub(crate) async fn serve<I>(core: Arc<Core>, local: Batcher, peer: u64, io: I, mut ending: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, mut writer) = tokio::io::split(io);
    let (answers, mut queue) = mpsc::unbounded_channel();
    let writing = tokio::spawn(async move {
        drain_frames(&mut writer, &mut queue).await?;
        writer.shutdown().await
    });
    let mut frames = FrameReader::new(reader);
    let slots = Arc::new(Semaphore::new(IN_FLIGHT));
    tokio::select! {
        biased;
        told = async { ending.wait_for(|ending| *ending).await.is_ok() } => {
            // Otherwise the server is gone, and with it whoever would wait for this.
            if told && timeout(CLOSING, close(&slots, answers, frames)).await.is_err() {
                tracing::debug!("the connection of node {peer} did not close in time");
            }
        }
        ended = read_requests(&core, &local, peer, &mut frames, &answers, &slots) => {
            if let Err(e) = ended {
                tracing::debug!("the connection of node {peer} ended: {e}");
            }
            tokio::spawn(detector::look(core.clone(), peer));
        }
    }
    writing.abort();
}

/// Takes nothing more, answers what was taken, and says so: the peer knows then that all else may go elsewhere.
async fn close<R: AsyncRead + Unpin>(
    slots: &Semaphore,
    answers: mpsc::UnboundedSender<Bytes>,
    mut frames: FrameReader<R>,
) {
    // It is never closed.
    let _all_answered = slots.acquire_many(IN_FLIGHT as u32).await;
    send(&answers, 0, &Response::Closing);
    drop(answers);
    // To close while something is unread would take what was just said from the peer.
    while let Ok(Some((_, _untaken))) = frames.next::<Request>().await {}
}

async fn read_requests<R: AsyncRead + Unpin>(
    core: &Arc<Core>,
    local: &Batcher,
    peer: u64,
    frames: &mut FrameReader<R>,
    answers: &mpsc::UnboundedSender<Bytes>,
    slots: &Arc<Semaphore>,
) -> std::io::Result<()> {
    let mut snapshots: Option<mpsc::Sender<(u64, Request)>> = None;
    while let Some((id, request)) = frames.next::<Request>().await? {
        if matches!(request, Request::SnapshotBegin(_) | Request::SnapshotChunk(_) | Request::SnapshotEnd) {
            let queue = snapshots.get_or_insert_with(|| receive_snapshots(core.clone(), answers.clone()));
            if queue.try_send((id, request)).is_err() {
                return Err(std::io::Error::other("more of a snapshot came than is answered"));
            }
            continue;
        }
        let Ok(slot) = slots.clone().acquire_owned().await else { return Ok(()) };
        let reads = matches!(request, Request::ReadIndex);
        let (core, local, answers) = (core.clone(), local.clone(), answers.clone());
        let mut answer = Box::pin(async move {
            let response = core.clone().answer(peer, request, &local).await;
            if reads {
                // Its read waits until it has applied as much as is committed here.
                core.network.hurry(peer);
            }
            send(&answers, id, &response);
            drop(slot);
        });
        // Begun here and now: entries reach Raft in the order in which they came.
        if (&mut answer).now_or_never().is_none() {
            tokio::spawn(answer);
        }
    }
    Ok(())
}

fn send(answers: &mpsc::UnboundedSender<Bytes>, id: u64, response: &Response) {
    match encode(id, response) {
        // The connection may have closed.
        Ok(frame) => drop(answers.send(frame)),
        Err(e) => tracing::error!("cannot encode an answer: {e}"),
    }
}

/// A snapshot that is being received on a connection.
struct Incoming {
    vote: Vote,
    receiver: Receiver,
}

/// Takes a connection's snapshots, in order, one message at a time. Meanwhile other requests are answered, which
/// shows the sender that this node and the connection live.
fn receive_snapshots(core: Arc<Core>, answers: mpsc::UnboundedSender<Bytes>) -> mpsc::Sender<(u64, Request)> {
    let (queue, mut requests) = mpsc::channel(PIECES + 1);
    tokio::spawn(async move {
        let mut incoming = None;
        while let Some((id, request)) = requests.recv().await {
            let response = receive_snapshot(&core, &mut incoming, request).await;
            send(&answers, id, &response.unwrap_or_else(Response::Fault));
        }
    });
    queue
}

async fn receive_snapshot(
    core: &Arc<Core>,
    incoming: &mut Option<Incoming>,
    request: Request,
) -> Result<Response, String> {
    let said = |e: StoreError| e.to_string();
    match request {
        Request::SnapshotBegin(vote) => {
            let receiver = core.store.receive().map_err(said)?;
            *incoming = Some(Incoming { vote, receiver });
            Ok(Response::Received)
        }
        Request::SnapshotChunk(chunk) => {
            let Incoming { vote, mut receiver } = incoming.take().ok_or("a chunk without a beginning")?;
            let written = crate::world::work(move || receiver.write(&chunk).map(|()| receiver));
            let receiver = written.await.map_err(|e| e.to_string())?.map_err(said)?;
            *incoming = Some(Incoming { vote, receiver });
            Ok(Response::Received)
        }
        _ => {
            let Incoming { vote, receiver } = incoming.take().ok_or("an end without a beginning")?;
            let received = crate::world::work(move || receiver.finish());
            let received = received.await.map_err(|e| e.to_string())?.map_err(said)?;
            let snapshot = received_snapshot(received).map_err(|e| e.to_string())?;
            let installed = core.raft.install_full_snapshot(vote, snapshot).await.map_err(|e| e.to_string())?;
            Ok(Response::Installed(installed.vote))
        }
    }
}
