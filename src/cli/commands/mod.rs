//! The commands, a file each: its arguments, what they mean, what is shown.

pub(crate) mod bench;
pub(crate) mod completions;
mod condition;
pub(crate) mod config;
pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod generate;
pub(crate) mod get;
pub(crate) mod help;
pub(crate) mod import;
pub(crate) mod insert;
mod many;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod sql;
pub(crate) mod status;
pub(crate) mod table;
mod table_alter;
mod table_index;
pub(crate) mod txn;
pub(crate) mod update;
pub(crate) mod verify;
pub(crate) mod wait;
mod written;
