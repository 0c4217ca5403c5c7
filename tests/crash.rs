//! The real binary ends, or its disk fails, before and after each durable step. Then it starts again, and every
//! acknowledged write is there, none that was said not to be applied is, and all replicas are equal.
//!
//! What is in the system's cache survives these crashes; the losses of power are in the tests of `disk`,
//! `store` and `replication`, over a simulated disk.

mod harness;

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Instant;

use harness::{Cluster, PATIENCE, eventually};
use serde_json::json;

/// A snapshot, and with it a checkpoint and a purge, after each so many entries.
const ENTRIES: u64 = 20;

/// What became of the writes so far: a row `n` for each number.
#[derive(Default)]
struct Written {
    next: u64,
    acknowledged: Vec<u64>,
    not_applied: Vec<u64>,
    /// How many bytes each row has, about.
    bytes: usize,
}

impl Written {
    /// One insert through a node.
    async fn insert(&mut self, cluster: &Cluster, node: u64) -> bool {
        let n = self.next;
        self.next += 1;
        let data = json!({"n": n, "fill": "x".repeat(self.bytes)});
        let body = json!({"table_name": "t", "row_id": n.to_string(), "data": data});
        match cluster.try_request(node, "POST", "/insert", Some(body)).await {
            Ok(answer) if answer.status == 201 => self.acknowledged.push(n),
            Ok(answer) if answer.json["error"]["outcome"] == "not_applied" => self.not_applied.push(n),
            _ => return false,
        }
        self.acknowledged.last() == Some(&n)
    }

    /// Inserts through all nodes in turn until node `id` has ended by itself.
    async fn until_ended(&mut self, cluster: &mut Cluster, id: u64) -> ExitStatus {
        let (ids, started) = (cluster.ids(), Instant::now());
        loop {
            for node in &ids {
                self.insert(cluster, *node).await;
                if let Some(status) = cluster.ended(id) {
                    return status;
                }
            }
            assert!(started.elapsed() < PATIENCE, "node {id} does not end");
        }
    }

    /// Inserts through a node until `count` more are acknowledged.
    async fn more(&mut self, cluster: &Cluster, node: u64, count: usize) {
        let (goal, started) = (self.acknowledged.len() + count, Instant::now());
        while self.acknowledged.len() < goal {
            self.insert(cluster, node).await;
            assert!(started.elapsed() < PATIENCE, "writes through node {node} do not go on");
        }
    }

    /// Compares what a node answers with what was acknowledged.
    async fn check(&self, cluster: &Cluster, node: u64, case: &str) {
        if cluster.ids().len() > 1 {
            cluster.verify().await;
        }
        let all = cluster.get(node, "/v1/tables/t/rows?columns=n&limit=1000").await.expect(200);
        let rows = all.json["rows"].as_array().expect("rows");
        let found: Vec<u64> = rows.iter().filter_map(|row| row["data"]["n"].as_u64()).collect();
        assert!(all.json["cursor"].is_null(), "{case}: more rows than one page");
        for n in &self.acknowledged {
            assert!(found.contains(n), "{case}: the acknowledged row {n} is gone");
        }
        for n in &self.not_applied {
            assert!(!found.contains(n), "{case}: row {n} was said not to be applied");
        }
    }
}

async fn cluster(size: u64) -> Cluster {
    let cluster = Cluster::start_with(size, json!({"snapshot_entries": ENTRIES})).await;
    if size > 1 {
        cluster.led_by(1).await;
    }
    let body = json!({"name": "t", "columns": ["id", "n:int", "fill"]});
    cluster.post(1, "/v1/tables", body).await.expect(201);
    cluster
}

/// How a node ends where it is told to: by itself at once, or with a message because its disk failed.
fn check_status(status: ExitStatus, how: &str, case: &str) {
    match how {
        "abort" => assert_eq!(status.signal(), Some(6), "{case}: {status}"),
        _ => assert!(status.code().is_some_and(|code| code != 0), "{case}: {status}"),
    }
}

