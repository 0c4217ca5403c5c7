//! Owns what the clients of `money`, `tables` and `imports` have in common: whom they ask, and how an answer is read.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::http::{Http, Reply};
use crate::world::Shared;

/// What a request has come to.
#[derive(Debug)]
pub(crate) enum Told {
    Done(Value),
    /// Refused by a rule that may refuse it.
    Refused,
    NotApplied,
    Unknown,
}

/// What is sent.
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// Its kind and its bytes.
    pub(crate) body: Option<(&'static str, Bytes)>,
    /// The refusals that a rule may have for it.
    pub(crate) may: &'static [&'static str],
}

impl Sent {
    pub(crate) fn new(method: &'static str, path: impl Into<String>, may: &'static [&'static str]) -> Sent {
        Sent { method, path: path.into(), body: None, may }
    }

    pub(crate) fn json(mut self, body: &Value) -> Sent {
        self.body = Some(("application/json", Bytes::from(body.to_string())));
        self
    }
}

/// Asks nodes, and notes answers that nobody should get.
pub(crate) struct Asker {
    pub(crate) shared: Rc<Shared>,
    pub(crate) dice: StdRng,
    http: Http,
    name: &'static str,
    keys: u64,
}

impl Asker {
    pub(crate) fn new(name: &'static str, seed: u64, shared: Rc<Shared>) -> Asker {
        let own = name.bytes().fold(seed, |all, byte| all.wrapping_mul(1_000_003).wrapping_add(u64::from(byte)));
        Asker { shared, dice: StdRng::seed_from_u64(own), http: Http::default(), name, keys: 0 }
    }

    pub(crate) fn someone(&mut self) -> u64 {
        self.dice.random_range(self.shared.ids())
    }

    /// Asks one node once.
    pub(crate) async fn ask(&mut self, node: u64, sent: &Sent) -> Told {
        self.send(node, sent, &[]).await
    }

    /// Sends the same under one key to node after node, until one knows what became of it.
    pub(crate) async fn settle(&mut self, sent: &Sent) -> Told {
        self.keys += 1;
        let headers = [("idempotency-key", format!("{}-{}", self.name, self.keys))];
        let mut open = false;
        for _ in 0..5 {
            let node = self.someone();
            match self.send(node, sent, &headers).await {
                Told::Unknown => open = true,
                Told::NotApplied => {}
                settled => return settled,
            }
        }
        if open { Told::Unknown } else { Told::NotApplied }
    }

    async fn send(&mut self, node: u64, sent: &Sent, headers: &[(&str, String)]) -> Told {
        let time = Duration::from_millis(self.dice.random_range(400..2_000));
        let reply = self.http.send(node, time, (sent.method, &sent.path), headers, sent.body.clone()).await;
        let (status, body) = match reply {
            Reply::NotSent => return Told::NotApplied,
            Reply::Lost => return Told::Unknown,
            Reply::Answer(status, _, body) => (status.as_u16(), body),
        };
        let code = body["error"]["code"].as_str().unwrap_or_default();
        match status {
            200 | 201 => Told::Done(body),
            429 | 500 | 503 | 504 | 507 if body["error"]["outcome"] == "not_applied" => Told::NotApplied,
            429 | 500 | 503 | 504 | 507 => Told::Unknown,
            _ => {
                if !sent.may.contains(&code) {
                    let (method, path) = (sent.method, &sent.path);
                    self.shared.problem(format!("{}: {method} {path} was answered with {status}: {body}", self.name));
                }
                Told::Refused
            }
        }
    }

    /// Makes a table, however long it takes; false once the time is up.
    pub(crate) async fn make_table(&mut self, body: &Value, stop: impl Fn() -> bool) -> bool {
        let sent = Sent::new("POST", "/v1/tables", &["table_exists"]).json(body);
        while !stop() {
            let node = self.someone();
            if let Told::Done(_) | Told::Refused = self.ask(node, &sent).await {
                return true;
            }
            self.rest(50).await;
        }
        false
    }

    /// Waits for up to so many milliseconds.
    pub(crate) async fn rest(&mut self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.random_range(1..most))).await;
    }
}
