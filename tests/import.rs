//! Import and export on real nodes: what goes in comes out, bad lines are named, a lost leader costs
//! nothing twice, and memory stays flat.

mod harness;

use std::fmt::Write as _;

use harness::{Answer, Cluster, eventually};
use predicates::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn table(cluster: &Cluster, name: &str, columns: &[&str]) {
    cluster.post(1, "/v1/tables", json!({"name": name, "columns": columns})).await.expect(201);
}

/// Posts a body to an import as it is.
async fn import(cluster: &Cluster, node: u64, query: &str, kind: &str, body: impl Into<reqwest::Body>) -> Answer {
    let url = cluster.url(node, &format!("/v1/tables/{query}"));
    let response = cluster.http.post(url).header("content-type", kind).body(body).send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("a body");
    Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
}

async fn rows(cluster: &Cluster, name: &str) -> u64 {
    cluster.get(1, &format!("/v1/tables/{name}")).await.expect(200).json["rows"].as_u64().expect("a count")
}

/// Runs `ddb` where waiting holds up no node's client.
fn ddb(cluster: &Cluster, args: &[&str], stdin: impl Into<Vec<u8>>) -> assert_cmd::assert::Assert {
    cluster.ddb(args).write_stdin(stdin).assert()
}

fn stdout(assert: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).expect("text")
}