/// Node `armed` of a running cluster ends at `point`, after some `passes`, under writes through all nodes.
async fn under_writes(size: u64, armed: u64, point: &str, passes: u32, how: &str, bytes: usize) {
    let case = format!("{size} nodes, {how} of node {armed} at {point} after {passes}");
    let mut cluster = cluster(size).await;
    let mut written = Written { bytes, ..Written::default() };
    written.more(&cluster, 1, 5).await;
    cluster.kill(armed);
    cluster.launch(armed, "FAILPOINTS", &format!("{point}={passes}*off->return({how})"));
    let status = written.until_ended(&mut cluster, armed).await;
    check_status(status, how, &case);
    assert!(cluster.log(armed).contains(point), "{case}: it ended elsewhere");
    if size > 1 {
        written.more(&cluster, 1 + armed % size, 5).await;
    }
    cluster.spawn(armed);
    written.more(&cluster, armed, 5).await;
    written.check(&cluster, armed, &case).await;
}

#[tokio::test]
async fn a_lone_node_ends_around_each_step_of_a_write() {
    for (point, passes) in [
        ("log-write", 4),
        ("log-sync", 5),
        ("log-synced", 6),
        ("vote-save", 0),
        ("vote-saved", 0),
        ("apply", 6),
        ("applied", 7),
        ("reply", 8),
    ] {
        under_writes(1, 1, point, passes, "abort", 10).await;
    }
}

#[tokio::test]
async fn a_lone_node_ends_around_each_step_of_a_checkpoint() {
    for (point, passes) in
        [("checkpoint-commit", 1), ("checkpointed", 1), ("store-write", 9), ("store-sync", 2), ("store-sync", 3)]
    {
        under_writes(1, 1, point, passes, "abort", 10).await;
    }
}

#[tokio::test]
async fn a_lone_node_ends_around_each_step_of_a_new_segment_and_of_an_old_ones_removal() {
    for point in [
        "segment-create",
        "segment-sync",
        "segment-rename",
        "segment-renamed",
        "segment-created",
        "segment-remove",
        "segment-removed",
    ] {
        under_writes(1, 1, point, 0, "abort", 1_000_000).await;
    }
}

#[tokio::test]
async fn a_leader_ends_around_each_step_of_a_write() {
    for (point, passes) in
        [("log-write", 9), ("log-sync", 9), ("log-synced", 9), ("apply", 9), ("applied", 9), ("reply", 9)]
    {
        under_writes(3, 1, point, passes, "abort", 10).await;
    }
}

#[tokio::test]
async fn a_follower_ends_around_each_step_of_a_write_and_a_checkpoint() {
    for (point, passes) in
        [("log-sync", 9), ("log-synced", 9), ("applied", 9), ("checkpoint-commit", 1), ("store-sync", 2)]
    {
        under_writes(3, 3, point, passes, "abort", 10).await;
    }
}

/// How many entries the log of a node has.
async fn log_entries(cluster: &Cluster, id: u64) -> u64 {
    let metrics = cluster.get(id, "/metrics").await.expect(200).text;
    let line = metrics.lines().find_map(|line| line.strip_prefix("ddb_log_entries ")).expect("a figure");
    line.parse::<f64>().expect("a number") as u64
}

#[tokio::test]
async fn a_follower_ends_around_each_step_of_a_snapshots_install() {
    for point in ["snapshot-receive", "snapshot-commit", "snapshot-rename", "snapshot-renamed", "snapshot-installed"] {
        let mut cluster = cluster(3).await;
        let mut written = Written::default();
        cluster.kill(3);
        written.more(&cluster, 1, ENTRIES as usize * 3).await;
        // Until then it could still catch up by the log.
        eventually("the leader's log is cut", async || (log_entries(&cluster, 1).await < ENTRIES * 2).then_some(()))
            .await;
        cluster.launch(3, "FAILPOINTS", &format!("{point}=return(abort)"));
        let status = eventually(&format!("node 3 ends at {point}"), async || cluster.ended(3)).await;
        check_status(status, "abort", point);
        written.more(&cluster, 2, 5).await;
        cluster.spawn(3);
        written.more(&cluster, 3, 5).await;
        written.check(&cluster, 3, point).await;
        let left: Vec<_> = std::fs::read_dir(cluster.data(3)).expect("a directory").flatten().collect();
        assert!(!left.iter().any(|file| file.file_name().to_string_lossy().contains("received")), "{point}: {left:?}");
    }
}

