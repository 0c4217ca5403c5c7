//! Holds how calls go through endpoints that answer, refuse, hang up or stay silent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::model::{Cell, Code, Fate, Level, PutMode, When};

const WRITTEN: &str = r#"{"table":"t","row_id":"1","revision":7}"#;
const NO_LEADER: &str =
    r#"{"error":{"code":"no_leader","message":"no leader","outcome":"not_applied","retryable":true}}"#;
const EXISTS: &str =
    r#"{"error":{"code":"row_exists","message":"there already","outcome":"not_applied","retryable":false}}"#;

/// What a scripted node does with a request.
#[derive(Clone, Copy)]
enum Step {
    Answer(u16, &'static str),
    HangUp,
    Silence,
}

/// A node that takes the steps in order and repeats the last; and the heads of the requests it got.
async fn node(steps: &'static [Step]) -> (Endpoint, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    tokio::spawn(async move {
        let mut silent = Vec::new();
        for count in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            seen.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
            match steps[count.min(steps.len() - 1)] {
                Step::Silence => silent.push(stream),
                Step::HangUp => {}
                Step::Answer(status, body) => {
                    let answer = format!(
                        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        }
    });
    (endpoint, heads)
}

/// An endpoint where nobody listens.
async fn nobody() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Endpoint::parse(&listener.local_addr().unwrap().to_string()).unwrap()
}

fn client(endpoints: &[Endpoint], ms: u64) -> Client {
    Client::new(endpoints, Duration::from_millis(ms), Level::Linearizable).unwrap()
}

async fn insert(client: &Client) -> Result<u64, ClientError> {
    let cells = [("n".to_string(), Cell::Text("1".into()))];
    Ok(client.put("t", "1", &cells, PutMode::Insert, When::Always).await?.written.revision)
}

fn failure(result: Result<u64, ClientError>) -> (Code, Fate) {
    let error = result.unwrap_err();
    let failure = error.failure().unwrap_or_else(|| panic!("{error:?}"));
    (failure.code, failure.fate)
}

fn key(head: &str) -> &str {
    head.lines().find(|line| line.starts_with("idempotency-key: ")).unwrap()
}

#[tokio::test]
async fn a_dead_endpoint_costs_nothing_and_the_one_that_answered_is_asked_first() {
    let (alive, heads) = node(&[Step::Answer(201, WRITTEN)]).await;
    let client = client(&[nobody().await, alive], 20_000);
    assert_eq!(insert(&client).await, Ok(7));
    assert_eq!(insert(&client).await, Ok(7));
    assert_eq!(client.first.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(heads.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_listens() {
    let endpoints = [nobody().await, nobody().await];
    let error = insert(&client(&endpoints, 20_000)).await.unwrap_err();
    let ClientError::Unreachable(tried) = &error else { panic!("{error:?}") };
    assert_eq!(tried.iter().map(|t| &t.endpoint).collect::<Vec<_>>(), endpoints.iter().collect::<Vec<_>>());
    assert_eq!(tried[0].reason, "connection refused");
}

#[tokio::test]
async fn a_lost_write_is_sent_again_under_its_key() {
    let (first, lost) = node(&[Step::HangUp]).await;
    let (second, heads) = node(&[Step::Answer(503, NO_LEADER), Step::Answer(201, WRITTEN)]).await;
    assert_eq!(insert(&client(&[first, second], 20_000)).await, Ok(7));
    let (lost, heads) = (lost.lock().unwrap(), heads.lock().unwrap());
    assert_eq!(key(&lost[0]), key(&heads[0]));
    assert_eq!(key(&heads[0]), key(&heads[1]));
    assert!(heads[0].starts_with("POST /insert?timeout="), "{}", heads[0]);
}

#[tokio::test]
async fn a_silent_node_costs_its_turn_and_not_the_deadline() {
    let (silent, heads) = node(&[Step::Silence]).await;
    let (alive, _) = node(&[Step::Answer(201, WRITTEN)]).await;
    assert_eq!(insert(&client(&[silent, alive], 1_000)).await, Ok(7));
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_outcome_is_unknown_once_a_write_went_out_and_nobody_answered_it() {
    for steps in [&[Step::Silence][..], &[Step::HangUp], &[Step::HangUp, Step::Answer(503, NO_LEADER)]] {
        let (endpoint, _) = node(steps).await;
        assert_eq!(failure(insert(&client(&[endpoint], 300)).await), (Code::Timeout, Fate::Unknown));
    }
}

#[tokio::test]
async fn what_every_node_refuses_in_time_is_not_applied() {
    let (endpoint, heads) = node(&[Step::Answer(503, NO_LEADER)]).await;
    assert_eq!(failure(insert(&client(&[endpoint], 300)).await), (Code::NoLeader, Fate::NotApplied));
    assert!(heads.lock().unwrap().len() > 1);
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_call_at_once() {
    let (endpoint, heads) = node(&[Step::Answer(409, EXISTS)]).await;
    assert_eq!(failure(insert(&client(&[endpoint], 20_000)).await), (Code::RowExists, Fate::NotApplied));
    assert_eq!(heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_read_that_nobody_answers_times_out_and_applies_nothing() {
    let (endpoint, _) = node(&[Step::Silence]).await;
    let error = client(&[endpoint], 300).row("t", "1").await.unwrap_err();
    assert_eq!(error.failure().map(|f| (f.code, f.fate)), Some((Code::Timeout, Fate::NotApplied)));
}

#[tokio::test]
async fn a_stranger_is_no_node() {
    let (stranger, _) = node(&[Step::Answer(404, "<html>")]).await;
    let error = insert(&client(std::slice::from_ref(&stranger), 20_000)).await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable(tried) if tried.len() == 1), "{error:?}");
    let (endpoint, _) = node(&[Step::Answer(200, r#"{"tables":[],"count":0,"revision":1}"#)]).await;
    assert!(client(&[stranger, endpoint], 20_000).tables().await.is_ok());
}

#[tokio::test]
async fn a_search_asks_page_after_page_up_to_its_limit() {
    const PAGE: &str = r#"{"rows":[{"row_id":"1","data":{"a":1},"revision":1},{"row_id":"2","data":{"a":2},"revision":2}],"count":2,"cursor":"c/1","revision":2}"#;
    let (endpoint, heads) = node(&[Step::Answer(200, PAGE)]).await;
    let client = client(&[endpoint], 20_000);
    let search = Search { table: "t".into(), limit: Some(5), columns: vec!["a".into()], ..Search::default() };
    let mut pages = client.search(&search);
    let mut rows = 0;
    while let Some(page) = pages.next().await.unwrap() {
        rows += page.rows.len();
    }
    // The script repeats its page of two whatever the limit; what counts is what was asked for.
    assert_eq!(rows, 6);
    let heads = heads.lock().unwrap();
    assert!(heads[0].starts_with("GET /v1/tables/t/rows?columns=a&limit=5&timeout="), "{}", heads[0]);
    assert!(heads[2].starts_with("GET /v1/tables/t/rows?columns=a&limit=1&cursor=c%2F1&timeout="), "{}", heads[2]);
}
