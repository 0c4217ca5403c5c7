//! Owns what must hold once everything is healed: a leader, fresh writes and reads on every node, equal replicas.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::check::{Op, Outcome};
use crate::client::{Client, Record, TABLE, rows};
use crate::extra::Extra;
use crate::http::{Http, Reply};

/// Within which time after the healing the cluster must serve again.
const SERVES_AGAIN: Duration = Duration::from_secs(5);
/// Within which time all replicas must be there and equal.
const EQUAL: Duration = Duration::from_secs(20);

/// Makes the table, once the cluster is there.
pub(crate) async fn prepare(record: Rc<Record>) -> turmoil::Result {
    let body = json!({"name": "t", "columns": ["v:int"]});
    let mut http = Http::default();
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        let asked = http.ask(1, Duration::from_secs(2), ("POST", "/v1/tables"), &[], Some(body.clone())).await;
        match asked {
            Reply::Answer(status, _, body) if status == 201 || body["error"]["code"] == "table_exists" => return Ok(()),
            _ if Instant::now() > until => {
                record.shared.problem("no table could be made within 15 s of the start");
                return Ok(());
            }
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Requires what must hold.
pub(crate) async fn judge(seed: u64, record: Rc<Record>, extra: Extra) -> turmoil::Result {
    let mut client = Client::new(1_000, seed, record.clone());
    let healed = Instant::now();
    for node in record.shared.ids() {
        for number in 0.. {
            // Of the judge's own, so that they are unlike every other value.
            let op = Op::Put { value: 1_000_000_000 + (node * 1_000 + number) as i64 };
            let outcome = client.perform(node, "r0".into(), op).await;
            if matches!(outcome, Outcome::Wrote { .. }) {
                break;
            }
            if healed.elapsed() > SERVES_AGAIN {
                record
                    .shared
                    .problem(format!("node {node} took no write within {SERVES_AGAIN:?} of the healing: {outcome:?}"));
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    for node in record.shared.ids() {
        for row in rows() {
            while !matches!(client.perform(node, row.clone(), Op::Read).await, Outcome::Saw { .. }) {
                if healed.elapsed() > SERVES_AGAIN {
                    record.shared.problem(format!("node {node} served no read within {SERVES_AGAIN:?} of the healing"));
                    return Ok(());
                }
            }
        }
    }
    while record.at_work.get() > 0 {
        sleep(Duration::from_millis(20)).await;
    }
    extra.judge(seed, &record).await;
    if let Some(unequal) = compare(healed).await {
        record.shared.problem(unequal);
    }
    Ok(())
}

/// Compares the replicas until all are there; the sentence says what is wrong.
async fn compare(healed: Instant) -> Option<String> {
    let mut http = Http::default();
    loop {
        let reply = http.ask(1, Duration::from_secs(6), ("POST", "/v1/verify?timeout=5s"), &[], None).await;
        let body = if let Reply::Answer(_, _, body) = reply { body } else { Value::Null };
        match (body["equal"].as_bool(), body["complete"].as_bool()) {
            (Some(true), Some(true)) => return None,
            (Some(false), _) => return Some(format!("the replicas differ: {body}")),
            _ if healed.elapsed() > EQUAL => return Some(format!("{TABLE} could not be compared in time: {body}")),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}
