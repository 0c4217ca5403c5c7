//! Who leads: the lowest id takes over, the master gets leadership back, a minority refuses.

mod harness;

use std::time::{Duration, Instant};

use harness::{Cluster, eventually};
use rustix::process::Signal;
use serde_json::json;

async fn create_students(cluster: &Cluster) {
    let body = json!({"table_name": "students", "columns": ["id", "name", "grade"]});
    cluster.post(1, "/create_table", body).await.expect(201);
}

fn student(id: &str) -> serde_json::Value {
    json!({"table_name": "students", "row_id": id, "data": {"name": "Ahmed", "grade": "A"}})
}

/// Kills the leader and waits for the next; answers it.
async fn kill_leader(cluster: &mut Cluster) -> u64 {
    let leader = cluster.leader().await;
    cluster.kill(leader);
    eventually("another node leads", async || {
        let next = cluster.leader().await;
        (next != leader).then_some(next)
    })
    .await
}

#[tokio::test]
async fn the_lowest_id_takes_over_from_a_killed_master_and_hands_back_when_it_returns() {
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    create_students(&cluster).await;
    cluster.post(1, "/insert", student("1")).await.expect(201);

    assert_eq!(kill_leader(&mut cluster).await, 2);
    cluster.post(3, "/insert", student("2")).await.expect(201);
    for line in ["Master is down! Trying to become master...", "[WARNING] I am the new TEMP MASTER"] {
        cluster.says(2, line).await;
    }

    cluster.spawn(1);
    cluster.led_by(1).await;
    eventually("it says so twice", async || (cluster.log(1).matches("This node is MASTER").count() == 2).then_some(()))
        .await;
    cluster.says(1, &format!("Sent to {} - Status: 200 OK", cluster.node(2).address)).await;
    cluster.verify().await;
    for id in cluster.ids() {
        let found = cluster.get(id, "/search?table=students&column=name&value=Ahmed").await.expect(200);
        assert_eq!(found.json["count"], 2);
    }
}

#[tokio::test]
async fn nobody_waits_for_the_lease_of_a_leader_whose_process_has_ended() {
    // The lease is longer than a test waits for anything.
    let mut cluster = Cluster::start_with(3, json!({"election_timeout_ms": 600_000})).await;
    create_students(&cluster).await;
    kill_leader(&mut cluster).await;
    cluster.post(3, "/insert", student("1")).await.expect(201);
}

#[tokio::test]
async fn of_five_nodes_the_lowest_id_that_is_left_takes_over_each_time() {
    let mut cluster = Cluster::start(5).await;
    cluster.led_by(1).await;
    create_students(&cluster).await;
    assert_eq!(kill_leader(&mut cluster).await, 2);
    cluster.post(5, "/insert", student("1")).await.expect(201);
    assert_eq!(kill_leader(&mut cluster).await, 3);
    cluster.post(4, "/insert", student("2")).await.expect(201);
    cluster.spawn(2);
    cluster.spawn(1);
    cluster.led_by(1).await;
    assert_eq!(cluster.verify().await["nodes"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn one_node_alone_is_a_cluster_and_keeps_its_rows_over_a_kill() {
    let mut cluster = Cluster::start(1).await;
    create_students(&cluster).await;
    for round in 0..5 {
        cluster.post(1, "/insert", student(&round.to_string())).await.expect(201);
        cluster.kill(1);
        cluster.spawn(1);
        cluster.leader().await;
        let found = cluster.get(1, "/search?table=students&column=grade&value=A").await.expect(200);
        assert_eq!(found.json["count"], round + 1);
    }
}

#[tokio::test]
async fn a_minority_refuses_writes_and_default_reads_within_two_seconds() {
    let mut cluster = Cluster::start(3).await;
    create_students(&cluster).await;
    cluster.post(1, "/insert", student("1")).await.expect(201);
    cluster.led_by(1).await;
    eventually("node 3 has the row", async || {
        let stale = cluster.get(3, "/v1/tables/students/rows/1?level=stale").await;
        (stale.status == 200).then_some(())
    })
    .await;
    // The leader that stays behind alone, and then a follower alone.
    cluster.kill(2);
    cluster.kill(3);
    refuses(&cluster, 1).await;
    cluster.spawn(3);
    cluster.led_by(1).await;
    cluster.kill(1);
    refuses(&cluster, 3).await;
    // A stale read is served, and says what it is.
    let stale = cluster.get(3, "/v1/tables/students/rows/1?level=stale").await.expect(200);
    assert_eq!(stale.header("ddb-level"), Some("stale"));
}

async fn refuses(cluster: &Cluster, id: u64) {
    let write = cluster.post(id, "/insert", student("9"));
    let read = cluster.get(id, "/v1/tables/students/rows/1");
    let ((write, read), took) = timed(async { tokio::join!(write, read) }).await;
    assert!(took < Duration::from_secs(2), "took {took:?}");
    assert_eq!((write.expect(503).code(), read.expect(503).code()), ("no_leader", "no_leader"));
    // Once the loss is known, a write is refused at the door and certainly not applied.
    let refused = cluster.post(id, "/insert", student("9")).await.expect(503);
    assert_eq!(refused.json["error"]["outcome"], "not_applied");
}

/// How long something took, less the time in which the machine did not let this process run at all.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    const BEAT: Duration = Duration::from_millis(10);
    let (started, mut last, mut stalled) = (Instant::now(), Instant::now(), Duration::ZERO);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, started.elapsed().saturating_sub(stalled)),
            _ = beat.tick() => {
                stalled += last.elapsed().saturating_sub(BEAT * 2);
                last = Instant::now();
            }
        }
    }
}

