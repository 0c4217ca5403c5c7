//! Owns writes and their answers: what goes through the log, and what comes back.

use serde::{Deserialize, Serialize};

use super::{Alteration, Cell, Change, Check, ColumnSpec, Did, Failure, Filter, Ids, IndexSpec, Operation, Table};

/// How a put treats what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PutMode {
    /// The row must be absent (`row_exists`).
    Insert,
    /// The row is created, or replaced whole: columns left out become null.
    Replace,
    /// The row must exist (`row_not_found`); columns left out keep their values.
    Update,
}

/// A condition on the row as it is (`revision_mismatch`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// None.
    Always,
    /// The row's last change has this revision.
    Revision(u64),
    /// The row is absent.
    Absent,
}

/// How an import treats a row that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnConflict {
    /// It is refused (`row_exists`).
    #[default]
    Error,
    /// What is there stays.
    Skip,
    /// It is replaced whole: columns left out become null.
    Replace,
    /// It stays where it is the same, else it is refused (`row_exists`): an import goes on where another broke off.
    Same,
}

impl OnConflict {
    /// All ways with their names.
    pub const NAMES: [(&'static str, OnConflict); 4] = [
        ("error", OnConflict::Error),
        ("skip", OnConflict::Skip),
        ("replace", OnConflict::Replace),
        ("same", OnConflict::Same),
    ];

    /// What there is, for messages.
    pub const HINT: &'static str = "it is error, skip, replace or same";

    /// The way's name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, own)| *own == self).map_or("error", |(name, _)| name)
    }
}

/// One row of an import.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PutRow {
    /// The line it came from, for messages.
    pub line: u64,
    /// The row id as text.
    pub row_id: String,
    /// Values by the index of their column in `PutRows::columns`; each index at most once.
    pub cells: Vec<(u32, Cell)>,
}

/// One change to the tables, as it goes through the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Write {
    /// Creates a table.
    CreateTable {
        /// Its name.
        name: String,
        /// Its columns, in order.
        columns: Vec<ColumnSpec>,
    },
    /// Drops a table with all its rows.
    DropTable {
        /// Its name.
        name: String,
    },
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
        /// A condition on what is there.
        when: When,
    },
    /// Deletes a row.
    Delete {
        /// The table's name.
        table: String,
        /// The row id as text.
        row_id: String,
        /// A condition on what is there.
        when: When,
    },
    /// Inserts or replaces rows, all or none; they share one revision.
    PutRows {
        /// The table's name.
        table: String,
        /// The names of the columns that the rows' cells stand for.
        columns: Vec<String>,
        /// The rows, in order.
        rows: Vec<PutRow>,
        /// How a row that is there is treated.
        on_conflict: OnConflict,
    },
    /// Many operations, all or none; they share one revision.
    Transaction {
        /// What must hold before; the first that does not refuses all.
        checks: Vec<Check>,
        /// The operations, in order; each sees what those before it did.
        operations: Vec<Operation>,
    },
    /// The same change of some rows of a table, as far as they are there and pass; one revision.
    ChangeRows {
        /// The table's name.
        table: String,
        /// The row ids as text, in the order of their keys.
        row_ids: Vec<String>,
        /// What a row must be like; others are passed over.
        filters: Vec<Filter>,
        /// What becomes of each row.
        change: Change,
        /// Whether no more rows are to come.
        last: bool,
    },
    /// Changes the columns of a table, all or none.
    AlterTable {
        /// The table's name.
        name: String,
        /// The changes, in order.
        changes: Vec<Alteration>,
    },
    /// Adds an index; rows that are there are entered by `BuildIndex`.
    CreateIndex {
        /// The table's name.
        table: String,
        /// The index.
        index: IndexSpec,
    },
    /// Drops an index.
    DropIndex {
        /// The table's name.
        table: String,
        /// The index's name.
        index: String,
    },
    /// Enters some more rows into an index that is being built.
    BuildIndex {
        /// The table's name.
        table: String,
        /// The index's name.
        index: String,
        /// How many rows at most.
        rows: u32,
    },
}

/// The client's name for one write, under which it may be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// 1 to 200 bytes of visible ASCII.
    pub key: String,
    /// A hash of the write's body, to tell a repetition from a reuse.
    pub digest: u128,
}

/// A write with all that the node that took it stamps on it, so that applying it needs no clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The write.
    pub write: Write,
    /// Its idempotency key, if it has one.
    pub key: Option<IdempotencyKey>,
    /// When the node took it: milliseconds since 1970, UTC.
    pub at_ms: u64,
}

/// What an import did with its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that were absent and are there now.
    pub inserted: u64,
    /// Rows that were there and were replaced.
    pub replaced: u64,
    /// Rows that were there and were left as they are.
    pub skipped: u64,
}

impl Counts {
    /// All rows.
    pub fn rows(&self) -> u64 {
        self.inserted + self.replaced + self.skipped
    }

    /// Adds the counts of what came after.
    pub fn add(&mut self, more: Counts) {
        self.inserted += more.inserted;
        self.replaced += more.replaced;
        self.skipped += more.skipped;
    }
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// The table was created, with this schema.
    Created(Table),
    /// The table was dropped.
    Dropped,
    /// The row was absent and is there now; its table has such ids.
    Inserted(Ids),
    /// The row was there and has changed.
    Updated(Ids),
    /// The row is gone.
    Deleted(Ids),
    /// The rows of an import were put.
    Imported(Counts),
    /// What each operation of a transaction did.
    Transacted(Vec<Did>),
    /// Rows were changed alike.
    Changed {
        /// How many.
        rows: u64,
        /// The row id, as text, up to which the rows have been looked at; none where there were none.
        through: Option<String>,
        /// Whether no more rows are to come.
        last: bool,
    },
    /// The table's columns or indexes have changed; this is its schema now.
    Altered(Table),
    /// A step of an index's building was done.
    Built,
}

/// The answer to a write that took effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The position of the write among all writes of its group: 1, 2, 3 …
    pub revision: u64,
    /// What it did.
    pub effect: Effect,
}

/// The answer to any write that went through the log.
pub type Answer = Result<Applied, Failure>;

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Level {
    /// It sees every write acknowledged before it began, on whichever node.
    #[default]
    Linearizable,
    /// It sees what this node has, at once, also without a quorum.
    Stale,
}
