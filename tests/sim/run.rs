//! Owns one seed from beginning to end: start, faults, healing, judgement, and what it amounts to.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use turmoil::{Builder, Sim};
use xxhash_rust::xxh3::xxh3_64;

use crate::check;
use crate::client::{Client, Record};
use crate::extra::{Extra, NAMES};
use crate::judge::{judge, prepare};
use crate::log::{Said, listening, panics, watch_panics};
use crate::nemesis::{Faults, Nemesis};
use crate::world::{Shared, name, node};

/// How finely time runs; also the least time that a message takes, so that none arrives before it was sent.
pub(crate) const TICK: Duration = Duration::from_millis(2);
/// The most time that a message takes on a good link.
pub(crate) const SLOWEST: Duration = Duration::from_millis(12);
/// The most simulated time that the beginning and the end may take each.
const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: u64 = 4;

/// The clients' names on the network.
pub(crate) fn clients() -> impl Iterator<Item = String> {
    (1..=CLIENTS).map(|id| format!("c{id}")).chain(NAMES.map(String::from))
}

/// How long a simulation lasts.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    /// The time of faults.
    pub(crate) faults: Duration,
    /// The nodes' disks only say that they synced.
    pub(crate) lying: bool,
}

impl Default for Length {
    fn default() -> Length {
        let secs = std::env::var("FAULTS").ok().map_or(12, |text| text.parse().unwrap());
        Length { faults: Duration::from_secs(secs), lying: false }
    }
}

impl Length {
    /// How to ask for the same length.
    pub(crate) fn says(self) -> String {
        format!(" FAULTS={}", self.faults.as_secs())
    }
}

/// What simulations amounted to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) operations: usize,
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    pub(crate) unknown: usize,
    pub(crate) leaders: u64,
    pub(crate) installed: u64,
    pub(crate) disks_failed: u64,
    /// How often a log had no room, and has gone on since.
    pub(crate) no_room: u64,
    pub(crate) simulated_secs: u64,
    /// What clients did and met besides.
    pub(crate) extra: Faults,
    pub(crate) faults: Faults,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Counts) {
        self.operations += other.operations;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.leaders += other.leaders;
        self.installed += other.installed;
        self.disks_failed += other.disks_failed;
        self.no_room += other.no_room;
        self.simulated_secs += other.simulated_secs;
        other.extra.iter().for_each(|(what, times)| *self.extra.entry(what).or_default() += times);
        other.faults.iter().for_each(|(fault, times)| *self.faults.entry(fault).or_default() += times);
    }

    /// What did not happen, though it must for the rest to mean something.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let fault = |name| self.faults.get(name).copied().unwrap_or(0) > 0;
        let extra = |name| self.extra.get(name).copied().unwrap_or(0) > 0;
        let facts = [
            ("acknowledged writes", self.acknowledged > 100),
            ("failed conditions", self.refused > 0),
            ("unknown outcomes", self.unknown > 0),
            ("changes of leader", self.leaders > 10),
            ("installed snapshots", self.installed > 0),
            (
                "losses of power",
                fault("power lost") && self.faults.keys().any(|name| name.starts_with("power lost by")),
            ),
            ("isolated nodes", fault("isolated")),
            ("slow disks", fault("slow disk")),
            ("nodes that lost their disk", fault("id used twice")),
            ("voters that lost power", fault("power lost after a vote")),
            // Not each disk without room is written to before its node no longer takes anything.
            ("logs without room", self.no_room > 0 || self.faults.get("no room at all").copied().unwrap_or(0) < 20),
            ("answers that a disk is full", extra("answers that a disk is full")),
            ("transactions", extra("transactions")),
            ("imports", extra("imports")),
            ("changes of tables", extra("changes of tables")),
            ("values that were not unique", extra("values that were not unique")),
            ("looks at a unique index", extra("looks at a unique index")),
        ];
        facts.iter().filter(|(_, shown)| !shown).map(|(name, _)| *name).collect()
    }
}

/// What came of a seed.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) problems: Vec<String>,
    /// Of the history, to the microsecond.
    pub(crate) hash: u64,
    pub(crate) counts: Counts,
}

/// Runs one seed.
pub(crate) fn run(seed: u64, length: Length) -> Outcome {
    watch_panics(Some(seed));
    ddb::world::simulate(seed);
    let said = Said::default();
    // A task that panics ends its runtime, and that the simulation: nothing is left to judge then.
    let outcome = catch_unwind(AssertUnwindSafe(|| listening(&said, || simulate(seed, length, &said))));
    watch_panics(None);
    outcome.unwrap_or_else(|_| Outcome { seed, problems: panics(), hash: 0, counts: Counts::default() })
}

