//! A disk without room: writes are refused, reads go on, nothing acknowledged is lost, and writes are
//! taken again without a restart once there is room. Needs root for disks of its own; else it says so.

#![allow(clippy::print_stdout, reason = "says what cannot be tried")]

mod harness;
#[expect(dead_code, reason = "the chaos run uses the rest")]
#[path = "chaos/sandbox.rs"]
mod sandbox;

use harness::{Answer, Cluster, eventually};
use sandbox::Sandbox;
use serde_json::json;

async fn put(cluster: &Cluster, node: u64, id: u64) -> Answer {
    cluster
        .request(node, "PUT", &format!("/v1/tables/t/rows/{id}"), Some(json!({"data": {"x": "y".repeat(9_000)}})))
        .await
}

async fn start(sandbox: &Sandbox) -> Cluster {
    let mut cluster = match sandbox.addresses(3) {
        Some(addresses) => Cluster::at(addresses, json!({})),
        None => Cluster::prepare(3, json!({})),
    };
    sandbox.furnish(&mut cluster);
    (1..=3).for_each(|id| cluster.spawn(id));
    cluster.led_by(1).await;
    cluster.post(1, "/v1/tables", json!({"name": "t", "columns": ["id", "x"]})).await.expect(201);
    cluster
}

/// Every acknowledged row is read through every node.
async fn all_are_there(cluster: &Cluster, rows: &[u64]) {
    for node in cluster.ids() {
        for row in rows {
            let path = format!("/v1/tables/t/rows/{row}");
            let answer = eventually("a read is served", async || {
                Some(cluster.get(node, &path).await).filter(|answer| answer.status != 503)
            });
            answer.await.expect(200);
        }
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_needs_no_restart() {
    match sandbox::enter() {
        Some(well) => assert!(well, "it failed within its namespaces"),
        None => tokio::runtime::Runtime::new().expect("a runtime").block_on(fill_and_empty()),
    }
}

async fn fill_and_empty() {
    let sandbox = Sandbox::build(3);
    if !sandbox.disks {
        println!("not tried: full disks need root and loop mounts");
        return;
    }
    let cluster = start(&sandbox).await;
    let mut rows: Vec<u64> = (0..20).collect();
    for row in &rows {
        put(&cluster, 1 + row % 3, *row).await.expect(201);
    }

    one_follower(&cluster, &mut rows).await;
    all_are_there(&cluster, &rows).await;
    all_nodes(&cluster, &mut rows).await;
    all_are_there(&cluster, &rows).await;
    let pids: Vec<i32> = cluster.ids().into_iter().map(|id| cluster.pid(id)).collect();
    println!("full disks were refused and recovered from by the processes {pids:?}");
    cluster.verify().await;
}

/// The others write on; it refuses writes, serves stale reads, and follows again once it has room.
async fn one_follower(cluster: &Cluster, rows: &mut Vec<u64>) {
    Sandbox::fill(cluster, 3, 1 << 20).expect("a full disk");
    eventually("node 3 refuses", async || (put(cluster, 3, 1_000).await.code() == "disk_full").then_some(())).await;
    for row in 20..40 {
        put(cluster, 1 + row % 2, row).await.expect(201);
        rows.push(row);
    }
    for row in rows.iter() {
        cluster.get(1, &format!("/v1/tables/t/rows/{row}")).await.expect(200);
    }
    cluster.get(3, "/v1/tables/t/rows/1?level=stale").await.expect(200);
    // It cannot take the newest entries, so it cannot know that what it has is fresh.
    let behind = cluster.get(3, "/v1/tables/t/rows/1").await;
    assert_eq!((behind.status, behind.code()), (507, "disk_full"), "{}", behind.text);
    Sandbox::empty(cluster, 3).expect("room");
}

/// While clients write: what is acknowledged is kept, the rest is refused, and all of it is read.
async fn all_nodes(cluster: &Cluster, rows: &mut Vec<u64>) {
    for id in cluster.ids() {
        // Below the 64 MiB that a node keeps back, as disks are that fill up by and by.
        Sandbox::fill(cluster, id, 48 << 20).expect("a full disk");
    }
    let mut row = 40;
    eventually("all refuse", async || {
        let mut full = 0;
        for node in cluster.ids() {
            let answer = put(cluster, node, row).await;
            match answer.status {
                200 | 201 => rows.push(row),
                507 => full += 1,
                _ => assert!(answer.status == 503 || answer.status == 504, "{}", answer.text),
            }
            if answer.status == 507 {
                assert_eq!(answer.json["error"]["outcome"], "not_applied", "{}", answer.text);
                assert_eq!(answer.json["error"]["retryable"], true, "{}", answer.text);
            }
            row += 1;
        }
        (full == 3).then_some(())
    })
    .await;
    all_are_there(cluster, rows).await;

    // Room again: no restart, no help.
    for id in cluster.ids() {
        Sandbox::empty(cluster, id).expect("room");
    }
    for node in cluster.ids() {
        eventually("it takes writes again", async || {
            (put(cluster, node, 9_000 + node).await.status < 300).then_some(())
        })
        .await;
        rows.push(9_000 + node);
    }
}
