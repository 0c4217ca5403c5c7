//! `ddb completions`: prints the completion script of a shell.

use crate::cli::complete::{Shell, script};
use crate::cli::error::CliError;
use crate::cli::output;

const EXAMPLES: &str = "\
Table and column names are completed as well: they are asked of the cluster.

Examples:
  ddb completions bash > ~/.local/share/bash-completion/completions/ddb
  ddb completions zsh > ~/.zfunc/_ddb
  ddb completions fish > ~/.config/fish/completions/ddb.fish";

/// Print the completion script of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell: bash, zsh or fish
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<(), CliError> {
    output::result(script(args.shell))
}
