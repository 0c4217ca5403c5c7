//! Owns a cluster of this program as a target: a table, and the requests for its rows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::line::{Line, Trunk};
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
    /// How many sessions share a connection.
    streams: usize,
    /// The connections that are shared, by host and number.
    trunks: Arc<Mutex<HashMap<(usize, usize), Trunk>>>,
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
        Ok(Nodes { hosts, table: table.into(), level, streams: 1, trunks: Arc::default() })
    }

    /// The same nodes, with so many sessions as streams of one HTTP/2 connection; 1 is a connection of HTTP/1.1 for each.
    #[must_use]
    pub fn with_streams(self, streams: usize) -> Nodes {
        Nodes { streams, ..self }
    }

    fn line(&self, worker: usize) -> Line {
        let place = worker % self.hosts.len();
        let host = &self.hosts[place];
        if self.streams <= 1 {
            return Line::alone(host);
        }
        let mut trunks = self.trunks.lock().unwrap_or_else(PoisonError::into_inner);
        let number = worker / self.hosts.len() / self.streams;
        Line::on(trunks.entry((place, number)).or_default(), host)
    }
}

impl Target for Nodes {
    type Session = Node;

    fn session(&self, worker: usize) -> Node {
        let stale = if self.level == Level::Stale { "level=stale" } else { "level=linearizable" };
        Node { line: self.line(worker), table: format!("/v1/tables/{}", self.table), level: stale }
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
        let mut line = Line::alone(host(address));
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

/// The body of an answer that says yes.
fn good((status, body): (u16, Bytes)) -> Result<Bytes, String> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let message = answer["error"]["message"].as_str().unwrap_or("without a word");
    Err(format!("refused with {status}: {message}"))
}
