//! SQL against real nodes: over HTTP and from the shell, through every node, and what ends a query early.

mod harness;

use harness::{Answer, Cluster, eventually};
use serde_json::{Value, json};

const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";

/// Students with a teacher each; 2,000 of them, so that an answer has many pieces.
async fn school(size: u64) -> Cluster {
    let cluster = Cluster::start(size).await;
    let columns = json!(["id:int", "name:text", "teacher:text", "mark:float"]);
    cluster.post(1, "/v1/tables", json!({"name": "students", "columns": columns})).await.expect(201);
    cluster.post(1, "/v1/tables", json!({"name": "teachers", "columns": ["name:text"]})).await.expect(201);
    let lines = |line: fn(u64) -> Value, count| (0..count).map(|n| line(n).to_string() + "\n").collect::<String>();
    let students = lines(
        |n| json!({"id": n, "name": format!("{n:0>60}"), "teacher": format!("t{}", n % 3), "mark": n as f64 / 4.0}),
        2_000,
    );
    let teachers = lines(|n| json!({"row_id": format!("t{n}"), "name": format!("T{n}")}), 3);
    for (table, body) in [("students", students), ("teachers", teachers)] {
        let request = cluster.http.post(cluster.url(1, &format!("/v1/tables/{table}/import"))).body(body);
        let response = request.header("content-type", "application/x-ndjson").send().await.expect("an answer");
        assert_eq!(response.status(), 200);
    }
    cluster
}

async fn sql(cluster: &Cluster, id: u64, query: &str) -> Answer {
    cluster.post(id, "/v1/sql", json!({"query": query})).await
}

#[tokio::test]
async fn every_node_answers_the_same_query_alike() {
    let cluster = school(3).await;
    let query = "SELECT t.name, count(*), max(mark) FROM students s JOIN teachers t ON t.row_id = s.teacher \
                 WHERE s.id >= 10 GROUP BY 1 ORDER BY 1";
    let rows = json!([["T0", 663, 499.5], ["T1", 664, 499.75], ["T2", 663, 499.25]]);
    for id in cluster.ids() {
        let answer = sql(&cluster, id, query).await.expect(200);
        assert_eq!(answer.json["rows"], rows, "node {id}: {}", answer.text);
        assert_eq!(answer.json["count"], 3);
        assert_eq!(answer.header("ddb-revision"), Some(answer.json["revision"].to_string().as_str()));
        let wanted = json!([
            {"name": "name", "type": "text"}, {"name": "count(*)", "type": "any"}, {"name": "max(mark)", "type": "any"}
        ]);
        assert_eq!(answer.json["columns"], wanted);
    }
    let body = json!({"query": "SELECT :a, :b", "params": {"a": 9_223_372_036_854_775_807_i64, "b": 0.1}});
    let answer = cluster.post(2, "/v1/sql?level=stale", body).await.expect(200);
    assert_eq!(answer.json["rows"], json!([[9_223_372_036_854_775_807_i64, 0.1]]));
    assert_eq!(answer.header("ddb-level"), Some("stale"));
    // A write through one node is seen by a query through another at once.
    for n in 0..20 {
        let row = json!({"table_name": "teachers", "row_id": format!("new{n}"), "data": {"name": "New"}});
        let written = cluster.post(n % 3 + 1, "/insert", row).await.expect(201);
        let answer =
            sql(&cluster, (n + 1) % 3 + 1, "SELECT count(*) FROM teachers WHERE name = 'New'").await.expect(200);
        assert_eq!(answer.json["rows"], json!([[n + 1]]));
        assert!(answer.json["revision"].as_u64() >= written.json["revision"].as_u64());
    }
}

#[tokio::test]
async fn a_large_answer_streams_whole_in_both_formats() {
    let cluster = school(1).await;
    let query = "SELECT a.id, b.id, a.name FROM students a JOIN students b WHERE b.id < 20";
    let answer = sql(&cluster, 1, query).await.expect(200);
    assert!(answer.header("content-length").is_none() && answer.text.len() > 1 << 20);
    assert_eq!(answer.json["count"], 40_000);
    assert_eq!(answer.json["rows"].as_array().map(Vec::len), Some(40_000));
    let lines = cluster.post(1, "/v1/sql?format=jsonl", json!({"query": query})).await.expect(200);
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["revision"], answer.json["revision"]);
    assert_eq!(lines[1..=40_000], answer.json["rows"].as_array().expect("rows")[..]);
    assert_eq!(lines[40_001..], [json!({"count": 40_000})]);
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_code() {
    let cluster = school(1).await;
    for (path, body, status, code) in [
        ("", json!({"query": "DELETE FROM students"}), 400, "bad_sql"),
        ("", json!({"query": "SELEC 1"}), 400, "bad_sql"),
        ("", json!({"query": "SELECT * FROM studnets"}), 404, "table_not_found"),
        ("", json!({"query": "SELECT nmae FROM students"}), 422, "unknown_column"),
        ("", json!({"sql": "SELECT 1"}), 400, "bad_json"),
        ("?format=xml", json!({"query": "SELECT 1"}), 400, "bad_request"),
        ("?timeout=100ms", json!({"query": format!("{ENDLESS} SELECT count(*) FROM c")}), 504, "timeout"),
    ] {
        let answer = cluster.post(1, &format!("/v1/sql{path}"), body).await.expect(status);
        assert_eq!(answer.code(), code, "{}", answer.text);
        assert!(answer.json["error"]["outcome"].is_null(), "a query is no write: {}", answer.text);
    }
    assert_eq!(cluster.get(1, "/v1/sql").await.expect(405).header("allow"), Some("POST"));
    assert_eq!(sql(&cluster, 1, "SELECT count(*) FROM students").await.expect(200).json["rows"], json!([[2_000]]));
}

