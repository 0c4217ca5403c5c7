//! Owns how a write looks: a sentence for people, `{"table","row_id","revision"}` for programs.

use crate::cli::print::{Look, View, number, text, value_text};
use crate::model::Value;
use crate::protocol::Written;

/// The result of a write of a row: `inserted row 1 into students (revision 42)`.
pub(crate) fn row(did: &str, into: &str, written: &Written) -> View {
    let Written { table, row_id, revision } = written;
    let row_id = row_id.clone().unwrap_or(Value::Null);
    let sentence = format!("{did} row {} {into} {table} (revision {revision})", value_text(&row_id));
    View::single(&["table", "row_id", "revision"], vec![text(table), row_id, number(*revision)])
        .look(Look::Sentence(sentence))
}
