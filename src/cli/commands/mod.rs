//! The commands, a file each: its arguments, what they mean, what is shown.

pub(crate) mod delete;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod insert;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod update;
pub(crate) mod verify;
pub(crate) mod wait;
mod written;
