//! Speaks HTTP by hand, byte for byte, as no well-behaved client would. It knows nothing of clusters.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long any one exchange may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
    pub json: Value,
}

impl Reply {
    /// The reply, if it has this status; else the test fails and shows it.
    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        self
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn code(&self) -> &str {
        self.json["error"]["code"].as_str().unwrap_or_default()
    }

    pub fn message(&self) -> &str {
        self.json["error"]["message"].as_str().unwrap_or_default()
    }

    pub fn hint(&self) -> &str {
        self.json["error"]["hint"].as_str().unwrap_or_default()
    }
}

/// A connection to `http://host:port`.
pub async fn connect(address: &str) -> TcpStream {
    TcpStream::connect(address.trim_start_matches("http://")).await.expect("a connection")
}

/// The bytes of a request; a body comes as JSON unless a header says otherwise.
pub fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: node\r\n");
    let has = |name: &str| headers.iter().any(|header| header.to_ascii_lowercase().starts_with(name));
    if !body.is_empty() && !has("content-type") {
        head.push_str("content-type: application/json\r\n");
    }
    if !body.is_empty() && !has("transfer-encoding") && !has("content-length") {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for header in headers {
        head.push_str(&format!("{header}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// Sends `bytes` on a new connection and reads one reply.
pub async fn exchange(address: &str, bytes: &[u8]) -> Reply {
    ask(&mut connect(address).await, bytes).await
}

/// Sends `bytes` and reads one reply.
pub async fn ask(stream: &mut TcpStream, bytes: &[u8]) -> Reply {
    // The other side may refuse, and close, before it has read everything.
    let _ = timeout(PATIENCE, stream.write_all(bytes)).await.expect("the node reads");
    timeout(PATIENCE, reply(stream)).await.expect("a reply in time").expect("a reply")
}

/// Reads one reply; `None` where the connection ends before it does.
pub async fn reply(stream: &mut TcpStream) -> Option<Reply> {
    let mut seen = Vec::new();
    let end = loop {
        if let Some(at) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if !matches!(stream.read_u8().await.map(|byte| seen.push(byte)), Ok(())) {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&seen[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut reply = Reply { status, head, body: String::new(), json: Value::Null };
    let mut body = Vec::new();
    if let Some(length) = reply.header("content-length") {
        body.resize(length.parse().ok()?, 0);
        stream.read_exact(&mut body).await.ok()?;
    } else if reply.header("transfer-encoding").is_some() {
        while !body.ends_with(b"\r\n0\r\n\r\n") {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
    }
    reply.body = String::from_utf8(body).expect("UTF-8");
    reply.json = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
    Some(reply)
}

/// All that comes until the other side closes or resets.
pub async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the node closes");
    String::from_utf8_lossy(&bytes).into_owned()
}
