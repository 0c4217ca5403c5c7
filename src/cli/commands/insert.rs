//! `ddb insert`: puts a new row into a table.

use super::written;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::values;
use crate::model::{Code, PutMode, When};

const EXAMPLES: &str = "\
Examples:
  ddb insert students 1 name=Ahmed grade=A
  ddb insert people -7 age:=29 tags:='[\"a\",\"b\"]' bio=@bio.txt
  ddb insert students 1 name=Sara --upsert";

/// Insert a row into a table.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true, after_help = format!("{}\n\n{EXAMPLES}", values::HELP))]
pub(crate) struct Args {
    /// The table
    table: String,
    /// The row's id; one that begins with a dash comes after --
    row_id: String,
    /// The row's values; columns left out are null
    #[arg(value_name = "COLUMN=VALUE")]
    values: Vec<String>,
    /// Leave a row that is there already as it is
    #[arg(long, conflicts_with = "upsert")]
    if_not_exists: bool,
    /// Replace a row that is there already, whole: columns left out become null
    #[arg(long)]
    upsert: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let cells = values::cells(&args.values)?;
    let mode = if args.upsert { PutMode::Replace } else { PutMode::Insert };
    match context.client()?.put(&args.table, &args.row_id, &cells, mode, When::Always).await {
        Ok(put) => {
            let (did, into) = if put.created { ("inserted", "into") } else { ("replaced", "in") };
            context.done(&written::row(did, into, &put.written))?;
            if values::is_cell(&args.row_id) {
                context.note(&format!("hint: the row id is the word behind the table, here \"{}\"", args.row_id));
            }
            Ok(())
        }
        Err(error) if args.if_not_exists && error.failure().is_some_and(|f| f.code == Code::RowExists) => {
            context.note(&format!("row {} is in {} already; nothing was written", args.row_id, args.table));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
