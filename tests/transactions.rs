//! Transactions and changes of many rows against real nodes: what they answer, what they are refused
//! for, and that they stay whole through a change of leader, a restart and a snapshot.

mod harness;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::{Answer, Cluster, eventually};
use serde_json::{Value, json};

const ACCOUNTS: i64 = 6;

async fn accounts(cluster: &Cluster) {
    let body = json!({"name": "accounts", "columns": ["id:int", "balance:int", "owner"]});
    cluster.post(1, "/v1/tables", body).await.expect(201);
    let insert = |id: i64| json!({"insert": {"table": "accounts", "row_id": id, "data": {"balance": 100}}});
    let operations: Vec<Value> = (1..=ACCOUNTS).map(insert).collect();
    let done = cluster.post(1, "/v1/transactions", json!({"operations": operations})).await.expect(200);
    assert_eq!(done.json["results"][5], json!({"table": "accounts", "row_id": 6, "effect": "inserted"}));
    assert_eq!(done.header("ddb-revision"), Some(done.json["revision"].to_string().as_str()));
}

fn update(id: i64, balance: i64) -> Value {
    json!({"update": {"table": "accounts", "row_id": id, "data": {"balance": balance}}})
}

/// All accounts: balance and revision, by id.
async fn balances(cluster: &Cluster, node: u64) -> Vec<(i64, u64)> {
    let rows = cluster.get(node, "/v1/tables/accounts/rows").await.expect(200);
    let of = |row: &Value| {
        (row["data"]["balance"].as_i64().expect("a balance"), row["revision"].as_u64().expect("a revision"))
    };
    rows.json["rows"].as_array().expect("rows").iter().map(of).collect()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, said: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{}", answer.text);
    assert_eq!(answer.json["error"]["outcome"], "not_applied", "{}", answer.text);
    assert!(answer.json["error"]["message"].as_str().is_some_and(|m| m.contains(said)), "{said}: {}", answer.text);
}

#[tokio::test]
async fn a_transaction_is_refused_whole_with_the_part_that_is_to_blame() {
    let cluster = Cluster::start(1).await;
    accounts(&cluster).await;
    let before = balances(&cluster, 1).await;
    let check = |more: Value| {
        let mut condition = json!({"table": "accounts", "row_id": 1});
        condition.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"conditions": [condition], "operations": [update(1, 0)]})
    };
    let then = |operation: Value| json!({"operations": [update(1, 0), operation]});
    let at = |id: Value| json!({"table": "accounts", "row_id": id});
    let many: Vec<Value> = (0..1_025).map(|id| update(id, 0)).collect();
    for (body, status, code, said) in [
        (
            check(json!({"exists": false})),
            412,
            "condition_failed",
            "conditions[0]: row \"1\" of table \"accounts\" exists",
        ),
        (check(json!({"filter": ["balance.lt=100"]})), 412, "condition_failed", "its balance is 100"),
        (check(json!({"revision": 1})), 412, "revision_mismatch", "conditions[0]: "),
        (check(json!({"filter": ["wealth=1"]})), 422, "unknown_column", "conditions[0]: "),
        (check(json!({"filter": ["balance>1"]})), 400, "bad_filter", "conditions[0]: "),
        (check(json!({})), 400, "bad_request", "asks for nothing"),
        (then(json!({"insert": {"table": "accounts", "row_id": 2, "data": {}}})), 409, "row_exists", "operations[1]: "),
        (then(json!({"delete": at(json!(77))})), 404, "row_not_found", "operations[1]: "),
        (then(json!({"delete": at(json!("x"))})), 422, "type_mismatch", "operations[1]: "),
        (then(json!({"get": {"table": "account", "row_id": 1}})), 404, "table_not_found", "operations[1]: "),
        (then(json!({"upsert": at(json!(1))})), 400, "bad_json", "unknown variant"),
        (json!({"operations": []}), 400, "bad_request", "no operations"),
        (json!({"operations": many}), 413, "too_large", "1025 operations"),
    ] {
        refused(&cluster.post(1, "/v1/transactions", body).await, status, code, said);
    }
    // What rows are read and written counts, not only what is sent.
    let long = "x".repeat(900 << 10);
    let big = json!({"update": {"table": "accounts", "row_id": 1, "data": {"owner": long}}});
    cluster.post(1, "/v1/transactions", json!({"operations": [big]})).await.expect(200);
    let reads = vec![json!({"get": at(json!(1))}); 5];
    let answer = cluster.post(1, "/v1/transactions", json!({"operations": reads})).await;
    refused(&answer, 413, "too_large", "operations[4]: ");
    let kept: Vec<i64> = balances(&cluster, 1).await.iter().map(|(balance, _)| *balance).collect();
    assert_eq!(kept, before.iter().map(|(balance, _)| *balance).collect::<Vec<_>>());
    let dry = json!({"operations": [update(1, 7), {"get": at(json!(1))}]});
    let rehearsed = cluster.post(1, "/v1/transactions?dry_run=true", dry).await.expect(200);
    assert_eq!(rehearsed.json["results"][1]["row"]["data"]["balance"], 7);
    assert_eq!(balances(&cluster, 1).await[0].0, 100, "a dry run writes nothing");
}

