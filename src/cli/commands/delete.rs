//! `ddb delete`: deletes rows by their ids, from the command line or from stdin.

use std::cell::Cell;
use std::io::Read as _;

use futures::StreamExt as _;
use futures::stream;

use super::written;
use crate::cli::context::Context;
use crate::cli::error::{CliError, usage};
use crate::client::ClientError;
use crate::model::{Code, When};

/// How many deletes are under way at a time.
const AT_A_TIME: usize = 32;

const EXAMPLES: &str = "\
Examples:
  ddb delete students 1
  ddb delete students 1 2 3 --if-exists
  ddb search students grade=F --keys-only | ddb delete students - --yes";

/// Delete rows of a table.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The table
    table: String,
    /// The rows' ids, or - to read them from stdin, one a line
    #[arg(value_name = "ROW_ID", required = true)]
    row_ids: Vec<String>,
    /// Pass over rows that are not there
    #[arg(long)]
    if_exists: bool,
    /// Delete what stdin says without asking
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let row_ids = match args.row_ids.as_slice() {
        [dash] if dash == "-" => from_stdin(args.yes)?,
        _ => args.row_ids,
    };
    let client = context.client()?;
    // Once one has failed no more are begun, but what is under way is waited for and told.
    let stopped = Cell::new(false);
    let mut answers = stream::iter(&row_ids)
        .take_while(|_| std::future::ready(!stopped.get()))
        .map(|row_id| client.delete(&args.table, row_id, When::Always))
        .buffered(AT_A_TIME);
    let mut first_error = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(written) => context.done(&written::row("deleted", "from", &written))?,
            Err(error) if is_absent(&error) && args.if_exists => {}
            Err(error) => {
                stopped.set(!is_absent(&error));
                if let Some(before) = first_error.replace(error) {
                    report(before, context);
                }
            }
        }
    }
    first_error.map_or(Ok(()), |error| Err(error.into()))
}

fn is_absent(error: &ClientError) -> bool {
    error.failure().is_some_and(|failure| failure.code == Code::RowNotFound)
}

/// Tells an error that is not the last.
fn report(error: ClientError, context: &Context) {
    crate::cli::output::remark(&CliError::from(error).report(context.format, context.verbose));
}

fn from_stdin(yes: bool) -> Result<Vec<String>, CliError> {
    if !yes {
        return Err(usage("confirmation is needed to delete the rows that stdin names", "add --yes"));
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| CliError::Usage { message: format!("cannot read stdin: {error}"), hint: None })?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(String::from).collect())
}
