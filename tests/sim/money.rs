//! Owns the clients that move money: transactions over several rows, after which the sum is what it was.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rand::Rng as _;
use serde_json::{Value, json};

use crate::asker::{Asker, Sent, Told};
use crate::client::Record;

const ACCOUNTS: i64 = 5;
const EACH: i64 = 100;
const PATH: &str = "/v1/tables/money/rows";

/// What all who move money know.
#[derive(Default)]
pub(crate) struct Bank {
    /// Of each account, the newest revision that was acknowledged.
    newest: RefCell<BTreeMap<i64, u64>>,
}

fn put(operation: &str, account: i64, balance: i64) -> Value {
    json!({ operation: {"table": "money", "row_id": account.to_string(), "data": {"balance": balance}} })
}

/// Works until it is told to stop.
pub(crate) async fn work(mut asker: Asker, record: &Record, bank: &Bank) {
    let stop = || record.stop.get();
    if !asker.make_table(&json!({"name": "money", "columns": ["balance:int"]}), stop).await {
        return;
    }
    let all: Vec<Value> = (0..ACCOUNTS).map(|account| put("insert", account, EACH)).collect();
    let open = Sent::new("POST", "/v1/transactions", &["row_exists"]).json(&json!({"operations": all}));
    while !matches!(asker.settle(&open).await, Told::Done(_) | Told::Refused) {
        if stop() {
            return;
        }
    }
    while !stop() {
        if asker.dice.random_bool(0.3) {
            let node = asker.someone();
            audit(&mut asker, node, true).await;
        } else {
            transfer(&mut asker, record, bank).await;
        }
        asker.rest(60).await;
    }
}

/// An account's balance and revision.
async fn read(asker: &mut Asker, bank: &Bank, account: i64) -> Option<(i64, u64)> {
    let least = bank.newest.borrow().get(&account).copied().unwrap_or(0);
    let node = asker.someone();
    let Told::Done(row) = asker.ask(node, &Sent::new("GET", format!("{PATH}/{account}"), &[])).await else {
        return None;
    };
    let (balance, revision) = (row["data"]["balance"].as_i64()?, row["revision"].as_u64()?);
    if revision < least {
        let what = format!("account {account} is read at revision {revision}: transaction {least} is lost");
        asker.shared.problem(what);
    }
    Some((balance, revision))
}

async fn transfer(asker: &mut Asker, record: &Record, bank: &Bank) {
    let from = asker.dice.random_range(0..ACCOUNTS);
    let to = (from + asker.dice.random_range(1..ACCOUNTS)) % ACCOUNTS;
    let (Some(here), Some(there)) = (read(asker, bank, from).await, read(asker, bank, to).await) else { return };
    let amount = asker.dice.random_range(0..=here.0.max(0));
    let condition =
        |account: i64, revision: u64| json!({"table": "money", "row_id": account.to_string(), "revision": revision});
    let mut operations = vec![put("update", from, here.0 - amount), put("update", to, there.0 + amount)];
    if asker.dice.random_bool(0.2) {
        // The last one is refused, and with it all.
        operations.push(put("insert", from, 1_000));
    }
    let body = json!({"conditions": [condition(from, here.1), condition(to, there.1)], "operations": operations});
    let sent = Sent::new("POST", "/v1/transactions", &["revision_mismatch", "row_exists"]).json(&body);
    if let Told::Done(done) = asker.settle(&sent).await {
        record.note("transactions");
        let revision = done["revision"].as_u64().unwrap_or_default();
        if operations.len() > 2 {
            asker.shared.problem(format!("a transaction with an operation that cannot be done is done: {done}"));
        }
        for account in [from, to] {
            let mut newest = bank.newest.borrow_mut();
            let known = newest.entry(account).or_default();
            *known = revision.max(*known);
        }
    }
}

/// Looks at all accounts in one view; whether they were seen.
async fn audit(asker: &mut Asker, node: u64, may_be_stale: bool) -> bool {
    let stale = may_be_stale && asker.dice.random_bool(0.5);
    let path = if stale { format!("{PATH}?level=stale") } else { PATH.into() };
    let may: &[&str] = if stale { &["table_not_found"] } else { &[] };
    let Told::Done(page) = asker.ask(node, &Sent::new("GET", path, may)).await else { return false };
    let balance = |row: &Value| row["data"]["balance"].as_i64().unwrap_or(i64::MIN / 100);
    let balances: Vec<i64> = page["rows"].as_array().into_iter().flatten().map(balance).collect();
    let before = stale && balances.is_empty();
    if !before && (balances.len() as i64 != ACCOUNTS || balances.iter().sum::<i64>() != ACCOUNTS * EACH) {
        let what = format!("node {node} shows accounts of {balances:?}, and all money together is {}", ACCOUNTS * EACH);
        asker.shared.problem(what);
    }
    true
}

/// Once all is healed: the accounts add up on every node, if they were opened.
pub(crate) async fn judge(mut asker: Asker, bank: Rc<Bank>) {
    if bank.newest.borrow().is_empty() {
        return;
    }
    for node in asker.shared.ids() {
        if !audit(&mut asker, node, false).await {
            asker.shared.problem(format!("node {node} does not show the accounts after the healing"));
        }
    }
    for account in 0..ACCOUNTS {
        read(&mut asker, &bank, account).await;
    }
}