#[tokio::test]
async fn a_transaction_under_a_key_takes_effect_once_also_after_snapshot_and_restart() {
    let mut cluster = Cluster::start_with(3, json!({"snapshot_entries": 20})).await;
    accounts(&cluster).await;
    let body = json!({
        "conditions": [{"table": "accounts", "row_id": 1, "filter": ["balance.ge=100"]}],
        "operations": [update(1, 40), update(2, 160), {"get": {"table": "accounts", "row_id": 2}}],
    });
    let send = async |cluster: &Cluster, node: u64| {
        let headers = [("idempotency-key", "transfer-1")];
        cluster.send(node, "POST", "/v1/transactions", &headers, Some(body.clone())).await.expect("an answer")
    };
    let first = send(&cluster, 2).await.expect(200);
    assert_eq!(first.json["results"][2]["row"]["data"]["balance"], 160);
    cluster.led_by(1).await;
    cluster.kill(3);
    for n in 0..60 {
        cluster.post(1, "/v1/transactions", json!({"operations": [update(6, n)]})).await.expect(200);
    }
    cluster.spawn(3);
    eventually("node 3 has caught up", async || {
        let answer = cluster.try_request(3, "GET", "/v1/tables/accounts/rows/6?level=stale", None).await.ok()?;
        (answer.json["data"]["balance"] == 59).then_some(())
    })
    .await;
    assert_eq!(send(&cluster, 3).await.expect(200).json, first.json);
    for id in cluster.ids() {
        cluster.kill(id);
    }
    for id in cluster.ids() {
        cluster.spawn(id);
    }
    cluster.leader().await;
    assert_eq!(send(&cluster, 1).await.expect(200).json, first.json);
    assert_eq!(balances(&cluster, 3).await[0].0, 40);
    cluster.verify().await;
}

