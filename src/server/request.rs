//! Owns what a handler sees of a request, and the checks of its headers.

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, IF_MATCH, IF_NONE_MATCH};
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use super::params::Params;
use super::routes::{BodyKind, Endpoint, Route};
use crate::model::{Code, Failure, IdempotencyKey, When, Write, excerpt};
use crate::protocol::{idempotency_key, key_text};

/// The header that names a write, so that it can be sent again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What bodies of lines are called, also by clients that do not say what they send.
const LINE_TYPES: [&[u8]; 7] = [
    b"application/x-ndjson",
    b"application/jsonl",
    b"application/json-lines",
    b"text/csv",
    b"text/plain",
    b"application/octet-stream",
    b"application/x-www-form-urlencoded",
];

/// A request whose route, parameters and body have been read.
pub(super) struct Ask {
    /// The route's table, decoded; empty where it has none.
    pub(super) table: String,
    /// The route's row id, decoded; empty where it has none.
    pub(super) row_id: String,
    /// The query.
    pub(super) params: Params,
    /// The headers.
    pub(super) headers: HeaderMap,
    /// The whole body; empty where the route takes none.
    pub(super) body: Bytes,
    /// When the answer must be there.
    pub(super) deadline: Instant,
    /// What is left of the connection if it changes its protocol.
    pub(super) upgrade: Option<OnUpgrade>,
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::BadRequest, message)
}

/// The one value of a header, if it is there.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Failure> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(|value| value.as_bytes());
    match values.next() {
        Some(_) => Err(bad(format!("header {name} stands twice"))),
        None => Ok(first),
    }
}

/// Refuses a request without exactly one `Host`, as HTTP/1.1 asks; HTTP/1.0 needs none.
///
/// # Errors
/// `bad_request`.
pub(super) fn check_host(headers: &HeaderMap, http10: bool) -> Result<(), Failure> {
    match single(headers, &HOST)? {
        None if !http10 => Err(bad("the request has no Host header")),
        _ => Ok(()),
    }
}

/// Refuses a body of another type than the route takes, and a condition where none is looked at.
///
/// # Errors
/// `unsupported_media_type` or `bad_request`.
pub(super) fn check_headers(route: &Route, headers: &HeaderMap) -> Result<(), Failure> {
    let conditional = matches!(route.endpoint, Endpoint::PutRow | Endpoint::PatchRow | Endpoint::DeleteRow);
    if route.is_write() && !conditional && (headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH)) {
        return Err(bad(format!("{} {} takes no condition", route.method, route.path))
            .hint("If-Match and If-None-Match go with /v1/tables/{table}/rows/{id}"));
    }
    if route.body == BodyKind::Nothing {
        return Ok(());
    }
    let lines = route.body == BodyKind::Lines;
    let hint = if lines { "send application/x-ndjson or text/csv" } else { "send application/json" };
    let refuse = |what: String| Err(Failure::new(Code::UnsupportedMediaType, what).hint(hint));
    match single(headers, &CONTENT_ENCODING)? {
        None => {}
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => {}
        Some(_) => return refuse("the body is compressed, which is not taken".into()),
    }
    let Some(given) = single(headers, &CONTENT_TYPE)? else { return Ok(()) };
    let kind = given.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let form = route.body == BodyKind::JsonOrForm && kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded");
    if kind.eq_ignore_ascii_case(b"application/json") || form {
        return Ok(());
    }
    if lines && LINE_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let shown: String = excerpt(&String::from_utf8_lossy(kind), 80);
    refuse(format!("the body is \"{shown}\", not {}", if lines { "lines of JSON or CSV" } else { "JSON" }))
}

impl Ask {
    /// When one batch of a request that takes many must be done: each has the time that the request asks for.
    pub(super) fn batch_deadline(&self) -> Instant {
        Instant::now() + self.params.timeout
    }

    /// The write's idempotency key, if it has one.
    ///
    /// # Errors
    /// `bad_request` for what is no key.
    pub(super) fn key(&self, write: &Write) -> Result<Option<IdempotencyKey>, Failure> {
        single(&self.headers, &IDEMPOTENCY_KEY)?.map(|key| idempotency_key(key, write)).transpose()
    }

    /// The request's idempotency key as it was given, if it has one.
    ///
    /// # Errors
    /// `bad_request` where there is more than one, or it is no key.
    pub(super) fn key_text(&self) -> Result<Option<String>, Failure> {
        single(&self.headers, &IDEMPOTENCY_KEY)?.map(|key| key_text(key).map(String::from)).transpose()
    }

    /// The condition of a write to one row: `If-Match: "<rev>"` or, for a PUT, `If-None-Match: *`.
    ///
    /// # Errors
    /// `bad_request` for any other form.
    pub(super) fn when(&self, put: bool) -> Result<When, Failure> {
        match (single(&self.headers, &IF_MATCH)?, single(&self.headers, &IF_NONE_MATCH)?) {
            (None, None) => Ok(When::Always),
            (Some(tag), None) => match revision(tag) {
                Some(revision) => Ok(When::Revision(revision)),
                None => Err(bad("If-Match takes one revision in quotes: If-Match: \"42\"")),
            },
            (None, Some(b"*")) if put => Ok(When::Absent),
            (None, Some(_)) => Err(bad("a write takes If-None-Match: * only, and only a PUT does")),
            (Some(_), Some(_)) => Err(bad("If-Match and If-None-Match exclude each other")),
        }
    }

