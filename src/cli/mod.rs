//! The command line: what was typed (`args`, and each command's own arguments), what it means
//! (`commands`), how it looks (`print`), and how it ends (`error`: the one table of exit codes).
//!
//! A command makes one or a few calls on `client`, puts the answer into a `View` and shows it.
//! Results go to stdout, everything else to stderr. This is the only room that prints, and the
//! only one that names clap and comfy-table.
//!
//! `complete` answers the shells before anything else of the program runs; `help` owns the topics
//! and turns the grammar into man pages.
//!
//! `usage` says what is wrong with words that make no command, `filters` with words that are no filter.
//!
//! `shell` runs the same commands line after line; `pager` shows what is longer than the screen.

mod args;
mod commands;
mod complete;
mod context;
mod error;
mod filters;
mod help;
mod log;
mod options;
mod output;
mod pager;
mod print;
mod rows;
mod run;
mod runtime;
mod shell;
mod signals;
mod usage;
mod values;

pub use run::run;
