//! ddb: a distributed table database that people drive from the shell.
pub mod cli;
pub mod client;
pub mod config;
pub mod model;
pub mod protocol;
pub mod replication;
pub mod server;
pub mod store;
