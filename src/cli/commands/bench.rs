//! `ddb bench`: puts load on a cluster, and reads back what was acknowledged.

use std::io::{IsTerminal as _, stderr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::bench::{self, Nodes, Outcome, Plan, Process, Progress, Spread, Stop, Via, Workload};
use crate::cli::args::timeout;
use crate::cli::context::Context;
use crate::cli::error::{CliError, exit, usage};
use crate::cli::output;
use crate::cli::print::{Look, View, number, text};
use crate::cli::runtime;
use crate::cli::signals::Signals;
use crate::client::Client;
use crate::model::{ClusterStatus, Code, ColumnSpec, IndexSpec, Value};

/// How long one call beside the load may take: to make the table, or to ask who leads.
const CALL_TIME: Duration = Duration::from_secs(30);

const EXAMPLES: &str = "\
Examples:
  ddb bench insert
  ddb bench get --connections 16 --duration 5s --to leader
  ddb bench mixed --rate 2000 --keys 10000 --spread zipf
  ddb bench insert --count 10000 -o json";

/// Put load on a cluster and tell how fast it answers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// insert (put a row), get (read one by its id), search (ten rows of a group, by an index), mixed (get and insert by turns), import (1,000 rows a request)
    #[arg(value_name = "WORKLOAD", value_parser = named(&Workload::NAMES), hide_possible_values = true)]
    workload: Workload,
    /// How many requests are under way at a time, each on a connection of its own but for --streams
    #[arg(short, long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// How many of them share a connection, as streams of HTTP/2; with 1 each has a connection of HTTP/1.1
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=128))]
    streams: u16,
    /// How long it runs
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    duration: Duration,
    /// How many requests it makes, however long they take
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    count: Option<u64>,
    /// Begin so many requests a second whatever the answers take, and count waiting as latency
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Which nodes get the requests: leader, followers or all
    #[arg(long, value_name = "NODES", default_value = "all", value_parser = named(&Via::NAMES), hide_possible_values = true)]
    to: Via,
    /// How many different rows there are
    #[arg(long, value_name = "N", default_value = "100000", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    keys: u64,
    /// Which of them are asked for: uniform, zipf (a few most of the time) or sequential
    #[arg(long, value_name = "HOW", default_value = "uniform", value_parser = named(&Spread::NAMES), hide_possible_values = true)]
    spread: Spread,
    /// How many bytes of text a row has beside its numbers
    #[arg(long, value_name = "BYTES", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    value_size: u32,
    /// The table; it is made for the run, and dropped after it
    #[arg(long, value_name = "NAME", default_value = "ddb_bench")]
    table: String,
    /// Leave the table and its rows
    #[arg(long)]
    keep: bool,
    /// What the choice of rows begins with
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
}

/// A parser for one of some named values.
fn named<T: Copy + Send + Sync + 'static>(
    names: &'static [(&'static str, T)],
) -> impl clap::builder::TypedValueParser<Value = T> {
    PossibleValuesParser::new(names.iter().map(|(name, _)| *name))
        .map(move |word| names.iter().find(|(name, _)| *name == word).map_or(names[0].1, |(_, value)| *value))
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let runtime = runtime::with_threads(0).map_err(CliError::Runtime)?;
    let result = runtime.block_on(bench(args, context));
    runtime.shutdown_background();
    result
}

async fn bench(args: &Args, context: &Context) -> Result<(), CliError> {
    let mut signals = Signals::listen().map_err(CliError::Runtime)?;
    let plan = plan(args, context);
    let (client, status, nodes) = tokio::select! {
        begun = begin(args, context) => begun?,
        code = signals.next() => return Err(CliError::Said(code)),
    };
    let target = Arc::new(nodes);
    // From here on a signal ends the load, and another one all.
    let ran = tokio::select! {
        ran = load(&target, &plan, &status, context) => ran,
        code = signals.next() => Err(CliError::Said(code)),
    };
    if !args.keep {
        let client = client.until(CALL_TIME);
        tokio::select! {
            dropped = client.drop_table(&args.table) => drop(dropped?),
            code = signals.next() => return Err(CliError::Said(code)),
        }
    }
    let (outcome, nodes_cpu) = ran?;
    context.show(&view(args, &plan, &outcome, nodes_cpu))?;
    verdict(&outcome)
}

/// Finds out who is there, and makes the table.
async fn begin(args: &Args, context: &Context) -> Result<(Client, ClusterStatus, Nodes), CliError> {
    let client = context.client_for(CALL_TIME)?;
    let status = client.status().await?;
    let nodes = Nodes::of(&status, args.to, &args.table, context.level).map_err(|why| no_nodes(&why))?;
    let nodes = nodes.with_streams(usize::from(args.streams));
    make_table(&client, args).await?;
    Ok((client, status, nodes))
}

/// Fills the table where the workload reads, and runs it; answers with the CPU seconds of all nodes, where they tell and
/// none of them started anew.
async fn load(
    target: &Arc<Nodes>,
    plan: &Plan,
    status: &ClusterStatus,
    context: &Context,
) -> Result<(Outcome, Option<f64>), CliError> {
    let failed = |message| CliError::Result { exit: exit::ERROR, message };
    bench::fill(target, plan).await.map_err(failed)?;
    let before = processes(status).await;
    let progress = Arc::new(Progress::default());
    let ran = tokio::select! {
        ran = bench::run(target, plan, &progress) => ran,
        () = watch(&progress, context) => Err("the watch has ended".into()),
    };
    let after = processes(status).await;
    let spent = before.iter().zip(&after).map(|(before, after)| after.as_ref()?.spent_since(before.as_ref()?)).sum();
    Ok((ran.map_err(failed)?, spent))
}

