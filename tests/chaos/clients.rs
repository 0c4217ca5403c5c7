//! Owns the load: eight clients that read and write a few rows and record what they asked and were told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use super::check::{Entry, Found, Op, Outcome};

/// Rows in use at a time, of which the last two only count.
const LIVE: u64 = 10;
const COUNTERS: u64 = 2;
/// After so many operations a row is left alone and another takes its place.
const RETIRED: u64 = 1_000;
/// How often a write under a key is sent before its client gives up.
const ATTEMPTS: u64 = 5;

/// What all clients share.
pub(crate) struct Load {
    urls: Vec<String>,
    http: reqwest::Client,
    began: Instant,
    pub(crate) stop: AtomicBool,
    pub(crate) history: Mutex<Vec<Entry>>,
    /// Writes acknowledged so far.
    pub(crate) acknowledged: AtomicU64,
    /// Answers that say the disk is full.
    pub(crate) full: AtomicU64,
    /// Answers that no client should ever get.
    pub(crate) strange: Mutex<Vec<String>>,
    ids: AtomicU64,
    used: [AtomicU64; LIVE as usize],
}

/// One client. Writes are numbered, so that every value is another.
pub(crate) struct Client {
    load: Arc<Load>,
    id: u64,
    /// The node it talks to; `None` for one that roams.
    pinned: Option<u64>,
    random: StdRng,
}

impl Load {
    pub(crate) fn new(urls: Vec<String>) -> Arc<Load> {
        let http = reqwest::Client::builder().connect_timeout(Duration::from_millis(500)).build().expect("a client");
        Arc::new(Load {
            urls,
            http,
            began: Instant::now(),
            stop: AtomicBool::new(false),
            history: Mutex::new(Vec::new()),
            acknowledged: AtomicU64::new(0),
            full: AtomicU64::new(0),
            strange: Mutex::new(Vec::new()),
            ids: AtomicU64::new(1),
            used: Default::default(),
        })
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// The row in a place, and all that stood there before it.
    fn row(&self, place: u64) -> String {
        let age = self.used[place as usize].fetch_add(1, Ordering::Relaxed) / RETIRED;
        format!("{}-{place}-{age}", if place < LIVE - COUNTERS { "row" } else { "count" })
    }

    /// Every row that was ever used.
    pub(crate) fn rows(&self) -> Vec<String> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let rows: std::collections::BTreeSet<&String> = history.iter().map(|entry| &entry.row).collect();
        rows.into_iter().cloned().collect()
    }
}

