//! Shows that each promise that is broken on purpose is found out: by what, and after how many seeds.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ddb::mutants::{Mutant, chosen};

use crate::run::{Length, run};

/// The most seeds that a broken promise may stay hidden for.
const MOST: u64 = 200;
/// How a hunt ends that found something out; a test that did not run ends with 0.
const FOUND: i32 = 42;

#[test]
#[ignore = "make mutants runs it"]
fn every_broken_promise_is_found_out() {
    let only = std::env::var("MUTANT").ok();
    let names = Mutant::ALL.iter().map(|(name, _)| *name);
    let names: Vec<_> = names.filter(|name| only.as_ref().is_none_or(|only| only == name)).collect();
    assert!(!names.is_empty(), "no mutant is called {only:?}");
    let hidden: Vec<_> = names.into_iter().filter(|name| !found_out(name)).collect();
    assert_eq!(hidden, Vec::<&str>::new());
}

/// Hunts in a process of its own, which what is found may end.
fn found_out(name: &str) -> bool {
    let mut hunt = Command::new(std::env::current_exe().unwrap());
    hunt.args(["--ignored", "--exact", "--nocapture", "mutants::hunt"]).env("DDB_MUTANT", name);
    hunt.status().unwrap().code() == Some(FOUND)
}

#[test]
#[ignore = "every_broken_promise_is_found_out runs it"]
fn hunt() {
    let Some((name, _)) = chosen() else { panic!("DDB_MUTANT names no mutant") };
    let next = AtomicU64::new(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > MOST {
                        return;
                    }
                    if let Some(problem) = run(seed, Length::default()).problems.first() {
                        found(seed, problem);
                    }
                }
            });
        }
    });
    panic!("{name}: not found out by {MOST} seeds");
}

/// Ends a hunt that found something; anything else that runs goes on.
pub(crate) fn found(seed: u64, problem: &str) {
    /// Held until the process has ended, so that one find is told.
    static FIRST: Mutex<()> = Mutex::new(());
    let Some((name, _)) = chosen() else { return };
    let _first = FIRST.lock();
    let problem: String = problem.lines().next().unwrap_or_default().chars().take(200).collect();
    eprintln!("{name}: found out by seed {seed}: {problem}");
    std::process::exit(FOUND);
}