fn no_nodes(why: &str) -> CliError {
    CliError::Result { exit: exit::NO_QUORUM, message: format!("{why}; nothing was done") }
}

fn plan(args: &Args, context: &Context) -> Plan {
    Plan {
        workload: args.workload,
        connections: usize::from(args.connections),
        stop: args.count.map_or(Stop::After(args.duration), Stop::Count),
        rate: args.rate.map(f64::from),
        keys: args.keys,
        spread: args.spread,
        value_bytes: args.value_size as usize,
        level: context.level,
        seed: args.seed,
    }
}

async fn make_table(client: &Client, args: &Args) -> Result<(), CliError> {
    let columns = Nodes::COLUMNS.map(ColumnSpec::parse).into_iter().collect::<Result<Vec<_>, _>>();
    let columns = columns.map_err(|failure| usage(failure.message, "that is a mistake of this program"))?;
    match client.create_table(&args.table, &columns).await {
        Err(error) if error.failure().is_some_and(|failure| failure.code == Code::TableExists) => Err(usage(
            format!("table \"{}\" is there already; nothing was done", args.table),
            format!("name another with --table, or: ddb table drop {} --yes", args.table),
        )),
        other => {
            other?;
            if args.workload == Workload::Search {
                let index = IndexSpec { name: None, columns: vec![Nodes::GROUP.into()], unique: false };
                client.create_index(&args.table, &index).await?;
            }
            Ok(())
        }
    }
}

/// The processes of all nodes that were up; `None` for one that does not tell of itself.
async fn processes(status: &ClusterStatus) -> Vec<Option<Process>> {
    let up = status.nodes.iter().filter(|node| node.up);
    futures::future::join_all(up.map(|node| Process::of(&node.address))).await
}

/// A line on the terminal that says how far the run is; it never ends.
async fn watch(progress: &Progress, context: &Context) {
    if !stderr().is_terminal() || context.quiet {
        return std::future::pending().await;
    }
    let (began, mut seen) = (Instant::now(), 0);
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let requests = progress.requests.load(Ordering::Relaxed);
        let failed = progress.failed.load(Ordering::Relaxed);
        let seconds = began.elapsed().as_secs();
        output::remark(&format!("\r\u{1b}[K{seconds} s, {} requests/s, {failed} failed", requests - seen));
        seen = requests;
    }
}

fn view(args: &Args, plan: &Plan, outcome: &Outcome, nodes_cpu: Option<f64>) -> View {
    let per_10k = |seconds: f64| seconds * 10_000.0 / (outcome.requests.max(1) as f64);
    let latency = outcome.latency;
    let document = json!({
        "workload": plan.workload.as_str(),
        "connections": plan.connections,
        "streams": args.streams,
        "rate": plan.rate,
        "to": args.to.as_str(),
        "level": crate::protocol::level_name(plan.level),
        "keys": plan.keys,
        "spread": plan.spread.as_str(),
        "value_bytes": plan.value_bytes,
        "seed": plan.seed,
        "seconds": outcome.took.as_secs_f64(),
        "requests": outcome.requests,
        "rows": outcome.rows,
        "failed": outcome.failed,
        "first_failure": outcome.first_failure,
        "requests_per_second": outcome.per_second(),
        "latency_ms": latency,
        "cpu_seconds_per_10k": { "nodes": nodes_cpu.map(per_10k), "client": per_10k(outcome.own_cpu_seconds) },
        "checked": outcome.checked,
    });
    let ms = |time: f64| Value::Text(format!("{time:.2} ms"));
    let mut rows = vec![
        vec![text("requests"), number(outcome.requests)],
        vec![text("requests/s"), Value::Text(format!("{:.0}", outcome.per_second()))],
        vec![text("rows"), number(outcome.rows)],
        vec![text("failed"), number(outcome.failed)],
    ];
    rows.extend(outcome.first_failure.iter().map(|why| vec![text("first failure"), text(why.as_str())]));
    for (name, time) in [
        ("latency p50", latency.p50),
        ("latency p90", latency.p90),
        ("latency p99", latency.p99),
        ("latency p99.9", latency.p99_9),
        ("latency max", latency.max),
    ] {
        rows.push(vec![text(name), ms(time)]);
    }
    let cpu = |seconds: f64| Value::Text(format!("{:.2} s", per_10k(seconds)));
    rows.push(vec![text("CPU per 10,000: nodes"), nodes_cpu.map_or(Value::Null, cpu)]);
    rows.push(vec![text("CPU per 10,000: client"), cpu(outcome.own_cpu_seconds)]);
    if let Some(checked) = outcome.checked {
        rows.push(vec![text("rows read back"), number(checked.keys)]);
        rows.push(vec![text("rows lost"), number(checked.lost)]);
    }
    View::list(&["what", "figure"], rows).json(&document).look(Look::Framed)
}

/// A run that lost anything, or in which nothing worked, has failed.
fn verdict(outcome: &Outcome) -> Result<(), CliError> {
    let lost = outcome.checked.map_or(0, |checked| checked.lost);
    let message = match &outcome.first_failure {
        _ if lost > 0 => format!("{lost} acknowledged rows are missing or older than acknowledged"),
        Some(why) if outcome.requests == 0 => format!("no request was answered: {why}"),
        _ => return Ok(()),
    };
    Err(CliError::Result { exit: exit::ERROR, message })
}
