//! Tries the life of a connection, with a service that tells what it was asked.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::*;
use crate::server::socket::tests::first_without_a_turn;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const SHORT: Duration = Duration::from_millis(200);
const PROGRESS: Duration = Duration::from_secs(2);
const LARGE: usize = 1 << 20;
const PLAIN: &str = "reserve=false http10=false crowded=false body=0";

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// A server that answers with what is unusual about the connection, a POST with its body's
/// length, `/wait` once it is let go, `/large` with more than a reader is sent unasked, and `/slow` with the
/// same after a while, and its end after another.
async fn start(limits: Limits, go: Arc<Notify>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let go = go.clone();
        async move {
            let unusual = request.extensions().get::<Unusual>().copied().unwrap_or_default();
            if request.uri().path() == "/wait" {
                go.notified().await;
            }
            if request.uri().path() == "/large" {
                return Ok(Response::new(Full::new(Bytes::from(vec![b'x'; LARGE])).boxed_unsync()));
            }
            if request.uri().path() == "/slow" {
                let pieces = futures::stream::unfold(0, |n| async move {
                    tokio::time::sleep(PROGRESS + SHORT).await;
                    (n < 1).then(|| (Ok(Frame::data(Bytes::from(vec![b'x'; LARGE]))), n + 1))
                });
                return Ok(Response::new(StreamBody::new(pieces).boxed_unsync()));
            }
            let body = request.into_body().collect().await.map(|body| body.to_bytes().len()).unwrap_or_default();
            let Unusual { http10, reserve, crowded } = unusual;
            let text = format!("reserve={reserve} http10={http10} crowded={crowded} body={body}");
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text)).boxed_unsync()))
        }
    });
    let server = tokio::spawn(async move {
        serve(listener, limits, service, async { drop(stopped.await) }).await;
    });
    Running { address, stop, server }
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

/// Everything until the server closes; empty also where it resets.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// One answer to `request`, up to the end of its short body.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(5).any(|window| window == b"body=") {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "closed after {}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_silent_or_slow_head_is_closed_and_an_idle_connection_later() {
    let limits = Limits { head: SHORT, idle: SHORT * 4, ..Limits::default() };
    let running = start(limits, Arc::default()).await;
    let mut silent = connect(&running).await;
    assert_eq!(rest(&mut silent).await, "");
    let mut slow = connect(&running).await;
    slow.write_all(&GET[..10]).await.unwrap();
    assert_eq!(rest(&mut slow).await, "");
    let mut idle = connect(&running).await;
    let answer = ask(&mut idle, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let began = std::time::Instant::now();
    assert_eq!(rest(&mut idle).await, "");
    assert!(began.elapsed() >= SHORT * 2, "{:?}", began.elapsed());
    let mut slow = connect(&running).await;
    ask(&mut slow, GET).await;
    slow.write_all(&GET[..10]).await.unwrap();
    assert_eq!(rest(&mut slow).await, "");
}

