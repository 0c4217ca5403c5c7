//! The doctor: what it says of a sound cluster, of one that is not, and of a machine without one.

mod harness;

use harness::Cluster;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

/// The findings, each as (check, verdict, facts), and the exit code.
fn look(cluster: &Cluster, words: &[&str]) -> (Vec<(String, String, String)>, i32) {
    let words = [&["doctor", "-o", "json"], words].concat();
    let output = cluster.ddb(&words).output().expect("ddb runs");
    let found: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let field = |row: &Value, name: &str| row[name].as_str().expect("a text").to_string();
    let found = found.iter().map(|row| (field(row, "check"), field(row, "verdict"), field(row, "finding")));
    (found.collect(), output.status.code().expect("an exit code"))
}

fn verdicts(found: &[(String, String, String)], check: &str) -> Vec<String> {
    found.iter().filter(|(own, _, _)| own == check).map(|(_, verdict, _)| verdict.clone()).collect()
}

#[tokio::test]
async fn a_sound_cluster_passes_and_a_lost_quorum_fails() {
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    let (found, _) = look(&cluster, &[]);
    for check in ["config", "nodes", "versions", "clocks", "quorum"] {
        assert_eq!(verdicts(&found, check), ["PASS"], "{check}: {found:?}");
    }
    assert_eq!(verdicts(&found, "ports"), ["PASS"; 3]);
    assert_eq!(verdicts(&found, "data"), ["PASS"; 3]);
    assert!(found.iter().any(|(check, _, facts)| check == "fsync" && facts.starts_with("median ")), "{found:?}");
    assert!(found.iter().any(|(_, _, facts)| facts.contains("3 of 3 nodes are up, 1 more may fail")), "{found:?}");
    cluster.kill(3);
    let (found, _) = look(&cluster, &[]);
    assert_eq!((verdicts(&found, "nodes"), verdicts(&found, "quorum")), (vec!["WARN".into()], vec!["WARN".into()]));
    cluster.kill(2);
    harness::eventually("the leader knows that it is alone", async || {
        let (found, code) = look(&cluster, &[]);
        (verdicts(&found, "quorum") == ["FAIL"] && code == 1).then_some(())
    })
    .await;
    let told = contains("FAIL  quorum").and(contains("      hint: 2 of 3 nodes have to run"));
    cluster.ddb(&["doctor"]).assert().code(1).stdout(told).stderr(contains("error: not well: quorum"));
}

#[tokio::test]
async fn before_the_first_start_the_machine_is_looked_at_all_the_same() {
    let cluster = Cluster::prepare(3, json!({}));
    let taken = std::net::TcpListener::bind(cluster.node(2).address.trim_start_matches("http://")).expect("the port");
    let (found, code) = look(&cluster, &[]);
    assert_eq!(code, 1);
    assert_eq!(verdicts(&found, "ports"), ["PASS", "FAIL", "PASS"]);
    for (check, verdict) in [("config", "PASS"), ("data", "PASS"), ("versions", "SKIP"), ("clocks", "SKIP")] {
        assert_eq!(verdicts(&found, check), [verdict], "{check}: {found:?}");
    }
    drop(taken);
    std::fs::write(cluster.config(), "{\"nodes\": [\n}").expect("written");
    cluster.ddb(&["doctor"]).assert().code(1).stdout(contains("FAIL  config").and(contains("line 2, column 1")));
}

#[tokio::test]
async fn a_client_only_machine_skips_what_it_has_not() {
    let cluster = Cluster::start(1).await;
    let elsewhere = tempfile::tempdir().expect("a directory");
    let told = contains("SKIP  config").and(contains("SKIP  fsync")).and(contains("PASS  quorum"));
    cluster.ddb(&["doctor"]).current_dir(elsewhere.path()).assert().success().stdout(told);
    let told = contains("SKIP  quorum").and(contains("no node is named"));
    cluster.ddb(&["doctor"]).current_dir(elsewhere.path()).env("DDB_ENDPOINTS", "").assert().success().stdout(told);
}

#[tokio::test]
async fn data_of_another_cluster_is_told_apart() {
    let cluster = Cluster::start(1).await;
    let text = std::fs::read_to_string(cluster.config()).expect("a configuration").replace("\"test\"", "\"other\"");
    std::fs::write(cluster.path().join("other.json"), text).expect("written");
    let (found, code) = look(&cluster, &["--config", "other.json"]);
    assert_eq!((verdicts(&found, "data"), code), (vec!["FAIL".into()], 1), "{found:?}");
}
