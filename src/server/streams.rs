//! Owns the streams of an HTTP/2 connection: each is a task, and ends where its reader takes nothing of the answer.
//!
//! The socket below shows nothing of that: what one stream does not take holds up no bytes of the others.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

/// What became of an answer's body in one turn of its stream.
#[derive(Clone, Copy)]
enum Turn {
    /// It was not asked for anything.
    Nothing,
    /// It was asked for a piece, and has none yet.
    Asked,
    /// It has handed one over, which waits for the reader.
    HandedOver,
}

thread_local! {
    /// Of the stream whose turn it is on this thread.
    static TURN: Cell<Turn> = const { Cell::new(Turn::Nothing) };
}

/// Notes that the body of an answer is asked for a piece.
pub(super) fn asked() {
    TURN.set(Turn::Asked);
}

/// Notes that it has handed one over.
pub(super) fn handed_over() {
    TURN.set(Turn::HandedOver);
}

/// Runs the streams of a connection.
#[derive(Clone)]
pub(super) struct Streams {
    /// How long a piece of an answer may wait for its reader.
    pub(super) progress: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(Stream { stream, progress: self.progress, until: None });
    }
}

pin_project! {
    /// One stream.
    struct Stream<F> {
        #[pin]
        stream: F,
        progress: Duration,
        // While a piece waits for its reader: when that must have taken it.
        until: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        TURN.set(Turn::Nothing);
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match TURN.get() {
            Turn::Nothing => {}
            Turn::Asked => *this.until = None,
            Turn::HandedOver => {
                let until = Instant::now() + *this.progress;
                match this.until {
                    Some(sleep) => sleep.as_mut().reset(until),
                    None => *this.until = Some(Box::pin(sleep_until(until))),
                }
            }
        }
        match this.until {
            Some(until) => until.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
