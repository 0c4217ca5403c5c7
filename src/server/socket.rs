//! Owns the deadlines of one connection: a stream that fails once its other side was silent too long.
//!
//! hyper's own header timeout also runs between requests and allocates for each; here one timer a
//! connection is armed once and only looked at again when it fires.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Limits;

/// What the service tells the socket below it.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Requests being handled or answered now.
    pub(super) active: AtomicUsize,
    /// Requests begun so far.
    pub(super) begun: AtomicU64,
    /// The connection speaks another protocol now, which keeps its own deadlines.
    pub(super) upgraded: AtomicBool,
    /// It is HTTP/2, where bytes also come between requests.
    pub(super) http2: AtomicBool,
    /// The same as `active` for all connections of the server.
    pub(super) everywhere: Arc<Everywhere>,
}

/// Requests being handled or answered now on all connections of a server; many streams do not crowd out those who
/// use a connection for each.
#[derive(Debug, Default)]
pub(super) struct Everywhere {
    http1: AtomicUsize,
    http2: AtomicUsize,
}

impl Traffic {
    /// The requests being handled or answered now on all connections that speak as this one does.
    pub(super) fn alike(&self) -> &AtomicUsize {
        if self.http2.load(Ordering::Relaxed) { &self.everywhere.http2 } else { &self.everywhere.http1 }
    }
}

/// A stream with deadlines.
pub(super) struct Socket<S> {
    stream: S,
    traffic: Arc<Traffic>,
    head: Duration,
    idle: Duration,
    progress: Duration,
    /// When bytes last moved, in either direction.
    moved: Instant,
    /// When the head that is arriving began; the first one begins with the connection.
    head_since: Option<Instant>,
    /// When a request was last seen to begin, to be in flight, or to have ended.
    asked: Instant,
    /// Whether one was in flight at the last look.
    busy: bool,
    /// Since when no write has got anything out.
    stuck_since: Option<Instant>,
    /// `traffic.begun` when it was last looked at.
    begun: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Socket<S> {
    pub(super) fn new(stream: S, traffic: Arc<Traffic>, limits: &Limits) -> Socket<S> {
        let now = Instant::now();
        let Limits { head, idle, progress, .. } = *limits;
        Socket {
            stream,
            traffic,
            head,
            idle,
            progress,
            moved: now,
            head_since: Some(now),
            asked: now,
            busy: false,
            stuck_since: None,
            begun: 0,
            timer: None,
        }
    }

    /// Notes a request that began since the last look: its head is complete.
    fn look(&mut self) {
        let begun = self.traffic.begun.load(Ordering::Relaxed);
        if begun != self.begun {
            self.begun = begun;
            self.head_since = None;
            self.asked = self.moved;
        }
    }

    fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// Fails once `deadline` has passed; else arranges to be woken then.
    fn wait(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Error> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    /// What a read that found nothing waits for.
    fn silent(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.traffic.upgraded.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let deadline = if self.traffic.active.load(Ordering::Relaxed) > 0 {
            // Whoever reads the body has its deadline. The timer runs all the same: hyper does not
            // read again when the request ends, and somebody must look then.
            self.busy = true;
            Instant::now() + self.idle
        } else if self.traffic.http2.load(Ordering::Relaxed) {
            // What comes between requests need not be the head of one, and keeps nobody's connection open.
            if std::mem::take(&mut self.busy) {
                self.asked = Instant::now();
            }
            self.asked + self.idle
        } else {
            self.head_since.map_or(self.moved + self.idle, |since| since + self.head)
        };
        self.wait(cx, deadline)
    }

    /// What a write that got nothing out waits for.
    fn stuck(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.traffic.upgraded.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        // That bytes come does not count: over HTTP/2 they do while a write is stuck.
        let since = *self.stuck_since.get_or_insert_with(Instant::now);
        self.wait(cx, since + self.progress)
    }

    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.stuck(cx).map(Err),
            Poll::Ready(result) => {
                self.stuck_since = None;
                self.moved();
                Poll::Ready(result)
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.look();
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Pending => this.silent(cx).map(Err),
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    this.moved();
                    if this.traffic.active.load(Ordering::Relaxed) == 0 {
                        this.head_since.get_or_insert(this.moved);
                    }
                }
                Poll::Ready(result)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
