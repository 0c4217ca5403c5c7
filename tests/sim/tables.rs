//! Owns the clients that change tables while others write rows: indexes come and go, a unique one is never
//! violated, and what is found through an index is what is there.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rand::Rng as _;
use serde_json::{Value, json};

use crate::asker::{Asker, Sent, Told};
use crate::client::Record;

const TABLE: &str = "/v1/tables/s";
const ROWS: u64 = 12;
/// Of so many values that rows can be without two of the same, so that a unique index can be built.
const KEYS: i64 = 60;
/// Of so few that they often want the same, once it is built.
const SCARCE_KEYS: i64 = 20;

/// What is known of the unique index.
#[derive(Default)]
pub(crate) struct Schema {
    made: Cell<bool>,
    /// Counts the times that it was seen ready; odd while nobody may have dropped it.
    guard: Cell<u64>,
    /// Whether it may be dropped at any time, as nobody knows what became of a drop.
    doubtful: Cell<bool>,
}

fn columns() -> Value {
    json!({"name": "s", "columns": ["k:int", "v:int"]})
}

/// Changes the table until it is told to stop.
pub(crate) async fn change(mut asker: Asker, record: &Record, schema: &Schema) {
    let stop = || record.stop.get();
    if !asker.make_table(&columns(), stop).await {
        return;
    }
    schema.made.set(true);
    while !stop() {
        let node = asker.someone();
        let index = |name: &str, column: &str, unique| json!({"name": name, "columns": [column], "unique": unique});
        let indexes = format!("{TABLE}/indexes");
        let name = format!("c{}", asker.dice.random_range(0..3));
        let (sent, is_drop) = match asker.dice.random_range(0..12) {
            0..4 => (Sent::new("POST", indexes, &["index_exists"]).json(&index("by_k", "k", true)), false),
            4 => (Sent::new("POST", indexes, &["index_exists"]).json(&index("by_v", "v", false)), false),
            5 => (Sent::new("DELETE", format!("{indexes}/by_k"), &["index_not_found"]), true),
            6 => (Sent::new("DELETE", format!("{indexes}/by_v"), &["index_not_found"]), false),
            7 => {
                let body = json!({"changes": [{"add": format!("{name}:int:default=7")}]});
                (Sent::new("PATCH", TABLE, &["column_exists"]).json(&body), false)
            }
            8 => {
                let body = json!({"changes": [{"drop": name}]});
                (Sent::new("PATCH", TABLE, &["unknown_column"]).json(&body), false)
            }
            9 => {
                let body = json!({"name": "brief", "columns": ["x"]});
                (Sent::new("POST", "/v1/tables", &["table_exists"]).json(&body), false)
            }
            10 => (Sent::new("DELETE", "/v1/tables/brief", &["table_not_found"]), false),
            _ => {
                look(&mut asker, schema, node).await;
                continue;
            }
        };
        if is_drop && schema.guard.get() % 2 == 1 {
            schema.guard.set(schema.guard.get() + 1);
        }
        match asker.settle(&sent).await {
            Told::Done(_) => record.note("changes of tables"),
            Told::Unknown if is_drop => schema.doubtful.set(true),
            _ => {}
        }
        asker.rest(300).await;
        if !is_drop {
            look(&mut asker, schema, node).await;
        }
    }
}

/// Notes that the unique index is ready, if it is: from then on no two rows have the same.
async fn look(asker: &mut Asker, schema: &Schema, node: u64) {
    let Told::Done(table) = asker.ask(node, &Sent::new("GET", TABLE, &[])).await else { return };
    if is_ready(&table, "by_k") && !schema.doubtful.get() && schema.guard.get().is_multiple_of(2) {
        schema.guard.set(schema.guard.get() + 1);
    }
}

fn is_ready(table: &Value, name: &str) -> bool {
    let mut indexes = table["indexes"].as_array().into_iter().flatten();
    indexes.any(|index| index["name"] == name && index["state"] == "ready")
}

/// Writes rows, and looks at all of them, until it is told to stop.
pub(crate) async fn write(mut asker: Asker, record: &Record, schema: &Schema) {
    while !record.stop.get() {
        asker.rest(60).await;
        if !schema.made.get() {
            continue;
        }
        let (node, row) = (asker.someone(), asker.dice.random_range(0..ROWS));
        let path = format!("{TABLE}/rows/r{row}");
        match asker.dice.random_range(0..10) {
            0..6 => {
                let keys = if schema.guard.get() % 2 == 1 { SCARCE_KEYS } else { KEYS };
                let (k, v) = (asker.dice.random_range(0..keys), asker.dice.random_range(0..3));
                let body = json!({"data": {"k": k, "v": v}});
                if let Told::Refused = asker.ask(node, &Sent::new("PUT", path, &["unique_violation"]).json(&body)).await
                {
                    record.note("values that were not unique");
                }
            }
            6 => drop(asker.ask(node, &Sent::new("DELETE", path, &["row_not_found"])).await),
            _ => {
                let guard = schema.guard.get();
                let rows = all(&mut asker, node, "").await;
                if let Some(rows) = rows
                    && guard % 2 == 1
                    && guard == schema.guard.get()
                {
                    require_unique(&asker, node, &rows);
                    record.note("looks at a unique index");
                }
            }
        }
    }
}

/// All rows that pass, by id: their `k` and `v`.
async fn all(asker: &mut Asker, node: u64, query: &str) -> Option<BTreeMap<String, (i64, i64)>> {
    let Told::Done(page) = asker.ask(node, &Sent::new("GET", format!("{TABLE}/rows{query}"), &[])).await else {
        return None;
    };
    let number = |value: &Value| value.as_i64().unwrap_or(-1);
    let row = |row: &Value| {
        let data = (number(&row["data"]["k"]), number(&row["data"]["v"]));
        (row["row_id"].as_str().unwrap_or_default().to_string(), data)
    };
    Some(page["rows"].as_array().into_iter().flatten().map(row).collect())
}

fn require_unique(asker: &Asker, node: u64, rows: &BTreeMap<String, (i64, i64)>) {
    let mut seen = BTreeMap::new();
    for (row, (k, _)) in rows {
        if let Some(other) = seen.insert(k, row) {
            asker.shared.problem(format!("node {node}: rows {other} and {row} have the same k of a unique index: {k}"));
        }
    }
}

/// Once all is healed: each node finds by each index what it shows, and nothing twice.
pub(crate) async fn judge(mut asker: Asker, schema: Rc<Schema>) {
    if !schema.made.get() {
        return;
    }
    for node in asker.shared.ids() {
        let table = asker.ask(node, &Sent::new("GET", TABLE, &[])).await;
        let rows = all(&mut asker, node, "").await;
        let (Told::Done(table), Some(rows)) = (table, rows) else {
            asker.shared.problem(format!("node {node} does not show its tables after the healing"));
            continue;
        };
        if is_ready(&table, "by_k") {
            require_unique(&asker, node, &rows);
        }
        for column in ["k", "v"] {
            let of = |data: &(i64, i64)| if column == "k" { data.0 } else { data.1 };
            // One that no row has, and all that some have.
            for value in rows.values().map(of).chain([KEYS]).collect::<BTreeSet<_>>() {
                let wanted: BTreeMap<_, _> = rows.clone().into_iter().filter(|row| of(&row.1) == value).collect();
                let found = all(&mut asker, node, &format!("?filter={column}={value}")).await;
                if found.as_ref() != Some(&wanted) {
                    let what = format!("node {node} finds {found:?} by {column}={value}, and shows {wanted:?}");
                    asker.shared.problem(what);
                }
            }
        }
    }
}
