//! Owns the calls: what a cluster can be asked, each as one method.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Endpoint;
use super::error::ClientError;
use super::request::{Answer, Request};
use crate::model::{
    Alteration, Cell, ClusterStatus, ColumnSpec, Fate, IndexSpec, Level, NodeVersion, PutMode, VerifyReport, When,
};
use crate::protocol::{
    CreatedTable, RowObject, TableInfo, TableList, Written, decode, encode_alter_table, encode_create_index,
    encode_create_table, encode_insert, encode_row_body, index_path, level_name, row_path, table_path,
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(1);

/// How long one endpoint is waited for before another is tried beside it.
const PATIENCE: Duration = Duration::from_millis(400);

/// A client of one cluster, with one deadline for all it does; clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) endpoints: Arc<[Endpoint]>,
    /// The endpoint to begin with: the one that answered last.
    pub(super) first: Arc<AtomicUsize>,
    pub(super) timeout: Duration,
    pub(super) deadline: Instant,
    pub(super) patience: Duration,
    level: Level,
    /// Who is told, once, what a call waits for.
    pub(super) tell: Option<fn(&str)>,
}

/// What a put answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The row and its revision.
    pub written: Written,
    /// Whether the row was absent before.
    pub created: bool,
}

impl Client {
    /// A client of the cluster behind `endpoints` (at least one), whose deadline is `timeout` from now.
    ///
    /// # Errors
    /// `internal` where the system gives no sockets at all.
    pub fn new(endpoints: &[Endpoint], timeout: Duration, level: Level) -> Result<Client, ClientError> {
        // Every endpoint gets its turn within the deadline, even if none of them answers.
        let turn = timeout / (endpoints.len() as u32 + 1);
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT.min(turn))
            .build()
            .map_err(|error| internal(format!("there is no way to send requests: {error}"), false))?;
        let first = Arc::new(AtomicUsize::new(0));
        let deadline = Instant::now() + timeout;
        let patience = PATIENCE.min(turn);
        Ok(Client { http, endpoints: endpoints.into(), first, timeout, deadline, patience, level, tell: None })
    }

    /// The same client, which tells once of each call that takes long what it waits for.
    #[must_use]
    pub fn telling(self, tell: fn(&str)) -> Client {
        Client { tell: Some(tell), ..self }
    }

    /// The same client with a new deadline, `timeout` from now.
    #[must_use]
    pub fn until(&self, timeout: Duration) -> Client {
        Client { timeout, deadline: Instant::now() + timeout, ..self.clone() }
    }

    /// The same client, waiting for an endpoint so long before it asks another beside it.
    pub(super) fn patient(&self, patience: Duration) -> Client {
        let turn = self.timeout / (self.endpoints.len() as u32 + 1);
        Client { patience: patience.min(turn), ..self.clone() }
    }

    /// Creates a table.
    ///
    /// # Errors
    /// As every call: what the cluster refused, or why there is no answer.
    pub async fn create_table(&self, name: &str, columns: &[ColumnSpec]) -> Result<CreatedTable, ClientError> {
        let body = encode_create_table(name, columns);
        self.ask(&Request::write(Method::POST, "/v1/tables", body)).await
    }

    /// All tables, by name.
    ///
    /// # Errors
    /// As every call.
    pub async fn tables(&self) -> Result<TableList, ClientError> {
        self.ask(&self.get("/v1/tables")).await
    }

    /// One table.
    ///
    /// # Errors
    /// As every call.
    pub async fn table(&self, name: &str) -> Result<TableInfo, ClientError> {
        self.ask(&self.get(&table_path(name)?)).await
    }

    /// Changes the columns of a table, all or none.
    ///
    /// # Errors
    /// As every call.
    pub async fn alter_table(&self, name: &str, changes: &[Alteration]) -> Result<CreatedTable, ClientError> {
        self.ask(&Request::write(Method::PATCH, table_path(name)?, encode_alter_table(changes))).await
    }

    /// Adds an index to a table; it is built in the background.
    ///
    /// # Errors
    /// As every call.
    pub async fn create_index(&self, table: &str, index: &IndexSpec) -> Result<CreatedTable, ClientError> {
        let path = format!("{}/indexes", table_path(table)?);
        self.ask(&Request::write(Method::POST, path, encode_create_index(index))).await
    }

    /// Drops an index.
    ///
    /// # Errors
    /// As every call.
    pub async fn drop_index(&self, table: &str, index: &str) -> Result<CreatedTable, ClientError> {
        self.ask(&Request::write(Method::DELETE, index_path(table, index)?, Vec::new())).await
    }

    /// Drops a table with all its rows.
    ///
    /// # Errors
    /// As every call.
    pub async fn drop_table(&self, name: &str) -> Result<Written, ClientError> {
        self.ask(&Request::write(Method::DELETE, table_path(name)?, Vec::new())).await
    }

    /// One row.
    ///
    /// # Errors
    /// As every call.
    pub async fn row(&self, table: &str, row_id: &str) -> Result<RowObject, ClientError> {
        self.ask(&self.get(&row_path(table, row_id)?)).await
    }

    /// Inserts, replaces or updates a row; an insert takes no condition but its own.
    ///
    /// # Errors
    /// As every call.
    pub async fn put(
        &self,
        table: &str,
        row_id: &str,
        cells: &[(String, Cell)],
        mode: PutMode,
        when: When,
    ) -> Result<Put, ClientError> {
        let request = match mode {
            PutMode::Insert => Request::write(Method::POST, "/insert", encode_insert(table, row_id, cells)),
            PutMode::Replace => Request::write(Method::PUT, row_path(table, row_id)?, encode_row_body(cells)),
            PutMode::Update => Request::write(Method::PATCH, row_path(table, row_id)?, encode_row_body(cells)),
        };
        let request = conditional(request, when);
        let answer = self.call(&request).await?;
        Ok(Put { created: answer.status == 201, written: read(&request, &answer)? })
    }

    /// Deletes a row.
    ///
    /// # Errors
    /// As every call.
    pub async fn delete(&self, table: &str, row_id: &str, when: When) -> Result<Written, ClientError> {
        let request = Request::write(Method::DELETE, row_path(table, row_id)?, Vec::new());
        self.ask(&conditional(request, when)).await
    }

    /// The cluster, as the node that answers sees it.
    ///
    /// # Errors
    /// As every call.
    pub async fn status(&self) -> Result<ClusterStatus, ClientError> {
        self.ask(&Request::read(Method::GET, "/v1/status")).await
    }

    /// Which version the node that answers runs, and what its clock says.
    ///
    /// # Errors
    /// As every call.
    pub async fn version(&self) -> Result<NodeVersion, ClientError> {
        self.ask(&Request::read(Method::GET, "/version")).await
    }

    /// A comparison of all replicas at one revision.
    ///
    /// # Errors
    /// As every call.
    pub async fn verify(&self) -> Result<VerifyReport, ClientError> {
        self.ask(&Request::read(Method::POST, "/v1/verify")).await
    }

    /// A read of the tables at the client's level.
    pub(super) fn get(&self, path: &str) -> Request {
        self.at_level(Request::read(Method::GET, path))
    }

    /// A request with the client's level.
    pub(super) fn at_level(&self, request: Request) -> Request {
        match self.level {
            Level::Linearizable => request,
            Level::Stale => request.param("level", level_name(Level::Stale)),
        }
    }

    /// Sends a request and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        read(request, &self.call(request).await?)
    }
}

fn conditional(request: Request, when: When) -> Request {
    match when {
        When::Always => request,
        When::Revision(revision) => request.header("if-match", format!("\"{revision}\"")),
        When::Absent => request.header("if-none-match", "*".into()),
    }
}

pub(super) fn read<T: DeserializeOwned>(request: &Request, answer: &Answer) -> Result<T, ClientError> {
    decode(&answer.body).map_err(|failure| internal(failure.message, request.write))
}

fn internal(message: String, write: bool) -> ClientError {
    let mut failure = crate::model::Failure::internal(message);
    if !write {
        failure.fate = Fate::NotApplied;
    }
    ClientError::Failed { failure, write, tried: Vec::new() }
}
