//! The HTTP contract, as far as it is about refusals: each with its status and code, saying what was
//! not done and what would do, and none of them leaving a trace.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use harness::Cluster;
use raw::Reply;
use serde_json::{Value, json};

/// A node with tables that have a column of each type, and a row in one of them.
async fn node() -> Cluster {
    let cluster = Cluster::start(1).await;
    let columns = json!(["id", "name:text", "age:int", "height:float", "big:bool", "born:timestamp", "more:json", "x"]);
    cluster.post(1, "/v1/tables", json!({"name": "students", "columns": columns})).await.expect(201);
    cluster.post(1, "/v1/tables", json!({"name": "numbers", "columns": ["id:int", "n"]})).await.expect(201);
    let row = json!({"table_name": "students", "row_id": "1", "data": {"name": "Ahmed", "age": 20}});
    cluster.post(1, "/insert", row).await.expect(201);
    cluster
}

async fn send(cluster: &Cluster, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
    let reply = raw::exchange(&cluster.node(1).address, &raw::request(method, path, headers, body)).await;
    assert_eq!(reply.header("ddb-node"), Some("1"), "{method} {path}: every answer says which node gave it");
    reply
}

/// Requires a refusal in the form of all refusals.
#[track_caller]
fn refused(reply: &Reply, write: bool, code: &str, said: &str, hint: &str) {
    let what = format!("{}\n{}", reply.head, reply.body);
    assert_eq!(format!("{} {}", reply.status, reply.code()), code, "{what}");
    assert!(reply.message().contains(said), "said {said:?}: {what}");
    assert!(reply.hint().contains(hint), "hint {hint:?}: {what}");
    assert_eq!(reply.header("content-type"), Some("application/json"), "{what}");
    let error = &reply.json["error"];
    assert_eq!(error["outcome"], if write { json!("not_applied") } else { Value::Null }, "{what}");
    assert_eq!(error["retryable"], json!(matches!(reply.status, 429 | 503 | 504)), "{what}");
    assert!(!reply.body.contains('\u{1b}') && reply.body.len() < 2_000, "{what}");
}

/// Everything that the tables hold.
async fn everything(cluster: &Cluster) -> Value {
    let mut tables = cluster.get(1, "/v1/tables").await.expect(200).json;
    for table in ["students", "numbers"] {
        tables[table] = cluster.get(1, &format!("/v1/tables/{table}/rows")).await.expect(200).json;
    }
    tables
}

