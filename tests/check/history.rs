//! Owns the shape of a history: what a client asked of a row, when, and what it was told.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

/// One operation of one client. A client sends its next one after this one was answered or given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub client: u64,
    /// Unique in the history.
    pub id: u64,
    /// When the first attempt was sent, on the clock that all clients share (microseconds).
    pub call: u64,
    /// When the answer had come, or the client gave up.
    #[serde(rename = "return")]
    pub end: u64,
    pub row: String,
    #[serde(flatten)]
    pub op: Op,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What was asked. Values are unique in a row, save those of increments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Sets the row, whether or not it is there.
    Put { value: i64 },
    /// Makes a row that must not be there.
    Insert { value: i64 },
    /// Changes a row that must be there.
    Update { value: i64 },
    /// Sets the row if it is at a revision.
    Swap { value: i64, expects: u64 },
    /// The same under an idempotency key that every retry carries; the value is the one read, plus one.
    Increment { value: i64, expects: u64 },
    /// Removes a row that must be there.
    Delete,
    /// A linearizable read.
    Read,
    /// A read that may be old.
    Stale,
    /// A linearizable read of several rows at once.
    Search { rows: Vec<String> },
}

impl Op {
    /// The value that a write leaves; `None` for a delete and for reads.
    pub fn value(&self) -> Option<i64> {
        match self {
            Op::Put { value }
            | Op::Insert { value }
            | Op::Update { value }
            | Op::Swap { value, .. }
            | Op::Increment { value, .. } => Some(*value),
            Op::Delete | Op::Read | Op::Stale | Op::Search { .. } => None,
        }
    }

    pub fn is_write(&self) -> bool {
        !matches!(self, Op::Read | Op::Stale | Op::Search { .. })
    }
}

/// What a read saw of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    pub row: String,
    pub value: i64,
    /// Of the row's last change.
    pub revision: u64,
}

/// What the client was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The write took effect at this revision.
    Wrote { revision: u64 },
    /// The rows that a read saw (one at most, save for a search), and the revision that the answer reflects.
    Saw { found: Vec<Found>, at: Option<u64> },
    /// The row's state forbids the write: it is there, is not there, or is at another revision.
    Refused { code: String },
    /// The write took no effect and never will, for a reason that says nothing of the row.
    NotApplied,
    /// It may have taken effect, or take effect later. Also a read without an answer.
    Unknown,
}

/// Reads a history; an unreadable line is an error that names it.
pub fn read_lines(from: impl BufRead) -> Result<Vec<Entry>, String> {
    let mut history = Vec::new();
    for (number, line) in (1..).zip(from.lines()) {
        let line = line.map_err(|e| format!("line {number}: {e}"))?;
        history.push(serde_json::from_str(&line).map_err(|e| format!("line {number}: {e}"))?);
    }
    Ok(history)
}

/// Writes a history, one entry a line.
pub fn write_lines(history: &[Entry], mut to: impl Write) -> std::io::Result<()> {
    for entry in history {
        serde_json::to_writer(&mut to, entry)?;
        to.write_all(b"\n")?;
    }
    to.flush()
}