#[tokio::test]
async fn a_frozen_leader_is_replaced_and_serves_nothing_old_when_it_wakes() {
    let cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    create_students(&cluster).await;
    cluster.post(1, "/insert", student("1")).await.expect(201);
    cluster.signal(1, Signal::STOP);
    let change = json!({"table_name": "students", "row_id": "1", "data": {"grade": "B"}});
    eventually("node 2 takes the update", async || {
        let answer = cluster.try_request(2, "POST", "/update", Some(change.clone())).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    // These wait in the frozen leader's sockets and are answered as it wakes.
    let reads = (0..8).map(|_| cluster.try_request(1, "GET", "/v1/tables/students/rows/1", None));
    let reads = futures::future::join_all(reads);
    let wake = async { cluster.signal(1, Signal::CONT) };
    let (reads, ()) = tokio::join!(reads, wake);
    for read in reads {
        let read = read.unwrap();
        assert!(read.status == 503 || read.json["data"]["grade"] == "B", "{}", read.text);
    }
    cluster.led_by(1).await;
    cluster.verify().await;
}

#[tokio::test]
async fn sigterm_hands_leadership_over_before_the_node_ends() {
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    create_students(&cluster).await;
    assert_eq!(cluster.terminate(1), Some(143));
    assert!(cluster.log(1).contains("handing leadership to node 2"));
    cluster.says(2, "[WARNING] I am the new TEMP MASTER").await;
    // Not by an election after a silence, but by a transfer.
    assert!(!cluster.log(2).contains("Master is down!"), "{}", cluster.log(2));
    cluster.post(3, "/insert", student("1")).await.expect(201);
    cluster.spawn(1);
    cluster.led_by(1).await;
}

#[tokio::test]
async fn a_node_that_lost_its_data_may_not_come_back_under_its_old_id() {
    let mut cluster = Cluster::start(3).await;
    create_students(&cluster).await;
    cluster.kill(3);
    std::fs::remove_dir_all(cluster.data(3)).unwrap();
    cluster.spawn(3);
    cluster.says(1, "node 3 comes with another data directory").await;
    cluster.says(3, "refuses this node").await;
    let status = cluster.get(1, "/v1/status").await.expect(200);
    assert_eq!(status.json["nodes"][2]["up"], json!(false), "{}", status.text);
    assert!(status.text.contains("another data directory"), "{}", status.text);
    let refused = cluster.get(3, "/v1/tables/students/rows/1").await;
    assert_eq!(refused.expect(503).code(), "no_leader");
}
