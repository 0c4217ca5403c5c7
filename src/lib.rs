//! ddb: a distributed table database that people drive from the shell.
//!
//! The rooms, and who may use whom (`tests/tidy.rs` holds the arrows):
//!
//! ```text
//! cli → client → protocol → model        cli → server, for `ddb serve`; cli → bench, for `ddb bench`
//! server → replication, sql, protocol    replication → store → model    sql → store
//! replication, store → disk, mutants     replication, server → world → disk    bench → model
//! ```
//!
//! One write, from top to bottom: a route in `server` finds a handler; `protocol` reads the body into a
//! `model::Write`; `replication::Group::propose` encodes it once and puts it into the leader's log, here or by
//! way of the leader; a majority syncs it; the applier puts it into the `store` and gives it a revision; the
//! answer goes back the way the write came, and `server` turns it into a status.

pub mod bench;
pub mod cli;
pub mod client;
pub mod config;
pub mod disk;
#[cfg(test)]
mod fuzz;
pub mod model;
pub mod mutants;
pub mod protocol;
pub mod replication;
pub mod server;
pub mod sql;
pub mod store;
pub mod world;
