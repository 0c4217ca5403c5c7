//! Owns the limits of the front door: how many, how large, how long.

use std::time::Duration;

/// What a node takes at its front door.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Client connections at a time.
    pub connections: usize,
    /// Connections beyond them, so that peers and probes get through when clients fill the node:
    /// on these only peer and health routes are answered.
    pub reserve: usize,
    /// Requests in flight at a time, until all but the end of an answer has been taken; health checks aside. Those over
    /// HTTP/1 and over HTTP/2 count apart, and each connection of HTTP/2 may have one beyond.
    pub requests: usize,
    /// Requests in flight at a time on one connection of HTTP/2.
    pub streams: u32,
    /// Bytes of a request's body.
    pub body: usize,
    /// Requests in flight with more than `small_body` bytes of body.
    pub large_bodies: usize,
    /// Up to how many bytes a body counts as small.
    pub small_body: usize,
    /// How long a request's head may take to arrive; also the first one's after connecting.
    pub head: Duration,
    /// How long a connection may be idle between requests.
    pub idle: Duration,
    /// How long a body may go without a byte, in either direction; an answer over HTTP/2 without a piece.
    pub progress: Duration,
    /// How long what is in flight has to finish when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 4_096,
            reserve: 64,
            requests: 4_096,
            streams: 128,
            body: 2 << 20,
            large_bodies: 64,
            small_body: 64 << 10,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            progress: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}
