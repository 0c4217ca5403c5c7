//! The flights out of New York in 2013, loaded into three nodes of this store, three of etcd and SQLite; then what
//! this store takes to look rows up, to scan all of them and to export them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddb::bench::{Nodes, Plan, Spread, Stop, Via, Workload, fill, run};
use ddb::model::{ClusterStatus, Level};
use serde_json::{Value, json};

use crate::etcd::Etcd;
use crate::figures::cpu_of;
use crate::harness::Cluster;

const COLUMNS: &str = "year:int month:int day:int dep_time:int sched_dep_time:int dep_delay:int arr_time:int \
                       sched_arr_time:int arr_delay:int carrier:text flight:int tailnum:text origin:text dest:text \
                       air_time:int distance:int hour:int minute:int time_hour:timestamp";

/// How many rows a table of `ddb bench` has when rows are looked up in it.
const SIZES: [u64; 3] = [10_000, 336_776, 3_000_000];

fn pids(cluster: &Cluster) -> Vec<u32> {
    cluster.ids().iter().map(|id| cluster.pid(*id) as u32).collect()
}

fn tell(what: &str, rows: u64, seconds: f64, cpu: f64) {
    let (rate, cost) = (rows as f64 / seconds, cpu * 1e4 / rows as f64);
    println!("{what:<58} {seconds:>6.2} s {rate:>9.0} rows/s {cost:>7.3} CPU s per 10,000");
}

/// `NA` is null: nothing in this file needs quotes.
fn flights(from: &Path) -> String {
    let text = std::fs::read_to_string(from.join("flights.csv")).expect("the file of flights");
    let line =
        |line: &str| line.split(',').map(|field| if field == "NA" { "" } else { field }).collect::<Vec<_>>().join(",");
    text.lines().map(|own| line(own) + "\n").collect()
}

/// The most memory that a node has had, in MiB; forgotten at once, so that the next is that of what comes.
fn peak(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kilobytes: f64 = line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number");
    // 5 sets the peak to what is used now: proc(5).
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a peak that can be reset");
    kilobytes / 1024.0
}

async fn etcd(program: &str, lines: &[(String, String)], sessions: usize) {
    let etcd = Etcd::start(program).await;
    let (began, before) = (Instant::now(), cpu_of(&etcd.pids()));
    etcd.load(lines, sessions).await;
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_of(&etcd.pids()) - before);
    tell(&format!("etcd, transactions of 128, {sessions} at a time"), lines.len() as u64, seconds, cpu);
}

async fn scans(cluster: &Cluster, rows: u64) {
    for filter in ["distance.gt=100000", "tailnum.contains=xyz"] {
        let (began, before) = (Instant::now(), cpu_of(&pids(cluster)));
        for _ in 0..3 {
            let path = format!("/v1/tables/flights/rows?count=1&explain=1&timeout=60s&filter={filter}");
            let found = cluster.get(1, &path).await.expect(200).json;
            assert_eq!(
                (&found["explain"]["access"], &found["explain"]["rows_examined"]),
                (&json!("scan"), &json!(rows))
            );
        }
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_of(&pids(cluster)) - before);
        tell(&format!("full scan, {filter}"), 3 * rows, seconds, cpu);
    }
}

async fn lookups(cluster: &Cluster, rows: u64) {
    let table = format!("n{rows}");
    let columns = Nodes::COLUMNS;
    cluster.post(1, "/create_table", json!({"table_name": table, "columns": columns})).await.expect(201);
    let index = json!({"columns": [Nodes::GROUP]});
    cluster.post(1, &format!("/v1/tables/{table}/indexes"), index).await.expect(201);
    let status: ClusterStatus =
        serde_json::from_value(cluster.get(1, "/v1/status").await.expect(200).json).expect("a status");
    let target = Arc::new(Nodes::of(&status, Via::Leader, &table, Level::Linearizable).expect("nodes"));
    let plan = Plan {
        workload: Workload::Search,
        connections: 16,
        stop: Stop::After(Duration::from_secs(4)),
        rate: None,
        keys: rows,
        spread: Spread::Uniform,
        value_bytes: 100,
        level: Level::Linearizable,
        seed: 1,
    };
    fill(&target, &plan).await.expect("a table that is filled");
    let before = cpu_of(&pids(cluster));
    let outcome = run(&target, &plan, &Arc::default()).await.expect("a run");
    assert_eq!(outcome.failed, 0, "{:?}", outcome.first_failure);
    let what = format!("lookups by an index of {rows} rows, p99 {:.1} ms", outcome.latency.p99);
    tell(&what, outcome.requests, outcome.took.as_secs_f64(), cpu_of(&pids(cluster)) - before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long, and needs etcd and the flights: make bench-flights"]
async fn flights_beside_etcd_and_sqlite() {
    let named = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by make bench-flights"));
    let (program, from) = (named("ETCD"), PathBuf::from(named("DDB_FLIGHTS")));
    let input = flights(&from);
    let rows = input.lines().count() as u64 - 1;
    let cluster = Cluster::as_shipped(3).await;
    let file = cluster.path().join("flights.csv");
    std::fs::write(&file, &input).expect("a file");
    let create: Vec<&str> = ["table", "create", "flights"].into_iter().chain(COLUMNS.split_whitespace()).collect();
    cluster.ddb(&create).assert().success();

    let (began, before) = (Instant::now(), cpu_of(&pids(&cluster)));
    let args = ["import", "flights", file.to_str().expect("a path"), "--generate-ids", "-o", "json"];
    let done = cluster.ddb(&args).assert().success();
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_of(&pids(&cluster)) - before);
    let done: Value = serde_json::from_slice(&done.get_output().stdout).expect("an object");
    assert_eq!(done["inserted"], rows);
    tell("ddb import, three nodes", rows, seconds, cpu);

    let pairs: Vec<(String, String)> =
        input.lines().skip(1).zip(2..).map(|(line, number)| (format!("flights/{number:010}"), line.into())).collect();
    for sessions in [1, 8] {
        etcd(&program, &pairs, sessions).await;
    }
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/flights/oracle.py");
    let told =
        Command::new(oracle).arg("fill").arg(&from).arg(cluster.path().join("sqlite")).output().expect("python3");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Vec<f64> =
        String::from_utf8_lossy(&told.stdout).split_whitespace().map(|n| n.parse().expect("n")).collect();
    tell("SQLite, one transaction, one process with its reader", told[0] as u64, told[1], told[2]);

    scans(&cluster, rows).await;
    for format in ["csv", "jsonl"] {
        let node = pids(&cluster)[0];
        let _ = peak(node);
        let (idle, began, before) = (cluster.memory(1), Instant::now(), cpu_of(&pids(&cluster)));
        let out = cluster.ddb(&["export", "flights", "-o", format]).assert().success();
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_of(&pids(&cluster)) - before);
        let bytes = out.get_output().stdout.len() as f64 / 1e6;
        let peak = peak(node);
        tell(&format!("export as {format}: {bytes:.0} MB, node {idle} → {peak:.0} MiB"), rows, seconds, cpu);
    }
    for rows in SIZES {
        lookups(&cluster, rows).await;
    }
}
