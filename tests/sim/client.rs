//! Owns the clients: what they ask, how they understand the answers, and the history that they record.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::check::{Entry, Found, Op, Outcome};
use crate::http::{Http, Reply};
use crate::world::Shared;

/// The table that clients work on, and its rows.
pub(crate) const TABLE: &str = "/v1/tables/t";
const ROWS: u64 = 5;

/// What all clients of a simulation share.
pub(crate) struct Record {
    pub(crate) history: RefCell<Vec<Entry>>,
    pub(crate) shared: Rc<Shared>,
    pub(crate) stop: Cell<bool>,
    /// How many of the other clients have not come to their end.
    pub(crate) at_work: Cell<u64>,
    /// What else was done, by kind.
    pub(crate) extra: RefCell<BTreeMap<&'static str, u64>>,
    next: Cell<u64>,
}

impl Record {
    pub(crate) fn new(shared: Rc<Shared>) -> Rc<Record> {
        let (history, extra, at_work) = Default::default();
        Rc::new(Record { history, extra, at_work, shared, stop: Cell::new(false), next: Cell::new(1) })
    }

    /// Counts what was done besides the operations of the history.
    pub(crate) fn note(&self, what: &'static str) {
        *self.extra.borrow_mut().entry(what).or_default() += 1;
    }

    /// A number that nothing else has.
    fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }
}

fn row(number: u64) -> String {
    format!("r{number}")
}

fn now() -> u64 {
    turmoil::sim_elapsed().unwrap_or_default().as_micros() as u64
}

/// One client. Odd ones keep to a node, even ones roam.
pub(crate) struct Client {
    id: u64,
    record: Rc<Record>,
    dice: StdRng,
    http: Http,
    /// What it last saw of each row.
    seen: BTreeMap<String, Found>,
}

