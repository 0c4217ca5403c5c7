//! Read-only SQL over one view of the store; the only room that names rusqlite.
//!
//! A query runs in an empty SQLite of its own, in memory, whose tables are virtual: each reads the rows of
//! one of our tables in the one view that the query was given, so that all it sees is of one revision. SQLite
//! parses, plans, joins and aggregates; we hand it rows, and what it can ask of the row id and
//! of columns with an index.
//!
//! `run` owns the life of a query; `guard` what it may do; `gate` when it has to end; `vtab` is the virtual
//! table, `plan` the way by which it is read, `reach` the rows that are; `value` and `fault` translate values
//! and errors.
//!
//! **Types.** text and timestamp are text, int and float exact numbers, bool is 0 or 1; any and json are what
//! the value is, an array or object its JSON text. A column of type any or json has no affinity: a number and
//! its text differ. Names are matched without regard to case, as SQL has it.
//!
//! Invariants: nothing is ever written, not even to a temporary file; nothing of SQLite is touched before the
//! first query; no panic crosses into C.
//!
//! Deliberately missing: writes, async.

mod fault;
mod gate;
mod guard;
mod plan;
mod reach;
mod run;
mod value;
mod vtab;

#[cfg(test)]
mod index_tests;
#[cfg(test)]
mod tests;

pub use fault::SqlError;
pub use gate::Gate;
pub use run::{Sink, run};
