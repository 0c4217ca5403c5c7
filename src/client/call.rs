//! Owns the way of one request through the endpoints: who is tried when, and when it is over.
//!
//! One attempt runs at a time, unless a node stays silent: then the next is tried beside it, so
//! that a hanging node costs its turn and not the deadline. That is safe for writes, too: all
//! attempts carry the same idempotency key.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::attempt::{End, attempt, open};
use super::error::{ClientError, Tried};
use super::request::{Answer, Request};
use super::{Client, Endpoint};
use crate::model::{Code, Failure, Fate};

/// The first pause once every endpoint had its turn; it doubles up to `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// After so long somebody wonders what a call waits for; one that may not take much longer says nothing.
const LONG: Duration = Duration::from_secs(1);
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// What is known so far of a request that has no answer yet.
#[derive(Default)]
struct Account {
    /// What each endpoint said last.
    tried: Vec<Tried>,
    /// Whether anything went out to any endpoint.
    sent: bool,
    /// Why it is not known what became of the write, once that is so.
    unknown: Option<Failure>,
    /// What a node said last.
    last: Option<Failure>,
}

impl Client {
    /// Sends `request` until a node answers it for good or the deadline passes.
    pub(super) async fn call(&self, request: &Request) -> Result<Answer, ClientError> {
        self.each(request.write, async |endpoint, left| attempt(&self.http, request, endpoint, left).await).await
    }

    /// The same for an answer that is read as it arrives: the deadline is that of its beginning.
    pub(super) async fn begin(&self, request: &Request) -> Result<(reqwest::Response, Endpoint), ClientError> {
        let open = async |endpoint: &Endpoint, left| match open(&self.http, request, endpoint, left).await {
            End::Done(response) => End::Done((response, endpoint.clone())),
            End::Refused(failure) => End::Refused(failure),
            End::NotSent(reason) => End::NotSent(reason),
            End::Lost(reason) => End::Lost(reason),
        };
        self.each(request.write, open).await
    }

    /// Attempts something at one endpoint after the other until it is done, refused for good, or late.
    async fn each<T>(
        &self,
        write: bool,
        attempt: impl AsyncFn(&Endpoint, Duration) -> End<T>,
    ) -> Result<T, ClientError> {
        let mut account = Account::default();
        let mut running = FuturesUnordered::new();
        let mut turns = self.turns();
        let mut start_at = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut tell = self.tell.filter(|_| self.timeout > WORTH_TELLING);
        let tell_at = Instant::now() + LONG;
        loop {
            tokio::select! {
                biased;
                Some((index, end)) = running.next(), if !running.is_empty() => {
                    turns.free(index);
                    match account.take(&self.endpoints[index], end, write) {
                        Some(result) => {
                            self.first.store(index, Ordering::Relaxed);
                            return result.map_err(|failure| account.failed(failure, write));
                        }
                        None if turns.all_had_one() && running.is_empty() && !account.sent => {
                            return Err(ClientError::Unreachable(account.tried));
                        }
                        None if turns.all_had_one() => {
                            start_at = Instant::now() + pause;
                            pause = (pause * 2).min(LONGEST_PAUSE);
                        }
                        None => start_at = Instant::now(),
                    }
                }
                () = sleep_until(self.deadline) => {
                    account.note_silent(self, &turns, write);
                    return Err(account.verdict(write, self.timeout));
                }
                () = sleep_until(tell_at), if tell.is_some() => {
                    if let Some(tell) = tell.take() {
                        tell(&account.waits_for(self.timeout));
                    }
                }
                () = sleep_until(start_at), if turns.any_free() => {
                    let index = turns.take();
                    let left = self.deadline.saturating_duration_since(Instant::now());
                    let endpoint = &self.endpoints[index];
                    let attempt = &attempt;
                    running.push(async move { (index, attempt(endpoint, left).await) });
                    start_at = Instant::now() + self.patience;
                }
            }
        }
    }