/// Moves money between two accounts through `node` until told to stop, each time only if both are as they were read.
async fn transfers(cluster: &Cluster, node: u64, stop: &AtomicBool, done: &AtomicU64) {
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (from, to) = ((n * 7 + node) as i64 % ACCOUNTS, (n * 3 + 2 * node + 1) as i64 % ACCOUNTS);
        let Ok(rows) = cluster.try_request(node, "GET", "/v1/tables/accounts/rows", None).await else { continue };
        if rows.status != 200 || from == to {
            continue;
        }
        let row = |index: i64| {
            let row = &rows.json["rows"][index as usize];
            (row["data"]["balance"].as_i64().expect("a balance"), row["revision"].clone())
        };
        let ((a, a_revision), (b, b_revision)) = (row(from), row(to));
        let body = json!({
            "conditions": [
                {"table": "accounts", "row_id": from + 1, "revision": a_revision, "filter": ["balance.gt=0"]},
                {"table": "accounts", "row_id": to + 1, "revision": b_revision},
            ],
            "operations": [update(from + 1, a - 1), update(to + 1, b + 1)],
        });
        if let Ok(answer) = cluster.try_request(node, "POST", "/v1/transactions", Some(body)).await
            && answer.status == 200
        {
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn transfers_through_all_nodes_keep_the_total_through_the_loss_of_a_leader() {
    let mut cluster = Cluster::start(3).await;
    accounts(&cluster).await;
    cluster.led_by(1).await;
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let pid = rustix::process::Pid::from_raw(cluster.pid(1)).expect("a process id");
    let watch = async {
        let total = async |node| {
            let answer = cluster.try_request(node, "GET", "/v1/tables/accounts/rows", None).await.ok()?;
            let rows = answer.json["rows"].as_array()?.clone();
            Some(rows.iter().map(|row| row["data"]["balance"].as_i64().unwrap_or_default()).sum::<i64>())
        };
        eventually("transfers are made", async || (done.load(Ordering::Relaxed) >= 20).then_some(())).await;
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
        let so_far = done.load(Ordering::Relaxed);
        eventually("transfers go on", async || {
            // At no moment does anybody see half a transfer.
            if let Some(total) = total(2).await {
                assert_eq!(total, 100 * ACCOUNTS);
            }
            (done.load(Ordering::Relaxed) >= so_far + 20).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        transfers(&cluster, 1, &stop, &done),
        transfers(&cluster, 2, &stop, &done),
        transfers(&cluster, 3, &stop, &done),
        transfers(&cluster, 2, &stop, &done),
        watch,
    );
    let total: i64 = balances(&cluster, 3).await.iter().map(|(balance, _)| balance).sum();
    assert_eq!(total, 100 * ACCOUNTS);
    cluster.kill(1);
    cluster.spawn(1);
    cluster.led_by(1).await;
    cluster.verify().await;
}

/// A table of `rows` rows: `n` counts, `even` says of each second one.
async fn numbers(cluster: &Cluster, rows: u64) {
    let body = json!({"name": "numbers", "columns": ["id:int", "n:int", "even:bool"]});
    cluster.post(1, "/v1/tables", body).await.expect(201);
    let lines: String = (1..=rows).map(|n| format!("{{\"id\":{n},\"n\":{n},\"even\":{}}}\n", n % 2 == 0)).collect();
    let sent = cluster.http.post(cluster.url(1, "/v1/tables/numbers/import")).body(lines).send().await;
    assert_eq!(sent.expect("an answer").status(), 200);
}

async fn count(cluster: &Cluster, node: u64, filter: &str) -> u64 {
    let answer = cluster.get(node, &format!("/v1/tables/numbers/rows?columns=n&filter={filter}")).await.expect(200);
    answer.json["count"].as_u64().expect("a count")
}

#[tokio::test]
async fn all_rows_that_pass_are_changed_in_as_many_transactions_as_it_takes() {
    let cluster = Cluster::start(3).await;
    numbers(&cluster, 5_000).await;
    let rows = "/v1/tables/numbers/rows";
    let path = |query: &str| format!("{rows}?{query}");
    let change = async |node, method: &str, query: &str, body: Option<Value>| {
        cluster.request(node, method, &path(query), body).await
    };
    let to = |n: i64| Some(json!({"data": {"n": n}}));
    let dry = change(2, "PATCH", "filter=even=true&dry_run=true", to(0)).await.expect(200);
    assert_eq!((&dry.json["rows"], count(&cluster, 1, "n=0").await), (&json!(2_500), 0));
    let done = change(2, "PATCH", "filter=even=true", to(0)).await.expect(200);
    assert_eq!(
        (&done.json["table"], &done.json["rows"], &done.json["transactions"]),
        (&json!("numbers"), &json!(2_500), &json!(3))
    );
    assert_eq!(count(&cluster, 3, "n=0").await, 2_500);
    let one = change(3, "DELETE", "filter=id.le=10&filter=even=false", None).await.expect(200);
    assert_eq!((&one.json["rows"], &one.json["transactions"]), (&json!(5), &json!(1)));
    let none = change(3, "DELETE", "filter=id.le=10&filter=even=false", None).await.expect(200);
    assert_eq!((&none.json["rows"], &none.json["transactions"]), (&json!(0), &json!(0)));
    assert_eq!(none.json["revision"], one.json["revision"], "without a row there is no write");
    for (method, query, body, status, code, said) in [
        ("DELETE", "", None, 400, "bad_request", "no filter says which rows"),
        ("DELETE", "all=true&filter=n=1", None, 400, "bad_request", "exclude each other"),
        ("DELETE", "filter=x=1", None, 422, "unknown_column", "\"x\""),
        ("DELETE", "filter=n", None, 400, "bad_filter", "no ="),
        ("DELETE", "all=maybe", None, 400, "bad_request", "neither true nor false"),
        ("PATCH", "filter=n=0", Some(json!({"data": {"n": "x"}})), 422, "type_mismatch", "text \"x\""),
        ("PATCH", "filter=n=0", Some(json!({"data": {"x": 1}})), 422, "unknown_column", "\"x\""),
    ] {
        refused(&change(1, method, query, body).await, status, code, said);
    }
    let all = change(1, "DELETE", "all=true", None).await.expect(200);
    assert_eq!(all.json["rows"], 4_995);
    assert_eq!(count(&cluster, 2, "n.ge=0").await, 0);
    cluster.verify().await;
}

#[tokio::test]
async fn a_change_of_rows_sent_again_under_its_key_changes_nothing_more() {
    let cluster = Cluster::start(3).await;
    numbers(&cluster, 3_000).await;
    let send = async |node, query: &str| {
        let path = format!("/v1/tables/numbers/rows?{query}");
        cluster.send(node, "DELETE", &path, &[("idempotency-key", "k")], None).await.expect("an answer")
    };
    let first = send(1, "filter=even=true").await.expect(200);
    assert_eq!((&first.json["rows"], &first.json["transactions"]), (&json!(1_500), &json!(2)));
    // A row that came to pass since is not the first request's.
    let row = json!({"table_name": "numbers", "row_id": 4_000, "data": {"even": true}});
    cluster.post(2, "/insert", row).await.expect(201);
    assert_eq!(send(3, "filter=even=true").await.expect(200).json, first.json);
    assert_eq!(count(&cluster, 1, "even=true").await, 1);
    refused(&send(2, "filter=even=false").await, 409, "idempotency_key_reused", "another write");
}
