//! Completion: what may follow the words that were typed so far.
//!
//! The scripts under `completions/` call the program itself with `DDB_COMPLETE` set to the name of
//! the shell. `shell` speaks with the scripts, `line` splits what was typed, `place` finds where in
//! the grammar that ends, `offer` says what may stand there, `live` asks the cluster for names.
//! Whatever goes wrong on the way, nothing is offered and nothing is said: nobody wants an error
//! in the middle of a line.
//!
//! `ddb shell` asks as the scripts do, within its own process.
//!
//! It knows no command by heart: a new one is completed as soon as clap knows it.

mod line;
mod live;
mod offer;
mod place;
mod shell;

#[cfg(test)]
mod tests;

pub(crate) use line::{escape, split};
pub(crate) use offer::Candidate;
pub(crate) use place::Place;
pub(crate) use shell::{Shell, answer, candidates, script};
