//! Measures how long writes wait for another leader: the leader is killed, ends gracefully and falls silent, 50 times each.
//! `make failover` runs it, by default with a release build; the figures are for people.

#![allow(clippy::print_stdout, reason = "tells the figures")]

mod harness;

use std::time::{Duration, Instant};

use harness::{Cluster, eventually};
use serde_json::json;

/// How long the client waits for one write before it tries the next.
const ATTEMPT: Duration = Duration::from_millis(50);

/// The time until the first write through node `through` is acknowledged.
async fn first_write(cluster: &Cluster, through: u64, since: Instant) -> Duration {
    loop {
        let write = cluster.try_request(through, "PUT", "/v1/tables/t/rows/1", Some(json!({"data": {"x": 1}})));
        let answer = tokio::time::timeout(ATTEMPT, write).await;
        if answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status < 300)) {
            return since.elapsed();
        }
    }
}

/// Starts a node again and waits until it has what the others have; answers who leads, and another node.
async fn whole(cluster: &mut Cluster, down: Option<u64>) -> (u64, u64) {
    if let Some(id) = down {
        cluster.spawn(id);
    }
    eventually("all nodes have the same", async || {
        let report = cluster.try_request(cluster.leader().await, "POST", "/v1/verify", None).await.ok()?;
        (report.json["complete"] == true && report.json["equal"] == true).then_some(())
    })
    .await;
    let leader = cluster.leader().await;
    (leader, leader % 3 + 1)
}

fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share).div_ceil(100).max(1) - 1].as_millis();
    let (count, worst) = (times.len(), times[times.len() - 1].as_millis());
    println!("{what}: {count} times, median {} ms, p90 {} ms, p99 {} ms, worst {worst} ms", at(50), at(90), at(99));
}

#[tokio::test]
#[ignore = "takes minutes: make failover"]
async fn writes_go_on_soon_after_the_leader_is_gone() {
    let times = std::env::var("DDB_KILLS").map_or(50, |text| text.parse().expect("DDB_KILLS is a number"));
    let mut cluster = Cluster::as_shipped(3).await;
    cluster.led_by(1).await;
    cluster.post(1, "/v1/tables", json!({"name": "t", "columns": ["id", "x"]})).await.expect(201);
    let (mut killed, mut ended, mut silent) = (Vec::new(), Vec::new(), Vec::new());
    let mut down = None;
    for _ in 0..times {
        let (leader, other) = whole(&mut cluster, down).await;
        let since = Instant::now();
        cluster.kill(leader);
        killed.push(first_write(&cluster, other, since).await);

        // Writes follow each other while the leader ends; the slowest of them waited for the next one.
        let (leader, other) = whole(&mut cluster, Some(leader)).await;
        cluster.signal(leader, rustix::process::Signal::TERM);
        let (ending, mut slowest) = (Instant::now(), Duration::ZERO);
        while ending.elapsed() < Duration::from_millis(1_500) {
            slowest = slowest.max(first_write(&cluster, other, Instant::now()).await);
        }
        ended.push(slowest);
        cluster.kill(leader);

        // Its connections stay open, as those of a machine without power or network do.
        let (leader, other) = whole(&mut cluster, Some(leader)).await;
        let since = Instant::now();
        cluster.signal(leader, rustix::process::Signal::STOP);
        silent.push(first_write(&cluster, other, since).await);
        cluster.kill(leader);
        down = Some(leader);
    }
    tell("kill of the leader", killed);
    tell("graceful end of the leader", ended);
    tell("silence of the leader", silent);
}
