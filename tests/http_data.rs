//! The HTTP contract, as far as it is about data: what is written comes back, and is found.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use futures::{StreamExt as _, stream};
use harness::{Answer, Cluster};
use serde_json::{Value, json};

/// The keys of an object, sorted.
#[track_caller]
fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The ids of the rows in an answer, in its order.
fn ids(answer: &Answer) -> Vec<&Value> {
    answer.json["rows"].as_array().expect("rows").iter().map(|row| &row["row_id"]).collect()
}

/// A table on a node of its own.
async fn table(columns: Value) -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.post(1, "/v1/tables", json!({"name": "t", "columns": columns})).await.expect(201);
    cluster
}

async fn put(cluster: &Cluster, id: &str, data: Value) -> Answer {
    cluster.request(1, "PUT", &format!("/v1/tables/t/rows/{id}"), Some(json!({ "data": data }))).await
}

/// The ids of the rows that pass `filter`, as it stands in a URL.
async fn found(cluster: &Cluster, filter: &str) -> Vec<String> {
    let answer = cluster.get(1, &format!("/v1/tables/t/rows?filter={filter}")).await.expect(200);
    assert_eq!(answer.json["count"], ids(&answer).len());
    ids(&answer).iter().map(|id| id.as_str().map_or_else(|| id.to_string(), String::from)).collect()
}

async fn first_version(cluster: &Cluster, name: &str, kind: &str) {
    let post = async |path: &str, body: Value| {
        let request = cluster.http.post(cluster.url(1, path)).header("content-type", kind).body(body.to_string());
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["ddb-node"], "1");
        let json: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
        assert_eq!(headers["ddb-revision"].to_str().unwrap_or_default(), json["revision"].to_string());
        (status, json)
    };
    let (status, created) =
        post("/create_table", json!({"table_name": name, "columns": ["id", "name", "grade"]})).await;
    assert_eq!((status, keys(&created)), (201, vec!["columns", "revision", "table"]));
    let columns =
        json!([{"name": "id", "type": "any"}, {"name": "name", "type": "any"}, {"name": "grade", "type": "any"}]);
    assert_eq!((&created["table"], &created["columns"]), (&json!(name), &columns));
    let at = created["revision"].as_u64().expect("a revision");

    let row = json!({"table_name": name, "row_id": "1", "data": {"id": "1", "name": "Ahmed", "grade": "A"}});
    let (status, inserted) = post("/insert", row).await;
    assert_eq!((status, inserted), (201, json!({"table": name, "row_id": "1", "revision": at + 1})));
    let change = json!({"table_name": name, "row_id": "1", "data": {"grade": "B"}});
    let (status, updated) = post("/update", change).await;
    assert_eq!((status, updated), (200, json!({"table": name, "row_id": "1", "revision": at + 2})));

    let path = format!("/search?table={name}&column=grade&value=B");
    let search = cluster.get(1, &path).await.expect(200);
    let row = json!({"row_id": "1", "data": {"id": "1", "name": "Ahmed", "grade": "B"}, "revision": at + 2});
    assert_eq!(search.json, json!({"table": name, "count": 1, "rows": [row], "revision": at + 2}));
    let nothing = cluster.get(1, &format!("/search?table={name}&column=grade&value=A")).await.expect(200);
    assert_eq!((&nothing.json["count"], &nothing.json["rows"]), (&json!(0), &json!([])));

    let (status, deleted) = post("/delete", json!({"table_name": name, "row_id": "1"})).await;
    assert_eq!((status, deleted), (200, json!({"table": name, "row_id": "1", "revision": at + 3})));
    assert_eq!(cluster.get(1, &path).await.expect(200).json["count"], 0);
}

#[tokio::test]
async fn the_first_versions_requests_are_answered_also_as_curl_sends_them() {
    let cluster = Cluster::start(1).await;
    first_version(&cluster, "students", "application/json").await;
    first_version(&cluster, "pupils", "application/x-www-form-urlencoded").await;
    first_version(&cluster, "teachers", "application/json; charset=utf-8").await;
    // The new routes have no such users.
    let body = json!({"name": "t", "columns": ["a"]}).to_string();
    let form = ["content-type: application/x-www-form-urlencoded"];
    let refused =
        raw::exchange(&cluster.node(1).address, &raw::request("POST", "/v1/tables", &form, body.as_bytes())).await;
    assert_eq!(refused.expect(415).code(), "unsupported_media_type");
}

