//! Owns how a refusal or failure is called, on every node and in every client.
//!
//! A `Failure` made by the store's apply is part of the replicated state (it is the remembered
//! answer of an idempotency key), so it holds only what every replica computes alike.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What went wrong, in one word that programs can match on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code there is, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it stands in JSON: `row_not_found`.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// A malformed request: unknown parameter, missing field, bad header.
    BadRequest = "bad_request",
    /// The body is not the JSON that was expected; the message says where.
    BadJson = "bad_json",
    /// A table or column name, or a row id, breaks the rules.
    BadName = "bad_name",
    /// A filter could not be understood.
    BadFilter = "bad_filter",
    /// Nobody is logged in.
    Unauthenticated = "unauthenticated",
    /// Logged in, but not allowed.
    Forbidden = "forbidden",
    /// No such route.
    NotFound = "not_found",
    /// No such table.
    TableNotFound = "table_not_found",
    /// No such row.
    RowNotFound = "row_not_found",
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed",
    /// The table is there already.
    TableExists = "table_exists",
    /// The row is there already.
    RowExists = "row_exists",
    /// The idempotency key came before with another body.
    IdempotencyKeyReused = "idempotency_key_reused",
    /// A value that must be unique is there already.
    UniqueViolation = "unique_violation",
    /// The row is not at the revision that the condition names.
    RevisionMismatch = "revision_mismatch",
    /// History before the asked revision is gone.
    Compacted = "compacted",
    /// Body, row or answer over its limit.
    TooLarge = "too_large",
    /// A body in a format other than JSON, or compressed.
    UnsupportedMediaType = "unsupported_media_type",
    /// The table has no such column.
    UnknownColumn = "unknown_column",
    /// The value does not fit the column's type.
    TypeMismatch = "type_mismatch",
    /// More load than the node takes.
    Overloaded = "overloaded",
    /// No leader, or no quorum.
    NoLeader = "no_leader",
    /// The deadline passed.
    Timeout = "timeout",
    /// The disk has no room for the write.
    DiskFull = "disk_full",
    /// The node is shutting down.
    ShuttingDown = "shutting_down",
    /// A fault of the server's own.
    Internal = "internal",
    /// A line of an import cannot be read as a row; the message says which and why.
    BadLine = "bad_line",
    /// An SQL query that cannot be understood, or does more than read.
    BadSql = "bad_sql",
    /// A condition of a transaction does not hold; the message says which, and what is there.
    ConditionFailed = "condition_failed",
    /// A column that must have a value has none.
    NotNullViolation = "not_null_violation",
    /// The table has a column of that name already.
    ColumnExists = "column_exists",
    /// The table has an index of that name already.
    IndexExists = "index_exists",
    /// The table has no such index.
    IndexNotFound = "index_not_found",
}

impl Code {
    /// The code of that name, if there is one.
    pub fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

/// What became of a write that was answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It took no effect and never will.
    NotApplied,
    /// It may take effect, now or later.
    Unknown,
}

/// An error as callers see it: code, message, hint, the fate of the write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// One word for programs.
    pub code: Code,
    /// One sentence for people: what was not done, and the facts.
    pub message: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
    /// What became of the write.
    pub fate: Fate,
    /// Whether the same request may succeed if sent again.
    pub retryable: bool,
}

impl Failure {
    /// A failure that left everything as it was and will not go away by itself.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        let retryable =
            matches!(code, Code::Overloaded | Code::NoLeader | Code::Timeout | Code::DiskFull | Code::ShuttingDown);
        Failure { code, message: message.into(), hint: None, fate: Fate::NotApplied, retryable }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// The same for a write that may have taken effect.
    #[must_use]
    pub fn unknown(mut self) -> Failure {
        self.fate = Fate::Unknown;
        self
    }

    /// The same, said of a line of an import.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Failure {
        if matches!(self.code, Code::BadJson | Code::BadName | Code::BadRequest) {
            self.code = Code::BadLine;
        }
        let reason = self.message.strip_suffix("; nothing was written").unwrap_or(&self.message);
        self.message = format!("line {line}: {reason}");
        self
    }

    /// The line of an import that it is said of, and the reason alone.
    pub fn line(&self) -> Option<(u64, &str)> {
        let (line, reason) = self.message.strip_prefix("line ")?.split_once(": ")?;
        Some((line.parse().ok()?, reason))
    }

    /// A fault of the server's own; what became of a write is unknown.
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::new(Code::Internal, message).unknown()
    }
}
