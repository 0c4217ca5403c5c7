//! A typed client of a cluster: what a node can do, as methods, and nothing of how it is shown.
//!
//! A call tries all endpoints within its one deadline and ends with an answer of this cluster or
//! with a `ClientError` that knows whether anything was sent and what became of a write. A write
//! is sent again only under its idempotency key.
//!
//! This is the only room that names reqwest. It knows `protocol` and `model`.
//!
//! Deliberately missing: TLS and logins, proxies (nodes are talked to directly), redirects.

mod attempt;
mod call;
mod calls;
mod endpoint;
mod error;
mod export;
mod import;
mod request;
mod search;
mod sql;
mod transaction;

#[cfg(test)]
mod tests;

pub use calls::{Client, Put};
pub use endpoint::{BadEndpoint, Endpoint};
pub use error::{ClientError, Tried};
pub use export::Export;
pub use import::{Import, Piece, Pieces};
pub use search::{Pages, Search};
pub use sql::SqlAnswer;
pub use transaction::ChangeRows;
