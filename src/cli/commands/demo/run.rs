//! Owns the run of a demo: start the nodes, show or run what was asked for, end them all.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use super::cluster::Cluster;
use super::tour::{Tour, failed, until};
use crate::cli::commands::status::{Screen, view};
use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::output;
use crate::cli::print::Format;
use crate::cli::signals::Signals;
use crate::client::{Client, Endpoint};
use crate::model::{ClusterStatus, Level};

/// How often the cluster is looked at for the live status.
const PAUSE: Duration = Duration::from_millis(500);

const EXAMPLES: &str = "\
Examples:
  ddb demo                       a tour, then a live status until Ctrl-C
  ddb demo --once                a tour, and out
  ddb demo --nodes 5 -- bash     a shell with DDB_ENDPOINTS set
  ddb demo -- ./my-test.sh       a test against a cluster of its own";

/// Run a throwaway cluster on this machine, for a look or for a command.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many nodes
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// End after the tour
    #[arg(long, conflicts_with = "command")]
    once: bool,
    /// The command to run, with DDB_ENDPOINTS set; its exit code is returned
    #[arg(value_name = "CMD", last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(async {
        // Heard from the start, so that no signal leaves anything behind.
        let mut signals = Signals::listen().map_err(CliError::Runtime)?;
        let started = tokio::select! {
            started = start(usize::from(args.nodes)) => started,
            code = signals.next() => Err(CliError::Said(code)),
        };
        let (mut cluster, client) = started?;
        if let [program, words @ ..] = args.command.as_slice() {
            return command(program, words, &cluster, &mut signals).await;
        }
        tokio::select! {
            shown = show(&mut cluster, &client, context, args.once) => shown,
            code = signals.next() => Err(CliError::Said(code)),
        }
    })
}

/// Starts a cluster and waits until all is well with it.
async fn start(size: usize) -> Result<(Cluster, Client), CliError> {
    let cluster = Cluster::start(size).await.map_err(failed)?;
    let client = client(&cluster)?;
    until(&client, "the cluster is up", |status| status.healthy).await?;
    Ok((cluster, client))
}

fn client(cluster: &Cluster) -> Result<Client, CliError> {
    let endpoints = cluster.endpoints();
    let endpoints: Result<Vec<Endpoint>, _> = endpoints.split(',').map(Endpoint::parse).collect();
    let endpoints = endpoints.map_err(|bad| CliError::Usage { message: bad.to_string(), hint: None })?;
    Ok(Client::new(&endpoints, Duration::from_secs(60), Level::Linearizable)?)
}

/// The tour, and after it the cluster as it is, for as long as somebody looks.
async fn show(cluster: &mut Cluster, client: &Client, context: &Context, once: bool) -> Result<(), CliError> {
    Tour { context, client, cluster }.run().await?;
    if once {
        return Ok(());
    }
    output::result(&what_next(cluster))?;
    let mut screen = Screen::new(context);
    let mut shown = None;
    let mut ticks = tokio::time::interval(PAUSE);
    loop {
        ticks.tick().await;
        let said = match client.until(Duration::from_secs(1)).status().await {
            Ok(status) if shown.as_ref() == Some(&essence(&status)) && !context.style.terminal => continue,
            Ok(status) => {
                shown = Some(essence(&status));
                view(&status, Format::Table).render(Format::Table, context.style)
            }
            Err(error) if shown.take().is_some() || context.style.terminal => {
                CliError::from(error).report(Format::Table, false)
            }
            Err(_) => continue,
        };
        screen.say(&said)?;
    }
}

/// What makes a status worth showing again: who is up, and who leads.
fn essence(status: &ClusterStatus) -> (Option<u64>, Vec<bool>, bool) {
    let up = status.nodes.iter().map(|node| node.up).collect();
    (status.leader.as_ref().map(|leader| leader.id), up, status.healthy)
}

fn what_next(cluster: &Cluster) -> String {
    let pid = cluster.pid(1).unwrap_or_default();
    format!(
        "
The cluster runs until Ctrl-C, and leaves nothing behind. Try, in another terminal:

  export DDB_ENDPOINTS={}
  ddb search students
  ddb insert students 4 name=Omar grade=B
  kill -9 {pid}
  ddb serve --id 1 --config {}

Logs and data are in {}
",
        cluster.endpoints(),
        cluster.config().display(),
        cluster.dir().display(),
    ) + "\n"
}

/// Runs a command against the cluster; a signal goes on to it, and its exit code is ours.
async fn command(program: &str, words: &[String], cluster: &Cluster, signals: &mut Signals) -> Result<(), CliError> {
    let mut command = Command::new(program);
    command.args(words).env("DDB_ENDPOINTS", cluster.endpoints()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| not_run(program, &error))?;
    tokio::select! {
        ended = child.wait() => Err(CliError::Said(code_of(ended.map_err(failed)?))),
        code = signals.next() => {
            let heard = if code == exit::INTERRUPTED { Signal::INT } else { Signal::TERM };
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
                // Gone already is as good.
                let _ = kill_process(pid, heard);
            }
            child.wait().await.map_err(failed)?;
            Err(CliError::Said(code))
        }
    }
}

/// The exit code of a shell for this end of a command.
fn code_of(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(exit::ERROR)
}

fn not_run(program: &str, error: &std::io::Error) -> CliError {
    // As shells have it.
    let exit = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    CliError::Result { exit, message: format!("cannot run {program}: {error}") }
}
