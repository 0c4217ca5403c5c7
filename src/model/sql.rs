//! Owns the nouns of SQL: a query with its parameters, and the columns of what it answers.

use super::{ColumnType, Value};

/// One read-only SQL query.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlQuery {
    /// Its text.
    pub text: String,
    /// The values of its parameters.
    pub params: SqlParams,
}

/// The values that stand for the parameters of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum SqlParams {
    /// By position: those of `?` and `?1`.
    Listed(Vec<Value>),
    /// By name: those of `:name`, `@name` and `$name`.
    Named(Vec<(String, Value)>),
}

/// One column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlColumn {
    /// Its name, as the query gives it; two columns may have the same.
    pub name: String,
    /// The type of the table's column that it shows; `Any` for what was computed.
    pub kind: ColumnType,
}
