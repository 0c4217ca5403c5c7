//! Judges a history of what clients asked and were told: is there any order of the operations that
//! keeps the promises made of writes and reads?
//!
//! A history is JSON Lines, one operation a line (`history.rs`). `check` applies the rules that look
//! at all rows together (`rules.rs`), then settles for each row whether its operations are
//! linearizable (`linear.rs`). What cannot be settled within the budget is *unsettled*, and an
//! unsettled history has not passed. It knows nothing of nodes, HTTP or how a history was made.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "every test target uses a part of it")]

mod history;
mod linear;
mod rules;

pub use history::{Entry, Found, Op, Outcome, read_lines, write_lines};
pub use linear::Verdict;

/// Steps of the search that a row may take before it counts as unsettled.
pub const BUDGET: usize = 2_000_000;

/// What the check of a history has come to.
#[derive(Debug, Default)]
pub struct Report {
    /// Promises that were broken, one sentence each.
    pub violations: Vec<String>,
    /// Rows whose order could not be settled within the budget.
    pub unsettled: Vec<String>,
    /// How many operations were looked at.
    pub operations: usize,
    /// How many rows they touched.
    pub rows: usize,
}

impl Report {
    /// Whether everything was looked at and nothing was wrong.
    pub fn passed(&self) -> bool {
        self.violations.is_empty() && self.unsettled.is_empty()
    }
}

/// Applies every rule to a history, whose entries may stand in any order.
pub fn check(history: &[Entry], budget: usize) -> Report {
    let mut report = Report { violations: rules::check(history), ..Report::default() };
    report.operations = history.len();
    for (row, operations) in linear::by_row(history) {
        report.rows += 1;
        match linear::check(&operations, budget) {
            Verdict::Holds => {}
            Verdict::Broken(longest) => report.violations.push(format!(
                "row {row} is not linearizable: of {} operations no order explains more than {longest}",
                operations.len()
            )),
            Verdict::Unsettled => report.unsettled.push(row),
        }
    }
    report
}

/// Whether the first row's operations are linearizable, all other rules aside.
pub fn linear_verdict(history: &[Entry]) -> Verdict {
    linear::by_row(history).first_entry().map_or(Verdict::Holds, |row| linear::check(row.get(), BUDGET))
}
