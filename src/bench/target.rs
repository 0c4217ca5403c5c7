//! Owns what a store must be able to do to be driven.

use std::future::Future;

use super::Row;

/// A store.
pub trait Target: Send + Sync + 'static {
    /// A connection to it.
    type Session: Session;

    /// A connection for a worker; the first request may be what opens it.
    fn session(&self, worker: usize) -> Self::Session;
}

/// One connection to a store. An error is a sentence; of a write it leaves open what became of it.
pub trait Session: Send + 'static {
    /// Puts a row, whether or not it is there.
    fn put(&mut self, row: Row) -> impl Future<Output = Result<(), String>> + Send;

    /// What is known of a row, or `None` if it is not there.
    fn get(&mut self, key: u64) -> impl Future<Output = Result<Option<Vec<u8>>, String>> + Send;

    /// How many rows of a group were found.
    fn search(&mut self, group: u64) -> impl Future<Output = Result<u64, String>> + Send;

    /// Puts many rows with as few requests as it takes.
    fn load(&mut self, rows: &[Row]) -> impl Future<Output = Result<(), String>> + Send;
}
