//! Owns answers that are read as they arrive, from the first node that gives one: exports, and SQL.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

use super::attempt::{End, open};
use super::error::{ClientError, Tried};
use super::request::Request;
use super::{Client, Endpoint};
use crate::model::{Code, Failure};
use crate::protocol::{LineFormat, table_path};

/// How long a stream may go without a byte.
const PROGRESS: Duration = Duration::from_secs(30);

/// The pause after every endpoint has been tried.
const PAUSE: Duration = Duration::from_millis(100);

/// A table on its way.
pub struct Export(Stream);

/// An answer on its way.
pub(super) struct Stream {
    response: reqwest::Response,
    endpoint: Endpoint,
    what: &'static str,
}

impl Client {
    /// Begins to export the rows of a table that pass all `filters`, as of one revision. The client's
    /// deadline is that of the beginning.
    ///
    /// # Errors
    /// As every call.
    pub async fn export(&self, table: &str, filters: &[String], format: LineFormat) -> Result<Export, ClientError> {
        let mut request = self.get(&format!("{}/export", table_path(table)?)).param("format", format.as_str());
        for filter in filters {
            request = request.param("filter", filter);
        }
        self.begin(&request, "the export", 2).await.map(Export)
    }

    /// Sends a request whose answer, called `what`, is read as it arrives. One node gets one part in `parts` of
    /// the time there is to begin with it, then the next is asked.
    pub(super) async fn begin(&self, request: &Request, what: &'static str, parts: u32) -> Result<Stream, ClientError> {
        let mut last: Option<Failure> = None;
        loop {
            let mut tried = Vec::new();
            let mut sent = false;
            let first = self.first.load(Ordering::Relaxed);
            for endpoint in self.endpoints.iter().cycle().skip(first).take(self.endpoints.len()) {
                let left = self.deadline.saturating_duration_since(Instant::now());
                let turn = left / parts;
                let reason = match timeout(turn, open(&self.http, request, endpoint, turn)).await {
                    Ok(Ok(response)) => return Ok(Stream { response, endpoint: endpoint.clone(), what }),
                    Ok(Err(End::Refused(failure))) if !failure.retryable => return Err(failed(failure, tried)),
                    Ok(Err(End::Refused(failure))) => last.insert(failure).message.clone(),
                    Ok(Err(End::NotSent(reason))) => {
                        tried.push(Tried { endpoint: endpoint.clone(), reason });
                        continue;
                    }
                    Ok(Err(End::Lost(reason))) => reason,
                    Ok(Err(End::Done(_))) | Err(_) => "no answer in time".into(),
                };
                sent = true;
                tried.push(Tried { endpoint: endpoint.clone(), reason });
            }
            if !sent {
                return Err(ClientError::Unreachable(tried));
            }
            let next = Instant::now() + PAUSE;
            if next >= self.deadline {
                let time = self.timeout.as_secs_f64();
                let silent = || Failure::new(Code::Timeout, format!("no answer within {time} s"));
                return Err(failed(last.unwrap_or_else(silent), tried));
            }
            sleep_until(next).await;
        }
    }
}

impl Export {
    /// The next bytes; `None` once the table is whole.
    ///
    /// # Errors
    /// `internal` where the stream broke off: what has come is then only a part.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.0.next().await
    }
}

impl Stream {
    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let broke = |reason: String| {
            let message = format!("{} from {} broke off before its end: {reason}", self.what, self.endpoint);
            Err(failed(Failure::new(Code::Internal, message).hint("what has come is a part; ask again"), Vec::new()))
        };
        match timeout(PROGRESS, self.response.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => broke(error.to_string()),
            Err(_) => broke("nothing came for 30 s".into()),
        }
    }
}

pub(super) fn failed(failure: Failure, tried: Vec<Tried>) -> ClientError {
    ClientError::Failed { failure, write: false, tried }
}
