//! Owns how a write looks: a sentence for people, `{"table","row_id","revision"}` for programs.

use crate::cli::print::{Look, View, number, text};
use crate::protocol::Written;

/// The result of a write of a row: `inserted row 1 into students (revision 42)`.
pub(crate) fn row(did: &str, into: &str, written: &Written) -> View {
    let Written { table, row_id, revision } = written;
    let row_id = row_id.clone().unwrap_or_default();
    let sentence = format!("{did} row {row_id} {into} {table} (revision {revision})");
    View::single(&["table", "row_id", "revision"], vec![text(table), text(row_id), number(*revision)])
        .look(Look::Sentence(sentence))
}
