//! Owns what a transaction is made of: what must hold, what is done, and what came of it.

use serde::{Deserialize, Serialize};

use super::{Cell, Code, Failure, Filter, Ids, PutMode, Value};

/// The most operations of a transaction, and the most conditions; also the most rows of a batch
/// that are changed alike.
pub const MAX_OPERATIONS: usize = 1_024;

/// The most bytes of a transaction: as it is sent, and of the rows that it reads and writes.
pub const MAX_TRANSACTION_BYTES: usize = 4 << 20;

/// What must hold of one row before a transaction (`condition_failed`, `revision_mismatch`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The table's name.
    pub table: String,
    /// The row id as text.
    pub row_id: String,
    /// Whether the row must be there, or must not; `None` where nobody asked.
    pub exists: Option<bool>,
    /// The revision that the row's last change must have.
    pub revision: Option<u64>,
    /// What the row must be like; any of them asks for a row that is there.
    pub filters: Vec<Filter>,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operation {
    /// Inserts, replaces or updates a row.
    Put {
        /// The table's name.
        table: String,
        /// The row id as text.
        row_id: String,
        /// Values by column name; each name at most once.
        cells: Vec<(String, Cell)>,
        /// How what is there is treated.
        mode: PutMode,
    },
    /// Deletes a row.
    Delete {
        /// The table's name.
        table: String,
        /// The row id as text.
        row_id: String,
        /// Whether a row that is not there is passed over.
        if_exists: bool,
    },
    /// Reads a row.
    Get {
        /// The table's name.
        table: String,
        /// The row id as text.
        row_id: String,
    },
}

impl Operation {
    /// The table and the row id that it is about.
    pub fn place(&self) -> (&str, &str) {
        match self {
            Operation::Put { table, row_id, .. }
            | Operation::Delete { table, row_id, .. }
            | Operation::Get { table, row_id } => (table, row_id),
        }
    }
}

/// What came of one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Did {
    /// What it did.
    pub done: Done,
    /// What the row ids of its table are.
    pub ids: Ids,
}

/// What one operation of a transaction did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Done {
    /// The row was absent and is there now.
    Inserted,
    /// The row was there and is another now.
    Replaced,
    /// Some columns of the row have changed.
    Updated,
    /// The row is gone.
    Deleted,
    /// The row to delete was not there.
    Absent,
    /// What was read; `None` where there is no such row.
    Read(Option<ReadRow>),
}

/// A row as a transaction read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadRow {
    /// The id: `Int` in a table with `id:int`, else `Text`.
    pub id: Value,
    /// The columns in declared order.
    pub data: Vec<(String, Value)>,
    /// The revision of the row's last change; the transaction's own where it has changed the row.
    pub revision: u64,
}

/// What becomes of rows that are changed alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// These columns get these values; the others keep theirs.
    Update(Vec<(String, Cell)>),
    /// They are deleted.
    Delete,
}

/// A part of a transaction, by its place in its list, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A condition.
    Condition(usize),
    /// An operation.
    Operation(usize),
}

impl Part {
    /// The failure, said of this part: `operations[2]: …`.
    pub fn says(self, mut failure: Failure) -> Failure {
        let (list, index) = match self {
            Part::Condition(index) => ("conditions", index),
            Part::Operation(index) => ("operations", index),
        };
        failure.message = format!("{list}[{index}]: {}", failure.message);
        failure
    }

    /// The part that a message of `says` is about, and what is said of it.
    pub fn of_message(message: &str) -> Option<(Part, &str)> {
        let (head, said) = message.split_once("]: ")?;
        let (list, index) = head.split_once('[')?;
        let index = index.parse().ok()?;
        match list {
            "conditions" => Some((Part::Condition(index), said)),
            "operations" => Some((Part::Operation(index), said)),
            _ => None,
        }
    }
}

/// Refuses a transaction with more conditions or operations than it may have.
///
/// # Errors
/// `too_large`.
pub fn check_transaction(conditions: usize, operations: usize) -> Result<(), Failure> {
    for (count, what) in [(conditions, "conditions"), (operations, "operations")] {
        if count > MAX_OPERATIONS {
            let message =
                format!("the transaction has {count} {what}, and may have {MAX_OPERATIONS}; nothing was written");
            return Err(Failure::new(Code::TooLarge, message).hint("split it, or import rows that need no transaction"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_again_in_what_was_said_of_it() {
        for part in [Part::Condition(0), Part::Operation(1_023)] {
            let failure = part.says(Failure::new(Code::RowExists, "row \"a]: b\" exists"));
            assert_eq!(Part::of_message(&failure.message), Some((part, "row \"a]: b\" exists")));
        }
        for other in ["row \"operations[1]: x\"", "operations[x]: y", "line 1: y", ""] {
            assert_eq!(Part::of_message(other), None, "{other}");
        }
    }

    #[test]
    fn a_transaction_has_so_many_parts() {
        assert_eq!(check_transaction(MAX_OPERATIONS, MAX_OPERATIONS), Ok(()));
        let failure = check_transaction(0, MAX_OPERATIONS + 1).unwrap_err();
        assert!(failure.message.contains("1025 operations"), "{}", failure.message);
        assert_eq!(check_transaction(MAX_OPERATIONS + 1, 0).map_err(|f| f.code), Err(Code::TooLarge));
    }
}
