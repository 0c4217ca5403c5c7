//! Owns what an endpoint is: `http://host:port`, or the bare `host:port`.

use std::fmt;

use crate::model::parse_address;

/// The address of a node as a client calls it, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

/// Why a word is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not an endpoint: {why}", text.escape_debug())]
pub struct BadEndpoint {
    text: String,
    why: &'static str,
}

impl Endpoint {
    /// Reads `http://host:port` or `host:port`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Endpoint, BadEndpoint> {
        let full = if text.contains("://") { text.to_string() } else { format!("http://{text}") };
        parse_address(&full).map(Endpoint).map_err(|why| BadEndpoint { text: text.into(), why })
    }

    /// Its address: `http://host:port`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_may_leave_out_the_scheme() {
        for (text, wanted) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://db-1.example:80/", "http://db-1.example:80"),
            ("localhost:1", "http://localhost:1"),
            ("[::1]:65535", "http://[::1]:65535"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().as_str(), wanted);
        }
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        for (text, why) in [
            ("https://a:1", "TLS is not supported yet"),
            ("ftp://a:1", "write http://host:port"),
            ("a", "no port"),
            ("", "no port"),
            ("http://", "no port"),
            (":80", "neither a name nor an IP"),
            ("a b:80", "neither a name nor an IP"),
            ("u@a:80", "neither a name nor an IP"),
            ("[::g]:80", "neither a name nor an IP"),
            ("a:0", "1 to 65535"),
            ("a:65536", "1 to 65535"),
            ("a:+80", "1 to 65535"),
            ("a:80/v1", "1 to 65535"),
        ] {
            let said = Endpoint::parse(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
