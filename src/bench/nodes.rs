//! Owns a cluster of this program as a target: a table, and one HTTP/1.1 connection a session.

use std::pin::Pin;

use bytes::Bytes;
use http::{Method, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::target::{Session, Target};
use super::{Row, Via};
use crate::model::{ClusterStatus, Level};

/// The nodes of a run and the table that it uses.
#[derive(Clone, Debug)]
pub struct Nodes {
    /// The hosts and ports, at least one; sessions take turns on them.
    hosts: Vec<String>,
    table: String,
    level: Level,
}

impl Nodes {
    /// The columns of the table: `NAME:TYPE`.
    pub const COLUMNS: [&'static str; 4] = ["id:int", "n:int", "grp:int", "body:text"];
    /// The column that rows are looked for by.
    pub const GROUP: &'static str = "grp";

    /// The nodes of a cluster that a run goes to.
    ///
    /// # Errors
    /// There are no such nodes now, as a sentence.
    pub fn of(status: &ClusterStatus, via: Via, table: &str, level: Level) -> Result<Nodes, String> {
        let leader = status.leader.as_ref().map(|leader| leader.id);
        let wanted = |id: u64| match via {
            Via::Leader => Some(id) == leader,
            Via::Followers => leader.is_some() && Some(id) != leader,
            Via::All => true,
        };
        let up = status.nodes.iter().filter(|node| node.up && wanted(node.id));
        let hosts: Vec<String> = up.map(|node| host(&node.address).to_string()).collect();
        if hosts.is_empty() {
            return Err(format!("there is no node that is up for \"{}\"", via.as_str()));
        }
        Ok(Nodes { hosts, table: table.into(), level })
    }
}

impl Target for Nodes {
    type Session = Node;

    fn session(&self, worker: usize) -> Node {
        let stale = if self.level == Level::Stale { "level=stale" } else { "level=linearizable" };
        let host = self.hosts[worker % self.hosts.len()].clone();
        Node { line: Line { host, open: None }, table: format!("/v1/tables/{}", self.table), level: stale }
    }
}

/// A session with one node.
pub struct Node {
    line: Line,
    /// The path of the table.
    table: String,
    /// The parameter that says how fresh reads are.
    level: &'static str,
}

impl Session for Node {
    async fn put(&mut self, row: Row) -> Result<(), String> {
        let path = format!("{}/rows/{}", self.table, row.key);
        let body = format!("{{\"data\":{}}}", row.json());
        good(self.line.send(Method::PUT, &path, "application/json", body).await?).map(|_| ())
    }

    async fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, String> {
        let path = format!("{}/rows/{key}?{}", self.table, self.level);
        match self.line.send(Method::GET, &path, "", String::new()).await? {
            (404, _) => Ok(None),
            answer => good(answer).map(|body| Some(body.to_vec())),
        }
    }

    async fn search(&mut self, group: u64) -> Result<u64, String> {
        let path = format!("{}/rows?filter=grp%3D{group}&limit=10&{}", self.table, self.level);
        let body = good(self.line.send(Method::GET, &path, "", String::new()).await?)?;
        let found: Found = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
        match found.rows.iter().find(|row| row.data.grp != group) {
            Some(other) => Err(format!("a search for group {group} found a row of group {}", other.data.grp)),
            None => Ok(found.rows.len() as u64),
        }
    }

    async fn load(&mut self, rows: &[Row]) -> Result<(), String> {
        let path = format!("{}/import?format=jsonl&on_conflict=replace&timeout=60s", self.table);
        let body: String = rows.iter().map(Row::line).collect();
        good(self.line.send(Method::POST, &path, "application/x-ndjson", body).await?).map(|_| ())
    }
}

/// What is looked at of a search's answer.
#[derive(Deserialize)]
struct Found {
    rows: Vec<FoundRow>,
}

#[derive(Deserialize)]
struct FoundRow {
    data: Group,
}

#[derive(Deserialize)]
struct Group {
    grp: u64,
}

/// A node's process, as it tells of itself.
#[derive(Debug)]
pub struct Process {
    /// When it started, in seconds of Unix time.
    started: f64,
    /// The CPU time that it has used so far.
    cpu_seconds: f64,
}

impl Process {
    /// The process of a node; `None` if it does not tell.
    pub async fn of(address: &str) -> Option<Process> {
        let mut line = Line { host: host(address).to_string(), open: None };
        let metrics = good(line.send(Method::GET, "/metrics", "", String::new()).await.ok()?).ok()?;
        let text = String::from_utf8_lossy(&metrics);
        let figure = |name: &str| -> Option<f64> {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
        };
        let (started, cpu_seconds) = (figure("process_start_time_seconds")?, figure("process_cpu_seconds_total")?);
        Some(Process { started, cpu_seconds })
    }

    /// The CPU time that it has used since it was `before`; `None` if it is another process now.
    pub fn spent_since(&self, before: &Process) -> Option<f64> {
        (self.started == before.started).then_some(self.cpu_seconds - before.cpu_seconds)
    }
}

fn host(address: &str) -> &str {
    address.strip_prefix("http://").unwrap_or(address)
}

/// A connection that is opened when it is needed, and again after it broke.
struct Line {
    host: String,
    open: Option<Open>,
}

/// An open connection. Whoever waits for an answer drives it too: a task for each would wake another for every request.
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
}

impl Line {
    async fn send(&mut self, method: Method, path: &str, kind: &str, body: String) -> Result<(u16, Bytes), String> {
        // Taken while it is in use: one that failed is not used again.
        let mut open = match self.open.take() {
            Some(open) if open.sender.is_ready() => open,
            _ => self.dial().await?,
        };
        let mut request = http::Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|e| e.to_string())?;
        let Open { sender, driver } = &mut open;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await?.to_bytes();
            sender.ready().await.map(|()| (status, body))
        };
        let answered = tokio::select! {
            answered = exchange => answered.map_err(|e| self.said(&e))?,
            Err(e) = driver => return Err(self.said(&e)),
        };
        self.open = Some(open);
        Ok(answered)
    }

    async fn dial(&self) -> Result<Open, String> {
        let stream = TcpStream::connect(&self.host).await.map_err(|e| self.said(&e))?;
        stream.set_nodelay(true).map_err(|e| self.said(&e))?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|e| self.said(&e))?;
        Ok(Open { sender, driver: Box::pin(driver) })
    }

    fn said(&self, error: &dyn std::error::Error) -> String {
        format!("{}: {error}", self.host)
    }
}

/// The body of an answer that says yes.
fn good((status, body): (u16, Bytes)) -> Result<Bytes, String> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = answer["error"]["message"].as_str().unwrap_or("without a word");
    Err(format!("refused with {status}: {message}"))
}