#[tokio::test]
async fn tables_are_created_listed_described_dropped_and_made_anew() {
    let cluster = Cluster::start(1).await;
    let none = cluster.get(1, "/v1/tables").await.expect(200);
    assert_eq!((&none.json["tables"], &none.json["count"]), (&json!([]), &json!(0)));
    let columns = json!(["id:int", "name:text", {"name": "born", "type": "timestamp"}, {"name": "note"}]);
    let created = cluster.post(1, "/v1/tables", json!({"name": "people", "columns": columns})).await.expect(201);
    let declared = json!([
        {"name": "id", "type": "int"}, {"name": "name", "type": "text"},
        {"name": "born", "type": "timestamp"}, {"name": "note", "type": "any"},
    ]);
    assert_eq!(created.json["columns"], declared);
    cluster.post(1, "/v1/tables", json!({"name": "animals", "columns": ["name"]})).await.expect(201);
    cluster.request(1, "PUT", "/v1/tables/people/rows/7", Some(json!({"data": {"note": 1}}))).await.expect(201);

    let described = cluster.get(1, "/v1/tables/people").await.expect(200);
    assert_eq!(described.json["columns"], declared);
    assert_eq!((&described.json["rows"], &described.json["revision"]), (&json!(1), &created.json["revision"]));
    let list = cluster.get(1, "/v1/tables").await.expect(200);
    let names: Vec<_> = list.json["tables"].as_array().expect("tables").iter().map(|table| &table["name"]).collect();
    assert_eq!(names, ["animals", "people"]);
    let cursor = {
        cluster.request(1, "PUT", "/v1/tables/people/rows/8", Some(json!({"data": {}}))).await.expect(201);
        let page = cluster.get(1, "/v1/tables/people/rows?limit=1").await.expect(200);
        page.json["cursor"].as_str().expect("a cursor").to_string()
    };

    let dropped = cluster.request(1, "DELETE", "/v1/tables/people", None).await.expect(200);
    assert_eq!(dropped.json["table"], "people");
    assert_eq!(cluster.get(1, "/v1/tables/people").await.expect(404).code(), "table_not_found");
    assert_eq!(cluster.get(1, "/v1/tables/people/rows/7").await.expect(404).code(), "table_not_found");
    let again = cluster.request(1, "DELETE", "/v1/tables/people", None).await;
    assert_eq!(again.expect(404).code(), "table_not_found");
    cluster.post(1, "/v1/tables", json!({"name": "people", "columns": ["id", "other"]})).await.expect(201);
    let empty = cluster.get(1, "/v1/tables/people/rows").await.expect(200);
    assert_eq!((&empty.json["count"], &empty.json["cursor"]), (&json!(0), &Value::Null));
    // A listing that began in the old table does not go on in the new one.
    let old = cluster.get(1, &format!("/v1/tables/people/rows?cursor={cursor}")).await;
    assert_eq!(old.expect(400).code(), "bad_request");
}

