//! Tries the front door over a socket, on a cluster of one node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper::header::HeaderValue;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Limits, run};
use crate::config::{Config, NodeConfig};
use crate::model::Configured;
use crate::replication::Group;

struct Server {
    address: SocketAddr,
    group: Group,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// `status code outcome`, as far as there are a code and an outcome.
    fn summary(&self) -> String {
        let error = serde_json::from_str::<Value>(&self.body).unwrap_or_default()["error"].take();
        let word = |key: &str| error[key].as_str().map(|word| format!(" {word}")).unwrap_or_default();
        format!("{}{}{}", self.status, word("code"), word("outcome"))
    }
}

impl Server {
    async fn start(limits: Limits) -> Server {
        Server::cluster(1, limits).await.remove(0)
    }

    /// The nodes 1 to `size` of a cluster.
    async fn cluster(size: u64, limits: Limits) -> Vec<Server> {
        let mut listeners = Vec::new();
        let mut nodes = Vec::new();
        for id in 1..=size {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let role = if id == 1 { Configured::Master } else { Configured::Slave };
            nodes.push(NodeConfig { id, address: format!("http://{}", listener.local_addr().unwrap()), role });
            listeners.push(listener);
        }
        let mut servers = Vec::new();
        for (listener, id) in listeners.into_iter().zip(1..) {
            servers.push(Server::node(id, listener, nodes.clone(), limits).await);
        }
        servers
    }

    async fn node(id: u64, listener: TcpListener, nodes: Vec<NodeConfig>, limits: Limits) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            cluster: "trial".into(),
            data_dir: dir.path().into(),
            nodes,
            heartbeat_ms: 50,
            election_timeout_ms: 300,
            snapshot_entries: 10_000,
            max_connections: limits.connections,
            threads: 0,
        };
        let group = Group::start(config, id).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(run(listener, group.clone(), limits, async { drop(stopped.await) }));
        Server { address, group, stop, serving, _dir: dir }
    }

    /// A server with the table `students` and the rows 1 to `rows` in it.
    async fn with_students(rows: u64) -> Server {
        let server = Server::start(Limits::default()).await;
        let table = json!({"table_name": "students", "columns": ["id:int", "name", "grade"]});
        assert_eq!(server.send("POST", "/create_table", &[], &table.to_string()).await.status, 201);
        for id in 1..=rows {
            let row = json!({"table_name": "students", "row_id": id, "data": {"name": "Ahmed", "grade": id % 2}});
            assert_eq!(server.send("POST", "/insert", &[], &row.to_string()).await.status, 201);
        }
        server
    }

    /// Sends bytes and reads until the server closes.
    async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_string()));
        Answer { status, headers: lines.filter_map(pair).collect(), body: body.into() }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}{length}\r\n{body}");
        self.raw(head.as_bytes()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap();
        self.group.stop().await;
    }
}

#[tokio::test]
async fn the_first_versions_requests_get_their_answers() {
    let server = Server::with_students(1).await;
    let update = json!({"table_name": "students", "row_id": "1", "data": {}, "text": {"grade": "A"}}).to_string();
    let answer = server.send("POST", "/update", &[("content-type", "application/json")], &update).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"table": "students", "row_id": 1, "revision": 3})));
    assert_eq!((answer.headers["ddb-node"].as_str(), answer.headers["ddb-revision"].as_str()), ("1", "3"));
    let answer = server.get("/search?table=students&column=name&value=Ahmed").await;
    let row = json!({"row_id": 1, "data": {"id": 1, "name": "Ahmed", "grade": "A"}, "revision": 3});
    assert_eq!(answer.json(), json!({"table": "students", "count": 1, "rows": [row], "revision": 3}));
    assert!(answer.headers.contains_key("content-length"), "a small answer has its length");
    assert_eq!(server.get("/search?table=students&column=name&value=Eve").await.json()["count"], 0);
    assert_eq!(server.get("/search?table=students").await.json()["count"], 1);
    let delete = json!({"table_name": "students", "row_id": 1}).to_string();
    assert_eq!(server.send("POST", "/delete", &[], &delete).await.status, 200);
    assert_eq!(server.send("POST", "/delete", &[], &delete).await.summary(), "404 row_not_found not_applied");
    server.stop().await;
}

