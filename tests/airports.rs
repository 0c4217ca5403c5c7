//! The main job on real data: 3,376 airports from concurrent clients over three nodes, while the
//! leader is killed half-way and comes back.

mod harness;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::{Cluster, eventually};
use serde_json::{Map, Value, json};

const COLUMNS: [&str; 7] = ["iata", "name", "city", "state", "country", "latitude", "longitude"];

/// The rows of the file as JSON objects, coordinates as numbers.
fn airports() -> Vec<Map<String, Value>> {
    let mut reader = csv::Reader::from_path("tests/data/airports.csv").expect("the fixture");
    assert_eq!(reader.headers().expect("a header").iter().collect::<Vec<_>>(), COLUMNS);
    let rows: Vec<Map<String, Value>> = reader
        .records()
        .map(|record| {
            let record = record.expect("a record");
            let value = |(column, text): (&str, &str)| match column {
                "latitude" | "longitude" => json!(text.parse::<f64>().expect("a coordinate")),
                _ => json!(text),
            };
            COLUMNS.iter().zip(record.iter()).map(|(column, text)| ((*column).into(), value((column, text)))).collect()
        })
        .collect();
    assert_eq!(rows.len(), 3_376);
    rows
}

/// Sends an insert to one node after the other under its one key until it is acknowledged.
async fn insert(cluster: &Cluster, start: u64, row: &Map<String, Value>) {
    let id = row["iata"].as_str().expect("a code").to_string();
    let body = json!({"table_name": "airports", "row_id": id, "data": row});
    let key = format!("airport-{id}");
    let mut node = start;
    eventually(&format!("airport {id} is acknowledged"), async || {
        let headers = [("idempotency-key", key.as_str())];
        let answer = cluster.send(node, "POST", "/insert", &headers, Some(body.clone())).await;
        node = node % 3 + 1;
        let answer = answer.ok()?;
        assert!(matches!(answer.status, 201 | 429 | 503 | 504), "{}", answer.text);
        (answer.status == 201).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_airport_survives_the_death_of_the_leader_exactly_as_written() {
    let rows = airports();
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    let columns = ["iata", "name", "city", "state", "country", "latitude:float", "longitude:float"];
    cluster.post(2, "/create_table", json!({"table_name": "airports", "columns": columns})).await.expect(201);

    // The first half runs into the kill, the second half runs without the leader until it is back.
    let done = AtomicUsize::new(0);
    let client = async |cluster: &Cluster, lane: usize, rows: &[Map<String, Value>], stop_at: usize| {
        for row in rows.iter().skip(lane).step_by(12) {
            if done.load(Ordering::Relaxed) >= stop_at {
                break;
            }
            insert(cluster, 1 + lane as u64 % 3, row).await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    futures::future::join_all((0..12).map(|lane| client(&cluster, lane, &rows, rows.len() / 2))).await;
    // kill -9 while clients write: they run on, on a shared view of the cluster.
    let pid = rustix::process::Pid::from_raw(cluster.pid(1)).expect("a process id");
    let writing = futures::future::join_all((0..12).map(|lane| client(&cluster, lane, &rows, usize::MAX)));
    let killing = eventually("a few more rows are in", async || {
        (done.load(Ordering::Relaxed) > rows.len() / 2 + 50).then(|| {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
        })
    });
    tokio::join!(writing, killing);
    cluster.kill(1);
    cluster.spawn(1);

    cluster.led_by(1).await;
    let report = cluster.verify().await;
    assert!(report["nodes"].as_array().expect("nodes").iter().all(|node| node["rows"] == 3_376), "{report}");
    let expected: BTreeMap<String, Value> =
        rows.into_iter().map(|row| (row["iata"].as_str().expect("a code").to_string(), Value::Object(row))).collect();
    for id in cluster.ids() {
        let found = cluster.get(id, "/search?table=airports").await.expect(200).json;
        assert_eq!(found["count"], 3_376);
        let found: BTreeMap<String, Value> = found["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| (row["row_id"].as_str().expect("an id").to_string(), row["data"].clone()))
            .collect();
        assert_eq!(found, expected, "on node {id}");
    }
    let one = cluster.get(3, "/search?table=airports&column=city&value=Bay%20Springs").await.expect(200);
    assert_eq!(one.json["rows"][0]["data"]["name"], "Thigpen");
}
