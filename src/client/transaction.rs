//! Owns writes of many rows: transactions, and the change of all rows that pass a filter.

use std::time::Duration;

use reqwest::Method;

use super::Client;
use super::error::ClientError;
use super::request::Request;
use crate::model::{Change, Check, Filter, Operation};
use crate::protocol::{Changed, Transacted, encode_row_body, encode_transaction, table_path};

/// How long an endpoint may be silent before another is asked beside it: longer than for one write,
/// as a change may be of a million rows.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which rows to change, and how.
#[derive(Clone, Debug)]
pub struct ChangeRows {
    /// The table.
    pub table: String,
    /// All of them must pass; where there are none, all rows are meant.
    pub filters: Vec<Filter>,
    /// What becomes of each row.
    pub change: Change,
    /// Whether to check and count only.
    pub dry_run: bool,
}

impl Client {
    /// Does operations all or none, if the checks hold; `dry_run` does them to nothing.
    ///
    /// # Errors
    /// As every call; the failure says of which check or operation it is.
    pub async fn transact(
        &self,
        checks: &[Check],
        operations: &[Operation],
        dry_run: bool,
    ) -> Result<Transacted, ClientError> {
        let request = Request::write(Method::POST, "/v1/transactions", encode_transaction(checks, operations));
        self.ask(&if dry_run { request.param("dry_run", "true") } else { request }).await
    }

    /// Changes all rows that pass.
    ///
    /// # Errors
    /// As every call; some of the rows may have been changed.
    pub async fn change_rows(&self, rows: &ChangeRows) -> Result<Changed, ClientError> {
        let path = format!("{}/rows", table_path(&rows.table)?);
        let mut request = match &rows.change {
            Change::Update(cells) => Request::write(Method::PATCH, path, encode_row_body(cells)),
            Change::Delete => Request::write(Method::DELETE, path, Vec::new()),
        };
        for filter in &rows.filters {
            request = request.param("filter", &filter.to_string());
        }
        if rows.filters.is_empty() {
            request = request.param("all", "true");
        }
        if rows.dry_run {
            request = request.param("dry_run", "true");
        }
        self.patient(PATIENCE).ask(&request).await
    }
}