    /// Whether the reader says that it has the row of that revision.
    pub(super) fn has(&self, row_revision: u64) -> bool {
        let tags = self.headers.get_all(IF_NONE_MATCH).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
        tags.map(<[u8]>::trim_ascii).any(|tag| {
            let strong = tag.strip_prefix(b"W/").unwrap_or(tag);
            tag == b"*" || revision(strong) == Some(row_revision)
        })
    }
}

/// The revision of a tag: `"42"`.
fn revision(tag: &[u8]) -> Option<u64> {
    let digits = tag.trim_ascii().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::super::routes::ROUTES;
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        // `extend` of pairs would replace; a repeated header is what some of the cases are about.
        let mut map = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn ask(pairs: &[(&'static str, &'static str)]) -> Ask {
        let params = Params::parse("", &[]).unwrap();
        let (table, row_id) = (String::new(), String::new());
        let deadline = Instant::now();
        Ask { table, row_id, params, headers: headers(pairs), body: Bytes::new(), deadline, upgrade: None }
    }

    #[test]
    fn a_host_stands_once_or_the_request_is_of_the_old_protocol() {
        assert!(check_host(&headers(&[("host", "a")]), false).is_ok());
        assert!(check_host(&headers(&[]), true).is_ok());
        for (pairs, http10) in
            [(&[][..], false), (&[("host", "a"), ("host", "a")], false), (&[("host", "a"), ("host", "b")], true)]
        {
            assert_eq!(check_host(&headers(pairs), http10).map_err(|f| f.code), Err(Code::BadRequest));
        }
    }

    #[test]
    fn a_body_is_json_and_not_compressed() {
        let check = |endpoint: Endpoint, pairs: &[(&'static str, &'static str)]| {
            check_headers(&ROUTES[endpoint as usize], &headers(pairs)).map_err(|failure| failure.code)
        };
        const FORM: &str = "application/x-www-form-urlencoded";
        let refused = Err(Code::UnsupportedMediaType);
        assert_eq!(check(Endpoint::PutRow, &[]), Ok(()));
        assert_eq!(check(Endpoint::PutRow, &[("content-type", "Application/JSON; charset=utf-8")]), Ok(()));
        assert_eq!(check(Endpoint::PutRow, &[("content-encoding", "identity")]), Ok(()));
        assert_eq!(check(Endpoint::PutRow, &[("content-encoding", "gzip")]), refused);
        assert_eq!(check(Endpoint::PutRow, &[("content-type", "text/plain")]), refused);
        assert_eq!(check(Endpoint::PutRow, &[("content-type", FORM)]), refused);
        assert_eq!(check(Endpoint::InsertV0, &[("content-type", FORM)]), Ok(()));
        assert_eq!(check(Endpoint::GetRow, &[("content-type", "text/plain")]), Ok(()));
        let twice = [("content-type", "application/json"), ("content-type", "text/plain")];
        assert_eq!(check(Endpoint::PutRow, &twice), Err(Code::BadRequest));
    }

    #[test]
    fn a_condition_is_read_or_refused_never_ignored() {
        assert_eq!(ask(&[]).when(true), Ok(When::Always));
        assert_eq!(ask(&[("if-match", "\"42\"")]).when(false), Ok(When::Revision(42)));
        assert_eq!(ask(&[("if-none-match", "*")]).when(true), Ok(When::Absent));
        for (pairs, put) in [
            (&[("if-match", "42")][..], true),
            (&[("if-match", "\"x\"")], true),
            (&[("if-match", "*")], true),
            (&[("if-match", "\"1\", \"2\"")], true),
            (&[("if-match", "\"1\""), ("if-match", "\"2\"")], true),
            (&[("if-match", "\"1\""), ("if-none-match", "*")], true),
            (&[("if-none-match", "\"1\"")], true),
            (&[("if-none-match", "*")], false),
        ] {
            assert_eq!(ask(pairs).when(put).map_err(|f| f.code), Err(Code::BadRequest), "{pairs:?}");
        }
        let check = |endpoint: Endpoint| check_headers(&ROUTES[endpoint as usize], &headers(&[("if-match", "\"1\"")]));
        assert!(check(Endpoint::PutRow).is_ok() && check(Endpoint::GetRow).is_ok());
        assert_eq!(check(Endpoint::InsertV0).map_err(|f| f.code), Err(Code::BadRequest));
        assert_eq!(check(Endpoint::DropTable).map_err(|f| f.code), Err(Code::BadRequest));
    }

    #[test]
    fn a_reader_that_has_the_row_says_so_by_its_tag() {
        for (tags, has) in [("\"7\"", true), ("\"1\", W/\"7\"", true), ("*", true), ("\"8\"", false), ("7", false)] {
            assert_eq!(ask(&[("if-none-match", tags)]).has(7), has, "{tags}");
        }
        assert!(!ask(&[]).has(7));
    }

    #[test]
    fn an_idempotency_key_stands_once() {
        let write = Write::DropTable { name: "t".into() };
        assert_eq!(ask(&[]).key(&write), Ok(None));
        let key = ask(&[("idempotency-key", "k")]).key(&write).unwrap().unwrap();
        assert_eq!(key.key, "k");
        for pairs in [&[("idempotency-key", "")][..], &[("idempotency-key", "a"), ("idempotency-key", "a")]] {
            assert_eq!(ask(pairs).key(&write).map_err(|f| f.code), Err(Code::BadRequest));
        }
    }
}
