//! Chaos on real processes: clients write and read while nodes are killed, frozen, cut off, filled up
//! and unplugged; then everything heals, and what the clients were told must hold together.
//!
//! `make chaos SEED=7 SECS=60` runs it; `make check HISTORY=file` judges a kept history again.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "the run tells how it goes")]

#[path = "../check/mod.rs"]
mod check;
mod clients;
#[path = "../harness/mod.rs"]
mod harness;
mod nemesis;
mod requirements;
mod sandbox;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clients::{Client, Load};
use harness::Cluster;
use nemesis::{Nemesis, Victim};
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use requirements::Tally;
use sandbox::Sandbox;
use serde_json::json;

/// Without faults, for the rate.
const WARM_UP: Duration = Duration::from_secs(4);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
#[ignore = "takes a minute, and namespaces where it may: make chaos"]
fn what_clients_were_told_holds_through_chaos() {
    let seed = setting("DDB_CHAOS_SEED", 1);
    if let Some(well) = sandbox::enter() {
        assert!(well, "the run of seed {seed} failed: see above");
        return;
    }
    let seconds = setting("DDB_CHAOS_SECS", 30);
    let only = std::env::var("DDB_CHAOS_ONLY").unwrap_or_default();
    tokio::runtime::Runtime::new().unwrap().block_on(run(seed, Duration::from_secs(seconds), &only));
}

/// The faults that can be tried here, all of them before one comes again.
fn deck(sandbox: &Sandbox, only: &str) -> Vec<Nemesis> {
    let chosen = |nemesis: &Nemesis| only.is_empty() || only.split(',').any(|name| name == nemesis.name());
    let deck: Vec<Nemesis> =
        Nemesis::ALL.iter().copied().filter(|nemesis| nemesis.is_possible(sandbox) && chosen(nemesis)).collect();
    assert!(!deck.is_empty(), "none of these faults can be tried here: {only}");
    deck
}

async fn prepare(sandbox: &Sandbox, size: u64) -> Cluster {
    let more = json!({"snapshot_entries": 30});
    let mut cluster = match sandbox.addresses(size) {
        Some(addresses) => Cluster::at(addresses, more),
        None => Cluster::prepare(size, more),
    };
    cluster.log_level = "info";
    sandbox.furnish(&mut cluster);
    cluster.ids().into_iter().for_each(|id| cluster.spawn(id));
    cluster.led_by(1).await;
    cluster.post(1, "/v1/tables", json!({"name": "t", "columns": ["id", "v:int"]})).await.expect(201);
    cluster
}

async fn run(seed: u64, time: Duration, only: &str) {
    let size = setting("DDB_CHAOS_NODES", if seed.is_multiple_of(4) { 5 } else { 3 });
    let sandbox = Sandbox::build(size);
    let deck = deck(&sandbox, only);
    let cluster = prepare(&sandbox, size).await;
    let syncs = Sandbox::syncs_per_second(&cluster);
    let load = Load::new(cluster.nodes.iter().map(|node| node.address.clone()).collect());
    let client = |id| Client::new(&load, id, (id <= 6).then_some((id - 1) % size + 1), seed);
    let clients: Vec<_> = (1..=8).map(|id| tokio::spawn(client(id).run())).collect();

    tokio::time::sleep(WARM_UP).await;
    let rate = load.acknowledged.load(Ordering::Relaxed) / WARM_UP.as_secs();
    println!(
        "seed {seed}, {size} nodes: {rate} acknowledged writes and {syncs} syncs of the disk a second before the faults"
    );
    let mut tally = Tally::new(seed, rate, syncs);

    let random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut victim = Victim { cluster, sandbox, load: load.clone(), random };
    let began = Instant::now();
    let mut left = Vec::new();
    // The whole deck is dealt once, however little time there is.
    while began.elapsed() < time || tally.nemeses() < deck.len() {
        if left.is_empty() {
            left.clone_from(&deck);
            left.shuffle(&mut victim.random);
        }
        let nemesis = left.pop().unwrap();
        println!("{:>6.1} s {}", began.elapsed().as_secs_f64(), nemesis.name());
        let effect = victim.suffer(nemesis).await;
        tally.suffered(nemesis, effect);
        // Sometimes the next fault meets a cluster that has not recovered from this one.
        if victim.random.random_ratio(2, 3) {
            victim.cluster.leader().await;
            tokio::time::sleep(Duration::from_millis(victim.random.random_range(200..1_000))).await;
        }
    }

    let healed = requirements::heal(&victim.cluster).await;
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    requirements::read_all(&victim.cluster, &load, seed).await;
    let replicas = requirements::replicas(&victim.cluster).await;
    tally.judge(&victim.cluster, &load, [healed, replicas]);
}
