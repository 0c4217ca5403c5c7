//! Changes of a schema, constraints and indexes on real nodes: over HTTP, from the command line, while the
//! leader dies.

mod harness;

use harness::{Answer, Cluster, eventually};
use serde_json::{Value, json};

#[track_caller]
fn ddb(cluster: &Cluster, words: &str, code: i32) -> String {
    let args: Vec<&str> = words.split(' ').collect();
    let output = cluster.ddb(&args).output().expect("ddb runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "ddb {words}\n{out}\n{err}");
    out + &err
}

async fn put(cluster: &Cluster, node: u64, id: &str, data: Value) -> Answer {
    cluster.request(node, "PUT", &format!("/v1/tables/t/rows/{id}"), Some(json!({"data": data}))).await
}

/// Imports rows 0 to `rows` with n counting to 100 over and over, and x falling.
async fn fill(cluster: &Cluster, rows: u64) {
    let lines: String =
        (0..rows).map(|n| format!("{{\"id\":{n},\"n\":{},\"x\":\"x{}\"}}\n", n % 100, rows - n)).collect();
    let file = cluster.path().join("rows.jsonl");
    std::fs::write(&file, lines).expect("a file of rows");
    ddb(cluster, &format!("import t {}", file.display()), 0);
}

fn refused(answer: Answer, status: u16, code: &str) -> String {
    let answer = answer.expect(status);
    assert_eq!(answer.code(), code, "{}", answer.text);
    assert_eq!(answer.json["error"]["outcome"], "not_applied", "{}", answer.text);
    answer.json["error"]["message"].as_str().expect("a message").to_string()
}

#[tokio::test]
async fn columns_change_online_and_constraints_hold() {
    let cluster = Cluster::start(1).await;
    let columns = json!(["id:int", {"name": "name", "type": "text", "not_null": true}, "grade:text:default=A"]);
    let created = cluster.post(1, "/v1/tables", json!({"name": "t", "columns": columns})).await.expect(201).json;
    let wanted = json!([
        {"name": "id", "type": "int"},
        {"name": "name", "type": "text", "not_null": true},
        {"name": "grade", "type": "text", "default": "A"},
    ]);
    assert_eq!(created["columns"], wanted);
    put(&cluster, 1, "1", json!({"name": "Mona"})).await.expect(201);
    let changes = json!({"changes": [{"add": "email:text:unique"}, {"rename": {"from": "grade", "to": "mark"}},
        {"add": {"name": "n", "type": "int", "not_null": true, "default": 7}}]});
    let altered = cluster.request(1, "PATCH", "/v1/tables/t", Some(changes.clone())).await.expect(200).json;
    assert_eq!(altered["columns"][4], json!({"name": "n", "type": "int", "not_null": true, "default": 7}));
    let row = cluster.get(1, "/v1/tables/t/rows/1").await.expect(200).json;
    assert_eq!(row["data"], json!({"id": 1, "name": "Mona", "mark": "A", "email": null, "n": 7}));

    let again = cluster.request(1, "PATCH", "/v1/tables/t", Some(changes)).await;
    refused(again, 409, "column_exists");
    refused(put(&cluster, 1, "2", json!({"mark": "B"})).await, 422, "not_null_violation");
    eventually("the unique index is ready", async || {
        let index = cluster.get(1, "/v1/tables/t").await.json["indexes"][0].clone();
        (index["state"] == "ready").then_some(())
    })
    .await;
    put(&cluster, 1, "2", json!({"name": "Omar", "email": "o@x"})).await.expect(201);
    let said = refused(put(&cluster, 1, "3", json!({"name": "Sara", "email": "o@x"})).await, 409, "unique_violation");
    assert!(said.contains("row \"2\" of table \"t\" has the same email"), "{said}");
    for (change, status, code) in [
        (json!({"drop": "none"}), 422, "unknown_column"),
        (json!({"drop": "id"}), 400, "bad_request"),
        (json!({"add": "b:int:not-null"}), 400, "bad_request"),
        (json!({"add": "b:word"}), 400, "bad_request"),
        (json!({"turn": "b"}), 400, "bad_json"),
    ] {
        let body = json!({"changes": [change]});
        refused(cluster.request(1, "PATCH", "/v1/tables/t", Some(body)).await, status, code);
    }
    let shown = ddb(&cluster, "table show t", 0);
    for said in ["2 rows, about ", "index email (email) unique, ready", "not-null default=7", "default=A"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    ddb(&cluster, "table alter t rename mark TO grade drop n", 0);
    ddb(&cluster, "table alter t rename none to other", 8);
    ddb(&cluster, "table alter t remove grade", 2);
    ddb(&cluster, "insert t 4 name=Noor email=o@x", 5);
    ddb(&cluster, "insert t 4 grade=A", 8);
    assert_eq!(ddb(&cluster, "search t grade=A --count", 0), "2\n");
}

/// Pages of a search, one after the other, hold what it finds at once.
async fn pages_make_the_whole(cluster: &Cluster, query: &str) {
    let whole = cluster.get(1, &format!("/v1/tables/t/rows?{query}")).await.expect(200).json;
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = cluster.get(1, &format!("/v1/tables/t/rows?{query}&limit=17{cursor}")).await.expect(200).json;
        rows.extend(page["rows"].as_array().expect("rows").clone());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(Value::Array(rows), whole["rows"], "{query}");
    let counted = cluster.get(1, &format!("/v1/tables/t/rows?{query}&count=1")).await.expect(200).json;
    assert_eq!((&counted["count"], &counted["rows"]), (&whole["count"], &json!([])), "{query}");
}

#[tokio::test]
async fn an_index_finds_what_a_scan_finds_and_says_so() {
    let cluster = Cluster::start(1).await;
    ddb(&cluster, "table create t id:int n:int x:text", 0);
    fill(&cluster, 5_000).await;
    let searches = [
        ("filter=n=7", "index n"),
        ("filter=n=7&filter=x.prefix=x1", "index n"),
        ("filter=n.in=3,5,99&filter=id.lt=2000", "index n"),
        ("filter=n.ge=98", "index n"),
        ("filter=n.lt=90", "scan"),
        ("filter=n.lt=90&order=x&limit=50", "scan"),
        ("filter=x.prefix=x12", "index x_n"),
        ("filter=x=x77&filter=n.gt=5", "index x_n"),
        ("order=x&limit=70", "scan"),
        ("order=x,n&limit=70", "index x_n"),
        ("filter=n=7&order=-x&limit=9", "index n"),
        ("filter=n=7&order=-id&limit=9", "index n"),
        ("order=-id&limit=9", "scan"),
        ("filter=id.lt=9&order=-id", "range"),
        ("order=-x,-n&limit=70", "scan"),
        ("order=x,n,row_id&limit=70", "index x_n"),
        ("order=-n&limit=70", "index n"),
        ("filter=n.gt=50&order=-n,-id&limit=70", "index n"),
        ("filter=id=7&filter=n=7", "point"),
        ("filter=n.null=true", "index n"),
    ];
    let answers = async |explain: &str| {
        let mut all = Vec::new();
        for (query, _) in searches {
            all.push(cluster.get(1, &format!("/v1/tables/t/rows?{query}{explain}")).await.expect(200).json);
        }
        all
    };
    let scanned = answers("").await;
    let added = ddb(&cluster, "table index t add n", 0);
    assert!(added.starts_with("added index n of table t"), "{added}");
    ddb(&cluster, "table index t add x,n --no-wait", 0);
    ddb(&cluster, "table index t add n", 5);
    ddb(&cluster, "table index t add none", 8);
    eventually("the index is ready", async || ddb(&cluster, "table index t list", 0).matches("ready").nth(1).map(drop))
        .await;
    let found = answers("").await;
    for (((query, _), scanned), found) in searches.iter().zip(&scanned).zip(&found) {
        assert_eq!(scanned["rows"], found["rows"], "{query}");
    }
    for ((query, access), answer) in searches.iter().zip(answers("&explain=1").await) {
        assert_eq!(answer["explain"]["access"], *access, "{query}");
        if access.starts_with("index") {
            assert!(answer["explain"]["rows_examined"].as_u64() < Some(200), "{query}: {}", answer["explain"]);
        }
    }
    for query in [
        "filter=n=7",
        "filter=n.ge=98",
        "order=x,n&filter=x.prefix=x1",
        "filter=n.ge=98&order=-n",
        "filter=n.ge=98&order=-n,-id",
        "filter=n=7&order=-id",
        "filter=id.lt=50&order=-id",
    ] {
        pages_make_the_whole(&cluster, query).await;
    }
    assert_eq!(ddb(&cluster, "search t n=7 --count", 0), "50\n");
    ddb(&cluster, "table index t drop n", 0);
    ddb(&cluster, "table index t drop n", 4);
    let many = "filter=n=7&".repeat(101);
    refused_read(cluster.get(1, &format!("/v1/tables/t/rows?{many}")).await);
    let long = put(&cluster, 1, "9", json!({"x": "x".repeat(513)})).await;
    assert!(refused(long, 413, "too_large").contains("takes 512"));
}

fn refused_read(answer: Answer) {
    assert_eq!(answer.expect(400).code(), "bad_filter");
}

/// The ids of the rows that an export holds, in its order.
async fn exported(cluster: &Cluster, query: &str) -> Vec<Value> {
    let lines = cluster.get(1, &format!("/v1/tables/t/export?{query}")).await.expect(200).text;
    lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")["id"].clone()).collect()
}

#[tokio::test]
async fn exports_and_changes_by_filter_find_with_an_index_what_they_find_without() {
    let cluster = Cluster::start(1).await;
    ddb(&cluster, "table create t id:int n:int x:text", 0);
    let lines: String = (0..4_800).map(|i| format!("{{\"id\":{i},\"n\":{},\"x\":\"x{}\"}}\n", i % 4, i % 7)).collect();
    let import =
        || cluster.http.post(cluster.url(1, "/v1/tables/t/import?on_conflict=replace")).body(lines.clone()).send();
    assert_eq!(import().await.expect("an answer").status(), 200);
    // By one value of the index in the order of row ids, by a stretch of it, and by one too long to be worth it.
    let queries = ["filter=n=3", "filter=n.ge=3&filter=x!=x1", "filter=n.lt=3&filter=x=x3"];
    let mut without = Vec::new();
    for query in queries {
        without.push(exported(&cluster, query).await);
    }
    ddb(&cluster, "table index t add n", 0);
    for (query, wanted) in queries.iter().zip(&without) {
        assert_eq!(exported(&cluster, query).await, *wanted, "{query}");
        let path = format!("/v1/tables/t/rows?{query}");
        // Rows that change leave the index where they were found in it.
        let moved = cluster.request(1, "PATCH", &path, Some(json!({"data": {"n": null}}))).await.expect(200).json;
        assert_eq!(moved["rows"], wanted.len(), "{query}");
        assert_eq!(exported(&cluster, "filter=n.null=true").await, *wanted, "{query}");
        assert_eq!(exported(&cluster, query).await, Vec::<Value>::new(), "{query}");
        assert_eq!(import().await.expect("an answer").status(), 200);
        let gone = cluster.request(1, "DELETE", &path, None).await.expect(200).json;
        assert_eq!((&gone["rows"], &gone["transactions"]), (&json!(wanted.len()), &moved["transactions"]), "{query}");
        assert_eq!(exported(&cluster, query).await, Vec::<Value>::new(), "{query}");
        assert_eq!(import().await.expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn an_index_is_built_though_the_leader_dies_and_rows_come_and_go() {
    let mut cluster = Cluster::start_with(3, json!({"snapshot_entries": 30})).await;
    ddb(&cluster, "table create t id:int n:int x:text", 0);
    fill(&cluster, 20_000).await;
    ddb(&cluster, "table index t add n --no-wait", 0);
    let leader = cluster.leader().await;
    cluster.kill(leader);
    let next = cluster.ids().into_iter().find(|id| *id != leader).expect("another node");
    eventually("another leader", async || {
        let answer = cluster.try_request(next, "GET", "/v1/tables/t", None).await.ok()?;
        (answer.status == 200).then_some(())
    })
    .await;
    for id in 0..200_u64 {
        let (method, path) = (if id % 2 == 0 { "DELETE" } else { "PUT" }, format!("/v1/tables/t/rows/{}", id * 97));
        let body = (id % 2 == 1).then(|| json!({"data": {"n": 1_000 + id}}));
        cluster.request(next, method, &path, body).await.expect(200);
    }
    cluster.spawn(leader);
    eventually("the index is ready", async || {
        let table = cluster.try_request(next, "GET", "/v1/tables/t", None).await.ok()?;
        (table.json["indexes"][0]["state"] == "ready").then_some(())
    })
    .await;
    for node in cluster.ids() {
        let count = async |query: &str| {
            eventually("an answer", async || {
                let path = format!("/v1/tables/t/rows?{query}&count=1&explain=1");
                cluster.try_request(node, "GET", &path, None).await.ok().filter(|answer| answer.status == 200)
            })
            .await
            .json
        };
        let found = count("filter=n.ge=1000").await;
        assert_eq!((&found["count"], &found["explain"]["access"]), (&json!(100), &json!("index n")));
        // 200 rows of each hundredth, less those that went or changed.
        let sevens = (0..20_000_u64).filter(|id| id % 100 == 7 && !(id % 97 == 0 && id / 97 < 200)).count();
        assert_eq!(count("filter=n=7").await["count"], json!(sevens));
    }
    assert_eq!(cluster.verify().await["equal"], json!(true));
}

#[tokio::test]
async fn of_many_at_once_one_gets_a_unique_value() {
    let cluster = Cluster::start(3).await;
    ddb(&cluster, "table create t id:int n:int:unique", 0);
    for n in 0..10 {
        let tries = (0..9_u64).map(|id| {
            let (cluster, path) = (&cluster, format!("/v1/tables/t/rows/{}", n * 10 + id));
            async move { cluster.request(id % 3 + 1, "PUT", &path, Some(json!({"data": {"n": n}}))).await.status }
        });
        let mut statuses = futures::future::join_all(tries).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![201], vec![409; 8]].concat());
    }
    assert_eq!(ddb(&cluster, "search t --count", 0), "10\n");
    ddb(&cluster, "table create d id:int n:int", 0);
    ddb(&cluster, "insert d 1 n=1", 0);
    ddb(&cluster, "insert d 2 n=1", 0);
    let failed = ddb(&cluster, "table index d add n --unique", 5);
    assert!(failed.contains("rows \"1\" and \"2\" of table \"d\" have the same values"), "{failed}");
    assert!(ddb(&cluster, "table show d", 0).contains("index n (n) unique, failed: "));
    ddb(&cluster, "table index d drop n", 0);
}