fn simulate(seed: u64, length: Length, said: &Said) -> Outcome {
    let shared = Shared::new(if seed.is_multiple_of(4) { 5 } else { 3 }, length.lying);
    let record = Record::new(shared.clone());
    let extra = Extra::of(seed);
    let mut nemesis = Nemesis::new(seed, shared.clone(), said.clone());
    let mut sim = build(seed, &shared);
    let begun = act(&mut sim, &shared, "the beginning", prepare(record.clone()));
    if begun {
        let until = sim.elapsed() + length.faults;
        for id in 1..=CLIENTS {
            sim.client(format!("c{id}"), Client::new(id, seed, record.clone()).work());
        }
        extra.start(&mut sim, seed, &record);
        while sim.elapsed() < until && step(&mut sim, &shared) {
            nemesis.step(&mut sim);
        }
        nemesis.heal(&mut sim);
        record.stop.set(true);
        act(&mut sim, &shared, "the end", judge(seed, record.clone(), extra));
    }
    let simulated_secs = sim.elapsed().as_secs();
    drop(sim);
    panics().into_iter().for_each(|panic| shared.problem(panic));
    let history = record.history.take();
    let report = check::check(&history, check::BUDGET);
    let mut problems = shared.problems.take();
    problems.extend(report.violations);
    problems.extend(report.unsettled.into_iter().map(|row| format!("the order of row {row} could not be settled")));
    keep(seed, &problems, &history);
    let told = |which: fn(&check::Outcome) -> bool| history.iter().filter(|entry| which(&entry.outcome)).count();
    let counts = Counts {
        operations: history.len(),
        acknowledged: told(|outcome| matches!(outcome, check::Outcome::Wrote { .. })),
        refused: told(|outcome| matches!(outcome, check::Outcome::Refused { .. })),
        unknown: told(|outcome| matches!(outcome, check::Outcome::Unknown)),
        leaders: said.led.load(Ordering::Relaxed),
        installed: said.installed.load(Ordering::Relaxed),
        disks_failed: *shared.failed.borrow(),
        no_room: said.resumed.load(Ordering::Relaxed),
        simulated_secs,
        extra: record.extra.take(),
        faults: nemesis.faults,
    };
    let mut lines = Vec::new();
    check::write_lines(&history, &mut lines).unwrap();
    Outcome { seed, problems, hash: xxh3_64(&lines), counts }
}

fn build(seed: u64, shared: &Rc<Shared>) -> Sim<'static> {
    let mut sim = Builder::new()
        .rng_seed(seed)
        .epoch(std::time::UNIX_EPOCH)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(3_600))
        .min_message_latency(TICK)
        .max_message_latency(SLOWEST)
        .repair_rate(0.1)
        .tcp_capacity(4_096)
        .enable_random_order()
        .build();
    for id in shared.ids() {
        let shared = shared.clone();
        sim.host(name(id), move || node(shared.clone(), id));
    }
    sim
}

/// One tick; false where the simulation itself broke.
fn step(sim: &mut Sim<'_>, shared: &Shared) -> bool {
    match sim.step() {
        Ok(_) => true,
        Err(e) => {
            shared.problem(format!("the simulation broke: {e}"));
            false
        }
    }
}

/// Runs until `play` and all clients are done; whether they are.
fn act(sim: &mut Sim<'_>, shared: &Shared, what: &str, play: impl Future<Output = turmoil::Result> + 'static) -> bool {
    sim.client(format!("judge of {what}"), play);
    let until = sim.elapsed() + PATIENCE;
    while sim.elapsed() < until {
        match sim.step() {
            Ok(true) => return true,
            Ok(false) => {}
            Err(e) => {
                shared.problem(format!("{what} broke: {e}"));
                return false;
            }
        }
    }
    shared.problem(format!("{what} took longer than {PATIENCE:?}"));
    false
}

/// Keeps the history of a failed seed where SIM_KEEP says.
fn keep(seed: u64, problems: &[String], history: &[check::Entry]) {
    let Some(dir) = std::env::var_os("SIM_KEEP").filter(|_| !problems.is_empty()) else { return };
    let path = std::path::Path::new(&dir).join(format!("sim-{seed}.jsonl"));
    check::write_lines(history, std::fs::File::create(&path).unwrap()).unwrap();
    eprintln!("the history of seed {seed} is in {}", path.display());
}
