//! Owns what was typed: the commands, and the options that all of them take.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, Resettable};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use super::commands::{
    bench, completions, config, delete, demo, doctor, export, generate, get, help, import, insert, search, serve,
    shell, sql, status, table, txn, update, verify, wait,
};
use super::help::EXIT_CODES;
use super::print::Format;
use crate::model::Level;
use crate::protocol::{parse_duration, parse_level};

const EXAMPLES: &str = "\
Examples:
  ddb demo                                  a throwaway cluster and a tour of it
  ddb serve --id 1                          run node 1 of ./config.json
  ddb table create students id name grade
  ddb insert students 1 name=Ahmed grade=A
  ddb search students grade=A
  ddb status -e http://127.0.0.1:8080";

const TOPICS: &str = "\
Topics: ddb help exit-codes|environment|filters|values|output|config|consistency";

/// A distributed table database: run its nodes, and work with its tables.
#[derive(Debug, Parser)]
#[command(name = "ddb", version, long_version = long_version(), max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = format!("{TOPICS}\n\n{EXAMPLES}"))]
#[command(after_long_help = format!("Exit codes:\n{EXIT_CODES}\n{TOPICS}\n\n{EXAMPLES}"), disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    #[command(flatten)]
    Client(ClientCommand),
    Shell(shell::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Config(config::Args),
    Completions(completions::Args),
    Help(help::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}

/// What to ask a cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    Status(status::Args),
    Wait(wait::Args),
    Verify(verify::Args),
    Table(table::Args),
    Insert(insert::Args),
    Get(get::Args),
    Search(search::Args),
    Sql(sql::Args),
    Update(update::Args),
    Delete(delete::Args),
    Txn(txn::Args),
    Import(import::Args),
    Export(export::Args),
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is dumb.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// The options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The nodes to talk to, separated by commas: http://host:port [default: those in the config file]
    #[arg(short, long, global = true, env = "DDB_ENDPOINTS", hide_env_values = true)]
    #[arg(value_name = "URL", value_delimiter = ',')]
    pub(crate) endpoints: Vec<String>,

    /// How results are written: table, json, jsonl, csv, tsv, line or markdown
    #[arg(short, long, global = true, env = "DDB_OUTPUT", hide_env_values = true)]
    #[arg(value_name = "FORMAT", value_enum, default_value = "table", hide_possible_values = true)]
    pub(crate) output: Format,

    /// How long the whole command may take: 500ms, 5s, 2m [default: 5s]
    #[arg(long, global = true, env = "DDB_TIMEOUT", hide_env_values = true)]
    #[arg(value_name = "TIME", value_parser = timeout)]
    pub(crate) timeout: Option<Duration>,

    /// How fresh reads are: linearizable (they see every acknowledged write) or stale
    #[arg(long, global = true, env = "DDB_LEVEL", hide_env_values = true)]
    #[arg(value_name = "LEVEL", value_parser = level, default_value = "linearizable")]
    pub(crate) level: Level,

    /// The configuration file [default: ./config.json]
    #[arg(long, global = true, env = "DDB_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// When to use colours: auto, always or never
    #[arg(long, global = true, env = "DDB_COLOR", hide_env_values = true)]
    #[arg(value_name = "WHEN", value_enum, default_value = "auto", hide_possible_values = true)]
    pub(crate) color: ColorChoice,

    /// Say nothing about what was done
    #[arg(short, long, global = true, env = "DDB_QUIET", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,

    /// Say more on stderr
    #[arg(short, long, global = true, env = "DDB_VERBOSE", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new(), conflicts_with = "quiet")]
    pub(crate) verbose: bool,

    /// Show long results at once, and not a screen at a time
    #[arg(long, global = true, env = "DDB_NO_PAGER", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    pub(crate) no_pager: bool,

    /// Whether the command line itself, and not a variable, says how results are written.
    #[arg(skip)]
    pub(crate) output_given: bool,
}

impl Global {
    /// The options that these words give, else the variables.
    ///
    /// # Errors
    /// What is wrong with which.
    pub(crate) fn read(words: impl IntoIterator<Item = String>) -> Result<Global, clap::Error> {
        let command = Global::augment_args(clap::Command::new("ddb")).no_binary_name(true);
        Global::from_arg_matches(&passing_over_empty(command).try_get_matches_from(words)?)
    }
}

/// The grammar of the program.
pub(crate) fn grammar() -> clap::Command {
    passing_over_empty(Cli::command())
}

/// A variable that is set to nothing is as good as none.
fn passing_over_empty(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { arg.env(Resettable::Reset) } else { arg }
    })
}

/// What the words say, the first of which is the program's name.
///
/// # Errors
/// What is wrong with them, or the help or version that they ask for.
pub(crate) fn parse<T: Into<OsString> + Clone>(words: impl IntoIterator<Item = T>) -> Result<Cli, clap::Error> {
    let matches = grammar().try_get_matches_from(words)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.global.output_given = deepest(&matches).value_source("output") == Some(ValueSource::CommandLine);
    Ok(cli)
}

/// What was given to the command itself, where it stands below others.
pub(crate) fn deepest(matches: &ArgMatches) -> &ArgMatches {
    let mut deepest = matches;
    while let Some((_, below)) = deepest.subcommand() {
        deepest = below;
    }
    deepest
}

fn level(text: &str) -> Result<Level, String> {
    parse_level(text).map_err(|failure| failure.hint.unwrap_or(failure.message))
}

/// The version, what it was built for, and how.
fn long_version() -> String {
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (version, arch, os) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
    format!("{version} ({arch}-{os}, {build} build)")
}

/// A duration that is longer than nothing.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than nothing".into()),
        Ok(time) => Ok(time),
        Err(failure) => Err(failure.hint.unwrap_or(failure.message)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// `command` and all below it.
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let below = command.get_subcommands().flat_map(all);
        std::iter::once(command.clone()).chain(below).collect()
    }

    #[test]
    fn the_commands_are_well_formed_and_their_help_ends_with_examples() {
        Cli::command().debug_assert();
        let mut root = Cli::command();
        root.build();
        for mut command in all(&root) {
            let help = command.render_long_help().to_string();
            let first = help.lines().next().unwrap_or_default();
            assert!(first.split(' ').count() > 2, "{} has no sentence: {first}", command.get_name());
            let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
            assert!(!examples.is_empty(), "{} has no examples", command.get_name());
            assert!(examples.lines().all(|line| line.starts_with("  ddb ")), "{}", command.get_name());
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let topics = crate::cli::help::TOPICS.map(|topic| topic.text).join("\n");
            for line in after.lines().chain(topics.lines()).filter(|line| !line.starts_with("  ddb ")) {
                assert!(line.chars().count() <= 80, "too long for a terminal of 80 columns: {line}");
            }
        }
    }

    #[test]
    fn a_row_id_may_be_negative_and_one_that_looks_like_an_option_comes_after_two_dashes() {
        for words in [
            &["ddb", "get", "t", "-7"][..],
            &["ddb", "get", "t", "--", "-x"],
            &["ddb", "insert", "t", "-7", "a=1"],
            &["ddb", "update", "t", "-7", "a=1"],
            &["ddb", "delete", "t", "-7", "-8"],
        ] {
            assert!(Cli::try_parse_from(words).is_ok(), "{words:?}");
        }
        assert!(Cli::try_parse_from(["ddb", "get", "t", "-x"]).is_err());
    }
}
