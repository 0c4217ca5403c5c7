//! Owns the deadlines of one connection: a stream that fails once its other side was silent too long.
//!
//! hyper's own header timeout also runs between requests and allocates for each; here one timer a
//! connection is armed once and only looked at again when it fires.

use std::cell::RefCell;
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep};

use super::Limits;

/// Up to how many bytes the parts of a write are put together first: the system takes more for several.
const SHORT: usize = 4096;

thread_local! {
    /// Where they are put together.
    static WHOLE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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
    /// When bytes last moved, in either direction; `None` where some came in since the clock was looked at: after
    /// such a read hyper reads on at once, or answers.
    moved: Option<Instant>,
    head_arriving: Head,
    /// Of HTTP/2: when a request was last seen to begin, to be in flight, or to have ended.
    asked: Instant,
    /// Whether one was in flight at the last look.
    busy: bool,
    /// Since when no write has got anything out.
    stuck_since: Option<Instant>,
    /// `traffic.begun` when it was last looked at.
    begun: u64,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes.
    woken: Option<Waker>,
}

/// The head of a request that is arriving.
#[derive(Clone, Copy)]
enum Head {
    /// There is none.
    No,
    /// It has begun since the clock was looked at.
    Begun,
    /// Since when it arrives; the first one begins with the connection.
    Since(Instant),
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
            moved: Some(now),
            head_arriving: Head::Since(now),
            asked: now,
            busy: false,
            stuck_since: None,
            begun: 0,
            timer: None,
            woken: None,
        }
    }

    /// Notes a request that began since the last look: its head is complete.
    fn look(&mut self) {
        let begun = self.traffic.begun.load(Ordering::Relaxed);
        if begun != self.begun {
            self.begun = begun;
            self.head_arriving = Head::No;
            if self.traffic.http2.load(Ordering::Relaxed) {
                self.asked = self.moved();
            }
        }
    }

    /// When bytes last moved.
    fn moved(&mut self) -> Instant {
        *self.moved.get_or_insert_with(Instant::now)
    }

    /// Whether a timer runs and wakes this task.
    fn wakes(&self, cx: &Context<'_>) -> bool {
        let woken = self.woken.as_ref().is_some_and(|woken| woken.will_wake(cx.waker()));
        woken && self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed())
    }

    /// Fails once `deadline` has passed; else arranges to be woken then.
    fn wait(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<io::Error> {
        let wakes = self.wakes(cx);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        } else if wakes {
            return Poll::Pending;
        }
        self.woken = Some(cx.waker().clone());
        // A task that has used up its turn would otherwise get no timer, and `wakes` would think that one runs.
        while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
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
            // read again when the request ends, and somebody must look then. One that runs for another reason
            // does so soon enough, as none is for longer than for an idle connection.
            self.busy = true;
            if self.wakes(cx) {
                return Poll::Pending;
            }
            Instant::now() + self.idle
        } else if self.traffic.http2.load(Ordering::Relaxed) {
            // What comes between requests need not be the head of one, and keeps nobody's connection open.
            if std::mem::take(&mut self.busy) {
                self.asked = Instant::now();
            }
            self.asked + self.idle
        } else {
            let moved = self.moved();
            if let Head::Begun = self.head_arriving {
                self.head_arriving = Head::Since(moved);
            }
            match self.head_arriving {
                Head::Since(since) => since + self.head,
                _ => moved + self.idle,
            }
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
                self.moved = Some(Instant::now());
                Poll::Ready(result)
            }
        }
    }
}

/// Puts the parts together in `whole`, if they are short; answers whether they are.
fn gather(parts: &[io::IoSlice<'_>], whole: &mut Vec<u8>) -> bool {
    whole.clear();
    let short = parts.iter().map(|part| part.len()).sum::<usize>() <= SHORT;
    if short {
        parts.iter().for_each(|part| whole.extend_from_slice(part));
    }
    short
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
                    this.moved = None;
                    if matches!(this.head_arriving, Head::No) && this.traffic.active.load(Ordering::Relaxed) == 0 {
                        this.head_arriving = Head::Begun;
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
        let stream = Pin::new(&mut this.stream);
        let result = WHOLE.with_borrow_mut(|whole| match gather(parts, whole) {
            true => stream.poll_write(cx, whole),
            false => stream.poll_write_vectored(cx, parts),
        });
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

#[cfg(test)]
pub(super) mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;

    use tokio::task::coop::{consume_budget, has_budget_remaining};

    use super::*;

    /// What `poll` comes to, if its task has used up its turn when it is first polled.
    pub(in super::super) async fn first_without_a_turn<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let mut fresh = true;
        poll_fn(|cx| {
            while std::mem::take(&mut fresh) && has_budget_remaining() {
                fresh = pin!(consume_budget()).poll(cx).is_ready();
            }
            poll(cx)
        })
        .await
    }

    #[test]
    fn parts_are_put_together_as_far_as_there_is_room() {
        let (head, body) = ([1; 40], [2; SHORT]);
        let all = |parts: &[&[u8]]| {
            let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut whole = vec![9];
            gather(&parts, &mut whole).then_some(whole)
        };
        assert_eq!(all(&[&head, &body[..3]]), Some([&head[..], &body[..3]].concat()));
        assert_eq!(all(&[&head, &[], &body[40..]]).map(|whole| whole.len()), Some(SHORT));
        assert_eq!(all(&[&head, &body[39..]]), None);
        assert_eq!(all(&[]), Some(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_also_holds_where_the_first_look_finds_the_tasks_turn_used_up() {
        let limits = Limits::default();
        let (near, _far) = tokio::io::duplex(1);
        let mut socket = Socket::new(near, Arc::default(), &limits);
        let read = first_without_a_turn(|cx| Pin::new(&mut socket).poll_read(cx, &mut ReadBuf::new(&mut [0])));
        let read = tokio::time::timeout(limits.idle * 2, read).await;
        assert_eq!(read.expect("the socket gives up by itself").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
