//! `ddb shell`: the commands without `ddb`, line after line, at a prompt or from a script.
//!
//! `statement` cuts what was typed into statements, `session` runs one of them and keeps what
//! outlives it (options, connections, timing), `meta` knows the words that only a shell has,
//! `prompt` asks the cluster who leads, `editor` is the line at a terminal with its history and
//! completion, `script` runs a file, a pipe or `-c`.
//!
//! A failed statement never ends a session at a terminal: it is told, and the next one is read.
//! A script ends at its first failure, unless it is to keep going.

mod editor;
mod meta;
mod prompt;
mod script;
mod session;
mod statement;

pub(crate) use editor::interact;
pub(crate) use script::{Source, play};
pub(crate) use session::Session;
