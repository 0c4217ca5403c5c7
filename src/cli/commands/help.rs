//! `ddb help`: what is known about a topic or a command.

use clap::{Command, CommandFactory as _};

use crate::cli::args::Cli;
use crate::cli::error::{CliError, usage};
use crate::cli::help::{TOPICS, topic};
use crate::cli::output;
use crate::cli::print::escape;
use crate::model::nearest;

const EXAMPLES: &str = "\
Topics: exit-codes, environment, filters, values, output, config, consistency.

Examples:
  ddb help
  ddb help filters
  ddb help table create";

/// Show what is known about a topic or a command.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A topic, or a command with its subcommands
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), CliError> {
    if let [name] = args.topic.as_slice()
        && let Some(topic) = topic(name)
    {
        return output::result(topic.text);
    }
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    for (at, word) in args.topic.iter().enumerate() {
        command = command.find_subcommand(word).ok_or_else(|| unknown(word, command, &args.topic[..at]))?;
    }
    output::result(&command.clone().render_long_help().to_string())
}

fn unknown(word: &str, command: &Command, above: &[String]) -> CliError {
    let first = above.is_empty();
    let above: Vec<&str> = ["ddb", "help"].into_iter().chain(above.iter().map(String::as_str)).collect();
    let topics = TOPICS.iter().map(|topic| topic.name).filter(|_| first);
    let near = nearest(word, command.get_subcommands().map(Command::get_name).chain(topics));
    let names = || TOPICS.map(|topic| topic.name).join(", ");
    let hint = near.map_or_else(
        || format!("the commands are listed by: ddb help; the topics are {}", names()),
        |near| format!("did you mean: {} {near}", above.join(" ")),
    );
    usage(format!("there is no help about \"{}\"", escape(word)), hint)
}
