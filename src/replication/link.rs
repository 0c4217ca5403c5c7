//! Owns the dialling side of a peer connection: one multiplexed connection a peer, opened when it
//! is needed, closed as soon as it disappoints.
//!
//! Requests of all tasks share the connection; one task writes all that waits in one go, another
//! hands answers back. A connection that owes an answer and has been silent for too long is
//! closed, so that one to a peer that restarted cannot starve those who wait behind it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::dial::Dialer;
use super::wire::{FrameReader, Request, Response, encode, encode_sized};

/// How many encoded bytes are gathered for one write.
const WRITE_BYTES: usize = 256 << 10;

/// How often something else is asked while a long call waits.
const BEAT: Duration = Duration::from_millis(500);

/// Why a call got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The request was not sent, or not taken.
    #[error("{0}")]
    NotSent(String),
    /// The request may have arrived.
    #[error("{0}")]
    Lost(String),
}

/// One peer, as this node dials it; clones share the connection.
#[derive(Clone)]
pub(crate) struct Link {
    peer: u64,
    dialer: Arc<Dialer>,
    stale_after: Duration,
    live: Arc<tokio::sync::Mutex<Slot>>,
}

#[derive(Default)]
struct Slot {
    connection: Option<Connection>,
    /// Until when a peer that refused the last connection is not dialled again.
    rest_until: Option<(Instant, String)>,
}

#[derive(Clone)]
struct Connection {
    peer: u64,
    shared: Arc<Shared>,
    frames: mpsc::UnboundedSender<Bytes>,
}

struct Shared {
    next_id: AtomicU64,
    /// `None` once the connection is closed. Never held across an await.
    state: Mutex<Option<State>>,
}

struct State {
    /// When the last answer came.
    heard: Instant,
    /// Callers that wait, and since when; those that gave up stay until they are answered.
    waiting: BTreeMap<u64, (Instant, oneshot::Sender<Response>)>,
}

impl Shared {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> Option<T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(f)
    }

    fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn is_open(&self) -> bool {
        self.with(|_| ()).is_some()
    }

    fn expect(&self, id: u64) -> Option<oneshot::Receiver<Response>> {
        let (answer, waits) = oneshot::channel();
        self.with(|state| state.waiting.insert(id, (Instant::now(), answer)))?;
        Some(waits)
    }

    fn answer(&self, id: u64, response: Response) {
        let caller = self.with(|state| {
            state.heard = Instant::now();
            state.waiting.remove(&id)
        });
        if let Some(Some((_, caller))) = caller {
            // The caller may have given up.
            let _ = caller.send(response);
        }
    }

    /// Closes the connection, and tells all who wait that their requests were not taken.
    fn close_untaken(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (_, caller) in state.into_iter().flat_map(|state| state.waiting.into_values()) {
            // The caller may have given up.
            let _ = caller.send(Response::Closing);
        }
    }

    /// Whether some caller has waited so long while nothing at all came.
    fn is_stale(&self, after: Duration) -> bool {
        let stale = |state: &mut State| {
            let heard = state.heard;
            state.waiting.values().any(|(since, _)| (*since).max(heard).elapsed() > after)
        };
        self.with(stale).unwrap_or(true)
    }
}

impl Link {
    /// A link to `peer`; nothing is dialled yet.
    pub(crate) fn new(peer: u64, dialer: Arc<Dialer>) -> Link {
        let stale_after = dialer.patience() * 2;
        Link { peer, dialer, stale_after, live: Arc::default() }
    }

    /// A second link to the same peer, with a connection of its own that may be silent for longer.
    pub(crate) fn separate(&self, stale_after: Duration) -> Link {
        Link { stale_after, ..Link::new(self.peer, self.dialer.clone()) }
    }

    /// The peer's address.
    pub(crate) fn address(&self) -> String {
        self.dialer.address(self.peer)
    }

