//! Owns the reading of a request's body: bounded in size, in time and in sum.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::Limits;
use crate::model::{Code, Failure};

/// How long what is left of a refused body is still read, so that its sender gets to see the refusal.
const LINGER: Duration = Duration::from_secs(5);

/// How many times the limit without progress a whole body may take.
const WHOLE: u32 = 4;

/// A whole body, and its place among the large ones if it is one of them.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

/// Reads a body to its end; on an error what is left of it stays in `body`.
///
/// # Errors
/// `too_large`, `timeout`, `overloaded` where too many large ones are being held, `bad_request`
/// where the sender broke off.
pub(super) async fn receive<S, B, E>(
    body: &mut S,
    headers: &HeaderMap,
    limits: &Limits,
    large: &Arc<Semaphore>,
) -> Result<Received, Failure>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut place = place_for(declared.unwrap_or(0), None, limits, large)?;
    let whole_until = Instant::now() + limits.progress * WHOLE;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let until = whole_until.min(Instant::now() + limits.progress);
        let mut piece = match timeout_at(until, body.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(Failure::new(Code::BadRequest, "the body broke off before its end")),
            Err(_) => return Err(Failure::new(Code::Timeout, "the body did not arrive in time")),
        };
        place = place_for(first.len() + rest.len() + piece.remaining(), place, limits, large)?;
        // Nearly every body is one piece, which then need not be copied.
        if first.is_empty() {
            first = piece.copy_to_bytes(piece.remaining());
        } else {
            rest.reserve(piece.remaining());
            rest.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
        }
    }
    if rest.is_empty() {
        return Ok(Received { bytes: first, _place: place });
    }
    Ok(Received { bytes: [first.as_ref(), rest.as_ref()].concat().into(), _place: place })
}

/// The place that a body of so many bytes needs.
fn place_for(
    size: usize,
    held: Option<OwnedSemaphorePermit>,
    limits: &Limits,
    large: &Arc<Semaphore>,
) -> Result<Option<OwnedSemaphorePermit>, Failure> {
    if size > limits.body {
        let message = format!("the body is larger than {} bytes", limits.body);
        return Err(Failure::new(Code::TooLarge, message).hint("send the rows one by one"));
    }
    if size <= limits.small_body || held.is_some() {
        return Ok(held);
    }
    let place = large.clone().try_acquire_owned();
    place.map(Some).map_err(|_| too_many_large())
}

/// The refusal where all places for large bodies are taken.
pub(super) fn too_many_large() -> Failure {
    Failure::new(Code::Overloaded, "too many large requests are in flight on this node")
}

/// Whether a request with these headers has a body.
pub(super) fn expected(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Reads on for a while and forgets it: closing at once would destroy the answer on its way.
pub(super) fn linger<S: Stream + Send + 'static>(body: S) {
    tokio::spawn(timeout(LINGER, async move {
        let mut body = pin!(body);
        while body.next().await.is_some() {}
    }));
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use hyper::header::HeaderValue;

    use super::*;

    fn pieces(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, Infallible>> + Unpin {
        stream::iter(sizes.iter().map(|size| Ok(Bytes::from(vec![b'x'; *size]))).collect::<Vec<_>>())
    }

    fn limits() -> Limits {
        Limits { body: 100, small_body: 10, ..Limits::default() }
    }

    #[tokio::test]
    async fn a_body_is_whole_whatever_its_pieces() {
        for sizes in [&[][..], &[7], &[100], &[1, 2, 3], &[0, 60, 0, 40]] {
            let large = Arc::new(Semaphore::new(1));
            let got = receive(&mut pieces(sizes), &HeaderMap::new(), &limits(), &large).await.unwrap();
            assert_eq!(got.bytes.len(), sizes.iter().sum::<usize>());
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_while_it_arrives() {
        let large = Arc::new(Semaphore::new(1));
        let mut endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"0123456789")));
        let failure = receive(&mut endless, &HeaderMap::new(), &limits(), &large).await.unwrap_err();
        assert_eq!(failure.code, Code::TooLarge);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("101"));
        let mut never = stream::pending::<Result<Bytes, Infallible>>();
        let failure = receive(&mut never, &headers, &limits(), &large).await.unwrap_err();
        assert_eq!(failure.code, Code::TooLarge);
    }

    #[tokio::test]
    async fn large_bodies_have_so_many_places_and_give_them_back() {
        let large = Arc::new(Semaphore::new(1));
        let first = receive(&mut pieces(&[6, 6]), &HeaderMap::new(), &limits(), &large).await.unwrap();
        let failure = receive(&mut pieces(&[11]), &HeaderMap::new(), &limits(), &large).await.unwrap_err();
        assert_eq!(failure.code, Code::Overloaded);
        assert!(receive(&mut pieces(&[10]), &HeaderMap::new(), &limits(), &large).await.is_ok());
        drop(first);
        assert!(receive(&mut pieces(&[11]), &HeaderMap::new(), &limits(), &large).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_that_stops_or_drips_is_given_up() {
        let limits = Limits { progress: Duration::from_millis(20), ..Limits::default() };
        let large = Arc::new(Semaphore::new(1));
        let mut never = stream::pending::<Result<Bytes, Infallible>>();
        let failure = receive(&mut never, &HeaderMap::new(), &limits, &large).await.unwrap_err();
        assert_eq!((failure.code, failure.fate), (Code::Timeout, crate::model::Fate::NotApplied));
        let mut beat = tokio::time::interval(Duration::from_millis(2));
        let drip =
            stream::poll_fn(move |cx| beat.poll_tick(cx).map(|_| Some(Ok::<_, Infallible>(Bytes::from_static(b"x")))));
        let failure = receive(&mut Box::pin(drip), &HeaderMap::new(), &limits, &large).await.unwrap_err();
        assert_eq!(failure.code, Code::Timeout);
    }
}
