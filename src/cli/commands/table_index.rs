//! `ddb table index`: adds, drops and lists secondary indexes.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::output;
use crate::cli::print::{Look, View, number, text};
use crate::client::Client;
use crate::model::{IndexSpec, Value};
use crate::protocol::{CreatedTable, IndexInfo};

pub(crate) const EXAMPLES: &str = "\
An index finds rows by columns other than the row id: by equality, in, ranges,
prefixes, and in order, rising or falling. A compound one serves filters on its
first columns too. It is built while writes go on. A table has at most 32
indexes of 8 columns, and an indexed value 512 bytes; json is not indexed.

Examples:
  ddb table index students add name
  ddb table index students add grade,name --name by_grade
  ddb table index students add email --unique --no-wait
  ddb table index students list
  ddb table index students drop by_grade";

const ADD_EXAMPLES: &str = "\
With --unique no two rows may have the same values; rows with a null among them
may. If rows have them already, the index ends as failed, holds nothing, and is
to be dropped.

Examples:
  ddb table index students add name
  ddb table index students add grade,name --name by_grade
  ddb table index students add email --unique --no-wait";

const DROP_EXAMPLES: &str = "\
Examples:
  ddb table index students drop by_grade";

const LIST_EXAMPLES: &str = "\
Examples:
  ddb table index students list
  ddb table index students list -o json";

/// How long a building is waited for, unless a time was given.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// How long one question about it may take.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is asked about.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The table
    table: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Add an index, and wait until it is built
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Its columns, in order
        #[arg(value_name = "A,B", value_delimiter = ',', required = true)]
        columns: Vec<String>,
        /// Its name; the columns' names joined by _ where nothing is said
        #[arg(long)]
        name: Option<String>,
        /// Refuse rows with the same values
        #[arg(long)]
        unique: bool,
        /// Do not wait until it is built
        #[arg(long)]
        no_wait: bool,
    },
    /// Drop an index; rows stay as they are
    #[command(after_help = DROP_EXAMPLES)]
    Drop {
        /// Its name
        index: String,
    },
    /// List the indexes
    #[command(after_help = LIST_EXAMPLES)]
    List,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let table = &args.table;
    match args.command {
        Command::Add { columns, name, unique, no_wait } => {
            add(table, &IndexSpec { name, columns, unique }, no_wait, context).await
        }
        Command::Drop { index } => {
            let changed = context.client()?.drop_index(table, &index).await?;
            done(&changed, &index, &format!("dropped index {index}"), context)
        }
        Command::List => {
            let info = context.client()?.table(table).await?;
            let list = |values: &[String]| {
                if context.format.is_json() {
                    Value::Json(serde_json::json!(values).to_string())
                } else {
                    text(values.join(","))
                }
            };
            let row = |index: &IndexInfo| {
                vec![text(&index.name), list(&index.columns), Value::Bool(index.unique), text(state(index, info.rows))]
            };
            let rows = info.indexes.iter().map(row).collect();
            context.show(&View::list(&["name", "columns", "unique", "state"], rows))
        }
    }
}

async fn add(table: &str, spec: &IndexSpec, no_wait: bool, context: &Context) -> Result<(), CliError> {
    let created = context.client()?.create_index(table, spec).await?;
    let name = spec.name.clone().unwrap_or_else(|| spec.columns.join("_"));
    let ready = created.indexes.iter().any(|index| index.name == name && index.state == "ready");
    if no_wait || ready {
        let more = if ready { "" } else { "; it is being built" };
        return done(&created, &name, &format!("added index {name}{more}"), context);
    }
    let until = Instant::now() + context.timeout.unwrap_or(PATIENCE);
    match timeout_at(until, built(&context.client_for(LOOK)?, table, &name, context)).await {
        Ok(Ok(())) => done(&created, &name, &format!("added index {name}"), context),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let message = format!("index {name} of table {table} is still being built, and will be");
            Err(CliError::Result { exit: exit::UNKNOWN, message })
        }
    }
}

/// Waits until an index is built; tells on a terminal how far it is.
async fn built(client: &Client, table: &str, name: &str, context: &Context) -> Result<(), CliError> {
    let telling = stderr().is_terminal() && !context.quiet;
    let began = Instant::now();
    let mut shown = false;
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let result = loop {
        ticks.tick().await;
        // A leader that is lost for a while does not end the building.
        let Ok(info) = client.until(LOOK).table(table).await else { continue };
        let Some(index) = info.indexes.iter().find(|index| index.name == name) else {
            let message = format!("index {name} of table {table} was dropped before it was built");
            break Err(CliError::Result { exit: exit::NOT_FOUND, message });
        };
        if let Some(failure) = index.failure() {
            break Err(failure.into());
        }
        if index.state == "ready" {
            break Ok(());
        }
        if telling && began.elapsed() >= Duration::from_secs(1) {
            shown = true;
            output::remark(&format!("\r\u{1b}[K{}", told(index, info.rows)));
        }
    };
    if shown {
        output::remark("\r\u{1b}[K");
    }
    result
}

fn done(changed: &CreatedTable, index: &str, did: &str, context: &Context) -> Result<(), CliError> {
    let CreatedTable { table, revision, .. } = changed;
    let row = vec![text(table), text(index), number(*revision)];
    let sentence = format!("{did} of table {table} (revision {revision})");
    context.done(&View::single(&["table", "index", "revision"], row).look(Look::Sentence(sentence)))
}

/// An index in a line: `by_grade (grade, name) unique, building: 1000 of 5000 rows`.
pub(crate) fn told(index: &IndexInfo, rows: u64) -> String {
    let unique = if index.unique { " unique" } else { "" };
    format!("{} ({}){unique}, {}", index.name, index.columns.join(", "), state(index, rows))
}

fn state(index: &IndexInfo, rows: u64) -> String {
    match (&index.error, index.rows_built) {
        (Some(why), _) => format!("failed: {why}"),
        (None, Some(built)) => format!("{}: {built} of {rows} rows", index.state),
        (None, None) => index.state.clone(),
    }
}
