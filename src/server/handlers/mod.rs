//! What each route does, in a few lines: `protocol` says what the request means, the group does it,
//! `reply` says what came of it.
//!
//! A handler gets a request that has been read and checked; it knows no sockets and no statuses of failures.

pub(super) mod change;
pub(super) mod cluster;
pub(super) mod export;
pub(super) mod import;
pub(super) mod peer;
pub(super) mod read;
pub(super) mod scan;
pub(super) mod search;
mod sort;
pub(super) mod sql;
mod way;
pub(super) mod write;
