//! Owns what can go wrong with a store on its node; never what a write may be refused for.
//!
//! Every one of these is local: other replicas need not see it, so none may become an answer.

use std::io;

/// A fault of the store's disk, or of a stream that should become a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused to read or write.
    #[error("{file}: {source}")]
    Io {
        /// The store's file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full. What is in memory stays readable, and the next checkpoint tries again.
    #[error("{file}: no space left on the disk")]
    NoSpace {
        /// The store's file.
        file: String,
    },
    /// The file holds something else than what was written.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The store's file.
        file: String,
        /// What was found.
        what: String,
    },
    /// Another store has the file open.
    #[error("{file} is in use by another process")]
    InUse {
        /// The store's file.
        file: String,
    },
    /// An incoming snapshot is cut short or altered.
    #[error("the snapshot was refused: {0}")]
    BadSnapshot(String),
}

impl StoreError {
    pub(super) fn damaged(file: &str, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { file: file.into(), what: what.into() }
    }

    /// Sorts an I/O error of `file`.
    pub(super) fn io(file: &str, source: io::Error) -> StoreError {
        let file = file.to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace { file },
            io::ErrorKind::InvalidData => StoreError::Damaged { file, what: source.to_string() },
            _ => StoreError::Io { file, source },
        }
    }

    /// Sorts an error of redb's.
    pub(super) fn redb(file: &str, error: impl Into<redb::Error>) -> StoreError {
        match error.into() {
            redb::Error::Io(source) => StoreError::io(file, source),
            // Another thread met the error first; this one only hears that the file is out of use.
            later @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed) => {
                StoreError::Io { file: file.into(), source: io::Error::other(later.to_string()) }
            }
            redb::Error::DatabaseAlreadyOpen => StoreError::InUse { file: file.into() },
            other => StoreError::damaged(file, other.to_string()),
        }
    }
}
