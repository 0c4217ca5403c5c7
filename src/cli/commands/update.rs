//! `ddb update`: changes some columns of a row, or of all rows that pass a filter.

use super::condition::If;
use super::many::Which;
use super::written;
use crate::cli::context::Context;
use crate::cli::error::{CliError, usage};
use crate::cli::values;
use crate::model::{Change, Operation, PutMode};

const EXAMPLES: &str = "\
Many rows:
  --where and --all change all rows that pass, up to 1,024 at a time: all of
  these or none. Each row is looked at again before it is changed. Without --yes
  you are asked.

Examples:
  ddb update students 1 grade=B
  ddb update students 1 grade:=null --if-revision 42
  ddb update accounts 7 balance:=90 --if balance=100
  ddb update students --where grade=F --where age.lt=12 grade=E --dry-run
  ddb update students --all checked:=true --yes";

/// Change some columns of a row that is there, or of all rows that pass a filter.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true, after_help = format!("{}\n\n{EXAMPLES}", values::HELP))]
pub(crate) struct Args {
    /// The table
    table: String,
    /// The row's id; one that begins with a dash comes after --. With --where or --all there is none
    #[arg(value_name = "ROW_ID", required = true)]
    row_id: String,
    /// The new values; columns left out stay as they are
    #[arg(value_name = "COLUMN=VALUE")]
    values: Vec<String>,
    #[command(flatten)]
    condition: If,
    #[command(flatten)]
    which: Which,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Args { table, row_id, values, condition, which } = args;
    if which.is_given() {
        if !row_id.contains('=') {
            return Err(usage(
                format!("a row id (\"{row_id}\") and --where or --all exclude each other"),
                "name the rows by one of them",
            ));
        }
        let words: Vec<String> = std::iter::once(row_id).chain(values).collect();
        return which.change(&table, Change::Update(values::cells(&words)?), context).await;
    }
    which.check_single()?;
    if values.is_empty() {
        return Err(usage(
            "there is nothing to change: no COLUMN=VALUE follows the row id",
            "ddb update TABLE ROW_ID COLUMN=VALUE…, or for many rows ddb update TABLE --where FILTER COLUMN=VALUE…",
        ));
    }
    let cells = values::cells(&values)?;
    let written = if condition.has_filters() {
        condition.transact(Operation::Put { table, row_id, cells, mode: PutMode::Update }, context).await?
    } else {
        context.client()?.put(&table, &row_id, &cells, PutMode::Update, condition.when()).await?.written
    };
    context.done(&written::row("updated", "in", &written))
}
