//! Owns the accept loop and the life of a connection: deadlines, the drain on shutdown.
//!
//! It serves any hyper service; which requests there are is no business of this file.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{JoinSet, unconstrained};

use super::Limits;
use super::guard::{Guarded, InFlight, PIECE, Room};
use super::meter;
use super::socket::{Everywhere, Socket, Traffic};
use super::streams::Streams;
use crate::world::Listener;

mod doors;
#[cfg(test)]
mod tests;

use doors::{Doors, Place};

/// How long the loop rests when the system has no descriptor to give.
const BREATH: Duration = Duration::from_millis(50);

/// How large a head may be, and how much of a connection is read ahead.
const BUFFER: usize = 64 << 10;

/// How much of a body may be on the way before somebody reads it, a quarter of what all on a connection may: HTTP/2.
const WINDOW: u32 = 64 << 10;

/// What is unusual about a request before it is looked at; in its extensions where anything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unusual {
    /// The request is HTTP/1.0, which needs no `Host`.
    pub(super) http10: bool,
    /// The connection is one of the reserve, kept for peers and probes.
    pub(super) reserve: bool,
    /// The node has more requests in flight than it takes.
    pub(super) crowded: bool,
}

/// Serves connections until `shutdown` resolves, then lets what is in flight finish.
pub(super) async fn serve<L, S, B>(listener: L, limits: Limits, service: S, shutdown: impl Future<Output = ()>)
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (stop, stopping) = watch::channel(false);
    let mut doors = Doors::new(&limits);
    let everywhere = Arc::<Everywhere>::default();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener) => {
                let traffic = Arc::new(Traffic { everywhere: everywhere.clone(), ..Traffic::default() });
                if let Some((stream, place)) = accepted.and_then(|stream| Some((stream, doors.enter(&traffic)?))) {
                    let (service, stopping) = (service.clone(), stopping.clone());
                    connections.spawn(connection(stream, place, traffic, limits, service, stopping));
                }
            }
        }
    }
    drop(listener);
    // No receiver is left only where no connection is.
    let _ = stop.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!(left = connections.len(), "requests were still in flight when the time to finish them was over");
    }
}

/// The next connection, or `None` where accepting failed and the loop should look again.
async fn accept<L: Listener>(listener: &L) -> Option<L::Stream> {
    match listener.accept().await {
        Ok(stream) => Some(stream),
        // These are the failures of one connection, not of the listener.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot accept connections for the moment");
            tokio::time::sleep(BREATH).await;
            None
        }
    }
}

/// Resolves when the server stops.
async fn stopped(mut stopping: watch::Receiver<bool>) {
    let told = stopping.clone();
    // Its sender is dropped only after it has said so. A task that has used up its turn would get no wake-up otherwise.
    let mut stop = pin!(unconstrained(stopping.wait_for(|stop| *stop)));
    let mut woken: Option<Waker> = None;
    poll_fn(|cx| {
        // A connection asks with every step; once it is sure to be woken, a look is enough.
        let waits = woken.as_ref().is_some_and(|woken| woken.will_wake(cx.waker()));
        if waits && told.has_changed().is_ok_and(|changed| !changed) {
            return Poll::Pending;
        }
        woken = Some(cx.waker().clone());
        stop.as_mut().poll(cx).map(|_| ())
    })
    .await;
}

/// Counts a connection while it is open.
struct Open(metrics::Gauge);

impl Open {
    fn new() -> Open {
        let open = meter::connections();
        open.increment(1);
        Open(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

async fn connection<C, S, B>(
    stream: C,
    place: Place,
    traffic: Arc<Traffic>,
    limits: Limits,
    service: S,
    stopping: watch::Receiver<bool>,
) where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let _open = Open::new();
    let reserve = place.is_reserve();
    let io = TokioIo::new(Socket::new(stream, traffic.clone(), &limits));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let http2 = request.version() == Version::HTTP_2;
        let in_flight = InFlight::begin(&traffic, http2);
        let room = in_flight.room(limits.requests);
        let crowded = room == Room::Crowded;
        let unusual = Unusual { http10: request.version() == Version::HTTP_10, reserve, crowded };
        if unusual != Unusual::default() {
            request.extensions_mut().insert(unusual);
        }
        if http2 {
            name_host(&mut request);
        }
        let no_body = http2 && request.method() == Method::HEAD;
        let answer = (room != Room::Nothing).then(|| service.call(request));
        let traffic = traffic.clone();
        async move {
            // Of HTTP/2 only: whoever asked may do so again.
            let Some(answer) = answer else { return Err(h2::Error::from(h2::Reason::REFUSED_STREAM)) };
            let Ok(mut response) = answer.await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                traffic.upgraded.store(true, Ordering::Relaxed);
            }
            if no_body {
                name_length(&mut response);
            }
            Ok(response.map(|body| Guarded::new((!no_body).then_some(body), http2, in_flight)))
        }
    });
    let result = if reserve {
        // In the reserve there are peers and probes, which speak HTTP/1; and there a refused guest can be sent away.
        let mut http1 = http1::Builder::new();
        let served = http1.header_read_timeout(None).max_buf_size(BUFFER).serve_connection(io, service);
        drive(served.with_upgrades(), |served| served.graceful_shutdown(), place, stopping).await.map_err(Into::into)
    } else {
        let protocols = protocols(&limits);
        let served = protocols.serve_connection_with_upgrades(io, service);
        drive(served, |served| served.graceful_shutdown(), place, stopping).await
    };
    if let Err(error) = result {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Serves a connection to its end, or until its place is needed; once the server stops, only what is in flight.
async fn drive<F, E>(
    served: F,
    finish: impl FnOnce(Pin<&mut F>),
    mut place: Place,
    stopping: watch::Receiver<bool>,
) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
{
    let mut served = pin!(served);
    tokio::select! {
        biased;
        result = served.as_mut() => result,
        () = stopped(stopping) => {
            finish(served.as_mut());
            served.await
        }
        // Nothing is lost: in the reserve there are only peers and probes, which come again.
        () = place.is_needed() => Ok(()),
    }
}

/// HTTP/1, and HTTP/2 for whoever begins with its preface.
fn protocols(limits: &Limits) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams { progress: limits.progress });
    builder.http1().header_read_timeout(None).max_buf_size(BUFFER);
    builder
        .http2()
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(BUFFER as u32)
        .max_send_buf_size(PIECE)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW);
    builder
}

/// Has the authority that an HTTP/2 request names as its host, as older requests have it.
fn name_host(request: &mut Request<Incoming>) {
    let authority = request.uri().authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
    if let Some(authority) = authority {
        request.headers_mut().entry(HOST).or_insert(authority);
    }
}

/// Says how long the body is that the answer to a HEAD goes without; hyper does that for HTTP/1 only.
fn name_length<B: Body>(response: &mut Response<B>) {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
    }
}