#[tokio::test]
async fn a_request_in_flight_is_not_idle() {
    let go = Arc::new(Notify::new());
    let limits = Limits { head: SHORT, idle: SHORT, ..Limits::default() };
    let running = start(limits, go.clone()).await;
    let mut waiting = connect(&running).await;
    waiting.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    // Three silent connections, one after the other, last longer than either deadline.
    for _ in 0..3 {
        assert_eq!(rest(&mut connect(&running).await).await, "");
    }
    go.notify_one();
    let answer = ask(&mut waiting, b"").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn beyond_the_cap_there_is_a_reserve_where_the_newest_takes_an_idle_place() {
    let go = Arc::new(Notify::new());
    let limits = Limits { connections: 1, reserve: 1, ..Limits::default() };
    let running = start(limits, go.clone()).await;
    let mut first = connect(&running).await;
    assert!(ask(&mut first, GET).await.contains("reserve=false"));
    let mut silent = connect(&running).await;
    let mut second = connect(&running).await;
    assert!(ask(&mut second, GET).await.contains("reserve=true"));
    assert_eq!(rest(&mut silent).await, "");
    // Once that place is in use, whoever comes finds no room.
    second.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(ask(&mut first, GET).await.contains("reserve=false"), "those inside are served on");
    assert_eq!(rest(&mut connect(&running).await).await, "");
    go.notify_one();
    assert!(ask(&mut second, b"").await.contains("reserve=true"));
}

#[tokio::test]
async fn what_is_in_flight_finishes_and_the_idle_are_closed_on_shutdown() {
    let go = Arc::new(Notify::new());
    let running = start(Limits::default(), go.clone()).await;
    let mut idle = connect(&running).await;
    ask(&mut idle, GET).await;
    let mut busy = connect(&running).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    ask(&mut idle, GET).await;
    running.stop.send(()).unwrap();
    assert_eq!(rest(&mut idle).await, "");
    go.notify_one();
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200"));
    running.server.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn the_drain_has_an_end() {
    let running = start(Limits { drain: SHORT, ..Limits::default() }, Arc::default()).await;
    let mut busy = connect(&running).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut other = connect(&running).await;
    ask(&mut other, GET).await;
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn the_old_protocol_is_told_apart() {
    let running = start(Limits::default(), Arc::default()).await;
    let mut old = connect(&running).await;
    old.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(rest(&mut old).await.contains("http10=true"));
}

type Sender = http2::SendRequest<Full<Bytes>>;

/// A connection of HTTP/2, and what ends with it.
async fn http2(running: &Running, builder: &mut http2::Builder<TokioExecutor>) -> (Sender, JoinHandle<()>) {
    let io = TokioIo::new(connect(running).await);
    let (sender, connection) = builder.handshake(io).await.unwrap();
    (sender, tokio::spawn(async { drop(connection.await) }))
}

fn plain() -> http2::Builder<TokioExecutor> {
    http2::Builder::new(TokioExecutor::new())
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://a{path}")).body(Full::default()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn streams_of_a_connection_wait_each_for_itself_and_finish_on_shutdown() {
    let go = Arc::new(Notify::new());
    let running = start(Limits::default(), go.clone()).await;
    let (mut sender, ended) = http2(&running, &mut plain()).await;
    let waiting = tokio::spawn(sender.send_request(get("/wait")));
    let others = (0..300).map(|_| sender.send_request(get("/")));
    for answer in futures::future::join_all(others).await {
        assert_eq!(text(answer.unwrap()).await, PLAIN);
    }
    assert!(!waiting.is_finished());
    running.stop.send(()).unwrap();
    // It hears that no more are taken, and keeps what it has asked.
    while sender.send_request(get("/")).await.is_ok() {}
    go.notify_one();
    assert_eq!(text(waiting.await.unwrap().unwrap()).await, PLAIN);
    running.server.await.unwrap();
    ended.await.unwrap();
}

#[tokio::test]
async fn an_http2_connection_without_requests_is_closed_pings_or_not() {
    let limits = Limits { head: SHORT, idle: SHORT * 4, ..Limits::default() };
    let go = Arc::new(Notify::new());
    let running = start(limits, go.clone()).await;
    let mut builder = plain();
    builder.timer(TokioTimer::new()).keep_alive_interval(SHORT / 4).keep_alive_while_idle(true);
    let (mut sender, ended) = http2(&running, &mut builder).await;
    // It is idle from the answer on.
    let waiting = sender.send_request(get("/wait"));
    let (answer, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(SHORT * 3).await;
        go.notify_one();
    });
    text(answer.unwrap()).await;
    let began = std::time::Instant::now();
    ended.await.unwrap();
    assert!(began.elapsed() >= SHORT * 2, "{:?}", began.elapsed());
    // The preface, empty settings, and a head of which only the frame's own head comes.
    let mut slow = connect(&running).await;
    slow.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x10\x01\x05\0\0\0\x01").await.unwrap();
    let mut bytes = Vec::new();
    let _ = slow.read_to_end(&mut bytes).await;
    let mut half = connect(&running).await;
    half.write_all(b"PRI * HT").await.unwrap();
    assert_eq!(rest(&mut half).await, "");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_of_an_answer_loses_that_stream_alone() {
    let running = start(Limits { progress: PROGRESS, ..Limits::default() }, Arc::default()).await;
    let (mut sender, _ended) = http2(&running, plain().initial_stream_window_size(1 << 16)).await;
    let began = std::time::Instant::now();
    let stuck = sender.send_request(get("/large")).await.unwrap();
    // Others go on all that time, and a slow reader is no stuck one.
    let mut slow = sender.send_request(get("/large")).await.unwrap().into_body();
    let mut read = 0;
    while read < LARGE {
        read += slow.frame().await.unwrap().unwrap().into_data().unwrap().len();
        tokio::time::sleep(SHORT / 20).await;
        assert_eq!(text(sender.send_request(get("/")).await.unwrap()).await, PLAIN);
    }
    while began.elapsed() < PROGRESS * 2 {
        text(sender.send_request(get("/")).await.unwrap()).await;
    }
    assert!(stuck.into_body().collect().await.is_err());
    // Nor is a reader stuck that waits for the node.
    assert_eq!(text(sender.send_request(get("/slow")).await.unwrap()).await.len(), LARGE);
    assert_eq!(text(sender.send_request(get("/large")).await.unwrap()).await.len(), LARGE);
}

#[tokio::test]
async fn a_request_counts_until_its_answer_is_taken_or_given_up() {
    let running = start(Limits { requests: 2, ..Limits::default() }, Arc::default()).await;
    let mut builder = plain();
    let (mut sender, _ended) = http2(&running, builder.initial_stream_window_size(1 << 16)).await;
    let mut untaken = vec![sender.send_request(get("/large")).await.unwrap()];
    assert_eq!(text(sender.send_request(get("/")).await.unwrap()).await, PLAIN);
    untaken.push(sender.send_request(get("/large")).await.unwrap());
    let third = text(sender.send_request(get("/")).await.unwrap()).await;
    assert!(third.contains("crowded=true"), "{third}");
    // Those who use a connection for each request have places of their own, and each connection has one.
    assert!(ask(&mut connect(&running).await, GET).await.contains(PLAIN));
    let (mut other, _other) = http2(&running, &mut builder).await;
    assert_eq!(text(other.send_request(get("/")).await.unwrap()).await, PLAIN);
    // Beyond twice as many there is not even an answer.
    for _ in 0..2 {
        untaken.push(sender.send_request(get("/large")).await.unwrap());
    }
    let refused = sender.send_request(get("/")).await.unwrap_err();
    let reason = std::error::Error::source(&refused).and_then(|source| source.downcast_ref::<h2::Error>()?.reason());
    assert_eq!(reason, Some(h2::Reason::REFUSED_STREAM), "{refused:?}");
    assert_eq!(text(untaken.remove(0)).await.len(), LARGE);
    assert_eq!(text(untaken.remove(0)).await.len(), LARGE);
    drop(untaken);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let again = sender.send_request(get("/large")).await.unwrap();
    while text(sender.send_request(get("/")).await.unwrap()).await != PLAIN {
        assert!(std::time::Instant::now() < deadline, "what was given up still counts");
    }
    drop(again);
}

#[tokio::test]
async fn the_reserve_speaks_http1_alone() {
    let running = start(Limits { connections: 0, reserve: 1, ..Limits::default() }, Arc::default()).await;
    let (mut sender, ended) = http2(&running, &mut plain()).await;
    assert!(sender.send_request(get("/")).await.is_err());
    ended.await.unwrap();
    assert!(ask(&mut connect(&running).await, GET).await.contains("reserve=true"));
}

#[tokio::test]
async fn a_reader_that_says_it_takes_more_and_takes_nothing_is_closed() {
    let running = start(Limits { progress: SHORT, ..Limits::default() }, Arc::default()).await;
    let mut stream = connect(&running).await;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // As much may be sent of each answer as there is, and of all; then the heads of many requests for a large one.
    let settings = frame(0x4, 0, 0, b"\0\x04\x7f\xff\xff\xff");
    let more = frame(0x8, 0, 0, b"\x7f\0\0\0");
    let asks = (0..100).flat_map(|n| frame(0x1, 0x5, 2 * n + 1, b"\x82\x86\x04\x06/large\x01\x01a"));
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings, more, asks.collect()].concat();
    stream.write_all(&begin).await.unwrap();
    let closed = async {
        let mut tick = tokio::time::interval(SHORT / 4);
        while stream.write_all(&frame(0x8, 0, 0, &[0, 0, 0, 1])).await.is_ok() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("it is closed");
}

#[tokio::test(start_paused = true)]
async fn that_the_server_stops_is_also_heard_where_the_first_look_finds_the_tasks_turn_used_up() {
    let (stop, stopping) = watch::channel(false);
    let mut stopped = pin!(stopped(stopping));
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        stop.send(true).unwrap();
    });
    let began = tokio::time::Instant::now();
    let heard = first_without_a_turn(|cx| stopped.as_mut().poll(cx));
    let heard = tokio::time::timeout(Duration::from_secs(1), heard).await;
    assert!(heard.is_ok() && began.elapsed() < Duration::from_millis(10), "only {:?} later", began.elapsed());
}