    /// The host and port in it.
    pub(crate) fn host(&self) -> String {
        self.dialer.host(self.peer)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call(&self, request: &Request, deadline: Instant) -> Result<Response, CallError> {
        let connection = match timeout_at(deadline, self.connection(deadline)).await {
            Ok(connection) => connection.map_err(CallError::NotSent)?,
            Err(_) => {
                return Err(CallError::NotSent(format!("node {} did not accept a connection in time", self.peer)));
            }
        };
        connection.call(request, deadline).await
    }

    /// `call` for a request that may take long: now and then it asks something else beside it. If that is not
    /// answered either, the peer or the connection is gone, and the connection counts as stale.
    pub(crate) async fn call_watched(&self, request: &Request, deadline: Instant) -> Result<Response, CallError> {
        let mut call = pin!(self.call(request, deadline));
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        loop {
            tokio::select! {
                biased;
                answer = &mut call => return answer,
                _ = beat.tick() => self.nudge(),
            }
        }
    }

    /// Sends a question whose answer nobody waits for, if there is a connection.
    fn nudge(&self) {
        // Whoever holds the slot dials, and so hears of the peer.
        let Ok(slot) = self.live.try_lock() else { return };
        let Some(connection) = slot.connection.as_ref().filter(|c| c.shared.is_open()) else { return };
        let id = connection.shared.next_id.fetch_add(1, Ordering::Relaxed);
        if let Ok(frame) = encode(id, &Request::Status) {
            // Where it has closed meanwhile, the call ends by itself.
            let _ = connection.frames.send(frame);
        }
    }

    async fn connection(&self, deadline: Instant) -> Result<Connection, String> {
        let mut slot = self.live.lock().await;
        if let Some(connection) = slot.connection.as_ref().filter(|c| c.shared.is_open()) {
            return Ok(connection.clone());
        }
        slot.connection = None;
        if let Some((_, why)) = slot.rest_until.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Err(why.clone());
        }
        let patience = deadline.min(Instant::now() + self.dialer.patience());
        let dialled = match timeout_at(patience, self.dialer.dial(self.peer)).await {
            Ok(result) => result,
            Err(_) => Err(format!("node {} did not accept a connection in time", self.peer)),
        };
        match dialled {
            Ok(io) => {
                slot.rest_until = None;
                Ok(slot.connection.insert(Connection::start(self.peer, io, self.stale_after)).clone())
            }
            Err(why) => {
                slot.rest_until = Some((Instant::now() + Duration::from_millis(20), why.clone()));
                Err(why)
            }
        }
    }
}

impl Connection {
    fn start<I>(peer: u64, io: I, stale_after: Duration) -> Connection
    where
        I: AsyncRead + AsyncWrite + Send + 'static,
    {
        let state = State { heard: Instant::now(), waiting: BTreeMap::new() };
        let shared = Arc::new(Shared { next_id: AtomicU64::new(1), state: Mutex::new(Some(state)) });
        let (frames, queue) = mpsc::unbounded_channel();
        let (reader, writer) = tokio::io::split(io);
        let write = tokio::spawn(write_frames(writer, queue, shared.clone()));
        tokio::spawn(read_answers(reader, shared.clone(), stale_after, write));
        Connection { peer, shared, frames }
    }

    async fn call(&self, request: &Request, deadline: Instant) -> Result<Response, CallError> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let frame = encode_sized(id, request, request.size())
            .map_err(|e| CallError::NotSent(format!("cannot encode a request: {e}")))?;
        let closed = || format!("the connection to node {} closed", self.peer);
        let Some(waits) = self.shared.expect(id) else {
            return Err(CallError::NotSent(closed()));
        };
        if self.frames.send(frame).is_err() {
            return Err(CallError::NotSent(closed()));
        }
        match timeout_at(deadline, waits).await {
            Ok(Ok(Response::Fault(why))) => Err(CallError::Lost(format!("node {} failed: {why}", self.peer))),
            Ok(Ok(Response::Closing)) => Err(CallError::NotSent(format!("node {} is shutting down", self.peer))),
            Ok(Ok(response)) => Ok(response),
            Ok(Err(_)) => Err(CallError::Lost(closed())),
            Err(_) => Err(CallError::Lost(format!("node {} did not answer in time", self.peer))),
        }
    }
}

