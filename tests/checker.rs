//! The checker of histories, checked: histories that keep the promises pass, those that break one are
//! caught, and on small ones it agrees with a search that tries everything.
//!
//! `make check HISTORY=file` checks a kept history again.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on has failed")]

mod check;
#[path = "checker/every_order.rs"]
mod every_order;

use check::{BUDGET, Entry, Found, Op, Outcome, Report};

/// Operation `id` of client `id` on row `r`, from `call` to `end`.
fn did(id: u64, (call, end): (u64, u64), op: Op, outcome: Outcome) -> Entry {
    Entry { client: id, id, call, end, row: "r".into(), op, outcome }
}

fn wrote(revision: u64) -> Outcome {
    Outcome::Wrote { revision }
}

fn saw(value: i64, revision: u64) -> Outcome {
    Outcome::Saw { found: vec![Found { row: "r".into(), value, revision }], at: Some(revision) }
}

fn absent(at: u64) -> Outcome {
    Outcome::Saw { found: Vec::new(), at: Some(at) }
}

fn refused() -> Outcome {
    Outcome::Refused { code: "revision_mismatch".into() }
}

fn put(value: i64) -> Op {
    Op::Put { value }
}

fn judge(history: &[Entry]) -> Report {
    check::check(history, BUDGET)
}

#[track_caller]
fn passes(history: &[Entry]) {
    let report = judge(history);
    assert!(report.passed(), "{report:?}");
}

/// The history is refused, with a word that names why.
#[track_caller]
fn caught(history: &[Entry], why: &str) {
    let report = judge(history);
    assert!(report.violations.iter().any(|violation| violation.contains(why)), "no {why:?} in {report:?}");
}

#[test]
fn passes_what_may_happen() {
    passes(&[]);
    // Overlapping writes and reads, in any order that revisions allow.
    passes(&[
        did(1, (0, 10), put(1), wrote(1)),
        did(2, (5, 20), put(2), wrote(2)),
        did(3, (6, 8), Op::Read, absent(0)),
        did(4, (9, 19), Op::Read, saw(1, 1)),
        did(5, (21, 22), Op::Read, saw(2, 2)),
        did(6, (23, 24), Op::Stale, saw(1, 1)),
        did(7, (23, 24), Op::Delete, wrote(3)),
        did(8, (25, 26), Op::Delete, refused()),
        did(9, (25, 26), Op::Insert { value: 3 }, wrote(4)),
        did(10, (27, 28), Op::Search { rows: vec!["r".into(), "s".into()] }, saw(3, 4)),
    ]);
    // Unknown writes take effect late, early or never.
    passes(&[
        did(1, (0, 5), put(1), Outcome::Unknown),
        did(2, (0, 5), put(2), Outcome::Unknown),
        did(3, (6, 7), put(3), wrote(1)),
        did(4, (8, 9), Op::Read, saw(3, 1)),
        did(5, (10, 11), Op::Read, saw(1, 2)),
        did(6, (12, 13), Op::Swap { value: 4, expects: 2 }, wrote(3)),
        did(7, (14, 15), Op::Swap { value: 5, expects: 2 }, refused()),
    ]);
    passes(&[
        did(1, (0, 1), Op::Insert { value: 0 }, wrote(1)),
        did(2, (2, 3), Op::Increment { value: 1, expects: 1 }, wrote(2)),
        did(3, (4, 5), Op::Increment { value: 2, expects: 2 }, Outcome::Unknown),
        did(4, (6, 7), Op::Read, saw(2, 3)),
    ]);
}

#[test]
fn catches_an_acknowledged_write_that_is_gone() {
    let write = did(1, (0, 1), put(1), wrote(1));
    caught(&[write.clone(), did(2, (2, 3), Op::Read, absent(1))], "not linearizable");
    let second = did(2, (2, 3), put(2), wrote(2));
    caught(&[write.clone(), second, did(3, (4, 5), Op::Read, saw(1, 1))], "is lost");
    // Also where the answers tell no revision.
    let blind = Outcome::Saw { found: Vec::new(), at: None };
    caught(&[write, did(2, (2, 3), Op::Read, blind)], "not linearizable");
}

#[test]
fn catches_what_was_said_not_to_be_applied() {
    let refused_write = did(1, (0, 1), put(1), Outcome::NotApplied);
    caught(&[refused_write.clone(), did(2, (2, 3), Op::Read, saw(1, 1))], "said to be not applied");
    caught(&[refused_write, did(2, (2, 3), Op::Stale, saw(1, 1))], "said to be not applied");
}

#[test]
fn catches_values_from_nowhere_and_from_the_future() {
    caught(&[did(1, (0, 1), Op::Stale, saw(7, 1))], "nobody wrote");
    caught(&[did(1, (0, 1), Op::Stale, saw(7, 1)), did(2, (2, 3), put(7), wrote(1))], "before that time");
    caught(&[did(1, (0, 1), put(7), wrote(1)), did(2, (2, 3), Op::Stale, saw(7, 2))], "at that revision");
}

#[test]
fn catches_revisions_that_repeat_or_go_back() {
    caught(&[did(1, (0, 9), put(1), wrote(1)), did(2, (0, 9), put(2), wrote(1))], "the same revision");
    caught(&[did(1, (0, 1), put(1), wrote(2)), did(2, (2, 3), put(2), wrote(1))], "began after");
    caught(&[did(1, (0, 1), put(1), wrote(1)), did(2, (2, 3), Op::Read, absent(0))], "began after");
    let mut other = did(2, (2, 3), put(2), wrote(1));
    other.row = "another".into();
    caught(&[did(1, (0, 1), put(1), wrote(2)), other], "began after");
}

