//! Owns the client that imports rows: all of a file's rows are there, or none; once, and with their values.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use bytes::Bytes;
use rand::Rng as _;
use serde_json::{Value, json};

use crate::asker::{Asker, Sent, Told};
use crate::client::Record;

/// What became of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Never,
    Unknown,
}

#[derive(Default)]
pub(crate) struct Imports {
    /// The first row that nobody has sent.
    next: Cell<u64>,
    /// The number of the first row, how many rows, and what became of them.
    sent: RefCell<Vec<(u64, u64, Fate)>>,
}

fn value(number: u64) -> u64 {
    number * 7 + 1
}

/// Works until it is told to stop.
pub(crate) async fn work(mut asker: Asker, record: &Record, imports: &Imports) {
    let stop = || record.stop.get();
    if !asker.make_table(&json!({"name": "imported", "columns": ["id:int", "n:int"]}), stop).await {
        return;
    }
    while !stop() {
        let count = asker.dice.random_range(1..60);
        let first = imports.next.replace(imports.next.get() + count) + 1;
        let broken = asker.dice.random_bool(0.2);
        let mut lines = String::new();
        for number in first..first + count {
            let _ = writeln!(lines, "{{\"id\":{number},\"n\":{}}}", value(number));
        }
        if broken {
            lines.push_str("{\"id\":0,\"n\":\"no number\"}\n");
        }
        let may = &["type_mismatch", "bad_line"];
        let mut sent = Sent::new("POST", "/v1/tables/imported/import", may);
        sent.body = Some(("application/x-ndjson", Bytes::from(lines)));
        let fate = match asker.settle(&sent).await {
            Told::Done(_) => Fate::Done,
            Told::Refused | Told::NotApplied => Fate::Never,
            Told::Unknown => Fate::Unknown,
        };
        if broken && fate == Fate::Done {
            asker.shared.problem(format!("an import with a bad line is done: from row {first} on"));
        }
        imports.sent.borrow_mut().push((first, count, fate));
        if fate == Fate::Done {
            record.note("imports");
        }
        asker.rest(150).await;
    }
}

/// All rows that a node shows, by id.
async fn all(asker: &mut Asker, node: u64) -> Option<BTreeMap<u64, u64>> {
    let mut found = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/tables/imported/rows?limit=100{cursor}");
        let Told::Done(page) = asker.ask(node, &Sent::new("GET", path, &[])).await else { return None };
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        for row in page["rows"].as_array().into_iter().flatten() {
            found.insert(number(&row["row_id"]), number(&row["data"]["n"]));
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(found),
        }
    }
}

/// Once all is healed: every node shows the rows of the imports, and no others.
pub(crate) async fn judge(mut asker: Asker, imports: Rc<Imports>) {
    let imports = imports.sent.take();
    if imports.is_empty() {
        return;
    }
    for node in asker.shared.ids() {
        let Some(mut found) = all(&mut asker, node).await else {
            asker.shared.problem(format!("node {node} does not show what was imported after the healing"));
            continue;
        };
        for (first, count, fate) in &imports {
            let rows = *first..first + count;
            let there = rows.clone().filter(|number| found.remove(number) == Some(value(*number))).count() as u64;
            let right = match fate {
                Fate::Done => there == *count,
                Fate::Never => there == 0,
                Fate::Unknown => there == 0 || there == *count,
            };
            if !right {
                let what = format!("node {node} has {there} of the rows {rows:?} of an import that was {fate:?}");
                asker.shared.problem(what);
            }
        }
        if !found.is_empty() {
            asker.shared.problem(format!("node {node} has rows that nobody imported, or with other values: {found:?}"));
        }
    }
}
