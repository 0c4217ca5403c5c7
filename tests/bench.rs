//! `ddb bench` against a real cluster: every workload does what it says and loses nothing.

mod harness;

use std::process::{Command, Stdio};

use ddb::bench::Process;
use harness::{Cluster, eventually};
use rustix::process::Signal;
use serde_json::Value;

#[tokio::test]
async fn every_workload_runs_reads_back_what_it_wrote_and_leaves_nothing_behind() {
    let cluster = Cluster::start(3).await;
    let workloads =
        [("insert", 300, 300), ("get", 300, 300), ("search", 100, 1_000), ("mixed", 300, 300), ("import", 6, 6_000)];
    // On connections of their own, and as streams of some that are shared.
    for ((workload, count, rows), streams) in workloads.into_iter().flat_map(|one| [(one, "1"), (one, "2")]) {
        let (count, connections) = (count.to_string(), "3");
        let words = ["bench", workload, "--count", &count, "-c", connections, "--keys", "500", "--timeout", "60s"];
        let words = [&words[..], &["--streams", streams, "-o", "json"]].concat();
        let output = cluster.ddb(&words).output().expect("ddb runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{workload}: {said}");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["workload"], workload);
        assert_eq!(report["failed"], 0, "{report}");
        assert_eq!(report["requests"].to_string(), count);
        assert_eq!(report["rows"], rows, "{report}");
        assert!(report["cpu_seconds_per_10k"]["nodes"].as_f64().is_some_and(|cpu| cpu > 0.0), "{report}");
        let wrote = !matches!(workload, "get" | "search");
        assert_eq!(report["checked"]["lost"], if wrote { Value::from(0) } else { Value::Null });
    }
    let tables = cluster.get(1, "/v1/tables").await.expect(200);
    assert_eq!(tables.json["tables"], Value::Array(vec![]));
}

#[tokio::test]
async fn a_run_goes_to_the_nodes_it_names_and_keeps_its_table_if_told_so() {
    let cluster = Cluster::start(3).await;
    for to in ["leader", "followers"] {
        let words = ["bench", "insert", "--to", to, "--count", "50", "-c", "2", "--keep", "--table", to];
        cluster.ddb(&words).assert().success();
    }
    let tables = cluster.get(1, "/v1/tables").await.expect(200);
    assert_eq!(tables.json["tables"].as_array().map(Vec::len), Some(2), "{}", tables.json);
    let again = cluster.ddb(&["bench", "insert", "--table", "leader"]).assert().code(2);
    let said = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert!(said.contains("is there already") && said.contains("hint: "), "{said}");
}

#[tokio::test]
async fn the_cpu_time_of_a_node_that_started_anew_meanwhile_is_not_told() {
    let mut cluster = Cluster::start(1).await;
    let address = cluster.node(1).address.clone();
    let before = Process::of(&address).await.expect("figures");
    cluster.get(1, "/v1/tables").await.expect(200);
    let after = Process::of(&address).await.expect("figures");
    assert!(after.spent_since(&before).is_some_and(|seconds| seconds > 0.0), "{before:?} {after:?}");
    cluster.kill(1);
    cluster.spawn(1);
    let anew = eventually("it answers", async || Process::of(&address).await).await;
    assert_eq!(anew.spent_since(&after), None, "{after:?} {anew:?}");
}

#[tokio::test]
async fn a_signal_ends_the_load_and_the_table_goes_with_it() {
    let cluster = Cluster::start(3).await;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = Command::new(harness::ddb())
            .args(["bench", "insert", "-c", "2", "--duration", "10m", "--keys", "100"])
            .env("DDB_ENDPOINTS", cluster.endpoints())
            .stdout(Stdio::null())
            .spawn()
            .expect("ddb runs");
        let rows = "/v1/tables/ddb_bench/rows?limit=1";
        eventually("the load has begun", async || (cluster.get(1, rows).await.json["count"] == 1).then_some(())).await;
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).expect("signalled");
        assert_eq!(child.wait().expect("it ends").code(), Some(code));
        let tables = cluster.get(1, "/v1/tables").await.expect(200);
        assert_eq!(tables.json["tables"], Value::Array(vec![]));
    }
}
