//! More load than a cluster can take: it refuses some of it at the door, honestly, and does the rest;
//! its memory stays bounded, and it is well at once when the load is gone.

mod harness;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::join_all;
use harness::{Answer, Cluster, eventually};
use rustix::process::Signal;
use serde_json::json;

async fn cluster() -> Cluster {
    let cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    cluster.post(1, "/v1/tables", json!({"name": "t", "columns": ["id", "x"]})).await.expect(201);
    cluster
}

async fn put(cluster: &Cluster, node: u64, id: &str, text: &str) -> Answer {
    cluster.request(node, "PUT", &format!("/v1/tables/t/rows/{id}"), Some(json!({"data": {"x": text}}))).await
}

/// Every answer is one that overload allows; a refusal is retryable and tells what became of the write.
fn is_honest(answer: &Answer) {
    match answer.status {
        200 | 201 => {}
        429 => assert_eq!((answer.code(), &answer.json["error"]["outcome"]), ("overloaded", &json!("not_applied"))),
        503 | 504 => assert!(answer.json["error"]["outcome"].is_string(), "{}", answer.text),
        _ => panic!("{}", answer.text),
    }
    if answer.status >= 429 {
        assert_eq!(answer.json["error"]["retryable"], true, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_storm_of_large_writes_is_refused_in_part_and_stops_nobody_else() {
    let cluster = cluster().await;
    let large = "x".repeat(100_000);
    let (written, refused, storm) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(true));
    let before = cluster.memory(1);
    let sender = async |sender: u64| {
        for n in 0..2 {
            let answer = put(&cluster, 1 + sender % 2, &format!("s{sender}-{n}"), &large).await;
            is_honest(&answer);
            match answer.status {
                201 => written.fetch_add(1, Ordering::Relaxed),
                429 => refused.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            };
        }
    };
    let all = async {
        join_all((0..150).map(sender)).await;
        storm.store(false, Ordering::Relaxed);
    };
    let others = async {
        let (mut most, mut rounds) = (0, 0_u64);
        while storm.load(Ordering::Relaxed) || rounds == 0 {
            // A small write and reads of another client, in the midst of it.
            let answer = put(&cluster, 3, &format!("small-{rounds}"), "y").await;
            is_honest(&answer);
            let stale = cluster.get(1, "/v1/tables/t/rows/none?level=stale").await;
            assert_eq!(stale.code(), "row_not_found");
            cluster.get(1, "/livez").await.expect(200);
            most = most.max(cluster.memory(1));
            rounds += 1;
        }
        most
    };
    let ((), most) = tokio::join!(all, others);
    let (written, refused) = (written.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
    assert!(written > 0 && refused > 0, "{written} written, {refused} refused");
    let bound = before + 200;
    assert!(most < bound, "{before} MiB before, {most} MiB in the storm, in which {written} writes were taken");
    // Once it is over all is well, and what was acknowledged is there.
    eventually("a write is taken", async || (put(&cluster, 2, "after", "z").await.status < 300).then_some(())).await;
    let count = cluster.get(3, "/v1/tables/t/rows?filter=id.prefix=s&columns=id&limit=1000").await.expect(200);
    let large = count.json["rows"].as_array().expect("rows").iter();
    let large = large.filter(|row| !row["row_id"].as_str().unwrap_or_default().starts_with("small")).count() as u64;
    assert!(large >= written, "{large} rows, {written} acknowledged");
    cluster.verify().await;
}

#[tokio::test]
async fn a_leader_whose_followers_are_frozen_refuses_and_keeps_nothing_for_ever() {
    let cluster = cluster().await;
    let before = cluster.memory(1);
    let text = "x".repeat(30_000);
    cluster.signal(2, Signal::STOP);
    cluster.signal(3, Signal::STOP);
    let mut unknown = 0;
    for round in 0..10 {
        let writes = (0..300).map(|n| {
            let (cluster, text) = (&cluster, &text);
            async move { put(cluster, 1, &format!("r{round}-{n}"), text).await }
        });
        for answer in join_all(writes).await {
            assert!(answer.status >= 429, "acknowledged without a quorum: {}", answer.text);
            is_honest(&answer);
            unknown += usize::from(answer.json["error"]["outcome"] == "unknown");
        }
    }
    // Only what came before the loss was known may wait in the log: 3,000 writes would be 90 MB.
    let most = cluster.memory(1);
    assert!(most < before + 100, "{before} MiB before, {most} MiB after {unknown} unknown writes");
    cluster.get(1, "/v1/tables/t/rows/none?level=stale").await.expect(404);
    cluster.signal(2, Signal::CONT);
    cluster.signal(3, Signal::CONT);
    eventually("writes are taken", async || (put(&cluster, 1, "after", "z").await.status < 300).then_some(())).await;
    let rows = cluster.get(1, "/v1/tables/t").await.expect(200).json["rows"].as_u64().expect("a count");
    assert!(rows <= unknown as u64 + 1, "{rows} rows, {unknown} unknown writes");
    cluster.verify().await;
}