#[tokio::test]
async fn a_row_is_written_under_conditions_and_read_under_its_tag() {
    let cluster = table(json!(["id", "name", "grade"])).await;
    let path = "/v1/tables/t/rows/1";
    let send = async |method: &str, headers: &[(&str, &str)], body: Option<Value>| {
        cluster.send(1, method, path, headers, body).await.expect("an answer")
    };
    let whole = Some(json!({"data": {"name": "Ahmed", "grade": "A"}}));
    let made = send("PUT", &[("if-none-match", "*")], whole.clone()).await.expect(201);
    let first = format!("\"{}\"", made.json["revision"]);
    assert_eq!(made.header("etag"), Some(first.as_str()));
    let there = send("PUT", &[("if-none-match", "*")], whole).await.expect(412);
    assert_eq!((there.code(), &there.json["error"]["outcome"]), ("revision_mismatch", &json!("not_applied")));

    let read = send("GET", &[], None).await.expect(200);
    assert_eq!(read.header("etag"), Some(first.as_str()));
    assert_eq!(read.header("ddb-revision"), Some(first.trim_matches('"')));
    assert_eq!(keys(&read.json), ["data", "revision", "row_id"]);
    let same = send("GET", &[("if-none-match", &first)], None).await.expect(304);
    assert_eq!((same.header("etag"), same.text.as_str()), (Some(first.as_str()), ""));
    send("GET", &[("if-none-match", "\"0\"")], None).await.expect(200);
    let head = send("HEAD", &[], None).await.expect(200);
    assert_eq!((head.header("etag"), head.text.as_str()), (Some(first.as_str()), ""));

    // A PATCH leaves the rest as it is; a PUT does not.
    let patched = send("PATCH", &[("if-match", &first)], Some(json!({"data": {"grade": "B"}}))).await.expect(200);
    let second = patched.header("etag").expect("an ETag").to_string();
    assert_ne!(second, first);
    assert_eq!(send("GET", &[], None).await.json["data"], json!({"id": "1", "name": "Ahmed", "grade": "B"}));
    for (method, body) in [("PATCH", Some(json!({"data": {}}))), ("PUT", Some(json!({"data": {}}))), ("DELETE", None)] {
        let late = send(method, &[("if-match", &first)], body).await.expect(412);
        assert_eq!((late.code(), &late.json["error"]["retryable"]), ("revision_mismatch", &json!(false)), "{method}");
    }
    send("PUT", &[("if-match", &second)], Some(json!({"data": {"grade": "C"}}))).await.expect(200);
    let read = send("GET", &[], None).await.expect(200);
    assert_eq!(read.json["data"], json!({"id": "1", "name": null, "grade": "C"}));
    let third = read.header("etag").expect("an ETag").to_string();
    send("DELETE", &[("if-match", &third)], None).await.expect(200);
    assert_eq!(send("GET", &[], None).await.expect(404).code(), "row_not_found");
    assert_eq!(send("DELETE", &[], None).await.expect(404).code(), "row_not_found");
    assert_eq!(send("PATCH", &[], Some(json!({"data": {}}))).await.expect(404).code(), "row_not_found");
    let gone = send("PUT", &[("if-match", &third)], Some(json!({"data": {}}))).await;
    assert_eq!(gone.expect(412).code(), "revision_mismatch");
    for headers in [[("if-match", "7")], [("if-match", "W/\"7\"")], [("if-none-match", "\"7\"")]] {
        let refused = send("PUT", &headers, Some(json!({"data": {}}))).await;
        assert_eq!(refused.expect(400).code(), "bad_request", "{headers:?}");
    }
}

#[tokio::test]
async fn a_walk_by_cursor_neither_skips_nor_repeats_while_rows_come_and_go() {
    let cluster = table(json!(["id:int", "n:int", "keep:bool"])).await;
    let write =
        async |n: i64, keep: bool| put(&cluster, &n.to_string(), json!({"n": n, "keep": keep})).await.expect(201);
    // Even ids stay for the whole walk; odd ones come and go.
    stream::iter(0..2_500).for_each_concurrent(64, async |n| drop(write((n - 1_250) * 2, true).await)).await;
    let mut seen: Vec<i64> = Vec::new();
    let mut cursor = String::new();
    let mut page = 0;
    loop {
        let path = format!("/v1/tables/t/rows?limit=97&filter=keep=true&columns=n{cursor}");
        let answer = cluster.get(1, &path).await.expect(200);
        seen.extend(ids(&answer).iter().map(|id| id.as_i64().expect("an integer id")));
        assert_eq!(answer.json["rows"][0]["data"], json!({"n": answer.json["rows"][0]["row_id"]}));
        let Some(next) = answer.json["cursor"].as_str() else { break };
        assert_eq!(answer.json["count"], 97);
        cursor = format!("&cursor={next}");
        let last = *seen.last().expect("a row");
        // One just after, one just before, one far ahead, and the last one read goes.
        for odd in [last + 1, last - 1, 2_499 - page] {
            put(&cluster, &odd.to_string(), json!({"n": odd, "keep": false})).await;
        }
        cluster.request(1, "DELETE", &format!("/v1/tables/t/rows/{last}"), None).await.expect(200);
        page += 2;
    }
    assert_eq!(seen, (0..2_500).map(|n| (n - 1_250) * 2).collect::<Vec<i64>>());
    assert_eq!(page, 50);
}

