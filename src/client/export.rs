//! Owns exports: a table as a stream of lines, from the first node that gives it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until, timeout};

use super::attempt::{End, open};
use super::error::{ClientError, Tried};
use super::{Client, Endpoint};
use crate::model::{Code, Failure};
use crate::protocol::{LineFormat, table_path};

/// How long a stream may go without a byte.
const PROGRESS: Duration = Duration::from_secs(30);

/// The pause after every endpoint has been tried.
const PAUSE: Duration = Duration::from_millis(100);

/// A table on its way.
pub struct Export {
    response: reqwest::Response,
    endpoint: Endpoint,
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
        let mut last: Option<Failure> = None;
        loop {
            let mut tried = Vec::new();
            let mut sent = false;
            for endpoint in self.endpoints.iter() {
                let left = self.deadline.saturating_duration_since(Instant::now());
                let turn = left / 2;
                let reason = match timeout(turn, open(&self.http, &request, endpoint, turn)).await {
                    Ok(Ok(response)) => return Ok(Export { response, endpoint: endpoint.clone() }),
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
        let broke = |reason: String| {
            let message = format!("the export from {} broke off before its end: {reason}", self.endpoint);
            Err(failed(
                Failure::new(Code::Internal, message).hint("what was written is a part; export again"),
                Vec::new(),
            ))
        };
        match timeout(PROGRESS, self.response.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => broke(error.to_string()),
            Err(_) => broke("nothing came for 30 s".into()),
        }
    }
}

fn failed(failure: Failure, tried: Vec<Tried>) -> ClientError {
    ClientError::Failed { failure, write: false, tried }
}
