//! What a node does under guests that are slow, silent, many, broken or strangers: it refuses them,
//! serves the others, and keeps nothing of them.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use std::time::{Duration, Instant};

use futures::future::join_all;
use harness::{Cluster, eventually};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

/// A node with an empty table.
async fn node(more: serde_json::Value) -> Cluster {
    let cluster = Cluster::start_with(1, more).await;
    cluster.post(1, "/v1/tables", json!({"name": "t", "columns": ["id", "x"]})).await.expect(201);
    cluster
}

/// One figure of `/metrics`, summed over its labels.
async fn figure(cluster: &Cluster, name: &str) -> f64 {
    let text = cluster.get(1, "/metrics").await.expect(200).text;
    let own = |line: &&str| line.split([' ', '{']).next() == Some(name);
    text.lines().filter(own).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn the_head_of_a_request_is_read_strictly() {
    let cluster = node(json!({})).await;
    let address = &cluster.node(1).address;
    let hosts = ["GET /livez HTTP/1.1\r\n\r\n", "GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"];
    for head in hosts {
        let reply = raw::exchange(address, head.as_bytes()).await;
        assert_eq!(reply.expect(400).code(), "bad_request");
    }
    raw::exchange(address, b"GET /livez HTTP/1.0\r\n\r\n").await.expect(200);
    raw::exchange(address, b"GET http://elsewhere/livez HTTP/1.1\r\nhost: a\r\n\r\n").await.expect(200);
    for garbage in [
        "GET /livez\r\n\r\n",
        "GET /livez HTTP/9.9\r\nhost: a\r\n\r\n",
        "GET /\u{7f}\0 HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /livez HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
        "POST /insert HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "POST /insert HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST /insert HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
        "\u{16}\u{3}\u{1}\0 hello over TLS",
    ] {
        let answer = raw::exchange(address, garbage.as_bytes()).await;
        assert!((400..500).contains(&answer.status), "{garbage:?}: {answer:?}");
        cluster.get(1, "/livez").await.expect(200);
    }
    let long = send_head(&cluster, &format!("GET /livez?{} HTTP/1.1", "x".repeat(1 << 20))).await;
    assert!(matches!(long, 400 | 414 | 431), "{long}");
    let many = send_head(&cluster, &format!("GET /livez HTTP/1.1{}", "\r\na: b".repeat(10_000))).await;
    assert!(matches!(many, 400 | 431), "{many}");
    assert!(!cluster.log(1).contains("panicked"), "{}", cluster.log(1));
    // Two requests in one packet, the first with a body that its route does not look at.
    cluster.request(1, "PUT", "/v1/tables/t/rows/1", Some(json!({"data": {}}))).await.expect(201);
    let mut stream = raw::connect(address).await;
    let first = raw::request("DELETE", "/v1/tables/t/rows/1", &[], b"{\"a\":1}");
    let both = [first, raw::request("GET", "/v1/tables/t", &["connection: close"], b"")].concat();
    raw::ask(&mut stream, &both).await.expect(200);
    assert_eq!(raw::reply(&mut stream).await.expect("a second reply").expect(200).json["rows"], 0);
}

async fn send_head(cluster: &Cluster, head: &str) -> u16 {
    let bytes = format!("{head}\r\nhost: a\r\n\r\n");
    raw::exchange(&cluster.node(1).address, bytes.as_bytes()).await.status
}

#[tokio::test]
async fn a_silent_connection_and_a_head_that_drips_are_closed() {
    let cluster = node(json!({})).await;
    let address = &cluster.node(1).address;
    let began = Instant::now();
    let silent = async { raw::rest(&mut raw::connect(address).await).await };
    let drip = async {
        let mut stream = raw::connect(address).await;
        stream.write_all(b"GET /livez?").await.unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while stream.write_all(b"x").await.is_ok() {
            tick.tick().await;
        }
    };
    let others = async {
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        for _ in 0..10 {
            tick.tick().await;
            cluster.get(1, "/v1/tables/t/rows").await.expect(200);
        }
    };
    let (said, (), ()) = tokio::join!(silent, drip, others);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_flood_of_connections_stops_neither_those_inside_nor_health_checks() {
    let cluster = node(json!({"max_connections": 8})).await;
    let address = &cluster.node(1).address;
    let mut inside = raw::connect(address).await;
    let rows = raw::request("GET", "/v1/tables/t/rows", &[], b"");
    raw::ask(&mut inside, &rows).await.expect(200);
    // Silent connections, far beyond all that the node takes.
    let flood = join_all((0..500).map(|_| raw::connect(address))).await;
    let insert = br#"{"table_name":"t","row_id":"1","data":{}}"#;
    raw::ask(&mut inside, &raw::request("POST", "/insert", &[], insert)).await.expect(201);
    assert_eq!(raw::ask(&mut inside, &rows).await.expect(200).json["count"], 1);
    for path in ["/livez", "/readyz", "/metrics"] {
        raw::exchange(address, &raw::request("GET", path, &[], b"")).await.expect(200);
    }
    // Any other newcomer is told to come back.
    let turned_away = raw::exchange(address, &rows).await.expect(429);
    assert_eq!((turned_away.code(), turned_away.header("retry-after")), ("overloaded", Some("1")));
    assert_eq!(turned_away.json["error"]["retryable"], true);
    let write = raw::exchange(address, &raw::request("POST", "/insert", &[], insert)).await.expect(429);
    assert_eq!(write.json["error"]["outcome"], "not_applied");
    raw::ask(&mut inside, &rows).await.expect(200);
    drop(flood);
    eventually("newcomers are served again", async || {
        let reply = raw::exchange(address, &rows).await;
        (reply.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn readers_that_do_not_read_cost_no_memory_and_stop_nobody() {
    let cluster = node(json!({})).await;
    let note = "x".repeat(100_000);
    let write = async |n: u32| {
        let body = json!({"data": {"x": note}});
        cluster.request(1, "PUT", &format!("/v1/tables/t/rows/{n}"), Some(body)).await
    };
    for n in 0..250 {
        write(n).await.expect(201);
    }
    let whole = async || cluster.get(1, "/v1/tables/t/rows").await.expect(200).text.len();
    let size = whole().await;
    assert!(size > 25_000_000, "{size}");
    whole().await;
    let before = cluster.memory(1);
    let get = raw::request("GET", "/v1/tables/t/rows", &[], b"");
    let mut stuck = Vec::new();
    for _ in 0..16 {
        let mut stream = raw::connect(&cluster.node(1).address).await;
        stream.write_all(&get).await.unwrap();
        stuck.push(stream);
    }
    let mut most = 0;
    for n in 0..3 {
        assert!(whole().await >= size, "a fast reader gets everything");
        write(n).await.expect(200);
        most = most.max(cluster.memory(1));
    }
    // Sixteen whole answers would be 400 MiB.
    assert!(most < before + 100, "{before} MiB before, {most} MiB with slow readers");
    // They were only slow: whoever reads on gets all of it.
    let answer = tokio::time::timeout(harness::PATIENCE, raw::reply(&mut stuck[0])).await.expect("an answer in time");
    assert_eq!(answer.expect("a whole answer").expect(200).header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn bodies_without_an_end_are_cut_off_and_cost_no_memory() {
    let cluster = node(json!({})).await;
    let before = cluster.memory(1);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let endless = async |n: usize| {
        let mut stream = raw::connect(&cluster.node(1).address).await;
        let path = format!("/v1/tables/t/rows/{n}");
        let head = raw::request("PUT", &path, &["content-type: application/json", "transfer-encoding: chunked"], b"");
        stream.write_all(&head).await.unwrap();
        let (mut from, mut to) = stream.split();
        let send = async {
            // Until the node hangs up: 64 GiB would be sent otherwise.
            for _ in 0..1 << 20 {
                if to.write_all(chunk.as_bytes()).await.is_err() {
                    return;
                }
            }
            panic!("the node reads for ever");
        };
        let mut said = Vec::new();
        let read = async { drop(tokio::io::AsyncReadExt::read_to_end(&mut from, &mut said).await) };
        tokio::time::timeout(harness::PATIENCE, futures::future::join(send, read)).await.expect("cut off in time");
        let said = String::from_utf8_lossy(&said).into_owned();
        // A reset may overtake the answer.
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 413") || said.starts_with("HTTP/1.1 429"), "{said}");
    };
    let (_, most) = tokio::join!(join_all((0..100).map(endless)), async {
        let mut most = 0;
        for n in 0..20 {
            cluster
                .request(1, "PUT", &format!("/v1/tables/t/rows/own-{n}"), Some(json!({"data": {}})))
                .await
                .expect(201);
            most = most.max(cluster.memory(1));
        }
        most
    });
    // A node holds 64 large bodies of 2 MiB at most.
    let most = most.max(cluster.memory(1));
    assert!(most < before + 250, "{before} MiB before, {most} MiB with endless bodies");
    assert_eq!(cluster.get(1, "/v1/tables/t").await.expect(200).json["rows"], 20);
}

#[tokio::test]
async fn a_client_that_hangs_up_within_its_body_leaves_nothing_behind() {
    let cluster = node(json!({})).await;
    let address = &cluster.node(1).address;
    let connections = figure(&cluster, "ddb_http_connections").await;
    let body = br#"{"table_name":"t","row_id":"1","data":{"x":1}}"#;
    let longer = format!("content-length: {}", body.len() + 1);
    let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat();
    let half = [&body[..20], b""].concat();
    for round in 0..50 {
        // A whole object in a body that is not whole; one without its last chunk; half an object.
        for (header, body) in
            [(longer.as_str(), &body[..]), ("transfer-encoding: chunked", &chunk), ("content-length: 46", &half)]
        {
            let mut stream = raw::connect(address).await;
            stream.write_all(&raw::request("POST", "/insert", &[header], body)).await.unwrap();
            if round % 2 == 0 {
                // Hangs up in good order, with a word; the others just go.
                stream.shutdown().await.unwrap();
                let said = raw::rest(&mut stream).await;
                assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{said}");
            }
        }
    }
    eventually("their connections are gone", async || {
        (figure(&cluster, "ddb_http_connections").await <= connections).then_some(())
    })
    .await;
    let rows = cluster.get(1, "/v1/tables/t/rows").await.expect(200);
    assert_eq!((&rows.json["count"], &rows.json["revision"]), (&json!(0), &json!(1)));
    raw::exchange(address, &raw::request("POST", "/insert", &[], body)).await.expect(201);
}

#[tokio::test]
async fn the_peer_route_refuses_strangers() {
    let cluster = Cluster::start(3).await;
    cluster.led_by(1).await;
    // Node 2 asks the leader, which knows it from then on.
    cluster.post(2, "/v1/tables", json!({"name": "t", "columns": ["a"]})).await.expect(201);
    let upgrade = "connection: upgrade\r\nupgrade: ddb-peer";
    for (hello, why) in [
        ("", "the nodes of the cluster"),
        ("ddb-peer:", "the nodes of the cluster"),
        ("ddb-peer: hello", "the nodes of the cluster"),
        ("ddb-peer: 3 2", "the nodes of the cluster"),
        ("ddb-peer: é", "the nodes of the cluster"),
        ("ddb-peer: 3 2 0123456789abcdef test", "another data directory"),
        ("ddb-peer: 3 1 0123456789abcdef test", "node 1 is not a peer of node 1"),
        ("ddb-peer: 3 9 0123456789abcdef test", "node 9 is not a peer of node 1"),
        ("ddb-peer: 3 2 0123456789abcdef another", "cluster \"another\" is not"),
        ("ddb-peer: 2 2 0123456789abcdef test", "peer protocol 2 is not the 3 of this node"),
    ] {
        let headers = if hello.is_empty() { vec![upgrade] } else { vec![upgrade, hello] };
        let reply = raw::exchange(&cluster.node(1).address, &raw::request("GET", "/peer", &headers, b"")).await;
        let error: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(why), "{hello}: {message}");
        assert_eq!(reply.expect(403).code(), "forbidden", "{hello}");
    }
    // And the peers that there are still talk.
    cluster.post(2, "/v1/tables", json!({"name": "u", "columns": ["a"]})).await.expect(201);
    cluster.verify().await;
}

#[tokio::test]
async fn control_characters_come_back_escaped_wherever_they_stand() {
    let cluster = node(json!({})).await;
    let address = &cluster.node(1).address;
    let evil = r"\u0000\u0007\u001b[2J\u001b]0;owned\u0007\r\n\u007f\u0085";
    let body = format!(r#"{{"data":{{"x":"{evil}"}}}}"#);
    raw::exchange(address, &raw::request("PUT", "/v1/tables/t/rows/1", &[], body.as_bytes())).await.expect(201);
    let nested = format!(r#"{{"data":{{"x":{{"{evil}":["{evil}"]}}}}}}"#);
    raw::exchange(address, &raw::request("PUT", "/v1/tables/t/rows/2", &[], nested.as_bytes())).await.expect(201);
    let sent: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(cluster.get(1, "/v1/tables/t/rows/1").await.json["data"]["x"], sent["data"]["x"]);
    // In values, and in what refusals quote: names, parameters, bodies, paths, methods.
    for (method, path, body) in [
        ("GET", "/v1/tables/t/rows", String::new()),
        ("GET", "/search?table=t&column=id&value=1", String::new()),
        ("GET", "/search?table=%1b[2J&column=id&value=1", String::new()),
        ("GET", "/v1/tables/%1b[2J", String::new()),
        ("GET", "/v1/tables/t/rows/%1b[2J", String::new()),
        ("GET", "/v1/tables/t/rows?%1b[2J=1", String::new()),
        ("GET", "/v1/tables/t/rows?filter=%1b[2J=1", String::new()),
        ("GET", "/v1/tables/t/rows?columns=%1b[2J", String::new()),
        ("GET", "/v1/tables/t/rows?level=%1b[2J", String::new()),
        ("PUT", "/v1/tables/t/rows/3", format!(r#"{{"data":{{"{evil}":1}}}}"#)),
        ("POST", "/create_table", format!(r#"{{"table_name":"{evil}","columns":["a"]}}"#)),
        ("POST", "/create_table", format!(r#"{{"table_name":"n","columns":["a:{evil}"]}}"#)),
        ("POST", "/create_table", format!(r#"{{"{evil}":1}}"#)),
        ("POST", "/insert", format!(r#"{{"table_name":"t","row_id":"{evil}","data":{{}}}}"#)),
    ] {
        let reply = raw::exchange(address, &raw::request(method, path, &[], body.as_bytes())).await;
        let shown = reply.body.chars().filter(|c| c.is_ascii_control() && *c != '\u{7f}').count();
        assert_eq!(shown, 0, "{method} {path} {body}: {:?}", reply.body);
        let said = format!("{}{}", reply.message(), reply.hint());
        assert!(!said.chars().any(char::is_control), "{method} {path} {body}: {said:?}");
    }
    assert!(!cluster.log(1).contains('\u{1b}'), "the log stays readable");
}