#[tokio::test]
async fn a_node_ends_around_each_step_of_its_first_start() {
    for (size, point, passes) in [
        (1, "stamp-write", 0),
        (1, "stamp-rename", 0),
        (1, "stamp-renamed", 0),
        (1, "segment-create", 0),
        (1, "segment-sync", 0),
        (1, "segment-rename", 0),
        (1, "segment-renamed", 0),
        (1, "store-create", 0),
        (1, "store-created", 0),
        // The second one is what it knows of its peers.
        (3, "stamp-write", 1),
        (3, "stamp-rename", 1),
        (3, "stamp-renamed", 1),
    ] {
        let case = format!("{size} nodes, {point} after {passes}");
        let mut cluster = Cluster::prepare(size, json!({}));
        cluster.launch(1, "FAILPOINTS", &format!("{point}={passes}*off->return(abort)"));
        for id in 2..=size {
            cluster.spawn(id);
        }
        let status = eventually(&case, async || cluster.ended(1)).await;
        check_status(status, "abort", &case);
        cluster.spawn(1);
        cluster.leader().await;
        let body = json!({"name": "t", "columns": ["id", "n:int", "fill"]});
        cluster.post(1, "/v1/tables", body).await.expect(201);
        let mut written = Written::default();
        written.more(&cluster, 1, 5).await;
        written.check(&cluster, 1, &case).await;
    }
}

#[tokio::test]
async fn a_node_whose_disk_fails_stops_and_acknowledges_nothing_on_the_way() {
    for (size, point, passes) in [
        (1, "log-write", 6),
        (1, "log-sync", 6),
        (1, "apply", 9),
        (1, "store-write", 9),
        (1, "store-sync", 2),
        (1, "store-sync", 3),
        (3, "log-sync", 9),
        (3, "store-sync", 2),
    ] {
        under_writes(size, 1, point, passes, "EIO", 10).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_out() {
    for point in ["log-write", "store-write"] {
        let mut cluster = cluster(1).await;
        let mut written = Written::default();
        cluster.kill(1);
        cluster.launch(1, "FAILPOINTS", &format!("{point}=5*off->3*return(ENOSPC)->off"));
        cluster.leader().await;
        written.more(&cluster, 1, ENTRIES as usize * 3).await;
        let said = if point == "log-write" { "no room for the log" } else { "no space left" };
        cluster.says(1, said).await;
        assert!(cluster.ended(1).is_none(), "{point}: the node has stopped");
        cluster.kill(1);
        cluster.spawn(1);
        cluster.leader().await;
        written.check(&cluster, 1, point).await;
    }
}

#[tokio::test]
async fn a_panic_of_a_handler_fails_its_request_and_no_other() {
    let mut cluster = cluster(3).await;
    let mut written = Written::default();
    written.more(&cluster, 1, 5).await;
    cluster.kill(2);
    cluster.launch(2, "FAILPOINTS", "propose=4*off->1*panic->off");
    cluster.leader().await;
    let put = async |n: u64| {
        let body = json!({"data": {"n": n}});
        cluster.request(2, "PUT", &format!("/v1/tables/t/rows/{n}"), Some(body)).await
    };
    let answers = futures::future::join_all((100..140).map(put)).await;
    let (failed, rest): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status >= 300);
    assert_eq!(
        (failed.len(), rest.len()),
        (1, 39),
        "{:?}",
        failed.iter().map(|answer| &answer.text).collect::<Vec<_>>()
    );
    assert_eq!((failed[0].status, &failed[0].json["error"]["outcome"]), (500, &json!("unknown")), "{}", failed[0].text);
    cluster.says(2, "a request handler panicked").await;
    assert!(cluster.ended(2).is_none(), "the node has ended");
    written.more(&cluster, 2, 5).await;
    let counted = cluster.get(2, "/v1/tables/t/rows?count=1").await.expect(200);
    assert_eq!(counted.json["count"], 49, "{}", counted.text);
}
