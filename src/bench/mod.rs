//! A load generator: what is asked of a store (`plan`, `keys`), how (`target`), and what came of it (`run`,
//! `ledger`, `outcome`).
//!
//! Every key has one writer, and its rows carry a rising count, so that after a run the store can be asked for
//! what it acknowledged: a row that is missing, or older than its last acknowledged write, is lost. The target is
//! a trait, so that the same loop drives another store beside this one.
//!
//! It talks HTTP by itself, a connection a worker, as a generator on the same cores should cost little.
//!
//! Deliberately missing: transactions as a workload, and more than one machine that generates load.

mod check;
mod keys;
mod ledger;
mod line;
mod nodes;
mod outcome;
mod plan;
mod row;
mod run;
mod target;

#[cfg(test)]
mod tests;

pub use nodes::{Nodes, Process};
pub use outcome::{Checked, Latency, Outcome};
pub use plan::{Plan, Spread, Stop, Via, Workload};
pub use row::Row;
pub use run::{Progress, fill, run};
pub use target::{Session, Target};
