//! Owns one request as it goes to any node, and the answer to it.

use std::fmt::Write as _;

use bytes::Bytes;
use reqwest::Method;

use crate::protocol::encode_segment;

/// A request that is the same whichever endpoint it is sent to.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// The path, and the query as far as it goes.
    pub(super) path: String,
    asks: bool,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// Whether it changes anything; it then carries an idempotency key.
    pub(super) write: bool,
}

/// What a node answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Request {
    /// A request that changes nothing.
    pub(super) fn read(method: Method, path: impl Into<String>) -> Request {
        Request { method, path: path.into(), asks: false, headers: Vec::new(), body: Bytes::new(), write: false }
    }

    /// A write, under an idempotency key of its own.
    pub(super) fn write(method: Method, path: impl Into<String>, body: Vec<u8>) -> Request {
        let mut request = Request::read(method, path);
        request.write = true;
        request.headers.push(("idempotency-key", uuid::Uuid::new_v4().to_string()));
        if !body.is_empty() {
            request.headers.push(("content-type", "application/json".into()));
        }
        request.body = body.into();
        request
    }

    /// The same with a parameter.
    #[must_use]
    pub(super) fn param(mut self, name: &str, value: &str) -> Request {
        self.path.push(if self.asks { '&' } else { '?' });
        self.asks = true;
        // Writing to a String cannot fail.
        let _ = write!(self.path, "{name}={}", encode_segment(value));
        self
    }

    /// The same with a header.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: String) -> Request {
        self.headers.push((name, value));
        self
    }

    /// The address of the request at an endpoint, with the time that the node has.
    pub(super) fn url(&self, endpoint: &str, timeout: &str) -> String {
        let sign = if self.asks { '&' } else { '?' };
        format!("{endpoint}{}{sign}timeout={timeout}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_and_the_time_goes_with_them() {
        let request = Request::read(Method::GET, "/v1/tables/t/rows").param("filter", "a=b&c").param("limit", "7");
        let wanted = "http://a:1/v1/tables/t/rows?filter=a%3Db%26c&limit=7&timeout=5ms";
        assert_eq!(request.url("http://a:1", "5ms"), wanted);
        assert_eq!(Request::read(Method::GET, "/x").url("http://a:1", "5ms"), "http://a:1/x?timeout=5ms");
    }

    #[test]
    fn every_write_has_a_key_of_its_own() {
        let keys: Vec<_> = (0..2).map(|_| Request::write(Method::POST, "/insert", vec![b'{']).headers).collect();
        assert_eq!(keys[0][0].0, "idempotency-key");
        assert_ne!(keys[0], keys[1]);
        assert!(Request::read(Method::GET, "/").headers.is_empty());
    }
}