impl Client {
    pub(crate) fn new(load: &Arc<Load>, id: u64, pinned: Option<u64>, seed: u64) -> Client {
        let random = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(id));
        Client { load: load.clone(), id, pinned, random }
    }

    /// Works until it is told to stop.
    pub(crate) async fn run(mut self) {
        while !self.load.stop.load(Ordering::Relaxed) {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        let draw = self.random.random_range(0..100);
        if draw < 10 {
            let row = self.load.row(LIVE - 1 - self.random.random_range(0..COUNTERS));
            return self.count(row).await;
        }
        let row = self.load.row(self.random.random_range(0..LIVE - COUNTERS));
        // Unique: the ids go up with each of this client's own operations.
        let value = self.load.ids.load(Ordering::Relaxed) as i64 * 100 + self.id as i64;
        match draw {
            10..45 => drop(self.read(Op::Read, row).await),
            45..50 => {
                let others = (0..4).map(|_| self.load.row(self.random.random_range(0..LIVE - COUNTERS)));
                let mut rows: Vec<String> = others.collect();
                rows.push(row.clone());
                rows.sort_unstable();
                rows.dedup();
                drop(self.read(Op::Search { rows }, row).await);
            }
            50..55 => drop(self.read(Op::Stale, row).await),
            55..67 => drop(self.write(Op::Put { value }, row, false).await),
            67..75 => drop(self.write(Op::Put { value }, row, true).await),
            75..78 => drop(self.write(Op::Insert { value }, row, true).await),
            78..80 => drop(self.write(Op::Update { value }, row, false).await),
            80..85 => drop(self.write(Op::Delete, row, false).await),
            _ => {
                let Some(found) = self.read(Op::Read, row.clone()).await else { return };
                self.write(Op::Swap { value, expects: found.revision }, row, false).await;
            }
        }
    }

    /// Adds one to a counter.
    async fn count(&mut self, row: String) {
        match self.read(Op::Read, row.clone()).await {
            Some(found) => {
                let op = Op::Increment { value: found.value + 1, expects: found.revision };
                self.write(op, row, true).await;
            }
            None => drop(self.write(Op::Insert { value: 0 }, row, true).await),
        }
    }

    fn node(&mut self) -> u64 {
        self.pinned.unwrap_or_else(|| self.random.random_range(1..=self.load.urls.len() as u64))
    }

    fn record(&self, call: u64, row: String, op: Op, outcome: Outcome) {
        let id = self.load.ids.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { client: self.id, id, call, end: self.load.now(), row, op, outcome };
        self.load.history.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Reads through one node, and what it found of the row.
    pub(crate) async fn read(&mut self, op: Op, row: String) -> Option<Found> {
        let path = match &op {
            Op::Search { rows } => format!("/v1/tables/t/rows?filter=id.in={}", rows.join(",")),
            Op::Stale => format!("/v1/tables/t/rows/{row}?level=stale"),
            _ => format!("/v1/tables/t/rows/{row}"),
        };
        let (node, timeout) = (self.node(), self.random.random_range(200..1_000));
        let request = self.load.http.get(format!("{}{path}", self.load.urls[node as usize - 1]));
        let call = self.load.now();
        let outcome = match self.send(request, timeout).await {
            Ok((200, at, body)) => Outcome::Saw { found: found(&body), at },
            Ok((404, at, body)) if body["error"]["code"] == "row_not_found" => Outcome::Saw { found: Vec::new(), at },
            Ok((503 | 504 | 429, ..)) | Err(_) => Outcome::Unknown,
            Ok((status, _, body)) => self.strange(status, &path, &body),
        };
        let seen = match &outcome {
            Outcome::Saw { found, .. } => found.iter().find(|found| found.row == row).cloned(),
            _ => None,
        };
        self.record(call, row, op, outcome);
        seen
    }

    /// Writes; under a key it is sent again, to any node, until its outcome is known.
    pub(crate) async fn write(&mut self, op: Op, row: String, keyed: bool) -> Outcome {
        let key = format!("{}-{}", self.id, self.random.random::<u64>());
        let call = self.load.now();
        let mut outcome = Outcome::NotApplied;
        for attempt in 0..if keyed { ATTEMPTS } else { 1 } {
            let node =
                if attempt == 0 { self.node() } else { 1 + (self.node() + attempt) % self.load.urls.len() as u64 };
            let mut request = request(&self.load, node, &op, &row);
            if keyed {
                request = request.header("idempotency-key", &key);
            }
            let timeout = self.random.random_range(200..1_000);
            let answer = self.send(request, timeout).await;
            match self.outcome(&row, answer) {
                Outcome::Unknown => outcome = Outcome::Unknown,
                // Says nothing of the attempts before.
                Outcome::NotApplied => {}
                settled => {
                    outcome = settled;
                    break;
                }
            }
        }
        if matches!(outcome, Outcome::Wrote { .. }) {
            self.load.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.record(call, row, op, outcome.clone());
        outcome
    }

    fn outcome(&self, row: &str, answer: reqwest::Result<(u16, Option<u64>, Value)>) -> Outcome {
        let (status, body) = match answer {
            Ok((status, _, body)) => (status, body),
            // Nothing was sent.
            Err(error) if error.is_connect() => return Outcome::NotApplied,
            Err(_) => return Outcome::Unknown,
        };
        let (code, told) = (body["error"]["code"].as_str(), body["error"]["outcome"].as_str());
        if status == 507 {
            self.load.full.fetch_add(1, Ordering::Relaxed);
        }
        match (status, code, told) {
            (200 | 201, ..) if body["revision"].is_u64() => {
                Outcome::Wrote { revision: body["revision"].as_u64().unwrap_or_default() }
            }
            (
                404 | 409 | 412,
                Some(code @ ("row_not_found" | "row_exists" | "revision_mismatch")),
                Some("not_applied"),
            ) => Outcome::Refused { code: code.into() },
            (429 | 503 | 504 | 507, _, Some("not_applied")) => Outcome::NotApplied,
            (500 | 503 | 504, _, Some("unknown")) => Outcome::Unknown,
            _ => self.strange(status, row, &body),
        }
    }

    fn strange(&self, status: u16, path: &str, body: &Value) -> Outcome {
        let what = format!("{path}: {status} {body}");
        self.load.strange.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        Outcome::Unknown
    }

    /// The status, the revision that the answer reflects, the body.
    async fn send(&self, request: reqwest::RequestBuilder, timeout: u64) -> reqwest::Result<(u16, Option<u64>, Value)> {
        let response = request.timeout(Duration::from_millis(timeout)).send().await;
        let response = match response {
            Ok(response) => response,
            Err(error) => {
                // A node that is down refuses at once: no reason to hammer it.
                tokio::time::sleep(Duration::from_millis(20)).await;
                return Err(error);
            }
        };
        let status = response.status().as_u16();
        let at = response.headers().get("ddb-revision").and_then(|at| at.to_str().ok()?.parse().ok());
        let body = response.bytes().await?;
        if status >= 429 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok((status, at, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}

fn request(load: &Load, node: u64, op: &Op, row: &str) -> reqwest::RequestBuilder {
    let url = format!("{}/v1/tables/t/rows/{row}", load.urls[node as usize - 1]);
    let request = match op {
        Op::Delete => load.http.delete(url),
        Op::Update { .. } => load.http.patch(url),
        Op::Insert { .. } => load.http.put(url).header("if-none-match", "*"),
        Op::Swap { expects, .. } | Op::Increment { expects, .. } => {
            load.http.put(url).header("if-match", format!("\"{expects}\""))
        }
        _ => load.http.put(url),
    };
    match op.value() {
        Some(value) => {
            request.header("content-type", "application/json").body(json!({"data": {"v": value}}).to_string())
        }
        None => request,
    }
}

/// The rows of an answer: one, or a search's.
fn found(body: &Value) -> Vec<Found> {
    let rows = body["rows"].as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    let row = |row: &Value| {
        let id = row["row_id"].as_str().or(row["data"]["id"].as_str())?;
        Some(Found { row: id.into(), value: row["data"]["v"].as_i64()?, revision: row["revision"].as_u64()? })
    };
    rows.iter().map(|one| row(one).unwrap_or_else(|| panic!("not a row: {one}"))).collect()
}
