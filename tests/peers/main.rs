//! This store and etcd side by side, in one interleaved run on one machine: three nodes each, the same rows, the same
//! durability (synced by a majority before the acknowledgement), the same load generator.
//!
//! `make bench` runs it; it is no part of the tests, as its figures are the machine's.

#![expect(clippy::print_stdout, reason = "its figures are its result")]

#[path = "../harness/mod.rs"]
mod harness;

mod cells;
mod etcd;
mod figures;
mod flights;

use std::sync::Arc;
use std::time::Duration;

use cells::{CELLS, Cell};
use ddb::bench::{Nodes, Outcome, Plan, Spread, Stop, Target, fill, run};
use ddb::model::ClusterStatus;
use etcd::Etcd;
use figures::{Figures, cpu_of};
use harness::Cluster;
use serde_json::json;

/// A whole number from the environment.
fn setting(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => otherwise,
    }
}

fn plan(cell: &Cell, seconds: u64, seed: u64) -> Plan {
    Plan {
        workload: cell.workload,
        connections: cell.connections,
        stop: Stop::After(Duration::from_secs(seconds)),
        rate: None,
        keys: setting("KEYS", 100_000),
        spread: Spread::Uniform,
        value_bytes: 100,
        level: cell.level,
        seed,
    }
}

/// One cell on one store: what came of it, and the CPU seconds of the store's processes.
async fn measure<T: Target>(target: T, plan: &Plan, pids: &[u32]) -> (Outcome, f64) {
    let target = Arc::new(target);
    fill(&target, plan).await.expect("a table that is filled");
    let before = cpu_of(pids);
    let outcome = run(&target, plan, &Arc::default()).await.expect("a run");
    let checked = outcome.checked.unwrap_or_default();
    assert_eq!(checked.lost, 0, "acknowledged rows were lost");
    (outcome, cpu_of(pids) - before)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long, and needs etcd: make bench"]
async fn beside_etcd() {
    let program = std::env::var("ETCD").expect("ETCD is the path of etcd's program: make bench sets it");
    let (seconds, repetitions) = (setting("SECS", 4), setting("REPS", 3));
    let only = std::env::var("ONLY").unwrap_or_default();
    let cells: Vec<&Cell> = CELLS.iter().filter(|cell| cell.name.contains(&only)).collect();
    assert!(!cells.is_empty(), "nothing that is measured has \"{only}\" in its name");
    let etcd = Etcd::start(&program).await;
    let cluster = Cluster::as_shipped(3).await;
    let columns = Nodes::COLUMNS;
    cluster.post(1, "/create_table", json!({"table_name": "bench", "columns": columns})).await.expect(201);
    let mut figures = Figures::default();
    for repetition in 0..repetitions {
        for cell in &cells {
            let plan = plan(cell, seconds, repetition + 1);
            let status: ClusterStatus =
                serde_json::from_value(cluster.get(1, "/v1/status").await.expect(200).json).expect("a status");
            let nodes = Nodes::of(&status, cell.via, "bench", cell.level).expect("nodes").with_streams(cell.streams);
            let pids: Vec<u32> = cluster.ids().iter().map(|id| cluster.pid(*id) as u32).collect();
            let own = measure(nodes, &plan, &pids).await;
            let other = measure(etcd.target(cell.via, cell.level).await, &plan, &etcd.pids()).await;
            println!("{}", figures.take(cell, &own, &other));
        }
    }
    println!("\n{}", figures.table());
}
