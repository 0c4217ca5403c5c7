//! Owns how a session reaches its node: a connection of HTTP/1.1 of its own, or a stream of an HTTP/2 connection.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// A way to a node that is opened when it is needed, and again after it broke.
pub(super) struct Line {
    host: String,
    way: Way,
}

enum Way {
    /// A connection of its own, while it is open.
    Alone(Option<Open>),
    /// A stream of a connection that others use too.
    Shared(Trunk),
}

/// An open connection. Whoever waits for an answer drives it too: a task for each would wake another for every request.
struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
}

/// A connection of HTTP/2 that several sessions share; a task of its own drives it.
#[derive(Clone, Debug, Default)]
pub(super) struct Trunk(Arc<Mutex<Option<http2::SendRequest<Full<Bytes>>>>>);

impl Line {
    /// A connection of its own.
    pub(super) fn alone(host: &str) -> Line {
        Line { host: host.into(), way: Way::Alone(None) }
    }

    /// A stream of a connection, which has to be to that host.
    pub(super) fn on(trunk: &Trunk, host: &str) -> Line {
        Line { host: host.into(), way: Way::Shared(trunk.clone()) }
    }

    /// The status and the body of the answer.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
    ) -> Result<(u16, Bytes), String> {
        let mut request = Request::builder().method(method);
        request = match self.way {
            Way::Alone(_) => request.uri(path).header(header::HOST, &self.host),
            Way::Shared(_) => request.uri(format!("http://{}{path}", self.host)),
        };
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| e.to_string())?;
        match &mut self.way {
            Way::Alone(open) => exchange(&self.host, open, request).await,
            Way::Shared(trunk) => trunk.exchange(&self.host, request).await,
        }
        .map_err(|e| format!("{}: {e}", self.host))
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn exchange(host: &str, kept: &mut Option<Open>, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Failed> {
    // Taken while it is in use: one that failed is not used again.
    let mut open = match kept.take() {
        Some(open) if open.sender.is_ready() => open,
        _ => {
            let (sender, driver) = http1::handshake(dial(host).await?).await?;
            Open { sender, driver: Box::pin(driver) }
        }
    };
    let Open { sender, driver } = &mut open;
    let answered = async {
        let answer = whole(sender.send_request(request).await?).await?;
        sender.ready().await.map(|()| answer)
    };
    let answered = tokio::select! {
        answered = answered => answered?,
        Err(e) = driver => return Err(e.into()),
    };
    *kept = Some(open);
    Ok(answered)
}

impl Trunk {
    async fn exchange(&self, host: &str, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Failed> {
        let mut sender = self.sender(host).await?;
        Ok(whole(sender.send_request(request).await?).await?)
    }

    async fn sender(&self, host: &str) -> Result<http2::SendRequest<Full<Bytes>>, Failed> {
        let mut open = self.0.lock().await;
        if let Some(sender) = open.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let (sender, driver) = http2::handshake(TokioExecutor::new(), dial(host).await?).await?;
        tokio::spawn(driver);
        *open = Some(sender.clone());
        Ok(sender)
    }
}

/// The status and the body of an answer, once all of it is there.
async fn whole(answer: Response<Incoming>) -> hyper::Result<(u16, Bytes)> {
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

async fn dial(host: &str) -> Result<TokioIo<TcpStream>, Failed> {
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}
