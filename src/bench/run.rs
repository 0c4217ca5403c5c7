//! Owns a run: the workers, their loops, and what they bring home.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep_until};

use super::check::check;
use super::keys::Keys;
use super::ledger::Ledger;
use super::outcome::{Latency, Outcome};
use super::plan::{Plan, Stop, Workload};
use super::row::{GROUP, Row};
use super::target::{Session, Target};

/// How many rows one request of an import has.
const BATCH: u64 = 1_000;
/// How many connections fill the table before a run that reads.
const FILLERS: usize = 4;
/// How many rows a worker looks at for one that it may write.
const CHOICES: usize = 1_000;
/// How long a worker rests after a request that failed, so that a dead node is not asked without end.
const REST: Duration = Duration::from_millis(20);
/// The longest time that is told apart.
const LONGEST_US: u64 = 600_000_000;

/// How far a run is; others may look.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests answered well.
    pub requests: AtomicU64,
    /// Requests that failed.
    pub failed: AtomicU64,
}

/// Runs the plan, and reads back what was acknowledged; the store has been filled.
///
/// # Errors
/// The store could not be asked at the end.
pub async fn run<T: Target>(target: &Arc<T>, plan: &Plan, progress: &Arc<Progress>) -> Result<Outcome, String> {
    let left = Arc::new(AtomicU64::new(match plan.stop {
        Stop::After(_) => u64::MAX,
        Stop::Count(count) => count,
    }));
    let cpu = own_cpu_seconds();
    let began = Instant::now();
    let until = match plan.stop {
        Stop::After(time) => Some(began + time),
        Stop::Count(_) => None,
    };
    let workers: Vec<_> = (0..plan.connections)
        .map(|index| {
            let worker = Worker {
                session: target.session(index),
                keys: Keys::new(plan, index),
                plan: plan.clone(),
                index,
                left: left.clone(),
                progress: progress.clone(),
                home: Home::new(plan),
            };
            tokio::spawn(worker.work(began, until))
        })
        .collect();
    let mut home = Home::new(plan);
    for worker in workers {
        home.merge(worker.await.map_err(|e| e.to_string())?);
    }
    let took = until.map_or_else(|| began.elapsed(), |until| until - began);
    let own_cpu_seconds = own_cpu_seconds() - cpu;
    let wrote = !matches!(plan.workload, Workload::Get | Workload::Search);
    let checked = if wrote { Some(check(target, &home.ledger).await?) } else { None };
    Ok(Outcome {
        requests: home.requests,
        rows: home.rows,
        failed: home.failed,
        first_failure: home.first_failure,
        took,
        latency: Latency::of(&home.micros),
        own_cpu_seconds,
        checked,
    })
}

