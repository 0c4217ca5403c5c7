//! Owns one HTTP exchange over the simulated network, with a deadline.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::timeout;

use crate::world::{PORT, name};

/// What came of a request.
pub(crate) enum Reply {
    /// It never left.
    NotSent,
    /// It may have arrived.
    Lost,
    /// An answer: its status, its `ddb-revision`, its body.
    Answer(StatusCode, Option<u64>, Value),
}

/// A client's connection, kept while it works.
#[derive(Default)]
pub(crate) struct Http {
    kept: Option<(u64, SendRequest<Full<Bytes>>)>,
}

impl Http {
    /// Asks `node`, for `time` at most.
    pub(crate) async fn ask(
        &mut self,
        node: u64,
        time: Duration,
        request: (&str, &str),
        headers: &[(&str, String)],
        body: Option<Value>,
    ) -> Reply {
        let body = body.map(|body| ("application/json", Bytes::from(body.to_string())));
        self.send(node, time, request, headers, body).await
    }

    /// The same with a body of any kind.
    pub(crate) async fn send(
        &mut self,
        node: u64,
        time: Duration,
        (method, path): (&str, &str),
        headers: &[(&str, String)],
        body: Option<(&str, Bytes)>,
    ) -> Reply {
        let kept = self.kept.take().filter(|(to, sender)| *to == node && !sender.is_closed());
        let mut sender = match kept {
            Some((_, sender)) => sender,
            None => match timeout(time, connect(node)).await {
                Ok(Some(sender)) => sender,
                _ => return Reply::NotSent,
            },
        };
        let mut request = Request::builder().method(method).uri(path).header("host", format!("{}:{PORT}", name(node)));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some((kind, _)) = body {
            request = request.header("content-type", kind);
        }
        let body = body.map_or_else(Bytes::new, |(_, body)| body);
        let request = request.body(Full::new(body)).unwrap();
        let exchange = async {
            let response = sender.send_request(request).await.ok()?;
            let (head, body) = response.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            let revision = head.headers.get("ddb-revision").and_then(|value| value.to_str().ok()?.parse().ok());
            Some((head.status, revision, serde_json::from_slice(&body).unwrap_or(Value::Null)))
        };
        match timeout(time, exchange).await {
            Ok(Some((status, revision, body))) => {
                self.kept = Some((node, sender));
                Reply::Answer(status, revision, body)
            }
            _ => Reply::Lost,
        }
    }
}

async fn connect(node: u64) -> Option<SendRequest<Full<Bytes>>> {
    let stream = turmoil::net::TcpStream::connect((name(node), PORT)).await.ok()?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}
