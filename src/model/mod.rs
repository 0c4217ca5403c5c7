//! The nouns of ddb: names, values, tables, rows, filters, writes and their answers.
//!
//! This room knows nobody. It holds the rules that every node and every client must agree on
//! (what a name is, which value fits which column, how an error is called) and nothing that
//! touches a disk, a clock or a socket.
//!
//! Deliberately missing: the layout on disk (`store`), the layout in JSON (`protocol`).

mod access;
mod address;
mod alter;
mod cluster;
mod column;
mod compare;
mod condition;
mod failure;
mod filter;
mod index;
mod json;
mod name;
mod order;
mod plan;
mod row;
mod schema;
mod sql;
mod time;
mod transaction;
mod value;
mod write;

pub use access::{Access, KeyRange};
pub use address::parse_address;
pub use alter::Alteration;
pub use cluster::{ClusterStatus, Configured, Leader, NodeDigest, NodeStatus, NodeVersion, Role, VerifyReport};
pub use column::{Column, ColumnSpec, ColumnType};
pub use condition::Condition;
pub use failure::{Code, Failure, Fate};
pub use filter::{Filter, MAX_FILTER_BYTES, MAX_FILTERS, Op};
pub use index::{Entry, Index, IndexSpec, IndexState, MAX_INDEX_COLUMNS, MAX_INDEXED_BYTES, MAX_INDEXES};
pub use name::{check_name, excerpt, nearest};
pub use order::{Order, Standing, Walk};
pub use plan::IndexUse;
pub use row::{Ids, MAX_ROW_ID, Row, RowKey, check_row_id};
pub use schema::{MAX_COLUMNS, Table};
pub use sql::{SqlColumn, SqlParams, SqlQuery};
pub use transaction::{
    Change, Check, Did, Done, MAX_OPERATIONS, MAX_TRANSACTION_BYTES, Operation, Part, ReadRow, check_transaction,
};
pub use value::{Cell, Value};
pub use write::{
    Answer, Applied, Counts, Effect, IdempotencyKey, Level, OnConflict, Proposal, PutMode, PutRow, When, Write,
};
