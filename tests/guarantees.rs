//! What is promised of writes and reads: idempotency, linearizability, snapshots, honest outcomes.

mod harness;

use harness::{Cluster, eventually};
use serde_json::{Value, json};

async fn counters(cluster: &Cluster) {
    let body = json!({"name": "counters", "columns": ["id", "n:int", "note"]});
    cluster.post(1, "/v1/tables", body).await.expect(201);
}

fn insert(id: &str, n: i64) -> Value {
    json!({"table_name": "counters", "row_id": id, "data": {"n": n}})
}

async fn keyed(cluster: &Cluster, node: u64, key: &str, body: &Value) -> harness::Answer {
    let headers = [("idempotency-key", key)];
    cluster.send(node, "POST", "/insert", &headers, Some(body.clone())).await.expect("an answer")
}

#[tokio::test]
async fn a_repeated_key_gets_the_first_answer_from_any_node_also_after_failover_and_restart() {
    let mut cluster = Cluster::start_with(3, json!({"snapshot_entries": 20})).await;
    counters(&cluster).await;
    let first = keyed(&cluster, 1, "key-1", &insert("1", 1)).await.expect(201);
    let refused = keyed(&cluster, 2, "key-2", &insert("1", 2)).await.expect(409);
    let repeat = async |cluster: &Cluster, node: u64| {
        assert_eq!(keyed(cluster, node, "key-1", &insert("1", 1)).await.expect(201).json, first.json);
        assert_eq!(keyed(cluster, node, "key-2", &insert("1", 2)).await.expect(409).json, refused.json);
        let reused = keyed(cluster, node, "key-1", &insert("7", 7)).await.expect(409);
        assert_eq!(reused.code(), "idempotency_key_reused");
    };
    for node in cluster.ids() {
        repeat(&cluster, node).await;
    }
    cluster.kill(1);
    cluster.leader().await;
    repeat(&cluster, 3).await;
    // Enough for snapshots: node 1 gets the records in one.
    for n in 0..60 {
        cluster.post(2, "/insert", insert(&format!("fill-{n}"), n)).await.expect(201);
    }
    cluster.spawn(1);
    cluster.led_by(1).await;
    repeat(&cluster, 1).await;
    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.spawn(id);
    }
    cluster.led_by(1).await;
    repeat(&cluster, 2).await;
    cluster.verify().await;
}

#[tokio::test]
async fn concurrent_conditional_writes_through_all_nodes_lose_no_increment() {
    let cluster = Cluster::start(3).await;
    counters(&cluster).await;
    cluster.post(1, "/insert", insert("hits", 0)).await.expect(201);
    let add = async |node: u64| {
        for _ in 0..20 {
            loop {
                let row = cluster.get(node, "/v1/tables/counters/rows/hits").await.expect(200);
                let etag = row.header("etag").expect("an ETag").to_string();
                let body = json!({"data": {"n": row.json["data"]["n"].as_i64().expect("a number") + 1}});
                let headers = [("if-match", etag.as_str())];
                let path = "/v1/tables/counters/rows/hits";
                let answer = cluster.send(node, "PATCH", path, &headers, Some(body)).await.expect("an answer");
                match answer.status {
                    200 => break,
                    412 => assert_eq!(answer.code(), "revision_mismatch"),
                    _ => panic!("{}", answer.text),
                }
            }
        }
    };
    tokio::join!(add(1), add(2), add(3), add(1), add(2));
    for node in cluster.ids() {
        let row = cluster.get(node, "/v1/tables/counters/rows/hits").await.expect(200);
        assert_eq!(row.json["data"]["n"], 100);
    }
}

#[tokio::test]
async fn a_read_through_any_node_sees_the_write_that_was_acknowledged_before_it() {
    let cluster = Cluster::start(3).await;
    counters(&cluster).await;
    cluster.post(1, "/insert", insert("x", 0)).await.expect(201);
    for n in 1..100 {
        let (writer, reader) = (1 + n as u64 % 3, 1 + (n as u64 + 1) % 3);
        let body = json!({"table_name": "counters", "row_id": "x", "data": {"n": n}});
        let written = cluster.post(writer, "/update", body).await.expect(200);
        let row = cluster.get(reader, "/v1/tables/counters/rows/x").await.expect(200);
        assert_eq!((&row.json["data"]["n"], &row.json["revision"]), (&json!(n), &written.json["revision"]));
    }
}

#[tokio::test]
async fn min_revision_waits_for_ones_own_write_on_any_node() {
    let cluster = Cluster::start(3).await;
    counters(&cluster).await;
    for n in 0..30 {
        let written = cluster.post(1, "/insert", insert(&n.to_string(), n)).await.expect(201);
        let revision = written.json["revision"].as_u64().expect("a revision");
        let path = format!("/v1/tables/counters/rows/{n}?level=stale&min_revision={revision}");
        cluster.get(3, &path).await.expect(200);
    }
    let never = cluster.get(3, "/v1/tables/counters/rows/1?min_revision=999999&timeout=200ms").await;
    assert_eq!(never.expect(504).code(), "timeout");
}

