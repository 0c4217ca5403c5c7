//! Seeded simulation: whole nodes on a simulated network and simulated disks, in one thread, under faults.
//!
//! `world.rs` brings nodes and their disks, `http.rs` and `client.rs` the clients that record a history,
//! `extra.rs` what two more do (`asker.rs`, `money.rs`, `imports.rs`, `tables.rs`), `nemesis.rs` the faults,
//! `judge.rs` what must hold once all is healed, `run.rs` one seed from beginning to end, `mutants.rs` the promises
//! broken on purpose. One seed gives one history, on any machine: all chances are its own.
//!
//! `make sim` runs as many seeds as are asked for; SEED=… runs one, SIM_LOG=debug shows its nodes' logs.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on has failed")]

mod asker;
#[path = "../check/mod.rs"]
mod check;
mod client;
mod extra;
mod http;
mod imports;
mod judge;
mod log;
mod money;
#[cfg(feature = "mutants")]
mod mutants;
mod nemesis;
mod run;
mod tables;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use run::{Outcome, run};

#[test]
#[cfg_attr(not(tokio_unstable), ignore = "tokio's own chances are seeded under --cfg tokio_unstable only")]
fn one_seed_gives_one_history() {
    let (first, again, other) = (run(3, short()), run(3, short()), run(4, short()));
    assert_eq!(first.problems, Vec::<String>::new());
    assert!(first.counts.operations > 50, "{:?}", first.counts);
    assert_eq!(first.hash, again.hash);
    assert_ne!(first.hash, other.hash);
}

/// Twelve seeds show no broken promise, and between them every kind of fault that matters.
#[test]
fn a_few_seeds_keep_every_promise() {
    batch(1..13, None, short());
}

/// A simulation that finds nothing where nothing is ever synced would prove nothing.
#[test]
fn disks_that_only_say_that_they_synced_are_found_out() {
    let lying = run::Length { lying: true, ..short() };
    let found: Vec<u64> = (1..9).filter(|seed| !run(*seed, lying).problems.is_empty()).collect();
    eprintln!("found out by the seeds {found:?} of 1 to 8");
    assert!(found.len() >= 2, "{found:?}");
}

/// As many as SEEDS says, or for SECS seconds, from SEED on.
#[test]
#[ignore = "make sim runs it"]
fn seeds() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("SEED").unwrap_or(1);
    let secs = number("SECS").map(Duration::from_secs);
    let many = number("SEEDS").unwrap_or(if secs.is_some() { u64::MAX / 2 } else { 1 });
    batch(first..first + many, secs, run::Length::default());
}

fn short() -> run::Length {
    run::Length { faults: Duration::from_secs(5), lying: false }
}

/// Runs seeds on all cores, and fails if one of them does or if, together, they proved nothing.
fn batch(seeds: std::ops::Range<u64>, time: Option<Duration>, length: run::Length) {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let done: Mutex<Vec<Outcome>> = Mutex::default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min((seeds.end - seeds.start) as usize);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || time.is_some_and(|time| began.elapsed() > time) {
                        return;
                    }
                    let outcome = run(seed, length);
                    for problem in &outcome.problems {
                        eprintln!("seed {seed}: {problem}");
                    }
                    if !outcome.problems.is_empty() {
                        eprintln!("replay it: make sim SEED={seed}{}", length.says());
                    }
                    done.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let mut all = run::Counts::default();
    done.iter().for_each(|outcome| all.add(&outcome.counts));
    let failed: Vec<u64> = done.iter().filter(|o| !o.problems.is_empty()).map(|o| o.seed).collect();
    let took = began.elapsed().as_secs_f64();
    eprintln!("{} seeds in {took:.0} s ({:.0} an hour), {all:#?}", done.len(), done.len() as f64 / took * 3600.0);
    assert!(failed.is_empty(), "{} of {} seeds failed: {failed:?}", failed.len(), done.len());
    if done.len() >= 12 {
        assert_eq!(all.missing(), Vec::<&str>::new(), "the seeds did not show all that they should");
    }
}
