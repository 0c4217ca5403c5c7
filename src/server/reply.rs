//! Owns answers: the one table of statuses, the headers, the JSON of a failure.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RETRY_AFTER};
use warp::reply::Response;

use crate::model::{Code, Failure, Level, excerpt};
use crate::protocol::encode_failure;

/// The revision that an answer reflects.
pub(super) const DDB_REVISION: HeaderName = HeaderName::from_static("ddb-revision");
/// The node that answers.
pub(super) const DDB_NODE: HeaderName = HeaderName::from_static("ddb-node");
/// Stands in an answer that may be stale.
pub(super) const DDB_LEVEL: HeaderName = HeaderName::from_static("ddb-level");

/// Every status this server answers with.
pub(super) const STATUSES: [u16; 22] =
    [200, 201, 304, 101, 400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 429, 503, 504, 507, 500, 204, 501];

/// The status of a failure: the one table of them.
pub(super) fn status(code: Code) -> u16 {
    match code {
        Code::BadRequest | Code::BadJson | Code::BadName | Code::BadFilter | Code::BadSql => 400,
        Code::Unauthenticated => 401,
        Code::Forbidden => 403,
        Code::NotFound | Code::TableNotFound | Code::RowNotFound | Code::IndexNotFound => 404,
        Code::MethodNotAllowed => 405,
        Code::TableExists | Code::RowExists | Code::IdempotencyKeyReused | Code::UniqueViolation => 409,
        Code::ColumnExists | Code::IndexExists => 409,
        Code::Compacted => 410,
        Code::RevisionMismatch | Code::ConditionFailed => 412,
        Code::TooLarge => 413,
        Code::UnsupportedMediaType => 415,
        Code::BadLine | Code::UnknownColumn | Code::TypeMismatch | Code::NotNullViolation => 422,
        Code::Overloaded => 429,
        Code::Internal => 500,
        Code::NoLeader | Code::ShuttingDown => 503,
        Code::Timeout => 504,
        Code::DiskFull => 507,
    }
}

/// An answer of any type.
pub(super) fn bytes(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// An answer in JSON.
pub(super) fn json(status: u16, body: impl Into<Bytes>) -> Response {
    bytes(status, "application/json", body)
}

/// An answer in JSON from a noun that holds nothing JSON cannot say.
pub(super) fn encoded(status: u16, body: &impl serde::Serialize) -> Result<Response, Failure> {
    match serde_json::to_vec(body) {
        Ok(body) => Ok(json(status, body)),
        Err(error) => Err(Failure::internal(format!("the answer cannot be written: {error}"))),
    }
}

/// An answer in plain text.
pub(super) fn text(status: u16, body: impl Into<String>) -> Response {
    bytes(status, "text/plain; charset=utf-8", body.into())
}

/// The same answer with the revision that it reflects.
pub(super) fn at_revision(mut response: Response, revision: u64) -> Response {
    response.headers_mut().insert(DDB_REVISION, HeaderValue::from(revision));
    response
}

/// The same answer with the level it was read at, where that is not the default.
pub(super) fn at_level(mut response: Response, level: Level) -> Response {
    if level == Level::Stale {
        response.headers_mut().insert(DDB_LEVEL, HeaderValue::from_static("stale"));
    }
    response
}

/// The same answer with the row's revision as its tag.
pub(super) fn tagged(mut response: Response, revision: u64) -> Response {
    let mut tag = BytesMut::with_capacity(24);
    // There is room for every number.
    let _ = write!(tag, "\"{revision}\"");
    if let Ok(tag) = HeaderValue::from_maybe_shared(tag.freeze()) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The answer for an import that stopped after so many rows: the failure's, with `"rows"` beside the error.
pub(super) fn failure_with_rows(failure: &Failure, rows: u64) -> Response {
    let mut body = encode_failure(failure, true);
    if body.pop() == Some(b'}') {
        body.extend_from_slice(format!(",\"rows\":{rows}}}").as_bytes());
    }
    let mut response = self::failure(failure, true);
    *response.body_mut() = Bytes::from(body).into();
    response
}

/// The answer for a failure; it tells the outcome where the request was a write.
pub(super) fn failure(failure: &Failure, write: bool) -> Response {
    let status = status(failure.code);
    let mut response = json(status, encode_failure(failure, write));
    if matches!(status, 429 | 503) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == 413 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer for a method that the path does not have.
pub(super) fn method_not_allowed(method: &str, path: &str, allow: &str, write: bool) -> Response {
    let shown = excerpt(path, 80);
    let method: String = method.chars().take(40).collect();
    let what = Failure::new(Code::MethodNotAllowed, format!("{shown} does not take {method}"))
        .hint(format!("it takes {allow}"));
    let mut response = failure(&what, write);
    if let Ok(allow) = HeaderValue::try_from(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_that_is_counted() {
        for code in Code::ALL {
            assert!(STATUSES.contains(&status(*code)) && status(*code) >= 400, "{code:?}");
        }
    }

    #[test]
    fn what_passes_says_when_to_come_back() {
        for (code, after) in [(Code::Overloaded, true), (Code::NoLeader, true), (Code::RowNotFound, false)] {
            let response = failure(&Failure::new(code, "x"), true);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), after, "{code:?}");
        }
        assert_eq!(failure(&Failure::new(Code::TooLarge, "x"), true).headers()[CONNECTION], "close");
    }
}