/// The airports as a file that export would write: sorted by id, quoted where it must be.
fn normalised() -> String {
    let mut reader = csv::Reader::from_path("tests/data/airports.csv").expect("the fixture");
    let mut records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a record")).collect();
    records.sort_by(|a, b| a[0].cmp(&b[0]));
    let mut out = String::from("row_id,iata,name,city,state,country,latitude,longitude\n");
    for record in records {
        let fields = std::iter::once(&record[0]).chain(record.iter());
        let fields = fields.map(|field| {
            let quoted = field.contains([',', '"', '\n']) || field.starts_with(' ') || field.ends_with(' ');
            if quoted { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_string() }
        });
        writeln!(out, "{}", fields.collect::<Vec<_>>().join(",")).expect("memory");
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_airports_come_out_as_they_went_in() {
    let cluster = Cluster::start(3).await;
    let columns = ["iata", "name", "city", "state", "country", "latitude:float", "longitude:float"];
    table(&cluster, "airports", &columns).await;
    table(&cluster, "copy", &columns).await;
    let file = std::fs::canonicalize("tests/data/airports.csv").expect("the fixture");
    let file = file.to_str().expect("a path");

    let dry = ddb(&cluster, &["import", "airports", file, "--id", "iata", "--dry-run"], "").success();
    assert!(stdout(&dry).contains("3376 rows would go into airports"), "{}", stdout(&dry));
    assert_eq!(rows(&cluster, "airports").await, 0);

    let done = ddb(&cluster, &["import", "airports", file, "--id", "iata", "-o", "json"], "").success();
    let done: Value = serde_json::from_str(&stdout(&done)).expect("an object");
    assert_eq!((&done["rows"], &done["inserted"]), (&json!(3376), &json!(3376)), "{done}");
    let out = stdout(&ddb(&cluster, &["export", "airports", "-o", "csv"], "").success());
    let wanted = normalised();
    let differs = out.lines().zip(wanted.lines()).find(|(out, wanted)| out != wanted);
    assert!(out == wanted, "{differs:?}");

    // JSON Lines from stdin, in the format they look like.
    let lines = stdout(&ddb(&cluster, &["export", "airports"], "").success());
    ddb(&cluster, &["import", "copy", "-"], lines.clone()).success();
    assert_eq!(stdout(&ddb(&cluster, &["export", "copy"], "").success()), lines);
    let texas = stdout(&ddb(&cluster, &["export", "copy", "state=TX"], "").success());
    assert!(texas.lines().count() > 100 && texas.lines().all(|line| line.contains("\"state\":\"TX\"")));
    cluster.verify().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_and_bad_lines_are_told_and_a_batch_is_whole_or_absent() {
    let cluster = Cluster::start(3).await;
    table(&cluster, "t", &["id:int", "name", "note:text"]).await;
    const JSONL: &str = "application/x-ndjson";
    let two = "{\"id\":1,\"name\":\"a\",\"note\":\"x\"}\n\n{\"id\":2}\n";
    let done = import(&cluster, 2, "t/import", JSONL, two).await.expect(200);
    assert_eq!(done.json["rows"], 2);
    assert_eq!(done.header("ddb-revision"), Some(done.json["revision"].to_string().as_str()));

    let new = "{\"id\":3,\"name\":\"c\"}\n{\"id\":1,\"name\":\"b\"}";
    let refused = import(&cluster, 3, "t/import?format=jsonl", JSONL, new).await.expect(409);
    let message = refused.json["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("line 2: row \"1\" already exists"), "{message}");
    assert!(message.ends_with("; lines from 1 on were not imported"), "{message}");
    assert_eq!((&refused.json["rows"], &refused.json["error"]["outcome"]), (&json!(0), &json!("not_applied")));
    assert_eq!(rows(&cluster, "t").await, 2);
    let counts = |answer: &Answer| ["inserted", "replaced", "skipped"].map(|key| answer.json[key].as_u64());
    let done = import(&cluster, 3, "t/import?on_conflict=skip", JSONL, new).await.expect(200);
    assert_eq!(counts(&done), [Some(1), Some(0), Some(1)]);
    let done = import(&cluster, 1, "t/import?on_conflict=replace", JSONL, new).await.expect(200);
    assert_eq!(counts(&done), [Some(0), Some(2), Some(0)]);
    let row = cluster.get(2, "/v1/tables/t/rows/1").await.expect(200);
    assert_eq!(row.json["data"], json!({"id": 1, "name": "b", "note": null}));

    let csv = "id,note\r\n4,\"two\r\nlines\"\r\n5,\r\nsix,x\r\n";
    let refused = import(&cluster, 1, "t/import", "text/csv; charset=utf-8", csv).await.expect(422);
    assert!(refused.text.contains("line 5: row id \\\"six\\\" is not an integer"), "{}", refused.text);
    for (query, kind, body, status, said) in [
        ("t/import", JSONL, "{\"id\":9}\n{\"id\":10,}", 422, "line 2: it is not the JSON that was expected"),
        ("t/import", JSONL, "{\"id\":9,\"nam\":1}", 422, "line 1: table \\\"t\\\" has no column \\\"nam\\\""),
        ("t/import", JSONL, "{\"id\":9,\"note\":1}", 422, "line 1: integer 1 does not fit column \\\"note\\\""),
        ("t/import?format=csv", JSONL, "name\nx", 422, "line 1: it has no row id"),
        ("t/import?format=xml", JSONL, "", 400, "not a format"),
        ("t/import?on_conflict=merge", JSONL, "", 400, "on_conflict"),
        ("t/import", "image/png", "", 415, "not lines of JSON or CSV"),
        ("nothing/import", JSONL, "", 404, "does not exist"),
    ] {
        let refused = import(&cluster, 1, query, kind, body).await.expect(status);
        assert!(refused.text.contains(said), "{query} {body}: {}", refused.text);
    }
    let long = format!("{{\"id\":9}}\n{{\"id\":10,\"note\":\"{}\"}}\n", "x".repeat(3 << 20));
    let refused = import(&cluster, 1, "t/import", JSONL, long).await.expect(413);
    assert!(refused.text.contains("line 2: it is longer than"), "{}", refused.text);
    assert_eq!(rows(&cluster, "t").await, 3);

    // The whole batches before a bad line are in, and the answer does not say "not applied".
    let mut lines: String = (100..2600).map(|n| format!("{{\"id\":{n}}}\n")).collect();
    lines.push_str("{\"id\":true}\n");
    let refused = import(&cluster, 2, "t/import", JSONL, lines.clone()).await.expect(422);
    assert_eq!((&refused.json["rows"], &refused.json["error"]["outcome"]), (&json!(2000), &json!("unknown")));
    assert!(refused.text.contains("line 2501: "), "{}", refused.text);
    assert!(refused.text.contains("; lines from 2001 on were not imported"), "{}", refused.text);
    assert_eq!(rows(&cluster, "t").await, 2003);

    ddb(&cluster, &["import", "t", "-", "--on-conflict", "skip"], lines)
        .code(8)
        .stderr(predicate::str::starts_with("error: line 2501: column \"id\" is the row id, and must be an integer"));
    ddb(&cluster, &["import", "t", "-"], new).code(5).stderr(predicate::str::contains("line 1: row \"3\" already"));
    // A file of several pieces: lines are those of the file, and what went in before is not denied.
    let mut wide: String = (5000..5020).map(|n| format!("{n},{}\n", "x".repeat(400 << 10))).collect();
    wide = format!("id,note\n{wide}bad,x\n");
    ddb(&cluster, &["import", "t", "-", "-o", "json"], wide).code(8).stderr(
        predicate::str::contains("line 22: row id \\\"bad\\\" is not an integer")
            .and(predicate::str::contains("; lines from 22 on were not imported"))
            .and(predicate::str::contains("\"outcome\":\"unknown\"")),
    );
    assert_eq!(rows(&cluster, "t").await, 2023);
    ddb(&cluster, &["import", "t", "nowhere.csv"], "").code(2).stderr(predicate::str::contains("nowhere.csv"));
    ddb(&cluster, &["import", "nothing", "-"], new).code(4);
    ddb(&cluster, &["export", "nothing"], "").code(4);
    ddb(&cluster, &["export", "t", "-o", "tsv"], "").code(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_import_under_its_key_takes_effect_once_on_any_node() {
    let cluster = Cluster::start(3).await;
    table(&cluster, "t", &["n"]).await;
    let body: String = (0..2500).map(|n| format!("{{\"row_id\":{n},\"n\":{n}}}\n")).collect();
    let mut answers = Vec::new();
    for node in [1, 2, 3] {
        let url = cluster.url(node, "/v1/tables/t/import");
        let request = cluster.http.post(url).header("idempotency-key", "k").body(body.clone());
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        answers.push(response.text().await.expect("a body"));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert!(answers[0].contains("\"inserted\":2500"), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_survives_the_death_of_the_leader_and_puts_nothing_twice() {
    let mut cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    table(&cluster, "t", &["id:int", "pad"]).await;
    const ROWS: u64 = 60_000;
    let path = cluster.path().join("rows.jsonl");
    let lines: String = (0..ROWS).map(|n| format!("{{\"id\":{n},\"pad\":\"{:0200}\"}}\n", n)).collect();
    std::fs::write(&path, lines).expect("a file");
    // A row that was put twice would be a conflict and end the import.
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_ddb"))
        .args(["import", "t", path.to_str().expect("a path"), "-o", "json"])
        .env("DDB_ENDPOINTS", cluster.endpoints())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("ddb starts");
    eventually("the import is under way", async || {
        let answer = cluster.get(2, "/v1/tables/t?level=stale").await;
        (answer.json["rows"].as_u64()? > ROWS / 10).then_some(())
    })
    .await;
    let before = cluster.get(2, "/v1/tables/t?level=stale").await.json["rows"].as_u64().expect("a count");
    cluster.kill(1);
    assert!(before < ROWS, "the import was over before the leader died");
    let done = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("joined").expect("ended");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done: Value = serde_json::from_slice(&done.stdout).expect("an object");
    assert_eq!((&done["rows"], &done["inserted"]), (&json!(ROWS), &json!(ROWS)), "{done}");
    cluster.spawn(1);
    cluster.led_by(1).await;
    let report = cluster.verify().await;
    assert!(report["nodes"].as_array().expect("nodes").iter().all(|node| node["rows"] == ROWS), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_puts_in_no_part_of_its_last_batch() {
    let cluster = Cluster::start(1).await;
    table(&cluster, "t", &["id:int"]).await;
    let address = cluster.node(1).address.trim_start_matches("http://").to_string();
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    // The last line would be a whole row, had the body ended there.
    let request = "POST /v1/tables/t/import HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"id\":1}\n{\"id\":2}";
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("no more");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the end");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(rows(&cluster, "t").await, 0);
}

/// How many bytes of memory a process has had at most.
fn peak(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_go_through_a_node_in_flat_memory() {
    let cluster = Cluster::start(1).await;
    table(&cluster, "t", &["id:int", "pad"]).await;
    // The same rows again and again, so that it is the stream that is large and not the table.
    let block: bytes::Bytes =
        (0..1000).map(|n| format!("{{\"id\":{n},\"pad\":\"{:01000}\"}}\n", n)).collect::<String>().into();
    let blocks = (100 << 20) / block.len() + 1;
    let before = peak(cluster.pid(1));
    let stream = futures::stream::iter((0..blocks).map(move |_| Ok::<_, std::io::Error>(block.clone())));
    let done =
        import(&cluster, 1, "t/import?on_conflict=replace", "application/x-ndjson", reqwest::Body::wrap_stream(stream));
    let done = done.await.expect(200);
    assert_eq!(done.json["rows"], blocks * 1000);
    let grown = peak(cluster.pid(1)) - before;
    assert!(grown < 128 << 20, "the node grew by {} MiB", grown >> 20);
    assert_eq!(rows(&cluster, "t").await, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_lines_are_left_out_and_told_up_to_the_number_that_may_be() {
    let cluster = Cluster::start(3).await;
    table(&cluster, "t", &["id:int", "n:int"]).await;
    // Not JSON, no such column, not of the type, there already: each in a batch of its own and together.
    let bad = |n: u64| match n {
        7 => Some("{".to_string()),
        8 => Some("{\"id\":8,\"m\":1}".into()),
        9 | 120 | 450 => Some(format!("{{\"id\":{n},\"n\":\"x\"}}")),
        300 => Some("{\"id\":1,\"n\":2}".into()),
        _ => None,
    };
    let lines = (1..=500).map(|n| bad(n).unwrap_or_else(|| format!("{{\"id\":{n},\"n\":{n}}}")) + "\n");
    let lines: String = lines.collect();
    const JSONL: &str = "application/x-ndjson";

    let refused = import(&cluster, 1, "t/import?max_errors=5", JSONL, lines.clone()).await.expect(422);
    let message = refused.json["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("line 450: ") && message.contains("; lines from 4"), "{message}");
    let hint = refused.json["error"]["hint"].as_str().expect("a hint");
    assert!(hint.ends_with("5 bad lines before it were left out: 7, 8, 9, 120, 300"), "{hint}");
    assert_eq!(refused.json["rows"], rows(&cluster, "t").await);
    cluster.request(1, "DELETE", "/v1/tables/t", None).await.expect(200);
    table(&cluster, "t", &["id:int", "n:int"]).await;

    // The same request again under its key, on another node, has the same answer.
    let mut answers = Vec::new();
    for node in [2, 3] {
        let url = cluster.url(node, "/v1/tables/t/import?max_errors=6");
        let request = cluster.http.post(url).header("idempotency-key", "k").body(lines.clone());
        answers.push(request.send().await.expect("an answer").text().await.expect("a body"));
    }
    assert_eq!(answers[0], answers[1]);
    let done: Value = serde_json::from_str(&answers[0]).expect("an object");
    assert_eq!((&done["inserted"], rows(&cluster, "t").await), (&json!(494), 494), "{done}");
    let told: Vec<_> =
        done["rejected"].as_array().expect("lines").iter().map(|bad| (&bad["line"], &bad["code"])).collect();
    let wanted = [
        (7, "bad_line"),
        (8, "unknown_column"),
        (9, "type_mismatch"),
        (120, "type_mismatch"),
        (300, "row_exists"),
        (450, "type_mismatch"),
    ];
    let wanted: Vec<_> = wanted.map(|(line, code)| (json!(line), json!(code))).to_vec();
    assert_eq!(told, wanted.iter().map(|(line, code)| (line, code)).collect::<Vec<_>>());

    table(&cluster, "u", &["id:int", "n:int"]).await;
    let done = ddb(&cluster, &["import", "u", "-", "--max-errors", "6", "-o", "json"], lines.clone()).success();
    let done =
        done.stderr(predicate::str::contains("line 120 left out: ").and(predicate::str::contains("line 7 left")));
    assert!(stdout(&done).contains("\"rejected\":6"), "{}", stdout(&done));
    ddb(&cluster, &["import", "u", "-", "--max-errors", "2000"], lines).code(2);
    for refused in ["first_line=0", "first_line=4294967297", "generate_ids=%0A"] {
        let refused = import(&cluster, 1, &format!("t/import?{refused}"), JSONL, String::new()).await.expect(400);
        assert!(refused.json["error"]["code"].is_string(), "{}", refused.text);
    }
    let refused = import(&cluster, 1, "t/import?max_errors=3", "text/csv", "id,nothing\n1,2\n").await.expect(422);
    assert!(refused.text.contains("line 1: "), "a header is no line to be left out: {}", refused.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_import_goes_on_and_finds_what_differs() {
    let cluster = Cluster::start(3).await;
    table(&cluster, "t", &["n", "pad:text"]).await;
    const ROWS: u64 = 40_000;
    let path = cluster.path().join("rows.csv");
    let lines: String = (1..=ROWS).map(|n| format!("{n},{:0200}\n", n)).collect();
    std::fs::write(&path, format!("n,pad\n{lines}")).expect("a file");
    let path = path.to_str().expect("a path");
    let again = ["import", "t", path, "--generate-ids=a", "--resume", "-o", "json"];
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ddb"))
        .args(again)
        .env("DDB_ENDPOINTS", cluster.endpoints())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("ddb starts");
    eventually("the import is under way", async || {
        let answer = cluster.get(2, "/v1/tables/t?level=stale").await;
        (answer.json["rows"].as_u64()? > ROWS / 10).then_some(())
    })
    .await;
    child.kill().expect("killed");
    child.wait().expect("gone");
    let done = ddb(&cluster, &again, "").success();
    let done: Value = serde_json::from_str(&stdout(&done)).expect("an object");
    assert_eq!(done["rows"], ROWS, "{done}");
    assert!(done["skipped"].as_u64().expect("a count") > ROWS / 10 && done["inserted"].as_u64() > Some(0), "{done}");
    assert_eq!(rows(&cluster, "t").await, ROWS);
    let out = stdout(&ddb(&cluster, &["export", "t", "-o", "csv"], "").success());
    let wanted: String = lines.lines().zip(2..).map(|(line, number)| format!("a{number:010},{line}\n")).collect();
    assert!(out == format!("row_id,n,pad\n{wanted}"), "what came out is not what went in");

    // What is there as it should be goes not through the log, and what is not is told.
    let before = cluster.get(1, "/v1/status").await.json["revision"].clone();
    ddb(&cluster, &again, "").success().stdout(predicate::str::contains(format!("\"skipped\":{ROWS}")));
    assert_eq!(cluster.get(1, "/v1/status").await.json["revision"], before);
    ddb(&cluster, &["update", "t", "a0000030000", "n=x"], "").success();
    let differs = "line 30000: row \"a0000030000\" is in table \"t\" with other values";
    ddb(&cluster, &["import", "t", path, "--generate-ids=a", "--resume"], "")
        .code(5)
        .stderr(predicate::str::contains(differs));
}
