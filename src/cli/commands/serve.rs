//! `ddb serve`: runs a node until it is told to stop.

use std::io::Read as _;

use crate::cli::args::Global;
use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::{log, output, runtime};
use crate::config::Config;
use crate::server::{Ended, serve};

const EXAMPLES: &str = "\
The log goes to stderr; DDB_LOG sets its level: info, debug, ddb=debug,warn.

Examples:
  ddb serve --id 1
  ddb serve --id 2 --config /etc/ddb/config.json --data-dir /var/lib/ddb
  ddb serve --id 1 --listen 0.0.0.0:8080";

/// Run a node of the cluster, the first time and ever after.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The node's id in the configuration
    #[arg(long, value_name = "N")]
    id: u64,
    /// Listen here instead of at the node's own address
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Keep the data in DIR/node-N [default: data_dir of the configuration]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Stop when stdin closes, so that no node outlives the program that started it
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

pub(crate) fn run(args: Args, global: &Global, context: &Context) -> Result<(), CliError> {
    let flags: Vec<(&str, String)> = args.data_dir.map(|dir| ("data_dir", dir)).into_iter().collect();
    let config = Config::load(global.config.as_deref(), &flags)?;
    let log = log::start(global.verbose, global.quiet, context.style.color)?;
    if args.until_stdin_closes {
        stop_when_stdin_closes();
    }
    let id = args.id;
    let runtime = runtime::with_threads(config.threads).map_err(CliError::Runtime)?;
    let ended = runtime.block_on(serve(config, id, args.listen, |address| {
        // A node serves, whether or not anybody reads this.
        let _ = output::result(&format!("ddb node {id} listening on http://{address}\n"));
    }));
    runtime.shutdown_background();
    log.flush();
    match ended? {
        Ended::Interrupted => Err(CliError::Said(exit::INTERRUPTED)),
        Ended::Terminated => Err(CliError::Said(exit::TERMINATED)),
    }
}

/// Sends SIGTERM to this very process at the end of stdin.
fn stop_when_stdin_closes() {
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        // An error is an end as well.
        let _ = std::io::stdin().read_to_end(&mut rest);
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
    });
}
