//! What a node does under guests that misuse HTTP/2: many requests a connection, none of them finished, read or well-formed.

mod harness;
#[path = "harness/raw.rs"]
mod raw;

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use h2::Reason;
use h2::client::{Builder, SendRequest};
use harness::{Cluster, PATIENCE};
use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Sooner than any deadline of a connection.
const AT_ONCE: Duration = Duration::from_secs(8);

async fn node() -> Cluster {
    let cluster = Cluster::start(1).await;
    cluster.post(1, "/v1/tables", json!({"name": "t", "columns": ["id", "x"]})).await.expect(201);
    cluster
}

/// A connection that takes so many bytes of each answer unasked.
async fn connect(cluster: &Cluster, window: u32) -> (SendRequest<Bytes>, JoinHandle<()>) {
    let stream = raw::connect(&cluster.node(1).address).await;
    let (sender, connection) = Builder::new().initial_window_size(window).handshake(stream).await.expect("HTTP/2");
    (sender, tokio::spawn(async { drop(connection.await) }))
}

fn request(method: &str, path: &str) -> Request<()> {
    Request::builder().method(method).uri(format!("http://a{path}")).body(()).expect("a request")
}

/// Takes writes back as soon as they are sent, until the node has enough; answers how many.
async fn take_back_at_once(mut sender: SendRequest<Bytes>, name: &str) -> u64 {
    for row in 0..500 {
        let Ok(mut ready) = sender.ready().await else { return row };
        let put = request("PUT", &format!("/v1/tables/t/rows/{name}-{row}"));
        let Ok((_, mut body)) = ready.send_request(put, false) else { return row };
        // It may be refused already.
        let _ = body.send_data(Bytes::from_static(b"{\"data\":{\"x\":1}}"), row % 2 == 0);
        body.send_reset(Reason::CANCEL);
        sender = ready;
    }
    500
}

/// Takes writes back once the node has begun them: it has answered what was asked after them.
async fn take_back_when_begun(mut sender: SendRequest<Bytes>, name: &str) -> u64 {
    for row in 0..500 {
        sender = sender.ready().await.expect("a connection");
        let put = request("PUT", &format!("/v1/tables/t/rows/{name}-{row}"));
        let (_, mut body) = sender.send_request(put, false).expect("a stream");
        body.send_data(Bytes::from_static(b"{\"data\":"), false).expect("half a body");
        sender = sender.ready().await.expect("a connection");
        let (answer, _) = sender.send_request(request("GET", "/livez"), true).expect("a stream");
        assert_eq!(answer.await.expect("an answer").status(), 200);
        body.send_reset(Reason::CANCEL);
    }
    500
}

#[tokio::test]
async fn requests_that_are_taken_back_do_not_stop_a_node() {
    let cluster = node().await;
    let before = cluster.memory(1);
    let flood = async |n: usize| {
        let mut taken_back = 0;
        for round in 0..20 {
            let (sender, connection) = connect(&cluster, 1 << 16).await;
            taken_back += match round {
                0 => take_back_when_begun(sender, &format!("begun-{n}")).await,
                _ => take_back_at_once(sender, &format!("{n}-{round}")).await,
            };
            tokio::time::timeout(PATIENCE, connection).await.expect("the connection ends").expect("its task");
        }
        taken_back
    };
    let others = async {
        for n in 0..50 {
            let body = Some(json!({"data": {"x": n}}));
            cluster.request(1, "PUT", &format!("/v1/tables/t/rows/own-{n}"), body).await.expect(201);
        }
    };
    let (taken_back, ()) = tokio::join!(join_all((0..4).map(flood)), others);
    let taken_back: u64 = taken_back.iter().sum();
    assert!(taken_back > 2_000, "{taken_back}");
    for n in 0..50 {
        assert_eq!(cluster.get(1, &format!("/v1/tables/t/rows/own-{n}")).await.expect(200).json["data"]["x"], n);
    }
    let most = cluster.memory(1);
    assert!(most < before + 100, "{before} MiB before, {most} MiB after {taken_back} requests");
    // None of those that were begun has left anything.
    assert_eq!(cluster.get(1, "/v1/tables/t/rows?filter=id.prefix=begun-&count=1").await.expect(200).json["count"], 0);
    assert!(!cluster.log(1).contains("panicked"), "{}", cluster.log(1));
}

