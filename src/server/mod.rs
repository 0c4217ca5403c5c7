//! HTTP: the only room that names warp.
//!
//! A request runs downhill through four files: `listen` accepts the connection and keeps its
//! deadlines (`socket`, `streams`), `service` is the one warp filter, `dispatch` finds the route and reads the
//! body, a handler of a few lines asks `protocol` what the body means and the group to do it, and
//! `reply` puts the outcome into status, headers and JSON.
//!
//! Invariants: only `reply` knows which status a code has; only `routes` knows which paths there
//! are; no handler waits without a deadline; nothing is queued without a bound.
//!
//! Deliberately missing: TLS and logins, compression.

mod body;
mod dispatch;
mod guard;
mod handlers;
mod limits;
mod listen;
mod meter;
mod openapi;
mod params;
mod reply;
mod request;
mod routes;
mod serve;
mod service;
mod socket;
mod streams;
#[cfg(test)]
mod tests;

pub use crate::replication::{Inspected, LEAST_FREE, inspect};
pub use limits::Limits;
pub use meter::install_metrics;
pub use serve::{Ended, ServeError, serve};
pub use service::run;
