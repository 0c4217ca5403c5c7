//! Owns the talk with the scripts of the shells: what they pass, and how they want the answer.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::ValueEnum;

use super::line::{Line, escape, split};
use super::live::Cluster;
use super::offer::{Candidate, offers};
use super::place::Place;
use crate::cli::args::grammar;
use crate::cli::output;

/// The shells that there is completion for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Version 4 or later.
    Bash,
    /// Version 5 or later.
    Zsh,
    /// Version 3.4 or later.
    Fish,
}

/// The script that makes a shell ask.
pub(crate) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../../completions/ddb.bash"),
        Shell::Zsh => include_str!("../../../completions/_ddb"),
        Shell::Fish => include_str!("../../../completions/ddb.fish"),
    }
}

/// Answers a script: bash passes its word breaks and the line, the others the words behind the
/// program's name, the last of which is the one at the cursor.
///
/// Whatever happens the answer is a success: a shell has no use for an error here.
pub(crate) fn answer(shell: &OsStr) -> ExitCode {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let text = match shell.to_str().and_then(|name| Shell::from_str(name, false).ok()) {
        Some(Shell::Bash) => bash(&words),
        Some(Shell::Zsh) => others(words),
        Some(Shell::Fish) => fish(words),
        None => String::new(),
    };
    let _ = output::result(&text);
    ExitCode::SUCCESS
}

/// What may follow `words`, those behind the program's name, and begins with `current`.
pub(crate) fn candidates(words: &[String], current: &str) -> Vec<Candidate> {
    let mut root = grammar();
    root.build();
    let place = Place::find(&root, words);
    offers(&place, current, &Cluster::of(&place.given))
}

fn bash(passed: &[String]) -> String {
    let [breaks, text] = passed else { return String::new() };
    let Line { words, current, kept, quote } = split(text, breaks);
    let words = words.get(1..).unwrap_or_default();
    let mut out = String::new();
    for candidate in candidates(words, &current) {
        let rest = candidate.value.get(kept..).unwrap_or_default();
        // Inside a quote bash itself adds what closes the word.
        out += &if quote.is_some() { rest.to_string() } else { escape(rest) };
        out += if candidate.open || quote.is_some() { "\n" } else { " \n" };
    }
    out
}

/// One line a candidate, what it means behind a tab; a space ends what is whole.
fn others(mut words: Vec<String>) -> String {
    let current = words.pop().unwrap_or_default();
    let line = |Candidate { value, help, open }| format!("{value}{}\t{help}\n", if open { "" } else { " " });
    candidates(&words, &current).into_iter().map(line).collect()
}

/// fish passes the last word with its quotes, and knows itself where no space belongs.
fn fish(mut words: Vec<String>) -> String {
    let current = split(&words.pop().unwrap_or_default(), "").current;
    let line = |Candidate { value, help, .. }| format!("{value}\t{help}\n");
    candidates(&words, &current).into_iter().map(line).collect()
}
