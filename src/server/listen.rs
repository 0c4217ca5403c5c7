//! Owns the accept loop and the life of a connection: deadlines, the drain on shutdown.
//!
//! It serves any hyper service; which requests there are is no business of this file.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Limits;
use super::guard::{Guarded, InFlight};
use super::meter;
use super::socket::{Socket, Traffic};
use crate::world::Listener;

mod doors;

use doors::{Doors, Place};

/// How long the loop rests when the system has no descriptor to give.
const BREATH: Duration = Duration::from_millis(50);

/// How large a head may be, and how much of a connection is read ahead.
const BUFFER: usize = 64 << 10;

/// What is unusual about the connection of a request; in its extensions where anything is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unusual {
    /// The request is HTTP/1.0, which needs no `Host`.
    pub(super) http10: bool,
    /// The connection is one of the reserve, kept for peers and probes.
    pub(super) reserve: bool,
}

/// Serves connections until `shutdown` resolves, then lets what is in flight finish.
pub(super) async fn serve<L, S, B>(listener: L, limits: Limits, service: S, shutdown: impl Future<Output = ()>)
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (stop, stopping) = watch::channel(false);
    let mut doors = Doors::new(&limits);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener) => {
                let traffic = Arc::new(Traffic::default());
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
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Its sender is dropped only after it has said so.
    let _ = stopping.wait_for(|stop| *stop).await.map(|_| ());
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
    mut place: Place,
    traffic: Arc<Traffic>,
    limits: Limits,
    service: S,
    mut stopping: watch::Receiver<bool>,
) where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
    S::Future: Send,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let _open = Open::new();
    let reserve = place.is_reserve();
    let io = TokioIo::new(Socket::new(stream, traffic.clone(), &limits));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let unusual = Unusual { http10: request.version() == Version::HTTP_10, reserve };
        if unusual != Unusual::default() {
            request.extensions_mut().insert(unusual);
        }
        let in_flight = InFlight::begin(&traffic);
        let (answer, traffic) = (service.call(request), traffic.clone());
        async move {
            let Ok(response) = answer.await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                traffic.upgraded.store(true, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(response.map(|body| Guarded { body, _in_flight: in_flight }))
        }
    });
    let served = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(io, service)
        .with_upgrades();
    let mut served = pin!(served);
    let result = tokio::select! {
        biased;
        result = served.as_mut() => result,
        () = stopped(&mut stopping) => {
            served.as_mut().graceful_shutdown();
            served.await
        }
        // Nothing is lost: in the reserve there are only peers and probes, which come again.
        () = place.is_needed() => Ok(()),
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const SHORT: Duration = Duration::from_millis(200);

    struct Running {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        server: JoinHandle<()>,
    }

    /// A server that answers with what is unusual about the connection, a POST with its body's
    /// length, and `/wait` once it is let go.
    async fn start(limits: Limits, go: Arc<Notify>) -> Running {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let go = go.clone();
            async move {
                let unusual = request.extensions().get::<Unusual>().copied().unwrap_or_default();
                if request.uri().path() == "/wait" {
                    go.notified().await;
                }
                let body = request.into_body().collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
                let text = format!("reserve={} http10={} body={body}", unusual.reserve, unusual.http10);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
            }
        });
        let server = tokio::spawn(async move {
            serve(listener, limits, service, async { drop(stopped.await) }).await;
        });
        Running { address, stop, server }
    }

    async fn connect(running: &Running) -> TcpStream {
        TcpStream::connect(running.address).await.unwrap()
    }

    /// Everything until the server closes; empty also where it resets.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8(bytes).unwrap()
    }

    /// One answer to `request`, up to the end of its short body.
    async fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
        stream.write_all(request).await.unwrap();
        let mut seen = Vec::new();
        while !seen.windows(5).any(|window| window == b"body=") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "closed after {}", String::from_utf8_lossy(&seen));
        }
        String::from_utf8(seen).unwrap()
    }

    #[tokio::test]
    async fn a_silent_or_slow_head_is_closed_and_an_idle_connection_later() {
        let limits = Limits { head: SHORT, idle: SHORT * 4, ..Limits::default() };
        let running = start(limits, Arc::default()).await;
        let mut silent = connect(&running).await;
        assert_eq!(rest(&mut silent).await, "");
        let mut slow = connect(&running).await;
        slow.write_all(&GET[..10]).await.unwrap();
        assert_eq!(rest(&mut slow).await, "");
        let mut idle = connect(&running).await;
        let answer = ask(&mut idle, GET).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let began = std::time::Instant::now();
        assert_eq!(rest(&mut idle).await, "");
        assert!(began.elapsed() >= SHORT * 2, "{:?}", began.elapsed());
        let mut slow = connect(&running).await;
        ask(&mut slow, GET).await;
        slow.write_all(&GET[..10]).await.unwrap();
        assert_eq!(rest(&mut slow).await, "");
    }

    #[tokio::test]
    async fn a_request_in_flight_is_not_idle() {
        let go = Arc::new(Notify::new());
        let limits = Limits { head: SHORT, idle: SHORT, ..Limits::default() };
        let running = start(limits, go.clone()).await;
        let mut waiting = connect(&running).await;
        waiting.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        // Three silent connections, one after the other, last longer than either deadline.
        for _ in 0..3 {
            assert_eq!(rest(&mut connect(&running).await).await, "");
        }
        go.notify_one();
        let answer = ask(&mut waiting, b"").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn beyond_the_cap_there_is_a_reserve_where_the_newest_takes_an_idle_place() {
        let go = Arc::new(Notify::new());
        let limits = Limits { connections: 1, reserve: 1, ..Limits::default() };
        let running = start(limits, go.clone()).await;
        let mut first = connect(&running).await;
        assert!(ask(&mut first, GET).await.contains("reserve=false"));
        let mut silent = connect(&running).await;
        let mut second = connect(&running).await;
        assert!(ask(&mut second, GET).await.contains("reserve=true"));
        assert_eq!(rest(&mut silent).await, "");
        // Once that place is in use, whoever comes finds no room.
        second.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(ask(&mut first, GET).await.contains("reserve=false"), "those inside are served on");
        assert_eq!(rest(&mut connect(&running).await).await, "");
        go.notify_one();
        assert!(ask(&mut second, b"").await.contains("reserve=true"));
    }

    #[tokio::test]
    async fn what_is_in_flight_finishes_and_the_idle_are_closed_on_shutdown() {
        let go = Arc::new(Notify::new());
        let running = start(Limits::default(), go.clone()).await;
        let mut idle = connect(&running).await;
        ask(&mut idle, GET).await;
        let mut busy = connect(&running).await;
        busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        ask(&mut idle, GET).await;
        running.stop.send(()).unwrap();
        assert_eq!(rest(&mut idle).await, "");
        go.notify_one();
        assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200"));
        running.server.await.unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    }

    #[tokio::test]
    async fn the_drain_has_an_end() {
        let running = start(Limits { drain: SHORT, ..Limits::default() }, Arc::default()).await;
        let mut busy = connect(&running).await;
        busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut other = connect(&running).await;
        ask(&mut other, GET).await;
        running.stop.send(()).unwrap();
        running.server.await.unwrap();
        assert_eq!(rest(&mut busy).await, "");
    }

    #[tokio::test]
    async fn the_old_protocol_is_told_apart() {
        let running = start(Limits::default(), Arc::default()).await;
        let mut old = connect(&running).await;
        old.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        assert!(rest(&mut old).await.contains("http10=true"));
    }
}
