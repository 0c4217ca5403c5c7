//! Owns one attempt: a request sent to one endpoint, and what came of it.

use std::error::Error as _;
use std::time::Duration;

use super::Endpoint;
use super::request::{Answer, Request};
use crate::model::{Code, Failure};
use crate::protocol::{decode_failure, format_duration};

/// The most of its own time that a client keeps for the way back of a node's "not in time".
const MARGIN: Duration = Duration::from_millis(100);

/// The longest that a node lets a request take.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest path with its query that every node reads: HTTP/1.1 leaves that open, and beyond 64 KiB less a
/// word for the time hyper answers 414 without a body.
const MOST_PATH: usize = 65_000;

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum End<T> {
    /// The node did what was asked.
    Done(T),
    /// The node refused.
    Refused(Failure),
    /// There was no connection: nothing was sent.
    NotSent(String),
    /// The request was sent, or part of it, and no whole answer came.
    Lost(String),
}

/// Sends `request` to `endpoint`, which has `left` of the deadline to answer.
pub(super) async fn attempt(
    http: &reqwest::Client,
    request: &Request,
    endpoint: &Endpoint,
    left: Duration,
) -> End<Answer> {
    let response = match open(http, request, endpoint, left).await {
        End::Done(response) => response,
        End::Refused(failure) => return End::Refused(failure),
        End::NotSent(reason) => return End::NotSent(reason),
        End::Lost(reason) => return End::Lost(reason),
    };
    let status = response.status().as_u16();
    match response.bytes().await {
        Ok(body) => End::Done(Answer { status, body }),
        Err(error) => End::Lost(reason(&error)),
    }
}

/// The same for an answer that is read as it arrives; it is one that does what was asked.
pub(super) async fn open(
    http: &reqwest::Client,
    request: &Request,
    endpoint: &Endpoint,
    left: Duration,
) -> End<reqwest::Response> {
    let timeout = (left - MARGIN.min(left / 10)).min(LONGEST);
    if request.path.len() > MOST_PATH {
        let length = request.path.len();
        let message =
            format!("the request's path and query have {length} bytes, and may have {MOST_PATH}; nothing was sent");
        return End::Refused(Failure::new(Code::TooLarge, message).hint("use fewer or shorter filters"));
    }
    let url = request.url(endpoint.as_str(), &format_duration(timeout));
    let mut builder = http.request(request.method.clone(), url);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    match builder.body(request.body.clone()).send().await {
        Ok(response) if response.status().is_success() => End::Done(response),
        Ok(response) => refused(response).await,
        Err(error) if error.is_connect() || error.is_builder() => End::NotSent(reason(&error)),
        Err(error) => End::Lost(reason(&error)),
    }
}

/// Tells a refusal from what no node of ours says.
async fn refused(response: reqwest::Response) -> End<reqwest::Response> {
    let status = response.status().as_u16();
    let body = match response.bytes().await {
        Ok(body) => body,
        Err(error) => return End::Lost(reason(&error)),
    };
    if let Some(failure) = decode_failure(&body) {
        return End::Refused(failure);
    }
    let why = format!("answered {status}, but not as a ddb node");
    // A gateway that fails may have passed the request on; what else answers knows nothing of it.
    if status >= 500 { End::Lost(why) } else { End::NotSent(why) }
}

/// The innermost cause, which is the one that tells: `Connection refused (os error 111)`.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let timed_out = error.is_timeout() && error.source().is_some();
    let text = if timed_out { "no connection in time".into() } else { cause.to_string() };
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
