//! Owns answers that are read as they arrive, and exports: a table as a stream of lines.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::error::ClientError;
use super::request::Request;
use super::{Client, Endpoint};
use crate::model::{Code, Failure};
use crate::protocol::{LineFormat, table_path};

/// How long a stream may go without a byte.
const PROGRESS: Duration = Duration::from_secs(30);

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
        self.stream(&request, "the export").await.map(Export)
    }

    /// Sends a request whose answer, called `what`, is read as it arrives.
    pub(super) async fn stream(&self, request: &Request, what: &'static str) -> Result<Stream, ClientError> {
        let (response, endpoint) = self.begin(request).await?;
        Ok(Stream { response, endpoint, what })
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
            let failure = Failure::new(Code::Internal, message).hint("what has come is a part; ask again");
            Err(ClientError::from(failure))
        };
        match timeout(PROGRESS, self.response.chunk()).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => broke(error.to_string()),
            Err(_) => broke("nothing came for 30 s".into()),
        }
    }
}
