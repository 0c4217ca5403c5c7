//! `ddb delete`: deletes rows by their ids, from the command line or from stdin, or by a filter.

use std::cell::Cell;
use std::io::BufRead;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::condition::If;
use super::many::Which;
use super::written;
use crate::cli::context::Context;
use crate::cli::error::{CliError, exit, usage};
use crate::cli::print::{Look, View, number, text};
use crate::client::ClientError;
use crate::model::{Change, Code, Fate, MAX_OPERATIONS, Operation};

/// How many deletes are under way at a time.
const AT_A_TIME: usize = 32;

/// How long rows from stdin may take where no time was given for the whole.
const BATCH_TIME: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Many rows:
  Row ids from stdin, --where and --all delete up to 1,024 rows at a time: all
  of these or none. With --where each row is looked at again before it is
  deleted. Without --yes you are asked.

Examples:
  ddb delete students 1
  ddb delete students 1 2 3 --if-exists
  ddb delete students 1 --if grade=F
  ddb delete students --where grade=F --dry-run
  ddb delete students --where grade=F --yes
  ddb search students grade=F --keys-only | ddb delete students - --yes";

/// Delete rows of a table.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The table
    table: String,
    /// The rows' ids, or - to read them from stdin, one a line; none with --where or --all
    #[arg(value_name = "ROW_ID", required_unless_present_any = ["filters", "all"], conflicts_with_all = ["filters", "all"])]
    row_ids: Vec<String>,
    /// Pass over rows that are not there
    #[arg(long, conflicts_with_all = ["filters", "all", "conditions", "if_revision"])]
    if_exists: bool,
    #[command(flatten)]
    condition: If,
    #[command(flatten)]
    which: Which,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Args { table, row_ids, if_exists, condition, which } = args;
    if which.is_given() {
        return which.change(&table, Change::Delete, context).await;
    }
    which.check_single()?;
    let from_stdin = matches!(row_ids.as_slice(), [dash] if dash == "-");
    if condition.is_given() {
        return match row_ids.as_slice() {
            [row_id] if !from_stdin => one(&table, row_id, condition, context).await,
            _ => Err(usage("--if and --if-revision are about one row", "name one row id")),
        };
    }
    if !from_stdin {
        return each(&table, &row_ids, if_exists, context).await;
    }
    if !which.yes() {
        return Err(usage("confirmation is needed to delete the rows that stdin names", "add --yes"));
    }
    named(&table, std::io::stdin().lock(), if_exists, context).await
}

/// Deletes one row, if all holds that must.
async fn one(table: &str, row_id: &str, condition: If, context: &Context) -> Result<(), CliError> {
    let written = if condition.has_filters() {
        let operation = Operation::Delete { table: table.into(), row_id: row_id.into(), if_exists: false };
        condition.transact(operation, context).await?
    } else {
        context.client()?.delete(table, row_id, condition.when()).await?
    };
    context.done(&written::row("deleted", "from", &written))
}

/// Deletes the rows one by one, and tells of each.
async fn each(table: &str, row_ids: &[String], if_exists: bool, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    // Once one has failed no more are begun, but what is under way is waited for and told.
    let stopped = Cell::new(false);
    let mut answers = stream::iter(row_ids)
        .take_while(|_| std::future::ready(!stopped.get()))
        .map(|row_id| client.delete(table, row_id, crate::model::When::Always))
        .buffered(AT_A_TIME);
    let mut first_error = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(written) => context.done(&written::row("deleted", "from", &written))?,
            Err(error) if is_absent(&error) && if_exists => {}
            Err(error) => {
                stopped.set(!is_absent(&error));
                if let Some(before) = first_error.replace(error) {
                    context.tell(&before.into());
                }
            }
        }
    }
    first_error.map_or(Ok(()), |error| Err(error.into()))
}

fn is_absent(error: &ClientError) -> bool {
    error.failure().is_some_and(|failure| failure.code == Code::RowNotFound)
}

/// Deletes the rows that lines name, a transaction for as many as it may have.
async fn named(table: &str, lines: impl BufRead, if_exists: bool, context: &Context) -> Result<(), CliError> {
    let client = context.client_for(BATCH_TIME)?;
    let (mut deleted, mut absent, mut transactions, mut revision) = (0_u64, 0_u64, 0_u64, 0);
    let mut lines = lines.lines();
    loop {
        let mut batch = Vec::with_capacity(MAX_OPERATIONS);
        while let Some(line) = if batch.len() < MAX_OPERATIONS { lines.next() } else { None } {
            let row_id =
                line.map_err(|error| CliError::Usage { message: format!("cannot read stdin: {error}"), hint: None })?;
            if !row_id.is_empty() {
                batch.push(Operation::Delete { table: table.into(), row_id, if_exists: true });
            }
        }
        if batch.is_empty() {
            break;
        }
        // A time that was given is for the whole; else each batch has its own.
        let answer = match context.timeout {
            Some(_) => client.transact(&[], &batch, false).await,
            None => client.until(BATCH_TIME).transact(&[], &batch, false).await,
        };
        let done = answer.map_err(|error| stopped(error, deleted))?;
        let gone = done.results.iter().filter(|result| result.effect == "deleted").count() as u64;
        deleted += gone;
        absent += done.results.len() as u64 - gone;
        transactions += 1;
        revision = done.revision;
    }
    let sentence = match absent {
        0 => format!("deleted {deleted} rows from {table} (revision {revision})"),
        _ => format!("deleted {deleted} rows from {table}; {absent} were not there (revision {revision})"),
    };
    let columns = ["table", "deleted", "absent", "transactions", "revision"];
    let numbers = [deleted, absent, transactions, revision].map(number);
    let view = View::single(&columns, [vec![text(table)], numbers.to_vec()].concat());
    context.done(&view.look(Look::Sentence(sentence)))?;
    if absent > 0 && !if_exists {
        let message = format!("{absent} of the rows that stdin names do not exist; the others were deleted");
        return Err(CliError::Result { exit: exit::NOT_FOUND, message });
    }
    Ok(())
}

/// The error of a batch, once others took effect: of the whole "not applied" would be wrong.
fn stopped(mut error: ClientError, deleted: u64) -> ClientError {
    if deleted > 0
        && let ClientError::Failed { failure, .. } = &mut error
    {
        failure.fate = Fate::Unknown;
        failure.message.push_str(&format!("; before it {deleted} rows were deleted"));
    }
    error
}
