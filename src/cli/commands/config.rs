//! `ddb config`: shows what the options, the variables and the configuration come to.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::cli::args::{Global, deepest, grammar};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::print::{View, text};
use crate::config::{Config, Explained};

const EXAMPLES: &str = "\
Examples:
  ddb config show
  ddb config show --config /etc/ddb/config.json -o json";

/// Show the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show every value and where it comes from
    #[command(after_help = EXAMPLES)]
    Show,
}

pub(crate) fn run(args: &Args, global: &Global, context: &Context) -> Result<(), CliError> {
    let Command::Show = args.command;
    let mut values = options();
    match Config::explain(global.config.as_deref())? {
        Some(told) => values.extend(told),
        None => context.note("there is no ./config.json, and no other is named: these are the options alone"),
    }
    let row = |value: Explained| vec![text(value.key), text(value.value), text(value.origin)];
    context.show(&View::list(&["key", "value", "origin"], values.into_iter().map(row).collect()))
}

/// The global options that have a value, read again for who gave it.
fn options() -> Vec<Explained> {
    let command = grammar();
    let Ok(matches) = command.clone().try_get_matches_from(std::env::args_os()) else { return Vec::new() };
    let global = |arg: &&clap::Arg| arg.is_global_set();
    command.get_arguments().filter(global).filter_map(|arg| option(arg, deepest(&matches))).collect()
}

/// What holds where nobody gives an option that has no value of its own.
fn unset(id: &str) -> Option<&'static str> {
    match id {
        "endpoints" => Some("the nodes of the configuration"),
        "timeout" => Some("5s, of most commands"),
        "config" => Some("./config.json"),
        _ => None,
    }
}

fn option(arg: &clap::Arg, matches: &ArgMatches) -> Option<Explained> {
    let id = arg.get_id().as_str();
    let origin = match matches.value_source(id) {
        None => {
            let value = unset(id)?.into();
            return Some(Explained { key: id.into(), value, origin: "default".into() });
        }
        Some(source) => source,
    };
    let origin = match origin {
        ValueSource::DefaultValue => "default".into(),
        ValueSource::EnvVariable => arg.get_env()?.to_string_lossy().into_owned(),
        _ => format!("--{id}"),
    };
    let words: Vec<_> = matches.get_raw(id)?.map(|word| word.to_string_lossy()).collect();
    let value = if words.is_empty() { "true".into() } else { words.join(",") };
    Some(Explained { key: id.into(), value, origin })
}