impl Client {
    pub(crate) fn new(id: u64, seed: u64, record: Rc<Record>) -> Client {
        let dice = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(id));
        Client { id, record, dice, http: Http::default(), seen: BTreeMap::new() }
    }

    /// Works until it is told to stop.
    pub(crate) async fn work(mut self) -> turmoil::Result {
        while !self.record.stop.get() {
            let node = self.node();
            let row = row(self.dice.random_range(0..ROWS));
            let op = self.choose(&row);
            self.perform(node, row, op).await;
            let pause = if self.dice.random_bool(0.1) { 0..200 } else { 0..25 };
            sleep(Duration::from_millis(self.dice.random_range(pause))).await;
        }
        Ok(())
    }

    fn node(&mut self) -> u64 {
        let nodes = *self.record.shared.ids().end();
        if self.id % 2 == 1 { self.id % nodes + 1 } else { self.dice.random_range(1..=nodes) }
    }

    fn choose(&mut self, row: &str) -> Op {
        let value = self.record.number() as i64;
        let known = self.seen.get(row).cloned();
        match self.dice.random_range(0..100) {
            0..30 => Op::Read,
            30..35 => Op::Stale,
            35..40 => Op::Search { rows: (0..ROWS).map(self::row).collect() },
            40..60 => Op::Put { value },
            60..66 => Op::Insert { value },
            66..72 => Op::Update { value },
            72..78 => Op::Delete,
            dice => match known {
                None => Op::Read,
                Some(known) if dice < 88 => Op::Swap { value, expects: known.revision },
                Some(known) => Op::Increment { value: known.value + 1, expects: known.revision },
            },
        }
    }

    /// Asks, and records what was asked and answered.
    pub(crate) async fn perform(&mut self, node: u64, row: String, op: Op) -> Outcome {
        let (id, call) = (self.record.number(), now());
        let outcome = match &op {
            Op::Increment { .. } => self.increment(node, id, &row, &op).await,
            _ => {
                let time = Duration::from_millis(self.dice.random_range(400..2_500));
                self.ask(node, time, &row, &op, None).await
            }
        };
        self.learn(&row, &op, &outcome);
        let entry = Entry { client: self.id, id, call, end: now(), row, op, outcome: outcome.clone() };
        self.record.history.borrow_mut().push(entry);
        outcome
    }

    /// Sends the same write under the same key to node after node, until one knows what became of it.
    async fn increment(&mut self, mut node: u64, id: u64, row: &str, op: &Op) -> Outcome {
        let mut open = false;
        for _ in 0..4 {
            let time = Duration::from_millis(self.dice.random_range(300..1_500));
            match self.ask(node, time, row, op, Some(format!("{}-{id}", self.id))).await {
                Outcome::Unknown => open = true,
                Outcome::NotApplied => {}
                settled => return settled,
            }
            node = self.dice.random_range(self.record.shared.ids());
        }
        if open { Outcome::Unknown } else { Outcome::NotApplied }
    }

    fn learn(&mut self, row: &str, op: &Op, outcome: &Outcome) {
        match outcome {
            Outcome::Wrote { revision } => match op.value() {
                Some(value) => {
                    let found = Found { row: row.into(), value, revision: *revision };
                    self.seen.insert(row.into(), found);
                }
                None => drop(self.seen.remove(row)),
            },
            Outcome::Saw { found, .. } => {
                found.iter().for_each(|found| drop(self.seen.insert(found.row.clone(), found.clone())));
            }
            _ => {}
        }
    }

    async fn ask(&mut self, node: u64, time: Duration, row: &str, op: &Op, key: Option<String>) -> Outcome {
        let at = format!("{TABLE}/rows/{row}");
        let body = op.value().map(|value| json!({"data": {"v": value}}));
        let mut headers = Vec::new();
        let request = match op {
            Op::Read => ("GET", at),
            Op::Stale => ("GET", at + "?level=stale"),
            Op::Search { .. } => ("GET", format!("{TABLE}/rows")),
            Op::Put { .. } => ("PUT", at),
            Op::Insert { .. } => {
                headers.push(("if-none-match", "*".to_string()));
                ("PUT", at)
            }
            Op::Swap { expects, .. } | Op::Increment { expects, .. } => {
                headers.push(("if-match", format!("\"{expects}\"")));
                ("PUT", at)
            }
            Op::Update { .. } => ("PATCH", at),
            Op::Delete => ("DELETE", at),
        };
        headers.extend(key.map(|key| ("idempotency-key", key)));
        match self.http.ask(node, time, (request.0, &request.1), &headers, body).await {
            Reply::NotSent if op.is_write() => Outcome::NotApplied,
            Reply::NotSent | Reply::Lost => Outcome::Unknown,
            Reply::Answer(status, revision, body) => self.understand(op, row, status.as_u16(), revision, &body),
        }
    }

    fn understand(&self, op: &Op, row: &str, status: u16, at: Option<u64>, body: &Value) -> Outcome {
        let code = body["error"]["code"].as_str().unwrap_or_default();
        let told = body["error"]["outcome"].as_str();
        if status == 507 {
            self.record.note("answers that a disk is full");
        }
        match (op, status, code) {
            (Op::Search { .. }, 200, _) => {
                let rows = body["rows"].as_array().into_iter().flatten();
                Outcome::Saw { found: rows.map(found).collect(), at }
            }
            (Op::Read | Op::Stale, 200, _) => Outcome::Saw { found: vec![found(body)], at },
            (Op::Read | Op::Stale, 404, "row_not_found") => Outcome::Saw { found: Vec::new(), at },
            // A node that is new, or has taken the place of another, knows of no table yet.
            (Op::Stale, 404, "table_not_found") => Outcome::Unknown,
            (_, 200 | 201, _) if op.is_write() => match body["revision"].as_u64() {
                Some(revision) => Outcome::Wrote { revision },
                None => self.odd(op, row, status, body),
            },
            (_, 404, "row_not_found") | (_, 412, "revision_mismatch") if op.is_write() => {
                Outcome::Refused { code: code.into() }
            }
            (_, 429 | 500 | 503 | 504 | 507, _) if !op.is_write() => Outcome::Unknown,
            (_, 429 | 500 | 503 | 504 | 507, _) if told == Some("not_applied") => Outcome::NotApplied,
            (_, 429 | 500 | 503 | 504 | 507, _) if told == Some("unknown") => Outcome::Unknown,
            _ => self.odd(op, row, status, body),
        }
    }

    /// An answer that nobody should ever get.
    fn odd(&self, op: &Op, row: &str, status: u16, body: &Value) -> Outcome {
        self.record.shared.problem(format!("{op:?} of {row} was answered with {status}: {body}"));
        Outcome::Unknown
    }
}

fn found(row: &Value) -> Found {
    Found {
        row: row["row_id"].as_str().unwrap_or_default().into(),
        value: row["data"]["v"].as_i64().unwrap_or(i64::MIN),
        revision: row["revision"].as_u64().unwrap_or_default(),
    }
}

/// Every row that clients work on.
pub(crate) fn rows() -> impl Iterator<Item = String> {
    (0..ROWS).map(row)
}
