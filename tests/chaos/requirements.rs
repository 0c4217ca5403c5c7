//! Owns what a run must show: recovery, equal replicas, a history that holds together, and that the run
//! was worth anything at all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::check::{self, BUDGET, Op, Outcome};
use super::clients::{Client, Load};
use super::harness::{Cluster, eventually};
use super::nemesis::{Nemesis, installs};

/// How soon after the last fault there must be a leader.
const RECOVERY: Duration = Duration::from_secs(5);
/// How many writes a second must be acknowledged before the faults, for the rest to say anything. Where
/// the machine is slow, a twentieth of what it syncs in a second: three nodes sync on the same disk, each
/// through a file system within a file system.
const LEAST_RATE: u64 = 100;
/// The first client that reads everything in the end.
const READER: u64 = 50;

/// What has been found wrong; nothing is well.
type Found = Result<(), String>;

/// After the last fault: a leader soon, and fresh writes through every node.
pub(crate) async fn heal(cluster: &Cluster) -> Found {
    let began = Instant::now();
    let leader = cluster.leader().await;
    let took = began.elapsed();
    println!("healed: node {leader} leads after {:.1} s", took.as_secs_f64());
    for id in cluster.ids() {
        let path = format!("/v1/tables/t/rows/fresh-{id}");
        eventually(&format!("node {id} takes a fresh write"), async || {
            let answer = cluster.try_request(id, "PUT", &path, Some(json!({"data": {"v": 1}}))).await.ok()?;
            matches!(answer.status, 200 | 201).then_some(())
        })
        .await;
    }
    if took > RECOVERY { Err(format!("no leader for {took:?} after the last fault")) } else { Ok(()) }
}

/// Reads every row through every node, as a part of the history.
pub(crate) async fn read_all(cluster: &Cluster, load: &Arc<Load>, seed: u64) {
    let rows = load.rows();
    for id in cluster.ids() {
        let mut reader = Client::new(load, READER + id, Some(id), seed);
        for row in &rows {
            reader.read(Op::Read, row.clone()).await;
        }
    }
}

/// All replicas hold the same at the same revision.
pub(crate) async fn replicas(cluster: &Cluster) -> Found {
    let report = cluster.request(cluster.leader().await, "POST", "/v1/verify?timeout=20s", None).await;
    let equal = report.json["complete"] == json!(true) && report.json["equal"] == json!(true);
    if equal { Ok(()) } else { Err(format!("the replicas differ: {}", report.text)) }
}

/// What happened, to be judged at the end.
pub(crate) struct Tally {
    seed: u64,
    rate: u64,
    least: u64,
    suffered: BTreeMap<Nemesis, u64>,
    wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn new(seed: u64, rate: u64, syncs: u64) -> Tally {
        Tally { seed, rate, least: LEAST_RATE.min(syncs / 20), suffered: BTreeMap::new(), wrong: Vec::new() }
    }

    /// Notes that a fault was done, and whether it took effect.
    pub(crate) fn suffered(&mut self, nemesis: Nemesis, effect: Found) {
        *self.suffered.entry(nemesis).or_default() += 1;
        if let Err(why) = effect {
            println!("         {why}");
            self.wrong.push(format!("{} did not take effect: {why}", nemesis.name()));
        }
    }

    /// How many kinds of faults there have been.
    pub(crate) fn nemeses(&self) -> usize {
        self.suffered.len()
    }

    fn require(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.wrong.push(what.into());
        }
    }

    /// Keeps the history, checks it, and fails the run if anything is wrong.
    pub(crate) fn judge(mut self, cluster: &Cluster, load: &Load, found: [Found; 2]) {
        let history = load.history.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.keep(cluster, &history);
        self.wrong.extend(found.into_iter().filter_map(Result::err));
        self.wrong.extend(load.strange.lock().unwrap_or_else(PoisonError::into_inner).iter().take(10).cloned());

        let lines = ["This node is MASTER", "I am the new TEMP MASTER"];
        let logs: Vec<String> = cluster.ids().into_iter().map(|id| cluster.log(id)).collect();
        let led = |log: &String| lines.iter().map(|line| log.matches(line).count()).sum::<usize>();
        let changes = logs.iter().map(led).sum::<usize>().saturating_sub(1);
        let snapshots: usize = cluster.ids().into_iter().map(|id| installs(cluster, id)).sum();
        let count = |wanted: fn(&Outcome) -> bool| history.iter().filter(|entry| wanted(&entry.outcome)).count();
        let refused = count(|outcome| matches!(outcome, Outcome::Refused { .. }));
        let unknown = history.iter().filter(|e| e.op.is_write() && e.outcome == Outcome::Unknown).count();
        let full = load.full.load(Ordering::Relaxed);

        let least = self.least;
        self.require(
            self.rate >= least,
            format!("{} acknowledged writes a second before faults, not {least}", self.rate),
        );
        self.require(changes >= 3, format!("{changes} changes of leader, not 3"));
        self.require(
            snapshots >= 1 || !self.suffered.contains_key(&Nemesis::Snapshot),
            "no follower has installed a snapshot",
        );
        self.require(refused >= 1, "no condition failed");
        self.require(full >= 1 || !self.suffered.contains_key(&Nemesis::FullDisks), "no client met a full disk");
        let panicked = logs.iter().any(|log| log.contains("panicked"));
        self.require(!panicked, "a node panicked");

        let began = Instant::now();
        let report = check::check(&history, BUDGET);
        println!(
            "{} operations on {} rows ({} writes acknowledged, {unknown} unknown, {refused} conditions failed, {full} met \
             a full disk), {changes} changes of leader, {snapshots} snapshots installed; checked in {:.1} s",
            report.operations,
            report.rows,
            count(|outcome| matches!(outcome, Outcome::Wrote { .. })),
            began.elapsed().as_secs_f64(),
        );
        for (nemesis, times) in &self.suffered {
            println!("  {:<16} {times}", nemesis.name());
        }
        self.wrong.extend(report.violations.into_iter().take(20));
        self.wrong
            .extend(report.unsettled.into_iter().map(|row| format!("row {row} is not settled within the budget")));
        println!("history: {}", file.display());
        let seed = self.seed;
        assert!(
            self.wrong.is_empty(),
            "seed {seed}: {:#?}\ncheck again: make check HISTORY={}",
            self.wrong,
            file.display()
        );
    }

    /// Writes the history, and the nodes' logs beside it.
    fn keep(&self, cluster: &Cluster, history: &[check::Entry]) -> PathBuf {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{}.jsonl", self.seed));
        let file = std::fs::File::create(&path).expect("a file for the history");
        check::write_lines(history, std::io::BufWriter::new(file)).expect("the history is kept");
        for id in cluster.ids() {
            std::fs::write(path.with_extension(format!("node-{id}.log")), cluster.log(id)).expect("a log is kept");
        }
        path
    }
}