#[tokio::test]
async fn an_answer_that_is_cut_short_does_not_look_whole() {
    let cluster = school(1).await;
    let query = json!({"query": format!("{ENDLESS} SELECT x FROM c")}).to_string();
    let send = |path: &str| {
        let request = cluster.http.post(cluster.url(1, path)).header("content-type", "application/json");
        request.body(query.clone()).send()
    };
    let response = send("/v1/sql?timeout=300ms").await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "the body must break off");
    let lines =
        send("/v1/sql?timeout=300ms&format=jsonl").await.expect("an answer").text().await.expect("a whole body");
    let last: Value = serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["error"]["code"], "timeout");
}

#[tokio::test]
async fn queries_that_nobody_waits_for_end_and_too_many_are_refused() {
    let cluster = school(1).await;
    let endless = json!({"query": format!("{ENDLESS} SELECT count(*) FROM c")}).to_string();
    let url = cluster.url(1, "/v1/sql?timeout=60s");
    let mut waiting: Vec<_> = (0..8)
        .map(|_| {
            let request = cluster.http.post(&url).header("content-type", "application/json").body(endless.clone());
            // One that comes while the question below has the last place is refused, and comes again.
            tokio::spawn(async move {
                while let Some(again) = request.try_clone() {
                    match again.send().await {
                        Ok(answer) if answer.status() == 429 => tokio::task::yield_now().await,
                        other => return Some(other),
                    }
                }
                None
            })
        })
        .collect();
    let refused = eventually("the places are taken", async || {
        let answer = sql(&cluster, 1, "SELECT 1").await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    assert_eq!((refused.code(), refused.header("retry-after")), ("overloaded", Some("1")));
    // Other requests go on, and a place is free again once a client has gone.
    cluster.get(1, "/v1/tables/students/rows/7").await.expect(200);
    for gone in waiting.drain(..) {
        gone.abort();
    }
    eventually("the places are free", async || (sql(&cluster, 1, "SELECT 1").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_query_that_takes_too_much_memory_fails_alone() {
    let cluster = school(1).await;
    let greedy =
        format!("{} SELECT x FROM c ORDER BY randomblob(100000)", ENDLESS.replace(" FROM c)", " FROM c LIMIT 4000)"));
    let answer = cluster.post(1, "/v1/sql?timeout=60s", json!({"query": greedy})).await.expect(413);
    assert!(answer.code() == "too_large" && answer.text.contains("more memory"), "{}", answer.text);
    assert_eq!(sql(&cluster, 1, "SELECT count(*) FROM students").await.expect(200).json["rows"], json!([[2_000]]));
}

#[tokio::test]
async fn the_shell_prints_every_format_and_tells_what_is_wrong() {
    let cluster = school(1).await;
    let ddb = |args: &[&str]| {
        let output = cluster.ddb(args).output().expect("ddb runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
    };
    let query = "SELECT id, mark, NULL AS none, id FROM students WHERE id IN (1, 2)";
    for (format, wanted) in [
        ("csv", "id,mark,none,id\n1,0.25,,1\n2,0.5,,2\n"),
        ("tsv", "id\tmark\tnone\tid\n1\t0.25\t\t1\n2\t0.5\t\t2\n"),
        (
            "jsonl",
            "{\"id\":1,\"mark\":0.25,\"none\":null,\"id_2\":1}\n{\"id\":2,\"mark\":0.5,\"none\":null,\"id_2\":2}\n",
        ),
    ] {
        assert_eq!(ddb(&["sql", query, "-o", format]), (0, wanted.into(), String::new()));
    }
    let (code, table, _) = ddb(&["sql", "SELECT name FROM teachers ORDER BY name DESC"]);
    assert!(code == 0 && table.contains("│ T2"), "{table}");
    for format in ["json", "line", "markdown"] {
        let (code, text, _) = ddb(&["sql", query, "-o", format]);
        assert!(code == 0 && text.contains("0.25"), "{text}");
    }
    let empty = ddb(&["sql", "SELECT id FROM students WHERE id < 0", "-o", "csv"]);
    assert_eq!(empty, (0, "id\n".into(), String::new()));
    let given = ddb(&["sql", "SELECT :a, :b", "--param", "a=x", "--param", "b:=2.5", "-o", "csv"]);
    assert_eq!(given.1, ":a,:b\nx,2.5\n");
    std::fs::write(cluster.path().join("q.sql"), "-- how many\nSELECT count(*) AS n\nFROM students;\n")
        .expect("a file");
    assert_eq!(ddb(&["sql", "-f", "q.sql", "-o", "csv"]).1, "n\n2000\n");
    let plan = ddb(&["sql", "--explain", "SELECT * FROM students WHERE id = 7"]);
    assert!(plan.1.contains("row id ="), "{}", plan.1);
    for (args, code, said) in [
        (&["sql", "DROP TABLE students"][..], 2, "SQL only reads"),
        (&["sql", "SELECT * FROM studnets"], 4, "hint: did you mean \"students\"?"),
        (&["sql", "SELECT nmae FROM students"], 8, "hint: did you mean \"name\"?"),
        (&["sql", "SELECT 1", "-f", "q.sql"], 2, "exclude each other"),
        (&["sql"], 2, "wants QUERY"),
        (&["sql", "-f", "none.sql"], 2, "cannot read \"none.sql\""),
        (&["sql", "SELECT count(*) FROM students a, students b, students c", "--timeout", "300ms"], 7, "did not"),
    ] {
        let (exit, _, error) = ddb(args);
        assert!(exit == code && error.contains(said), "{args:?}: {exit} {error}");
    }
}