    fn turns(&self) -> Turns {
        let next = self.first.load(Ordering::Relaxed);
        Turns { busy: vec![false; self.endpoints.len()], next, taken: 0 }
    }
}

/// Whose turn it is: round and round, past those that are being waited for.
struct Turns {
    busy: Vec<bool>,
    next: usize,
    taken: usize,
}

impl Turns {
    fn any_free(&self) -> bool {
        self.busy.contains(&false)
    }

    /// Whether every endpoint has been tried.
    fn all_had_one(&self) -> bool {
        self.taken >= self.busy.len()
    }

    fn take(&mut self) -> usize {
        while self.busy[self.next] {
            self.next = (self.next + 1) % self.busy.len();
        }
        let index = self.next;
        self.busy[index] = true;
        self.next = (index + 1) % self.busy.len();
        self.taken += 1;
        index
    }

    fn free(&mut self, index: usize) {
        self.busy[index] = false;
    }
}

impl Account {
    /// Takes in what came of an attempt; the result if that is the end of it.
    fn take<T>(&mut self, endpoint: &Endpoint, end: End<T>, write: bool) -> Option<Result<T, Failure>> {
        match end {
            End::Done(answer) => return Some(Ok(answer)),
            End::Refused(failure) if !failure.retryable => return Some(Err(failure)),
            End::Refused(failure) => {
                self.note(endpoint, failure.message.clone());
                if write && failure.fate == Fate::Unknown {
                    self.unknown = Some(failure.clone());
                }
                self.last = Some(failure);
                self.sent = true;
            }
            End::NotSent(reason) => self.note(endpoint, reason),
            End::Lost(reason) => self.lost(endpoint, reason, write),
        }
        None
    }

    fn lost(&mut self, endpoint: &Endpoint, reason: String, write: bool) {
        self.sent = true;
        if write {
            let message = format!("the connection to {endpoint} was lost before it answered: {reason}");
            self.unknown = Some(Failure::new(Code::Timeout, message).unknown());
        }
        self.note(endpoint, reason);
    }

    fn note(&mut self, endpoint: &Endpoint, reason: String) {
        match self.tried.iter_mut().find(|tried| tried.endpoint == *endpoint) {
            Some(tried) => tried.reason = reason,
            None => self.tried.push(Tried { endpoint: endpoint.clone(), reason }),
        }
    }

    /// What is being waited for, and for how long at most.
    fn waits_for(&self, timeout: Duration) -> String {
        let why = self.last.as_ref().map_or("no answer yet", |failure| failure.message.as_str());
        // Whether anything was done is not known before the end.
        let why = why.split(';').next().unwrap_or(why);
        format!("waiting up to {} s: {why}", timeout.as_secs_f64())
    }

    /// Takes in those that are being waited for when time is up: they may have got the request.
    fn note_silent(&mut self, client: &Client, turns: &Turns, write: bool) {
        for (endpoint, _) in client.endpoints.iter().zip(&turns.busy).filter(|(_, busy)| **busy) {
            self.lost(endpoint, "no answer in time".into(), write);
        }
    }

    /// What to say when time is up.
    fn verdict(self, write: bool, timeout: Duration) -> ClientError {
        if !self.sent {
            return ClientError::Unreachable(self.tried);
        }
        let time = timeout.as_secs_f64();
        let failure = match (self.unknown.is_some(), &self.last) {
            (true, Some(last)) if last.fate == Fate::Unknown => last.clone(),
            (true, _) => {
                let message = format!("no answer within {time} s; the write may have been applied, or may yet be");
                Failure::new(Code::Timeout, message).unknown().hint("look before you send it again")
            }
            (false, Some(last)) => last.clone(),
            (false, None) => Failure::new(Code::Timeout, format!("no answer within {time} s")),
        };
        self.failed(failure, write)
    }

    fn failed(self, failure: Failure, write: bool) -> ClientError {
        ClientError::Failed { failure, write, tried: self.tried }
    }
}
