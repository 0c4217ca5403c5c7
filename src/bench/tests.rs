//! A run against a store in memory, an honest one and ones that are not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::model::Level;

/// What is wrong with the store.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// Every fiftieth write is acknowledged and forgotten.
    Forgets,
    /// Every fiftieth write fails, though it took effect.
    Stutters,
}

struct Memory {
    rows: Mutex<HashMap<u64, String>>,
    writes: AtomicU64,
    flaw: Flaw,
}

struct Lane(Arc<Memory>);

struct Shared(Arc<Memory>);

impl Target for Shared {
    type Session = Lane;

    fn session(&self, _: usize) -> Lane {
        Lane(self.0.clone())
    }
}

impl Session for Lane {
    async fn put(&mut self, row: Row) -> Result<(), String> {
        let fiftieth = self.0.writes.fetch_add(1, Ordering::Relaxed) % 50 == 49;
        if !(fiftieth && self.0.flaw == Flaw::Forgets) {
            self.0.rows.lock().unwrap().insert(row.key, row.json());
        }
        tokio::task::yield_now().await;
        if fiftieth && self.0.flaw == Flaw::Stutters { Err("no answer".into()) } else { Ok(()) }
    }

    async fn get(&mut self, key: u64) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.rows.lock().unwrap().get(&key).map(|row| row.clone().into_bytes()))
    }

    async fn search(&mut self, group: u64) -> Result<u64, String> {
        let rows = self.0.rows.lock().unwrap();
        Ok(rows.keys().filter(|key| **key / 10 == group).count() as u64)
    }

    async fn load(&mut self, rows: &[Row]) -> Result<(), String> {
        self.0.rows.lock().unwrap().extend(rows.iter().map(|row| (row.key, row.json())));
        Ok(())
    }
}

fn plan(workload: Workload) -> Plan {
    Plan {
        workload,
        connections: 7,
        stop: Stop::Count(1_000),
        rate: None,
        keys: 2_000,
        spread: Spread::Uniform,
        value_bytes: 20,
        level: Level::Linearizable,
        seed: 1,
    }
}

async fn outcome(flaw: Flaw, plan: &Plan) -> Outcome {
    let memory = Memory { rows: Mutex::default(), writes: AtomicU64::new(0), flaw };
    let target = Arc::new(Shared(Arc::new(memory)));
    fill(&target, plan).await.unwrap();
    run(&target, plan, &Arc::default()).await.unwrap()
}

#[tokio::test]
async fn every_workload_does_what_it_was_asked_for_and_an_honest_store_loses_nothing() {
    for (_, workload) in Workload::NAMES {
        let count = if workload == Workload::Import { 10 } else { 1_000 };
        let outcome = outcome(Flaw::None, &Plan { stop: Stop::Count(count), ..plan(workload) }).await;
        assert_eq!((outcome.requests, outcome.failed), (count, 0), "{workload:?}: {:?}", outcome.first_failure);
        let wrote = matches!(workload, Workload::Insert | Workload::Mixed | Workload::Import);
        assert_eq!(outcome.checked.is_some(), wrote);
        if let Some(checked) = outcome.checked {
            assert!(checked.keys > 300 && checked.lost == 0, "{workload:?}: {checked:?}");
        }
        assert!(outcome.latency.max >= outcome.latency.p50 && outcome.latency.max > 0.0);
    }
}

#[tokio::test]
async fn a_store_that_forgets_is_found_out_and_one_that_only_stutters_is_not_accused() {
    let forgets = outcome(Flaw::Forgets, &plan(Workload::Insert)).await;
    assert!(forgets.checked.unwrap().lost > 5, "{:?}", forgets.checked);
    let stutters = outcome(Flaw::Stutters, &plan(Workload::Insert)).await;
    assert_eq!((stutters.failed, stutters.checked.unwrap().lost), (20, 0));
    assert_eq!(stutters.first_failure.as_deref(), Some("no answer"));
}

#[tokio::test(start_paused = true)]
async fn an_open_loop_begins_at_its_rate_for_its_time() {
    let time = Duration::from_secs(10);
    let plan = Plan { rate: Some(50.0), stop: Stop::After(time), ..plan(Workload::Insert) };
    let outcome = outcome(Flaw::None, &plan).await;
    assert!((490..=510).contains(&outcome.requests), "{}", outcome.requests);
    assert_eq!(outcome.took, time);
}