#[tokio::test]
async fn a_row_has_a_tag_and_conditions_go_by_it() {
    let server = Server::with_students(0).await;
    let path = "/v1/tables/students/rows/7";
    let put = async |headers: &[(&str, &str)]| server.send("PUT", path, headers, r#"{"data":{"name":"Eve"}}"#).await;
    assert_eq!(put(&[("if-match", "\"1\"")]).await.summary(), "412 revision_mismatch not_applied");
    let inserted = put(&[("if-none-match", "*")]).await;
    assert_eq!((inserted.status, inserted.headers["etag"].as_str()), (201, "\"2\""));
    assert_eq!(put(&[("if-none-match", "*")]).await.summary(), "412 revision_mismatch not_applied");
    assert_eq!(put(&[("if-match", "\"2\"")]).await.status, 200);
    assert_eq!(put(&[("if-match", "2")]).await.summary(), "400 bad_request not_applied");
    let row = server.get(path).await;
    let wanted = json!({"row_id": 7, "data": {"id": 7, "name": "Eve", "grade": null}, "revision": 3});
    assert_eq!((row.json(), row.headers["etag"].as_str()), (wanted, "\"3\""));
    let known = server.send("GET", path, &[("if-none-match", "\"3\"")], "").await;
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    assert_eq!(server.send("HEAD", path, &[], "").await.status, 200);
    let stale = server.get(&format!("{path}?level=stale")).await;
    assert_eq!((stale.status, stale.headers["ddb-level"].as_str()), (200, "stale"));
    assert_eq!(server.send("DELETE", path, &[("if-match", "\"2\"")], "").await.status, 412);
    assert_eq!(server.send("DELETE", path, &[("if-match", "\"3\"")], "").await.status, 200);
    assert_eq!(server.get(path).await.summary(), "404 row_not_found");
    server.stop().await;
}

#[tokio::test]
async fn a_listing_goes_on_where_its_cursor_says() {
    let server = Server::with_students(5).await;
    let rows = "/v1/tables/students/rows";
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let page = server.get(&format!("{rows}?limit=2&columns=grade{cursor}")).await.json();
        seen.extend(page["rows"].as_array().unwrap().iter().map(|row| row["row_id"].as_i64().unwrap()));
        cursor = page["cursor"].as_str().map(|word| format!("&cursor={word}")).unwrap_or_default();
        assert_eq!(page["rows"][0]["data"].as_object().unwrap().len(), 1);
    }
    assert_eq!((seen, cursor.as_str()), (vec![1, 2, 3, 4, 5], ""));
    let count = async |query: &str| server.get(&format!("{rows}?{query}")).await.json()["count"].clone();
    assert_eq!(count("filter=grade%3D1").await, 3);
    assert_eq!(count("filter=grade%3D1&filter=id%3D3").await, 1);
    assert_eq!(count("filter=row_id%3D4&filter=grade%3D1").await, 0);
    assert_eq!(count("filter=id%3D5.0").await, 1);
    for (query, wanted) in [
        ("order=nmae", "422 unknown_column"),
        ("order=", "400 bad_request"),
        ("order=name&cursor=x", "400 bad_request"),
        ("explain=yes", "400 bad_request"),
        ("limit=0", "400 bad_request"),
        ("cursor=x", "400 bad_request"),
        ("columns=name,name", "400 bad_request"),
        ("columns=nmae", "422 unknown_column"),
        ("filter=nmae%3D1", "422 unknown_column"),
        ("filter=grade.near%3D1", "400 bad_filter"),
        ("filter=id%3Dx", "422 type_mismatch"),
        ("fliter=grade%3D1", "400 bad_request"),
        ("level=strong", "400 bad_request"),
    ] {
        assert_eq!(server.get(&format!("{rows}?{query}")).await.summary(), wanted, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn tables_are_listed_described_and_dropped() {
    let server = Server::with_students(2).await;
    let columns =
        json!([{"name": "id", "type": "int"}, {"name": "name", "type": "any"}, {"name": "grade", "type": "any"}]);
    let table = json!({"name": "students", "columns": columns, "rows": 2, "revision": 1});
    assert_eq!(server.get("/v1/tables").await.json(), json!({"tables": [table], "count": 1, "revision": 3}));
    let described = server.get("/v1/tables/students").await.json();
    let bytes = described["bytes"].as_u64().filter(|bytes| (20..200).contains(bytes)).unwrap();
    let table = json!({"name": "students", "columns": columns, "rows": 2, "bytes": bytes, "revision": 1});
    assert_eq!(described, table);
    let answer = server.get("/v1/tables/studnets").await;
    assert_eq!(answer.summary(), "404 table_not_found");
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("students"));
    let create = r#"{"name":"students","columns":[{"name":"id"}]}"#;
    assert_eq!(server.send("POST", "/v1/tables", &[], create).await.summary(), "409 table_exists not_applied");
    assert_eq!(
        server.send("DELETE", "/v1/tables/students", &[], "").await.json(),
        json!({"table": "students", "revision": 4})
    );
    assert_eq!(
        server.send("DELETE", "/v1/tables/students", &[], "").await.summary(),
        "404 table_not_found not_applied"
    );
    server.stop().await;
}

#[tokio::test]
async fn hostile_requests_are_refused_and_change_nothing() {
    let server = Server::with_students(1).await;
    let row = "/v1/tables/students/rows/2";
    let good = r#"{"data":{"name":"x"}}"#;
    for (method, path, headers, body, wanted) in [
        ("POST", row, &[][..], "", "405 method_not_allowed not_applied"),
        ("GET", "/nothing", &[], "", "404 not_found"),
        ("PUT", row, &[("content-type", "text/csv")], good, "415 unsupported_media_type not_applied"),
        ("PUT", row, &[("content-encoding", "gzip")], good, "415 unsupported_media_type not_applied"),
        ("PUT", row, &[("host", "b")], good, "400 bad_request not_applied"),
        ("PUT", row, &[("idempotency-key", "a b")], good, "400 bad_request not_applied"),
        ("PUT", row, &[], "{", "400 bad_json not_applied"),
        ("PUT", row, &[], "", "400 bad_json not_applied"),
        ("PUT", row, &[], r#"{"data":{"nmae":1}}"#, "422 unknown_column not_applied"),
        ("PUT", "/v1/tables/students/rows/x", &[], good, "422 type_mismatch not_applied"),
        ("PUT", "/v1/tables/%2e%2e%2f/rows/1", &[], good, "400 bad_name not_applied"),
        ("PUT", "/v1/tables/students/rows/%00", &[], good, "400 bad_name not_applied"),
        ("PUT", "/v1/tables/students/rows/%ff", &[], good, "400 bad_name not_applied"),
        ("PUT", "/v1/tables/students/rows/%zz", &[], good, "400 bad_name not_applied"),
        ("GET", "/v1/tables/students/rows/", &[], "", "400 bad_name"),
        ("POST", "/insert", &[("if-match", "\"1\"")], good, "400 bad_request not_applied"),
        ("GET", "/search?table=students&column=name", &[], "", "400 bad_request"),
        ("GET", "/search", &[], "", "400 bad_request"),
        ("GET", "/v1/status?x=1", &[], "", "400 bad_request"),
        ("GET", "/peer", &[], "", "403 forbidden"),
    ] {
        let answer = server.send(method, path, headers, body).await;
        assert_eq!(answer.summary(), wanted, "{method} {path} {body}: {}", answer.body);
        assert_eq!(answer.headers["ddb-node"], "1");
    }
    let allow = server.send("BREW", "/insert", &[], "").await;
    assert_eq!((allow.status, allow.headers["allow"].as_str()), (405, "POST"));
    let hostless = server.raw(b"GET /version HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert_eq!(hostless.summary(), "400 bad_request");
    assert_eq!(server.raw(b"GET /version HTTP/1.0\r\n\r\n").await.status, 200);
    assert_eq!(server.get("/v1/tables/students").await.json()["rows"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_also_in_chunks() {
    let server = Server::with_students(0).await;
    let path = "/v1/tables/students/rows/2";
    let declared =
        format!("PUT {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
    let answer = server.raw(declared.as_bytes()).await;
    assert_eq!(
        (answer.summary().as_str(), answer.headers["connection"].as_str()),
        ("413 too_large not_applied", "close")
    );
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let chunked =
        format!("PUT {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(48));
    assert_eq!(server.raw(chunked.as_bytes()).await.summary(), "413 too_large not_applied");
    server.stop().await;
}

#[tokio::test]
async fn a_large_answer_streams_and_is_whole() {
    let server = Server::with_students(0).await;
    let note = "n".repeat(100_000);
    for id in 1..=5 {
        let body = json!({"data": {"name": note}}).to_string();
        assert_eq!(server.send("PUT", &format!("/v1/tables/students/rows/{id}"), &[], &body).await.status, 201);
    }
    let answer = server.get("/v1/tables/students/rows").await;
    assert_eq!((answer.status, answer.headers["transfer-encoding"].as_str()), (200, "chunked"));
    // The chunks' own lines stand between the pieces of the body.
    assert!(
        answer.body.contains(r#"],"count":5,"cursor":null,"revision":6}"#) && answer.body.ends_with("\r\n0\r\n\r\n")
    );
    server.stop().await;
}

#[tokio::test]
async fn operations_have_their_routes() {
    let server = Server::with_students(0).await;
    assert_eq!(server.get("/livez").await.body, "ok\n");
    assert_eq!(server.get("/readyz").await.body, "ok\n");
    let verbose = server.get("/readyz?verbose").await;
    assert!(verbose.status == 200 && verbose.body.lines().all(|line| line.starts_with("[+]")), "{}", verbose.body);
    assert_eq!(server.get("/version").await.json()["name"], "ddb");
    let status = server.get("/v1/status").await.json();
    assert_eq!((&status["cluster"], &status["leader"]["id"]), (&json!("trial"), &json!(1)));
    assert_eq!(server.get("/v1/nodes").await.json()[0]["id"], 1);
    let report = server.send("POST", "/v1/verify", &[], "").await.json();
    assert_eq!((&report["equal"], &report["complete"]), (&json!(true), &json!(true)));
    let figures = server.get("/metrics").await.body;
    for figure in
        ["ddb_http_requests_total{method=\"POST\",route=\"/create_table\",status=\"201\"}", "ddb_http_connections"]
    {
        assert!(figures.contains(figure), "{figure} is not in\n{figures}");
    }
    server.stop().await;
}

#[tokio::test]
async fn overload_is_refused_at_the_door_and_probes_get_through() {
    let server = Server::start(Limits { requests: 0, ..Limits::default() }).await;
    let answer = server.send("PUT", "/v1/tables/students/rows/1", &[], r#"{"data":{}}"#).await;
    assert_eq!(
        (answer.summary().as_str(), answer.headers["retry-after"].as_str()),
        ("429 overloaded not_applied", "1")
    );
    assert_eq!(server.get("/livez").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn peers_keep_their_connections_where_clients_would_be_cut_off() {
    let short = Duration::from_millis(100);
    let servers = Server::cluster(3, Limits { head: short, idle: short, ..Limits::default() }).await;
    let table = r#"{"name":"t","columns":["id"]}"#;
    let began = Instant::now();
    while servers[2].send("POST", "/v1/tables", &[], table).await.status == 503 {
        assert!(began.elapsed() < Duration::from_secs(30), "no leader");
    }
    let began = Instant::now();
    let mut rows = 0;
    while began.elapsed() < short * 10 {
        let path = format!("/v1/tables/t/rows/{rows}");
        let written = servers[rows % 3].send("PUT", &path, &[], r#"{"data":{}}"#).await;
        assert_eq!(written.status, 201, "{}", written.body);
        assert_eq!(servers[(rows + 1) % 3].get(&path).await.status, 200);
        rows += 1;
    }
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn requests_of_http2_are_answered_as_any_other() {
    let server = Server::with_students(300).await;
    let io = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let ask = async |method: &str, uri: &str, body: &str| {
        let request = hyper::Request::builder().method(method).uri(uri).body(Full::new(Bytes::from(body.to_string())));
        let (head, body) = sender.clone().send_request(request.unwrap()).await.unwrap().into_parts();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_string();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: head.status.as_u16(), headers, body }
    };
    let row = "/v1/tables/students/rows/7";
    for (method, path, body) in [
        ("GET", row, ""),
        ("HEAD", row, ""),
        ("GET", "/v1/tables/students/rows?limit=300", ""),
        ("GET", "/search?table=students&column=grade&value=1", ""),
        ("PUT", row, r#"{"data":{"name":"Eve"}}"#),
        ("PUT", row, r#"{"data":{"#),
        ("POST", "/peer", ""),
        ("GET", "/peer", ""),
        ("GET", "/nowhere", ""),
    ] {
        let (old, new) =
            (server.send(method, path, &[], body).await, ask(method, &format!("http://a{path}"), body).await);
        assert_eq!(new.status, old.status, "{method} {path}");
        let figures = |answer: &Answer| (answer.headers.get("content-length").cloned(), answer.body.len());
        assert_eq!(figures(&new), figures(&old), "{method} {path}");
    }
    assert!(ask("GET", "http://a/v1/tables/students/rows?limit=300", "").await.body.len() > 1 << 14);
    assert_eq!(ask("GET", row, "").await.summary(), "400 bad_request");
    assert_eq!(ask("CONNECT", "a:1", "").await.status, 405);
    server.stop().await;
}
