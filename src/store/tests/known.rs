//! What the writer knows to be there is there, whatever was refused, deleted or dropped in between.

use super::super::Store;
use super::common::{apply, create, delete, drop_table, put};
use crate::model::{Answer, Cell, Code, Effect, Operation, PutMode, Write};

/// Whether each put made a row, and not another of one that was there.
fn made(answers: Vec<Answer>) -> Vec<bool> {
    let effect = |answer: Answer| answer.unwrap().effect;
    answers.into_iter().map(|answer| matches!(effect(answer), Effect::Inserted(_))).collect()
}

fn operation(row_id: &str, mode: PutMode) -> Operation {
    let cells = vec![("v".to_string(), Cell::Text("x".into()))];
    Operation::Put { table: "t".into(), row_id: row_id.into(), cells, mode }
}

/// A transaction whose last operation is refused.
fn in_vain(mut operations: Vec<Operation>) -> Write {
    operations.push(operation("none", PutMode::Update));
    Write::Transaction { checks: vec![], operations }
}

#[test]
fn a_put_tells_a_new_row_from_one_that_was_there() {
    let store = Store::in_memory().unwrap();
    let puts = |rows: &[&str]| made(apply(&store, rows.iter().map(|row| put("t", row, &[("v", "x")]))));
    let refused = |write| assert_eq!(apply(&store, [write]).remove(0).unwrap_err().code, Code::RowNotFound);
    apply(&store, [create("t", &["v"])]);
    for _ in 0..2 {
        assert_eq!(puts(&["a", "b", "a"]), [true, true, false]);
        assert_eq!(puts(&["a", "b"]), [false, false], "they are known from here on");
        store.checkpoint().unwrap();

        refused(in_vain(vec![Operation::Delete { table: "t".into(), row_id: "a".into(), if_exists: false }]));
        assert_eq!(puts(&["a", "b"]), [false, false], "the delete was taken back");
        let c = || operation("c", PutMode::Replace);
        refused(in_vain(vec![c(), c()]));
        assert_eq!(puts(&["c"]), [true], "the row was taken back");

        apply(&store, [delete("t", "a")]).remove(0).unwrap();
        assert_eq!(puts(&["a", "a"]), [true, false]);
        let mut answers = apply(&store, [delete("t", "b"), put("t", "b", &[("v", "x")]), delete("t", "b")]);
        assert_eq!(made(vec![answers.remove(1)]), [true], "in one batch");
        store.checkpoint().unwrap();
        assert_eq!(puts(&["b"]), [true]);

        apply(&store, [drop_table("t"), create("t", &["v"])]);
    }
}