#[tokio::test]
async fn what_does_not_fit_the_tables_is_refused_with_what_was_not_done() {
    let cluster = node().await;
    let before = everything(&cluster).await;
    for (data, code, said, hint) in [
        (r#"{"nmae":1}"#, "422 unknown_column", "no column \"nmae\"", "\"name\""),
        (r#"{"zzzzzz":1}"#, "422 unknown_column", "no column \"zzzzzz\"", "id, name, age"),
        (r#"{"row_id":"2"}"#, "422 unknown_column", "no column \"row_id\"", ""),
        (r#"{"name":1}"#, "422 type_mismatch", "column \"name\" of table \"students\", which is text", ""),
        (r#"{"age":"20"}"#, "422 type_mismatch", "text \"20\" does not fit column \"age\"", ""),
        (r#"{"age":1.0}"#, "422 type_mismatch", "which is int", ""),
        (r#"{"name":"x","age":true}"#, "422 type_mismatch", "bool true", ""),
        (r#"{"height":"1"}"#, "422 type_mismatch", "which is float", ""),
        (r#"{"height":9007199254740993}"#, "422 type_mismatch", "9007199254740993", ""),
        (r#"{"big":1}"#, "422 type_mismatch", "which is bool", ""),
        (r#"{"big":"true"}"#, "422 type_mismatch", "which is bool", ""),
        (r#"{"born":"yesterday"}"#, "422 type_mismatch", "which is timestamp", ""),
        (r#"{"born":"2024-02-30T00:00:00Z"}"#, "422 type_mismatch", "which is timestamp", ""),
        (r#"{"born":"2024-02-29"}"#, "422 type_mismatch", "which is timestamp", ""),
        (r#"{"born":1700000000}"#, "422 type_mismatch", "which is timestamp", ""),
        (r#"{"id":"3"}"#, "422 type_mismatch", "the row id is \"2\"", "leave \"id\" out"),
    ] {
        let body = format!(r#"{{"table_name":"students","row_id":"2","data":{data}}}"#);
        refused(&send(&cluster, "POST", "/insert", &[], body.as_bytes()).await, true, code, said, hint);
        let body = format!(r#"{{"data":{data}}}"#);
        let path = "/v1/tables/students/rows/2";
        refused(&send(&cluster, "PUT", path, &[], body.as_bytes()).await, true, code, said, hint);
    }
    let long = "é".repeat(257);
    for (table, id, code, said, hint) in [
        ("studnets", "2", "404 table_not_found", "\"studnets\" does not exist", "\"students\""),
        ("Students", "2", "404 table_not_found", "\"Students\" does not exist", "\"students\""),
        ("students", "1", "409 row_exists", "nothing was written", "update"),
        ("numbers", "x", "422 type_mismatch", "not an integer", ""),
        ("students", "", "400 bad_name", "it is empty", ""),
        ("students", r"a\u0007", "400 bad_name", "control character", ""),
        ("students", r"\u0085", "400 bad_name", "control character", ""),
        ("students", &long, "400 bad_name", "512 bytes", ""),
        ("stu/dents", "2", "400 bad_name", "only letters", "63"),
    ] {
        let body = format!(r#"{{"table_name":"{table}","row_id":"{id}","data":{{}}}}"#);
        refused(&send(&cluster, "POST", "/insert", &[], body.as_bytes()).await, true, code, said, hint);
    }
    for (method, path, body, code, said, hint) in [
        ("POST", "/update", r#"{"table_name":"students","row_id":"2","data":{}}"#, "404 row_not_found", "written", ""),
        ("POST", "/delete", r#"{"table_name":"students","row_id":"2"}"#, "404 row_not_found", "was deleted", ""),
        ("PATCH", "/v1/tables/students/rows/2", r#"{"data":{}}"#, "404 row_not_found", "nothing was written", ""),
        ("DELETE", "/v1/tables/students/rows/2", "", "404 row_not_found", "nothing was deleted", ""),
        ("DELETE", "/v1/tables/student", "", "404 table_not_found", "\"student\" does not exist", "\"students\""),
    ] {
        refused(&send(&cluster, method, path, &[], body.as_bytes()).await, true, code, said, hint);
    }
    let long = "x".repeat(64);
    for (name, columns, code, said) in [
        ("students", r#"["a"]"#, "409 table_exists", "nothing was created"),
        ("_t", r#"["a"]"#, "400 bad_name", "reserved"),
        ("a-b", r#"["a"]"#, "400 bad_name", "only letters"),
        (&long, r#"["a"]"#, "400 bad_name", "63"),
        ("t", r#"["a","a"]"#, "400 bad_name", "twice"),
        ("t", r#"["a:integer"]"#, "400 bad_request", "\"integer\""),
        ("t", "[]", "400 bad_request", "0 columns"),
        ("t", r#"["_a"]"#, "400 bad_name", "reserved"),
        ("t", r#"["id:float"]"#, "400 bad_request", "row id"),
        ("t", r#"[7]"#, "400 bad_json", "line 1"),
        ("t", r#""id,name""#, "400 bad_json", "line 1"),
    ] {
        let body = format!(r#"{{"table_name":"{name}","columns":{columns}}}"#);
        refused(&send(&cluster, "POST", "/create_table", &[], body.as_bytes()).await, true, code, said, "");
    }
    assert_eq!(everything(&cluster).await, before, "a refused write leaves no trace, not even a revision");
}

#[tokio::test]
async fn a_body_that_is_not_the_expected_json_is_refused_with_the_place() {
    let cluster = node().await;
    let before = everything(&cluster).await;
    let with = |data: &str| format!("{{\"table_name\":\"students\",\"row_id\":\"2\",\n\"data\":{data}}}").into_bytes();
    let deep = 100_000;
    for (body, said) in [
        (b"".to_vec(), "empty"),
        (b"table_name=students&row_id=2".to_vec(), "line 1"),
        (b"[]".to_vec(), "object"),
        (b"{\"row_id\":\"2\",\"data\":{}}".to_vec(), "`table_name`"),
        (b"{\"table_name\":\"students\",\"data\":{}}".to_vec(), "`row_id`"),
        (b"{\"table_name\":\"students\",\"row_id\":\"2\"}".to_vec(), "`data`"),
        (b"{\"table_name\":\"students\",\"row_id\":\"2\",\"dta\":{}}".to_vec(), "unknown field `dta`"),
        (b"{\"table_name\":\"students\",\"row_id\":2.5,\"data\":{}}".to_vec(), "row_id"),
        (b"{\"table_name\":\"students\",\"row_id\":null,\"data\":{}}".to_vec(), "row_id"),
        (b"{\"table_name\":\"a\",\"table_name\":\"students\",\"row_id\":\"2\",\"data\":{}}".to_vec(), "`table_name`"),
        (with("{}").repeat(2), "line 2"),
        (with("[]"), "line 2"),
        (with("{\"x\":1,\"x\":2}"), "\"x\" stands twice"),
        (with("{\"more\":{\"k\":1,\"k\":1}}"), "stands twice"),
        (with("{\"x\":18446744073709551616}"), "18446744073709551616"),
        (with("{\"x\":9223372036854775808}"), "64 bits"),
        (with("{\"more\":[-9223372036854775809]}"), "64 bits"),
        (with("{\"height\":1e400}"), "out of range"),
        (with("{\"more\":{\"a\":[-1e400]}}"), "out of range"),
        (with("{\"height\":1e-400}"), "too small"),
        (with("{\"more\":[0.1e-999]}"), "too small"),
        (with("{\"x\":NaN}"), "line 2"),
        (with("{\"x\":01}"), "line 2"),
        (with("{\"x\":'a'}"), "line 2"),
        (with("{\"x\":1,}"), "line 2"),
        (with("{\"x\":\"a\u{7}\"}"), "line 2"),
        (with("{\"x\":\"\\ud800\"}"), "\"x\""),
        (with("{\"x\":\"\\udc00\\ud800\"}"), "\"x\""),
        (with("{\"more\":[\"\\ud800\"]}"), "\"more\""),
        (with("{\"more\":{\"\\ud800\":1}}"), "\"more\""),
        (with("{\"\\ud800\":1}"), "line 2"),
        ([&with("{\"x\":\"")[..], b"\xff\"}}"].concat(), "UTF-8 at line 2"),
        ([&with("{\"x\":\"")[..], b"\xed\xa0\x80\"}}"].concat(), "UTF-8 at line 2"),
        ([&b"\xef\xbb\xbf"[..], &with("{}")].concat(), "line 1"),
        (with(&format!("{{\"more\":{}{}}}", "[".repeat(deep), "]".repeat(deep))), "recursion"),
        (with(&format!("{{\"more\":{}1{}}}", "{\"a\":".repeat(deep), "}".repeat(deep))), "recursion"),
        (with(&format!("{{\"x\":{}", "[".repeat(deep))), "line 2"),
        ("[".repeat(deep).into_bytes(), "line 1"),
        (format!("{{\"a\":{}", "[".repeat(deep)).into_bytes(), "line 1"),
        (with(&format!("{{\"{}\":1e400}}", "n".repeat(100_000))), "line 2"),
    ] {
        let reply = send(&cluster, "POST", "/insert", &["content-type: application/json"], &body).await;
        refused(&reply, true, "400 bad_json", said, "");
        let place = reply.message().contains(" line ") || reply.message().contains("missing field `data`");
        assert!(place, "it says where: {}", reply.message());
    }
    // Under this depth a document is kept.
    let fine = with(&format!("{{\"more\":{}{}}}", "[".repeat(100), "]".repeat(100)));
    send(&cluster, "POST", "/insert", &[], &fine).await.expect(201);
    cluster.request(1, "DELETE", "/v1/tables/students/rows/2", None).await.expect(200);
    let mut after = everything(&cluster).await;
    for path in ["/revision", "/students/revision", "/numbers/revision"] {
        *after.pointer_mut(path).expect("a revision") = before.pointer(path).expect("a revision").clone();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn reads_are_refused_for_what_they_cannot_mean() {
    let cluster = node().await;
    let rows = "/v1/tables/students/rows";
    for (path, code, said, hint) in [
        ("/v1/tables/studnets", "404 table_not_found", "\"studnets\"", "\"students\""),
        ("/v1/tables/studnets/rows", "404 table_not_found", "\"studnets\"", "\"students\""),
        ("/v1/tables/students/rows/2", "404 row_not_found", "\"2\"", ""),
        ("/v1/tables/students/rows/1?levle=stale", "400 bad_request", "\"levle\"", "\"level\""),
        ("/v1/tables/students/rows/1?level=fast", "400 bad_request", "\"fast\"", "stale"),
        ("/v1/tables/students/rows/1?min_revision=x", "400 bad_request", "min_revision", ""),
        ("/v1/tables/students/rows/1?timeout=soon", "400 bad_request", "\"soon\"", "5s"),
        ("/v1/tables/students/rows/1?limit=1", "400 bad_request", "\"limit\"", ""),
        ("/v1/tables/students/rows/1?min_revision=999999&timeout=50ms", "504 timeout", "999999", ""),
        ("ROWS?filter=name", "400 bad_filter", "no =", "column=value"),
        ("ROWS?filter=", "400 bad_filter", "no =", "column=value"),
        ("ROWS?filter==1", "400 bad_filter", "names no column", ""),
        ("ROWS?filter=age.near=1", "400 bad_filter", ".near", ""),
        ("ROWS?filter=nmae=1", "422 unknown_column", "\"nmae\"", "\"name\""),
        ("ROWS?columns=name,ages", "422 unknown_column", "\"ages\"", "\"age\""),
        ("ROWS?columns=", "422 unknown_column", "\"\"", ""),
        ("ROWS?columns=age,age", "400 bad_request", "twice", ""),
        ("ROWS?limit=0", "400 bad_request", "at least 1", ""),
        ("ROWS?limit=-1", "400 bad_request", "\"-1\"", ""),
        ("ROWS?limit=18446744073709551616", "400 bad_request", "not a number", ""),
        ("ROWS?limit=1&limit=1", "400 bad_request", "twice", ""),
        ("ROWS?limti=1", "400 bad_request", "\"limti\"", "\"limit\""),
        ("ROWS?cursor=abc", "400 bad_request", "cursor", ""),
        ("ROWS?filter=x=%ff", "400 bad_request", "UTF-8", ""),
        ("ROWS?filter=x=%f", "400 bad_request", "hexadecimal", ""),
        ("/search", "400 bad_request", "\"table\"", ""),
        ("/search?table=studnets&column=name&value=x", "404 table_not_found", "\"studnets\"", "\"students\""),
        ("/search?table=students&column=nmae&value=x", "422 unknown_column", "\"nmae\"", "\"name\""),
        ("/search?table=students&column=name", "400 bad_request", "\"value\"", ""),
        ("/search?table=students&value=x", "400 bad_request", "\"column\"", ""),
        ("/search?tabel=students", "400 bad_request", "\"tabel\"", "\"table\""),
        ("/search?table=a%2Fb", "400 bad_name", "a/b", ""),
        ("/livez?deep", "400 bad_request", "\"deep\"", ""),
        ("/v1/status?level=none", "400 bad_request", "\"none\"", ""),
        ("/v2/tables", "404 not_found", "/v2/tables", ""),
        ("//v1/tables", "404 not_found", "//v1", ""),
        ("/v1/tables/../status", "404 not_found", "..", ""),
        ("/v1/tables/%2e%2e%2fstatus", "400 bad_name", "../status", ""),
        ("/v1/tables/students%00", "400 bad_name", "students", ""),
        ("/v1/tables/%ff", "400 bad_name", "UTF-8", ""),
        ("/v1/tables/%zz", "400 bad_name", "hexadecimal", ""),
        ("/v1/tables/students%2Frows", "400 bad_name", "students/rows", ""),
        ("/v1/tables/", "400 bad_name", "empty", ""),
        ("ROWS/%00", "400 bad_name", "control", ""),
        ("ROWS/%7f", "400 bad_name", "control", ""),
        ("ROWS/%ff", "400 bad_name", "UTF-8", ""),
        ("ROWS/%1b%5b31m", "400 bad_name", "control", ""),
        ("ROWS/%", "400 bad_name", "hexadecimal", ""),
        ("ROWS/", "400 bad_name", "empty", ""),
        ("ROWS/%252e%252e%252f", "404 row_not_found", "%2e%2e%2f", ""),
        ("ROWS/..%2f..%2fconfig.json", "404 row_not_found", "../../config.json", ""),
    ] {
        let reply = send(&cluster, "GET", &path.replace("ROWS", rows), &[], b"").await;
        refused(&reply, false, code, said, hint);
    }
}

#[tokio::test]
async fn methods_and_bodies_that_a_route_does_not_take_are_refused() {
    let cluster = node().await;
    for (method, path, allow) in [
        ("GET", "/insert", "POST"),
        ("PUT", "/search", "GET, HEAD"),
        ("POST", "/v1/tables/students/rows/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("POST", "/livez", "GET, HEAD"),
        ("GET", "/v1/verify", "POST"),
        ("BREW", "/v1/status", "GET, HEAD"),
        ("OPTIONS", "/create_table", "POST"),
    ] {
        let reply = send(&cluster, method, path, &[], b"").await;
        let write = !matches!(method, "GET" | "HEAD" | "OPTIONS");
        refused(&reply, write, "405 method_not_allowed", method, allow);
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
    refused(&send(&cluster, "POST", "/nowhere", &[], b"").await, true, "404 not_found", "/nowhere", "");

    let insert = async |headers: &[&str], body: &[u8]| send(&cluster, "POST", "/insert", headers, body).await;
    let body = br#"{"table_name":"students","row_id":"2","data":{}}"#;
    for header in [
        "content-type: text/plain",
        "content-type: application/xml",
        "content-type: multipart/form-data; boundary=x",
        "content-type: application/jsonx",
        "content-encoding: gzip",
        "content-encoding: zstd",
    ] {
        refused(&insert(&[header], body).await, true, "415 unsupported_media_type", "", "application/json");
    }
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let gzip = ["content-encoding: gzip", "content-type: application/json"];
    refused(&insert(&gzip, &bomb).await, true, "415 unsupported_media_type", "compressed", "");

    // Larger than a body may be: said by its length, or found while it streams in.
    let large = vec![b' '; 3 << 20];
    refused(&insert(&[], &large).await, true, "413 too_large", "bytes", "");
    let announced = ["content-length: 999999999999", "content-type: application/json"];
    refused(&insert(&announced, b"{").await, true, "413 too_large", "bytes", "");
    let piece = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let chunks = [piece.repeat(3), b"0\r\n\r\n".to_vec()].concat();
    let chunked = ["transfer-encoding: chunked"];
    refused(&insert(&chunked, &chunks).await, true, "413 too_large", "bytes", "");
    // A row has a limit of its own, and up to it a body may come in chunks.
    let row = |size: usize| {
        let body = format!(r#"{{"data":{{"name":"{}"}}}}"#, "x".repeat(size));
        format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()
    };
    let path = "/v1/tables/students/rows/large";
    let reply = send(&cluster, "PUT", path, &chunked, &row(1_100_000)).await;
    refused(&reply, true, "413 too_large", "nothing was written", "");
    send(&cluster, "PUT", path, &chunked, &row(1_000_000)).await.expect(201);
}

#[tokio::test]
async fn an_idempotency_key_names_one_write() {
    let cluster = node().await;
    let body = br#"{"table_name":"students","row_id":"k","data":{"age":1}}"#;
    let key = ["idempotency-key: k-1"];
    let first = send(&cluster, "POST", "/insert", &key, body).await.expect(201);
    let again = send(&cluster, "POST", "/insert", &key, body).await.expect(201);
    assert_eq!((&again.json, again.header("ddb-revision")), (&first.json, first.header("ddb-revision")));
    let spaced = [&b" "[..], body].concat();
    assert_eq!(send(&cluster, "POST", "/insert", &key, &spaced).await.expect(201).json, first.json);
    // The same key for anything else is refused, and changes nothing.
    let other = br#"{"table_name":"students","row_id":"k","data":{"age":2}}"#;
    for (method, path, body) in [
        ("POST", "/insert", &other[..]),
        ("POST", "/update", &other[..]),
        ("POST", "/delete", br#"{"table_name":"students","row_id":"k"}"#),
        ("PUT", "/v1/tables/students/rows/k", br#"{"data":{"age":1}}"#),
        ("DELETE", "/v1/tables/students", b""),
    ] {
        let reply = send(&cluster, method, path, &key, body).await;
        refused(&reply, true, "409 idempotency_key_reused", "\"k-1\"", "");
    }
    assert_eq!(cluster.get(1, "/v1/tables/students/rows/k").await.expect(200).json["data"]["age"], 1);
    // A refusal is remembered too: the write under that key will never happen.
    let late = br#"{"table_name":"later","row_id":"1","data":{}}"#;
    let key = ["idempotency-key: k-2"];
    let missing = send(&cluster, "POST", "/insert", &key, late).await.expect(404);
    cluster.post(1, "/v1/tables", json!({"name": "later", "columns": ["id"]})).await.expect(201);
    assert_eq!(send(&cluster, "POST", "/insert", &key, late).await.expect(404).json, missing.json);
    // A repetition of a write under a condition gets its answer, though the condition holds no more.
    let key = ["idempotency-key: k-3", "if-none-match: *"];
    let made = send(&cluster, "PUT", "/v1/tables/later/rows/2", &key, br#"{"data":{}}"#).await.expect(201);
    let again = send(&cluster, "PUT", "/v1/tables/later/rows/2", &key, br#"{"data":{}}"#).await.expect(201);
    assert_eq!((&again.json, again.header("etag")), (&made.json, made.header("etag")));
    for bad in [
        "idempotency-key:",
        "idempotency-key: a b",
        "idempotency-key: é",
        &format!("idempotency-key: {}", "x".repeat(201)),
    ] {
        // Also where nothing would be written.
        let read = br#"{"operations":[{"get":{"table":"students","row_id":"k"}}]}"#;
        for (path, body) in
            [("/insert", &body[..]), ("/v1/tables/students/import", b""), ("/v1/transactions?dry_run=1", &read[..])]
        {
            let reply = send(&cluster, "POST", path, &[bad], body).await;
            refused(&reply, true, "400 bad_request", "idempotency key", "");
        }
    }
    let twice = ["idempotency-key: a", "idempotency-key: a"];
    refused(&send(&cluster, "POST", "/insert", &twice, body).await, true, "400 bad_request", "twice", "");
}
