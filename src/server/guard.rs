//! Owns the counting of what is in flight: a request counts until the last byte of its answer is handed over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::socket::Traffic;
use super::streams;

/// One request in flight on a connection.
pub(super) struct InFlight(Arc<Traffic>);

impl InFlight {
    pub(super) fn begin(traffic: &Arc<Traffic>) -> InFlight {
        traffic.active.fetch_add(1, Ordering::Relaxed);
        traffic.everywhere.fetch_add(1, Ordering::Relaxed);
        traffic.begun.fetch_add(1, Ordering::Relaxed);
        InFlight(traffic.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.everywhere.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body that keeps its request in flight until it has been handed over, piece by piece.
pub(super) struct Guarded<B> {
    /// `None` where the answer is to be without.
    body: Option<B>,
    /// How large a piece may be.
    most: usize,
    /// What is left of the body's last piece.
    rest: Bytes,
    _in_flight: InFlight,
}

impl<B> Guarded<B> {
    pub(super) fn new(body: Option<B>, most: usize, in_flight: InFlight) -> Guarded<B> {
        Guarded { body, most, rest: Bytes::new(), _in_flight: in_flight }
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
        let size = self.rest.len().min(self.most);
        streams::handed_over();
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
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
