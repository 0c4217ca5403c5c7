//! Owns the run of a command from its words to its exit code.

use std::io;
use std::process::ExitCode;

use clap::error::ErrorKind;

use super::args::{Cli, ClientCommand, ColorChoice, Command, parse};
use super::context::{Context, painted};
use super::error::{CliError, exit};
use super::print::Format;
use super::usage::refusal;
use super::{commands, complete, output, signals};

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    // First of all: a shell waits for it, and nothing else is needed for it.
    if let Some(shell) = std::env::var_os("DDB_COMPLETE").filter(|shell| !shell.is_empty()) {
        return complete::answer(&shell);
    }
    let cli = match parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into()).collect();
            return told(&error, &words, std::env::var("DDB_OUTPUT").ok()).into();
        }
    };
    let context = Context::new(&cli.global);
    match local(cli, &context) {
        Ok(()) => exit::DONE.into(),
        Err(error) => {
            context.tell(&error);
            error.exit().into()
        }
    }
}

/// Shows help, the version, or what is wrong with `words`, those behind the program's name; the exit code.
pub(super) fn told(error: &clap::Error, words: &[String], variable: Option<String>) -> u8 {
    let json = wants_json(words.iter().cloned(), variable);
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json;
    if error.use_stderr() && !is_help {
        let format = if json { Format::Json } else { Format::Table };
        output::remark(&painted(refusal(error, words).report(format, false), ColorChoice::Auto));
        return exit::USAGE;
    }
    match error.print() {
        Err(gone) if gone.kind() != io::ErrorKind::BrokenPipe => exit::ERROR,
        _ if error.use_stderr() => exit::USAGE,
        _ => exit::DONE,
    }
}

/// Whether words that could not be read as a command ask for JSON all the same.
fn wants_json(words: impl Iterator<Item = String>, variable: Option<String>) -> bool {
    let mut wanted = variable;
    let mut after_option = false;
    for word in words.take_while(|word| word != "--") {
        let given = word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o").filter(|rest| !rest.is_empty()));
        match given {
            Some(format) => wanted = Some(format.trim_start_matches('=').to_string()),
            None if after_option => wanted = Some(word.clone()),
            None => {}
        }
        after_option = word == "-o" || word == "--output";
    }
    matches!(wanted.as_deref(), Some("json" | "jsonl"))
}

/// Runs a command to its end, in this process.
pub(super) fn local(cli: Cli, context: &Context) -> Result<(), CliError> {
    let command = match cli.command {
        Command::Serve(args) => return commands::serve::run(args, &cli.global, context),
        Command::Demo(args) => return commands::demo::run(args, context),
        Command::Shell(args) => return commands::shell::run(&args, &cli.global),
        Command::Doctor(args) => return commands::doctor::run(&args, &cli.global, context),
        Command::Bench(args) => return commands::bench::run(&args, context),
        Command::Config(args) => return commands::config::run(&args, &cli.global, context),
        Command::Completions(args) => return commands::completions::run(&args),
        Command::Help(args) => return commands::help::run(&args),
        Command::Generate(args) => return commands::generate::run(&args),
        Command::Client(command) => command,
    };
    signals::end_on_signal();
    // One thread is enough for a client, and it starts fast.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let result = runtime.block_on(ask(command, context));
    // Not dropped: that would wait for a name that is still being looked up.
    runtime.shutdown_background();
    result
}

/// Runs a command that asks a cluster.
pub(super) async fn ask(command: ClientCommand, context: &Context) -> Result<(), CliError> {
    match command {
        ClientCommand::Status(args) => commands::status::run(args, context).await,
        ClientCommand::Wait(args) => commands::wait::run(args, context).await,
        ClientCommand::Verify(_) => commands::verify::run(context).await,
        ClientCommand::Table(args) => commands::table::run(args, context).await,
        ClientCommand::Insert(args) => commands::insert::run(args, context).await,
        ClientCommand::Get(args) => commands::get::run(args, context).await,
        ClientCommand::Search(args) => commands::search::run(args, context).await,
        ClientCommand::Sql(args) => commands::sql::run(args, context).await,
        ClientCommand::Update(args) => commands::update::run(args, context).await,
        ClientCommand::Delete(args) => commands::delete::run(args, context).await,
        ClientCommand::Txn(args) => commands::txn::run(args, context).await,
        ClientCommand::Import(args) => commands::import::run(args, context).await,
        ClientCommand::Export(args) => commands::export::run(args, context).await,
    }
}