#[test]
fn catches_a_write_that_took_effect_twice() {
    // The retry of an unconditional put overwrote what came in between.
    caught(
        &[did(1, (0, 9), put(1), wrote(1)), did(2, (2, 3), put(2), wrote(2)), did(3, (10, 11), Op::Read, saw(1, 3))],
        "at that revision",
    );
    // A retried increment counted twice.
    let start = did(1, (0, 1), Op::Insert { value: 0 }, wrote(1));
    let once = did(2, (2, 3), Op::Increment { value: 1, expects: 1 }, wrote(2));
    caught(&[start, once, did(3, (4, 5), Op::Read, saw(2, 3))], "counts 2");
}

#[test]
fn catches_conditions_that_were_not_kept() {
    let both = [
        did(1, (0, 1), put(1), wrote(1)),
        did(2, (2, 5), Op::Swap { value: 2, expects: 1 }, wrote(2)),
        did(3, (2, 5), Op::Swap { value: 3, expects: 1 }, wrote(3)),
    ];
    caught(&both, "not linearizable");
    let wrongly_refused = did(2, (2, 3), Op::Swap { value: 2, expects: 1 }, refused());
    caught(&[did(1, (0, 1), put(1), wrote(1)), wrongly_refused], "not linearizable");
    caught(&[did(1, (0, 1), Op::Update { value: 1 }, wrote(1))], "not linearizable");
    let twice = [did(1, (0, 1), Op::Insert { value: 1 }, wrote(1)), did(2, (2, 3), Op::Insert { value: 2 }, wrote(2))];
    caught(&twice, "not linearizable");
}

#[test]
fn catches_a_search_that_tears_rows_apart() {
    let put_in = |id: u64, row: &str, time: u64, value: i64| {
        let mut entry = did(id, (time, time + 1), put(value), wrote(id));
        entry.row = row.into();
        entry
    };
    let found = |row: &str, value: i64, revision: u64| Found { row: row.into(), value, revision };
    // It overlaps both writes and sees the later one without the earlier.
    let torn = Outcome::Saw { found: vec![found("b", 2, 2)], at: Some(2) };
    let search = Op::Search { rows: vec!["a".into(), "b".into()] };
    caught(&[put_in(1, "a", 1, 1), put_in(2, "b", 3, 2), did(3, (0, 9), search, torn)], "not linearizable");
}

#[test]
fn catches_a_history_that_contradicts_itself() {
    caught(&[did(1, (0, 1), put(1), wrote(1)), did(1, (2, 3), put(2), wrote(2))], "recorded twice");
    let mut overlapping = did(2, (2, 9), put(2), wrote(2));
    overlapping.client = 1;
    caught(&[did(1, (0, 5), put(1), wrote(1)), overlapping], "overlaps itself");
}

#[test]
fn what_is_not_settled_has_not_passed() {
    let history: Vec<Entry> = (1..50).map(|id| did(id, (0, 100), put(id as i64), wrote(id))).collect();
    passes(&history);
    let report = check::check(&history, 10);
    assert_eq!((report.unsettled.as_slice(), report.passed()), (["r".to_string()].as_slice(), false));
}

#[test]
fn settles_ten_thousand_operations_with_many_unknown_ones_at_once() {
    let mut history = Vec::new();
    let (mut revision, mut value) = (0, 0);
    for id in 1..=10_000_u64 {
        let time = (id * 10, id * 10 + 45);
        let outcome = match id % 10 {
            0 => Outcome::Unknown,
            1 | 4 | 7 => {
                (revision, value) = (revision + 1, id as i64);
                wrote(revision)
            }
            // The unknown write before took effect.
            2 if id % 3 == 0 && id > 10 => {
                (revision, value) = (revision + 1, id as i64 - 2);
                saw(value, revision)
            }
            _ => saw(value, revision),
        };
        let op = if matches!(id % 10, 0 | 1 | 4 | 7) { put(id as i64) } else { Op::Read };
        history.push(did(id, time, op, outcome));
    }
    passes(&history);
}

#[test]
fn a_history_survives_its_file() {
    let history = [
        did(1, (0, 1), put(1), wrote(1)),
        did(2, (2, 3), Op::Swap { value: 2, expects: 1 }, refused()),
        did(3, (2, 3), Op::Search { rows: vec!["r".into()] }, saw(1, 1)),
        did(4, (4, 5), Op::Delete, Outcome::Unknown),
        did(5, (4, 5), Op::Read, absent(9)),
    ];
    let mut file = Vec::new();
    check::write_lines(&history, &mut file).unwrap();
    assert_eq!(check::read_lines(file.as_slice()).unwrap(), history);
    let error = check::read_lines(b"{\"client\":1}\n".as_slice()).unwrap_err();
    assert!(error.starts_with("line 1: missing field"), "{error}");
}

#[test]
#[ignore = "checks the file that DDB_HISTORY names"]
fn history_of_a_file() {
    let path = std::env::var("DDB_HISTORY").expect("DDB_HISTORY names a file of JSON Lines");
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let history = check::read_lines(std::io::BufReader::new(file)).unwrap_or_else(|e| panic!("{path}: {e}"));
    assert!(!history.is_empty(), "{path} holds no operation");
    let report = judge(&history);
    report.violations.iter().take(20).for_each(|violation| eprintln!("{violation}"));
    report.unsettled.iter().for_each(|row| eprintln!("row {row}: not settled within the budget"));
    eprintln!("{} operations on {} rows, {} violations", report.operations, report.rows, report.violations.len());
    assert!(report.passed(), "{path} does not pass");
}