async fn read_answers<R: AsyncRead>(
    io: ReadHalf<R>,
    shared: Arc<Shared>,
    stale_after: Duration,
    writer: tokio::task::JoinHandle<()>,
) {
    let mut frames = FrameReader::new(io);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            biased;
            _ = look.tick() => if shared.is_stale(stale_after) { break },
            frame = frames.next::<Response>() => match frame {
                Ok(Some((_, Response::Closing))) => {
                    shared.close_untaken();
                    break;
                }
                Ok(Some((id, response))) => shared.answer(id, response),
                Ok(None) | Err(_) => break,
            },
        }
    }
    shared.close();
    writer.abort();
}

/// Writes frames to a connection until the queue or the connection closes, all that waits in one write.
pub(crate) async fn drain_frames<W: AsyncWrite>(
    io: &mut WriteHalf<W>,
    queue: &mut mpsc::UnboundedReceiver<Bytes>,
) -> std::io::Result<()> {
    let mut gathered = BytesMut::new();
    while let Some(frame) = queue.recv().await {
        let Ok(next) = queue.try_recv() else {
            io.write_all(&frame).await?;
            continue;
        };
        gathered.clear();
        gathered.extend_from_slice(&frame);
        gathered.extend_from_slice(&next);
        while gathered.len() < WRITE_BYTES
            && let Ok(frame) = queue.try_recv()
        {
            gathered.extend_from_slice(&frame);
        }
        io.write_all(&gathered).await?;
    }
    Ok(())
}

async fn write_frames<W: AsyncWrite>(
    mut io: WriteHalf<W>,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    shared: Arc<Shared>,
) {
    // An error shows to every caller as a closed connection.
    let _ = drain_frames(&mut io, &mut queue).await;
    let _ = io.shutdown().await;
    shared.close();
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    /// A connection with two calls under way, and the far end, which has read both requests and answered the first.
    async fn two_calls() -> (tokio::task::JoinHandle<Result<Response, CallError>>, WriteHalf<DuplexStream>) {
        let (near, far) = tokio::io::duplex(1 << 10);
        let connection = Connection::start(2, near, Duration::from_secs(60));
        let call = |request| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.call(&request, Instant::now() + Duration::from_secs(60)).await })
        };
        let (reader, mut writer) = tokio::io::split(far);
        let mut frames = FrameReader::new(reader);
        let first = call(Request::Status);
        let (id, _) = frames.next::<Request>().await.unwrap().unwrap();
        let second = call(Request::Voted);
        frames.next::<Request>().await.unwrap().unwrap();
        writer.write_all(&encode(id, &Response::Voted(7)).unwrap()).await.unwrap();
        assert!(matches!(first.await.unwrap(), Ok(Response::Voted(7))));
        (second, writer)
    }

    #[tokio::test]
    async fn a_request_that_a_closing_node_has_not_answered_was_not_taken() {
        let (call, mut far) = two_calls().await;
        far.write_all(&encode(0, &Response::Closing).unwrap()).await.unwrap();
        let Err(CallError::NotSent(why)) = call.await.unwrap() else { panic!("it went nowhere") };
        assert_eq!(why, "node 2 is shutting down");
    }

    #[tokio::test]
    async fn a_request_on_a_connection_that_breaks_may_have_been_taken() {
        let (call, mut far) = two_calls().await;
        far.shutdown().await.unwrap();
        let Err(CallError::Lost(why)) = call.await.unwrap() else { panic!("nobody knows") };
        assert_eq!(why, "the connection to node 2 closed");
    }
}