#[tokio::test]
async fn values_come_back_digit_by_digit_and_key_by_key() {
    let cluster = table(json!(["id", "n:int", "f:float", "j:json", "a", "t:timestamp", "b:bool"])).await;
    for (id, data) in [
        ("max", r#""n":9223372036854775807,"a":9223372036854775807"#),
        ("min", r#""n":-9223372036854775808,"a":-9223372036854775808"#),
        ("floats", r#""f":0.1,"a":5e-324,"j":1.7976931348623157e308"#),
        ("order", r#""j":{"z":[1,2.50,{"b":null,"a":"é\u001b"}],"a":18e1},"a":{"y":1,"x":2}"#),
        (
            "text",
            r#""a":"\u0000\u001b[31m\n\t\"\\ 漢字 🦀 </script>","t":"2024-02-29T23:59:59.123456789+01:00","b":false"#,
        ),
        ("empty", r#""a":"","j":[],"b":true"#),
    ] {
        let path = format!("/v1/tables/t/rows/{id}");
        let body = format!("{{\"data\":{{{data}}}}}");
        let request = raw::request("PUT", &path, &[], body.as_bytes());
        let written = raw::exchange(&cluster.node(1).address, &request).await;
        written.expect(201);
        let read = cluster.get(1, &path).await.expect(200);
        let sent: Value = serde_json::from_str(&body).unwrap();
        for (name, value) in sent["data"].as_object().unwrap() {
            assert_eq!(&read.json["data"][name], value, "{id} {name}");
        }
        // As text too: no digit, key order or escape was changed on the way.
        for piece in [r#"9223372036854775807,"#, r#"-9223372036854775808,"#, r#"{"z":[1,2.50,{"b":null,"a":"#, "18e1"] {
            assert_eq!(read.text.contains(piece), data.contains(piece.trim_end_matches(',')), "{}", read.text);
        }
        assert!(!read.text.chars().any(char::is_control), "control characters stand escaped: {}", read.text);
        let nulls = read.json["data"].as_object().unwrap().values().filter(|value| value.is_null()).count();
        assert_eq!(nulls, 6 - sent["data"].as_object().unwrap().len(), "what was left out is null: {}", read.text);
    }
}

#[tokio::test]
async fn equality_is_by_the_columns_type() {
    let columns = json!(["id", "a", "x:text", "n:int", "f:float", "b:bool", "t:timestamp", "j:json"]);
    let cluster = table(columns).await;
    let at = "2024-01-01T00:00:00Z";
    for (id, data) in [
        ("1", json!({"a": 1, "x": "1", "n": 1, "f": 1, "b": true, "t": at, "j": {"k": [1], "l": 2}})),
        ("2", json!({"a": "1", "x": "1.0", "n": 2, "f": 1.5, "b": false, "t": "2024-01-01T01:00:00+01:00", "j": "1"})),
        ("3", json!({"a": 1.0, "x": "true", "n": -1, "f": -0.5, "t": "2024-01-01T00:00:00.000Z", "j": 1})),
        ("4", json!({"a": true, "j": null})),
        ("5", json!({"a": "true", "x": "", "t": "2024-01-01T00:00:01Z"})),
    ] {
        put(&cluster, id, data).await.expect(201);
    }
    for (filter, wanted) in [
        ("a=1", &["1", "2", "3"][..]),
        ("a=true", &["4", "5"]),
        ("x=1", &["1"]),
        ("x=1.0", &["2"]),
        ("x=", &["5"]),
        ("n=1", &["1"]),
        ("n=1.0", &["1"]),
        ("n=-1", &["3"]),
        ("f=1", &["1"]),
        ("f=1.0", &["1"]),
        ("f=1.50", &["2"]),
        ("f=-0.5", &["3"]),
        ("b=true", &["1"]),
        ("b=false", &["2"]),
        ("t=2024-01-01T00:00:00Z", &["1", "2", "3"]),
        ("t=2023-12-31T19:00:00-05:00", &["1", "2", "3"]),
        ("t=2024-01-01T02:00:00%2B02:00", &["1", "2", "3"]),
        ("j={\"l\":2,\"k\":[1]}", &["1"]),
        ("j={%22l%22:2,%20%22k%22:[1]}", &["1"]),
        ("a=null", &[]),
        ("row_id=2", &["2"]),
        ("id=3", &["3"]),
        ("a=1&filter=b=false", &["2"]),
        ("a=1&filter=x=1&filter=n=2", &[]),
        ("id=1&filter=row_id=2", &[]),
    ] {
        assert_eq!(found(&cluster, filter).await, wanted, "{filter}");
    }
    for filter in ["b=null", "n=x", "t=today", "f="] {
        let refused = cluster.get(1, &format!("/v1/tables/t/rows?filter={filter}")).await.expect(422);
        assert_eq!(refused.code(), "type_mismatch", "{filter}");
    }
    // The first version's search compares alike.
    let search = cluster.get(1, "/search?table=t&column=f&value=1.0").await.expect(200);
    assert_eq!(search.json["rows"][0]["row_id"], "1");
    let shown = cluster.get(1, "/v1/tables/t/rows?filter=id=1&columns=f,a").await.expect(200);
    assert!(shown.text.contains(r#""data":{"f":1.0,"a":1}"#), "{}", shown.text);
}

#[tokio::test]
async fn a_row_id_is_any_text_encoded_once_and_integers_sort_as_such() {
    let cluster = table(json!(["note"])).await;
    for (word, id) in [
        ("a%2Fb", "a/b"),
        ("%252F", "%2F"),
        ("..%2f..%2Fetc", "../../etc"),
        ("%20", " "),
        ("a+b", "a+b"),
        ("%E6%BC%A2%F0%9F%A6%80", "漢🦀"),
        ("e%CC%81", "e\u{301}"),
        ("%22%3F%23%26%3D", "\"?#&="),
    ] {
        let put = raw::request("PUT", &format!("/v1/tables/t/rows/{word}"), &[], br#"{"data":{"note":1}}"#);
        let written = raw::exchange(&cluster.node(1).address, &put).await.expect(201);
        assert_eq!(written.json["row_id"], id, "{word}");
        let get = raw::request("GET", &format!("/v1/tables/t/rows/{word}"), &[], b"");
        let read = raw::exchange(&cluster.node(1).address, &get).await.expect(200);
        // A table without a column `id` shows its key as `row_id` only.
        assert_eq!((&read.json["row_id"], &read.json["data"]), (&json!(id), &json!({"note": 1})));
        assert_eq!(found(&cluster, &format!("row_id={}", word.replace('+', "%2B"))).await, [id]);
    }
    assert_eq!(cluster.get(1, "/v1/tables/t").await.json["rows"], 8);
    put(&cluster, &"x".repeat(512), json!({})).await.expect(201);
    assert_eq!(put(&cluster, &"x".repeat(513), json!({})).await.expect(400).code(), "bad_name");

    cluster.post(1, "/v1/tables", json!({"name": "n", "columns": ["id:int", "v"]})).await.expect(201);
    for id in [json!(10), json!(-10), json!("9"), json!(i64::MIN), json!(i64::MAX), json!(0), json!(-9)] {
        let row = json!({"table_name": "n", "row_id": id, "data": {}});
        cluster.post(1, "/insert", row).await.expect(201);
    }
    let all = cluster.get(1, "/v1/tables/n/rows").await.expect(200);
    let sorted = [i64::MIN, -10, -9, 0, 9, 10, i64::MAX];
    assert_eq!(ids(&all), sorted.map(|id| json!(id)).iter().collect::<Vec<_>>());
    assert!(all.json["rows"].as_array().unwrap().iter().all(|row| row["data"]["id"] == row["row_id"]));
    for id in ["07", "+7", "1.0", "x", "9223372036854775808"] {
        let refused = cluster.request(1, "PUT", &format!("/v1/tables/n/rows/{id}"), Some(json!({"data": {}}))).await;
        assert_eq!(refused.expect(422).code(), "type_mismatch", "{id}");
    }
    let row = json!({"table_name": "n", "row_id": 7, "data": {"id": 8}});
    assert_eq!(cluster.post(1, "/insert", row).await.expect(422).code(), "type_mismatch");
}

#[tokio::test]
async fn every_answer_tells_the_id_of_a_table_with_integer_ids_as_a_number() {
    let cluster = Cluster::start(1).await;
    cluster.post(1, "/v1/tables", json!({"name": "n", "columns": ["id:int", "v"]})).await.expect(201);
    let row = |id: Value| json!({"table_name": "n", "row_id": id, "data": {"v": 1}});
    let path = "/v1/tables/n/rows/8";
    let key = [("idempotency-key", "k")];
    for answer in [
        cluster.post(1, "/insert", row(json!("8"))).await,
        cluster.post(1, "/update", row(json!("8"))).await,
        cluster.request(1, "PUT", path, Some(json!({"data": {}}))).await,
        cluster.request(1, "PATCH", path, Some(json!({"data": {}}))).await,
        cluster.get(1, path).await,
        cluster.post(1, "/delete", json!({"table_name": "n", "row_id": "8"})).await,
        cluster.request(1, "PUT", path, Some(json!({"data": {}}))).await,
        cluster.send(1, "DELETE", path, &key, None).await.expect("an answer"),
        cluster.send(1, "DELETE", path, &key, None).await.expect("an answer"),
    ] {
        assert_eq!(answer.json["row_id"], 8, "{}", answer.text);
    }
    let at = |id: Value| json!({"table": "n", "row_id": id, "data": {}});
    let place = json!({"table": "n", "row_id": "9", "if_exists": true});
    let get = json!({"get": {"table": "n", "row_id": "9"}});
    let operations = json!([{"insert": at(json!("9"))}, {"replace": at(json!(9))}, {"update": at(json!(9))}, get,
        {"delete": place}, {"delete": place}, get]);
    let done = cluster.post(1, "/v1/transactions", json!({"operations": operations})).await.expect(200).json;
    let told = done["results"].as_array().expect("results");
    assert!(told.len() == 7 && told.iter().all(|result| result["row_id"] == 9), "{done}");
    for (args, wanted) in [
        (&["insert", "n", "7", "v=1"][..], json!(7)),
        (&["update", "n", "7", "v=2", "--if", "v=1"], json!(7)),
        (&["delete", "n", "7"], json!(7)),
    ] {
        let output = cluster.ddb(&[args, &["-o", "json"]].concat()).output().expect("ddb runs");
        let written: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(written["row_id"], wanted, "{args:?}");
    }
}

#[tokio::test]
async fn the_node_tells_how_it_and_its_cluster_are() {
    let cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    cluster.post(2, "/v1/tables", json!({"name": "t", "columns": ["a"]})).await.expect(201);
    for id in cluster.ids() {
        for path in ["/livez", "/readyz", "/readyz?verbose", "/version", "/metrics", "/v1/status", "/v1/nodes", "/"] {
            let answer = cluster.get(id, path).await.expect(200);
            assert_eq!(answer.header("ddb-node"), Some(id.to_string().as_str()), "{path}");
        }
        assert_eq!(cluster.get(id, "/v1/status").await.json["leader"]["id"], 1);
        let nodes = cluster.get(id, "/v1/nodes").await.json;
        assert_eq!(
            nodes.as_array().expect("nodes").iter().map(|node| node["id"].as_u64()).collect::<Vec<_>>(),
            [Some(1), Some(2), Some(3)]
        );
        let verbose = cluster.get(id, "/readyz?verbose").await.text;
        assert!(verbose.lines().all(|line| line.starts_with("[+]") && line.ends_with(" ok")), "{verbose}");
        assert!(cluster.get(id, "/version").await.json["version"].is_string());
        let metrics = cluster.get(id, "/metrics").await.text;
        assert!(metrics.contains("ddb_http_requests_total{") && metrics.contains("# TYPE"), "{metrics}");
        let report = cluster.request(id, "POST", "/v1/verify", None).await.expect(200);
        assert_eq!((&report.json["equal"], &report.json["complete"]), (&json!(true), &json!(true)), "{}", report.text);
    }
}
