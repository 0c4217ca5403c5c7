//! `ddb shell`: runs commands line after line, at a prompt or from a script.

use std::io::{IsTerminal as _, stdin};

use crate::cli::args::Global;
use crate::cli::error::CliError;
use crate::cli::shell::{Session, Source, interact, play};
use crate::cli::signals::{self, Interrupts};

const AFTER: &str = "\
Statements are commands without ddb, each on a line of its own or ended by a
semicolon; # begins a comment, and quotes are those of a shell. A query (SELECT
...) goes on until its semicolon. Options that are given here hold for every
statement that says nothing else. At the prompt TAB completes, Ctrl-C cancels
what runs, and help lists what only the shell knows: \\timing, \\set, \\q.

Where stdin is no terminal it is read as a script. A script ends at its first
failure, with the exit code of the statement, and says in which line it was.

Examples:
  ddb shell
  ddb shell -c 'table list' -c 'search students grade=A' -o json
  ddb shell -f setup.ddb
  ddb shell --keep-going -f statements.ddb";

/// Run commands line after line, at a prompt or from a script.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Run these statements, and no others; may be repeated
    #[arg(short, value_name = "STATEMENTS")]
    commands: Vec<String>,
    /// Run the statements of a file, or with - those of stdin
    #[arg(short, long, value_name = "FILE", conflicts_with = "commands")]
    file: Option<String>,
    /// Go on after a failure; the exit code is that of the first one
    #[arg(short, long)]
    keep_going: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<(), CliError> {
    let sources: Vec<Source> = match &args.file {
        Some(file) => vec![Source::File(file.clone())],
        None if !args.commands.is_empty() => args.commands.iter().cloned().map(Source::Text).collect(),
        None if !stdin().is_terminal() => vec![Source::File("-".into())],
        None => return interact(&mut Session::new(global, Some(Interrupts::listen()))?),
    };
    signals::end_on_signal();
    play(&mut Session::new(global, None)?, &sources, args.keep_going)
}