#[tokio::test]
async fn answers_that_nobody_reads_cost_little_memory_however_many_a_connection_asks_for() {
    let cluster = node().await;
    let note = "x".repeat(100_000);
    for n in 0..100 {
        let body = Some(json!({"data": {"x": note}}));
        cluster.request(1, "PUT", &format!("/v1/tables/t/rows/{n}"), body).await.expect(201);
    }
    let whole = async || cluster.get(1, "/v1/tables/t/rows").await.expect(200).text.len();
    let size = whole().await;
    assert!(size > 10_000_000, "{size}");
    let before = cluster.memory(1);
    // Nothing of any answer may be sent.
    let (sender, _connection) = connect(&cluster, 0).await;
    let mut sender = sender.ready().await.expect("a connection");
    let asked: Vec<_> =
        (0..100).map(|_| sender.send_request(request("GET", "/v1/tables/t/rows"), true).expect("a stream").0).collect();
    for head in join_all(asked).await {
        let answer = head.expect("a head");
        assert!(matches!(answer.status().as_u16(), 200 | 429), "{}", answer.status());
        std::mem::forget(answer);
    }
    let mut most = cluster.memory(1);
    for _ in 0..3 {
        assert!(whole().await >= size, "a fast reader gets everything");
        most = most.max(cluster.memory(1));
    }
    // A hundred whole answers would be a gigabyte; each keeps a piece of two rows, and the row before.
    assert!(most < before + 250, "{before} MiB before, {most} MiB with a hundred slow readers");
}

#[tokio::test]
async fn what_is_no_http2_ends_its_connection_alone() {
    let cluster = node().await;
    let address = &cluster.node(1).address;
    // Length, kind, flags, stream, then what it carries.
    let frame = |length: u32, kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let continuation = frame(4, 0x9, 0, 1, b"\0\0\0\0");
    let cases = [
        ("a frame larger than allowed", frame(0x00ff_ffff, 0x0, 0, 1, b"x")),
        ("data of no stream", frame(1, 0x0, 0, 0, b"x")),
        ("data of a stream that nobody opened", frame(1, 0x0, 0, 7, b"x")),
        ("a head that no table explains", frame(4, 0x1, 0x5, 1, b"\xff\xff\xff\xff")),
        ("a stream that is even", frame(1, 0x1, 0x5, 2, b"\x82")),
        ("a ping too short", frame(3, 0x6, 0, 0, b"abc")),
        ("settings of half a value", frame(3, 0x4, 0, 0, b"abc")),
        ("a window of nothing", frame(4, 0x8, 0, 0, b"\0\0\0\0")),
        ("a push from a client", frame(4, 0x5, 0x4, 1, b"\0\0\0\x02")),
        ("a head without end", [frame(1, 0x1, 0, 1, b"\x82"), continuation.repeat(100_000)].concat()),
    ];
    for (what, bytes) in cases {
        let mut stream = raw::connect(address).await;
        let mut said = Vec::new();
        let (mut from, mut to) = stream.split();
        let send = async {
            // It may be refused before all of it is sent.
            let _ = to.write_all(&[PREFACE, &bytes].concat()).await;
        };
        let read = async { drop(from.read_to_end(&mut said).await) };
        let both = futures::future::join(send, read);
        tokio::time::timeout(AT_ONCE, both).await.unwrap_or_else(|_| panic!("{what}: not closed"));
        cluster.get(1, "/livez").await.expect(200);
    }
    assert!(!cluster.log(1).contains("panicked"), "{}", cluster.log(1));
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused_and_the_next_request_is_answered() {
    let cluster = node().await;
    let (sender, _connection) = connect(&cluster, 1 << 16).await;
    let mut sender = sender.ready().await.expect("a connection");
    let mut large = request("GET", "/livez");
    for n in 0..40 {
        let name = http::HeaderName::try_from(format!("x-{n}")).expect("a name");
        large.headers_mut().insert(name, http::HeaderValue::try_from("x".repeat(2_000)).expect("a value"));
    }
    let (answer, _) = sender.send_request(large, true).expect("a stream");
    let refused = match answer.await {
        Ok(answer) => answer.status() == 431,
        Err(error) => error.is_reset(),
    };
    assert!(refused);
    let mut sender = sender.ready().await.expect("the connection");
    let (answer, _) = sender.send_request(request("GET", "/livez"), true).expect("a stream");
    assert_eq!(answer.await.expect("an answer").status(), 200);
}
