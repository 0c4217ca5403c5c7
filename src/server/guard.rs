//! Owns the counting of what is in flight: a request counts until the last byte of its answer is handed over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::socket::Traffic;
use super::streams;

/// How large a piece of an answer is where its reader says how much it takes: HTTP/2.
pub(super) const PIECE: usize = 16 << 10;

/// How large the last piece is there. hyper and h2 take a piece whole as soon as a byte of it may be sent, and what is
/// left of the last one then has no deadline.
const TAIL: usize = 2 << 10;

/// One request in flight on a connection.
pub(super) struct InFlight(Arc<Traffic>);

/// What a node has left for a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Enough.
    Enough,
    /// Only for an answer that there is not enough.
    Crowded,
    /// Not even that.
    Nothing,
}

impl InFlight {
    /// Counts a request.
    pub(super) fn begin(traffic: &Arc<Traffic>, http2: bool) -> InFlight {
        if http2 {
            traffic.http2.store(true, Ordering::Relaxed);
        }
        traffic.active.fetch_add(1, Ordering::Relaxed);
        traffic.alike().fetch_add(1, Ordering::Relaxed);
        traffic.begun.fetch_add(1, Ordering::Relaxed);
        InFlight(traffic.clone())
    }

    /// Whether the node takes it beside those in flight, of which it should have `most`.
    pub(super) fn room(&self, most: usize) -> Room {
        let count = self.0.alike().load(Ordering::Relaxed);
        // The connections are limited too, so that each may have one.
        let alone = self.0.active.load(Ordering::Relaxed) <= 1;
        match self.0.http2.load(Ordering::Relaxed) {
            false if count > most => Room::Crowded,
            true if !alone && count > 2 * most => Room::Nothing,
            true if !alone && count > most => Room::Crowded,
            _ => Room::Enough,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.alike().fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body that keeps its request in flight until it has been handed over.
pub(super) struct Guarded<B> {
    /// `None` where the answer is to be without.
    body: Option<B>,
    /// Whether it goes in pieces, or as it comes.
    pieces: bool,
    /// What is left of the body's last piece.
    rest: Bytes,
    _in_flight: InFlight,
}

impl<B> Guarded<B> {
    pub(super) fn new(body: Option<B>, pieces: bool, in_flight: InFlight) -> Guarded<B> {
        Guarded { body, pieces, rest: Bytes::new(), _in_flight: in_flight }
    }

    /// The next piece of `rest`.
    fn piece(&mut self) -> Bytes {
        let size = self.rest.len();
        if !self.pieces {
            self.rest.split_to(size)
        } else if size > TAIL {
            self.rest.split_to((size - TAIL).min(PIECE))
        } else {
            // A copy, as a slice would keep all of the answer.
            Bytes::copy_from_slice(&self.rest.split_to(size))
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Guarded<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        streams::asked();
        if self.rest.is_empty() {
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            match ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        streams::handed_over();
        Poll::Ready(Some(Ok(Frame::data(self.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    async fn pieces(answer: &Bytes, pieces: bool) -> Vec<Bytes> {
        let in_flight = InFlight::begin(&Arc::default(), pieces);
        let mut body = Guarded::new(Some(Full::new(answer.clone())), pieces, in_flight);
        let (mut out, mut left) = (Vec::new(), answer.len());
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            left -= piece.len();
            assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(left as u64), left == 0));
            out.push(piece);
        }
        out
    }

    #[tokio::test]
    async fn the_end_of_an_answer_goes_by_itself_and_keeps_nothing_of_the_rest() {
        let answer: Bytes = (0..50_000_u32).map(|n| n as u8).collect();
        let whole = pieces(&answer, false).await;
        assert_eq!((whole.len(), whole[0].as_ptr()), (1, answer.as_ptr()));
        let several = pieces(&answer, true).await;
        assert_eq!(several.iter().map(Bytes::len).collect::<Vec<_>>(), [PIECE, PIECE, 50_000 - 2 * PIECE - TAIL, TAIL]);
        assert_eq!(several.concat(), answer);
        let own = answer.as_ptr_range();
        assert!(own.contains(&several[0].as_ptr()) && !own.contains(&several[3].as_ptr()));
        assert_eq!(pieces(&answer.slice(..TAIL), true).await, [answer.slice(..TAIL)]);
    }
}
