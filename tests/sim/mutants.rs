//! Shows that each promise that is broken on purpose is found out: by what, and after how many seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ddb::mutants::{Mutant, choose};

use crate::run::{Length, run};

/// The most seeds that a broken promise may stay hidden for.
const MOST: u64 = 200;

#[test]
#[ignore = "make mutants runs it"]
fn every_broken_promise_is_found_out() {
    let only = std::env::var("MUTANT").ok();
    let chosen: Vec<_> = Mutant::ALL.into_iter().filter(|(name, _)| only.as_ref().is_none_or(|o| o == name)).collect();
    assert!(!chosen.is_empty(), "no mutant is called {only:?}");
    let mut hidden = Vec::new();
    for (name, mutant) in chosen {
        match hunt(mutant) {
            Some((seed, problem)) => eprintln!("{name}: found out by seed {seed}: {problem}"),
            None => {
                eprintln!("{name}: not found out by {MOST} seeds");
                hidden.push(name);
            }
        }
    }
    assert_eq!(hidden, Vec::<&str>::new());
}

/// The first seed that finds out, and what it says first.
fn hunt(mutant: Mutant) -> Option<(u64, String)> {
    let next = AtomicU64::new(1);
    let found: Mutex<Option<(u64, String)>> = Mutex::default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                choose(Some(mutant));
                while found.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > MOST {
                        return;
                    }
                    if let Some(problem) = run(seed, Length::default()).problems.into_iter().next() {
                        let problem = problem.lines().next().unwrap_or_default().chars().take(200).collect();
                        let mut found = found.lock().unwrap();
                        // Seeds run side by side; of two that find out, the lesser is told.
                        if found.as_ref().is_none_or(|(other, _)| seed < *other) {
                            *found = Some((seed, problem));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}
