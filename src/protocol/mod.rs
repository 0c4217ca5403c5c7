//! JSON bodies ⇄ the nouns, in both directions, and the checks that need no table.
//!
//! What one side encodes the other decodes, so both halves of every form stand in one file:
//! `request` for bodies sent to a node, `answer` and `rows` for what comes back, `error` for
//! refusals. Requests are read strictly (an unknown, repeated or missing field is refused, with
//! its place); answers are read leniently, so that an older client understands a newer node.
//!
//! Deliberately missing: HTTP. Statuses, headers and parameters are the `server`'s and the `client`'s.

mod answer;
mod cells;
mod columns;
mod cursor;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod json;
mod key;
mod lines;
mod request;
mod rows;
mod schema;
mod sql;
mod transaction;
mod words;

pub use answer::{BadLine, Changed, CreatedTable, Imported, TableInfo, TableList, Written, decode};
pub use cursor::{decode_cursor, decode_ordered_cursor, encode_cursor, encode_ordered_cursor};
pub use error::{decode_failure, encode_failure};
pub use key::{idempotency_key, key_text};
pub use lines::{LineFormat, RecordEnds, RowReader, write_csv_head, write_line};
pub use request::{
    encode_create_table, encode_insert, encode_row_body, parse_create_table, parse_create_table_v0, parse_delete,
    parse_insert, parse_row_body, parse_update,
};
pub use rows::{Explain, Page, RowObject, RowShape, write_row};
pub use schema::{
    IndexInfo, encode_alter_table, encode_create_index, index_path, parse_alter_table, parse_create_index,
};
pub use sql::{SqlLine, SqlShape, decode_sql_line, encode_sql, parse_sql};
pub use transaction::{Outcome, Step, Transacted, encode_transaction, parse_transaction, parse_transaction_line};
pub use words::{
    decode_segment, encode_segment, format_duration, level_name, parse_duration, parse_level, row_path, table_path,
};