#[tokio::test]
async fn a_follower_that_fell_behind_gets_a_snapshot_and_the_same_data() {
    let mut cluster = Cluster::start_with(3, json!({"snapshot_entries": 50})).await;
    counters(&cluster).await;
    cluster.led_by(1).await;
    cluster.post(1, "/insert", insert("first", 1)).await.expect(201);
    cluster.kill(3);
    for n in 0..400 {
        cluster.post(1, "/insert", insert(&n.to_string(), n)).await.expect(201);
    }
    cluster.request(1, "POST", "/delete", Some(json!({"table_name": "counters", "row_id": "first"}))).await.expect(200);
    cluster.spawn(3);
    cluster.says(3, "installed a snapshot").await;
    cluster.verify().await;
    let all = cluster.get(3, "/search?table=counters").await.expect(200);
    assert_eq!(all.json["count"], 400);
    // It follows on, and has it all after a crash too.
    cluster.post(3, "/insert", insert("after", 1)).await.expect(201);
    cluster.kill(3);
    cluster.spawn(3);
    cluster.leader().await;
    let report = cluster.verify().await;
    assert_eq!(report["nodes"][2]["rows"], 401);
}

#[tokio::test]
async fn the_log_is_compacted_and_does_not_grow_for_ever() {
    let cluster = Cluster::start_with(1, json!({"snapshot_entries": 50})).await;
    counters(&cluster).await;
    for n in 0..1_000 {
        cluster.post(1, "/insert", insert(&n.to_string(), n)).await.expect(201);
    }
    let metric = async |name: &str| {
        let text = cluster.get(1, "/metrics").await.expect(200).text;
        let line = text.lines().find(|line| line.starts_with(name)).map(ToString::to_string);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    eventually("most entries are purged", async || {
        metric("ddb_log_entries").await.filter(|entries| *entries < 200.0).map(|_| ())
    })
    .await;
}

#[tokio::test]
async fn verify_agrees_however_often_it_is_asked() {
    let cluster = Cluster::start(3).await;
    counters(&cluster).await;
    for n in 0..40 {
        cluster.post(1, "/insert", insert(&n.to_string(), n)).await.expect(201);
        let report = cluster.request(1 + n as u64 % 3, "POST", "/v1/verify", None).await.expect(200);
        assert_eq!((&report.json["complete"], &report.json["equal"]), (&json!(true), &json!(true)), "{}", report.text);
    }
}

#[tokio::test]
async fn a_write_under_way_survives_a_graceful_change_of_leader() {
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    counters(&cluster).await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    let write = async |node: u64, cluster: &Cluster| {
        let mut written = 0;
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let answer = cluster.post(node, "/insert", insert(&format!("{node}-{written}"), written)).await;
            assert_eq!(answer.status, 201, "through a node that stays: {}", answer.text);
            written += 1;
        }
        written
    };
    let hand_over = async |cluster: &Cluster| {
        cluster.signal(1, rustix::process::Signal::TERM);
        cluster.says(2, "[WARNING] I am the new TEMP MASTER").await;
        cluster.post(3, "/insert", insert("after", 1)).await.expect(201);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (second, third, ()) = tokio::join!(write(2, &cluster), write(3, &cluster), hand_over(&cluster));
    assert!(second > 0 && third > 0);
    cluster.kill(1);
    let all = cluster.get(2, "/search?table=counters").await.expect(200);
    assert_eq!(all.json["count"], second + third + 1);
}

#[tokio::test]
async fn an_unknown_outcome_is_said_and_never_taken_for_not_applied() {
    let mut cluster = Cluster::start(3).await;
    counters(&cluster).await;
    cluster.led_by(1).await;
    cluster.kill(2);
    cluster.kill(3);
    // In the moment after the loss the leader still takes writes into its log.
    let mut unknown = Vec::new();
    for n in 0..20 {
        let answer = cluster.post(1, "/insert", insert(&format!("u{n}"), n)).await.expect(503);
        match answer.json["error"]["outcome"].as_str() {
            Some("unknown") => unknown.push(n),
            Some("not_applied") => {}
            other => panic!("{other:?}: {}", answer.text),
        }
        assert_eq!(answer.json["error"]["retryable"], json!(true));
    }
    cluster.spawn(2);
    cluster.spawn(3);
    cluster.led_by(1).await;
    let rows = cluster.get(2, "/search?table=counters").await.expect(200);
    for row in rows.json["rows"].as_array().expect("rows") {
        let n = row["data"]["n"].as_i64().expect("a number");
        assert!(unknown.contains(&n), "row u{n} was said not to be applied");
    }
}