/// Puts all rows of the plan into the store, where its workload reads.
///
/// # Errors
/// The store could not be filled.
pub async fn fill<T: Target>(target: &Arc<T>, plan: &Plan) -> Result<(), String> {
    if !plan.workload.reads() {
        return Ok(());
    }
    let batches: Vec<u64> = (0..plan.keys).step_by(BATCH as usize).collect();
    let batches = Arc::new(batches);
    let (keys, value_bytes) = (plan.keys, plan.value_bytes);
    let fillers: Vec<_> = (0..FILLERS)
        .map(|filler| {
            let (mut session, batches) = (target.session(filler), batches.clone());
            tokio::spawn(async move {
                for first in batches.iter().skip(filler).step_by(FILLERS) {
                    let last = (first + BATCH).min(keys);
                    let rows: Vec<Row> = (*first..last).map(|key| Row { key, count: 1, value_bytes }).collect();
                    session.load(&rows).await.map_err(|why| format!("the table cannot be filled: {why}"))?;
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    for filler in fillers {
        filler.await.map_err(|e| e.to_string())??;
    }
    Ok(())
}

/// CPU time of this process so far, all threads.
fn own_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What a worker brings home.
struct Home {
    requests: u64,
    rows: u64,
    failed: u64,
    first_failure: Option<String>,
    micros: Histogram<u64>,
    ledger: Ledger,
}

impl Home {
    fn new(plan: &Plan) -> Home {
        let micros = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("bounds that make a histogram");
        let ledger = Ledger::new(u64::from(plan.workload.reads()));
        Home { requests: 0, rows: 0, failed: 0, first_failure: None, micros, ledger }
    }

    fn merge(&mut self, other: Home) {
        self.requests += other.requests;
        self.rows += other.rows;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        // The bounds are the same for all.
        let _ = self.micros.add(&other.micros);
        self.ledger.merge(other.ledger);
    }
}

/// One connection and its loop.
struct Worker<S> {
    session: S,
    keys: Keys,
    plan: Plan,
    index: usize,
    left: Arc<AtomicU64>,
    progress: Arc<Progress>,
    home: Home,
}

impl<S: Session> Worker<S> {
    async fn work(mut self, began: Instant, until: Option<Instant>) -> Home {
        let pace = self.plan.rate.map(|rate| Duration::from_secs_f64(self.plan.connections as f64 / rate));
        // The workers of an open loop begin one after the other, evenly.
        let mut due = pace.map(|pace| began + pace.mul_f64(self.index as f64 / self.plan.connections as f64));
        for turn in 0_u64.. {
            if let Some(due) = due {
                sleep_until(due).await;
            }
            let over = until.is_some_and(|until| Instant::now() >= until);
            if over || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err() {
                break;
            }
            let from = due.unwrap_or_else(Instant::now);
            let result = self.ask(turn).await;
            let now = Instant::now();
            if until.is_none_or(|until| now <= until) {
                self.note(&result, now - from);
            }
            if result.is_err() {
                sleep_until(now + REST).await;
            }
            due = due.zip(pace).map(|(due, pace)| due + pace);
        }
        self.home
    }

    fn note(&mut self, result: &Result<u64, String>, took: Duration) {
        match result {
            Ok(rows) => {
                self.home.requests += 1;
                self.home.rows += rows;
                self.progress.requests.fetch_add(1, Ordering::Relaxed);
                self.home.micros.saturating_record((took.as_micros() as u64).max(1));
            }
            Err(why) => {
                self.home.failed += 1;
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                self.home.first_failure.get_or_insert_with(|| why.clone());
            }
        }
    }

    /// One request of the workload; answers how many rows it was about.
    async fn ask(&mut self, turn: u64) -> Result<u64, String> {
        match self.plan.workload {
            Workload::Insert => self.put().await,
            Workload::Get => self.get().await,
            Workload::Mixed if turn.is_multiple_of(2) => self.get().await,
            Workload::Mixed => self.put().await,
            Workload::Search => {
                let key = self.keys.own();
                match self.session.search(key / GROUP).await? {
                    0 => Err(format!("no row of group {} was found", key / GROUP)),
                    found => Ok(found),
                }
            }
            Workload::Import => self.load().await,
        }
    }

    async fn put(&mut self) -> Result<u64, String> {
        let mut choices = (0..CHOICES).map(|_| self.keys.own());
        let Some((key, count)) = choices.find_map(|key| Some((key, self.home.ledger.next(key)?))) else {
            return Err("too many writes ended in doubt to find a row that is safe to write".into());
        };
        self.session.put(Row { key, count, value_bytes: self.plan.value_bytes }).await?;
        self.home.ledger.acknowledged(key);
        Ok(1)
    }

    async fn get(&mut self) -> Result<u64, String> {
        let key = self.keys.own();
        let found = self.session.get(key).await?;
        match found.as_deref().and_then(Row::count_in) {
            Some(_) => Ok(1),
            None => Err(format!("row {key} is not there")),
        }
    }

    async fn load(&mut self) -> Result<u64, String> {
        let mut rows = Vec::with_capacity(BATCH as usize);
        for key in self.keys.fresh(BATCH) {
            let count = self.home.ledger.next(key).unwrap_or(1);
            rows.push(Row { key, count, value_bytes: self.plan.value_bytes });
        }
        self.session.load(&rows).await?;
        for row in &rows {
            self.home.ledger.acknowledged(row.key);
        }
        Ok(BATCH)
    }
}
