//! `ddb update`: changes some columns of a row.

use super::written;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::values;
use crate::model::{PutMode, When};

const EXAMPLES: &str = "\
Examples:
  ddb update students 1 grade=B
  ddb update students 1 grade:=null --if-revision 42";

/// Change some columns of a row that is there.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true, after_help = format!("{}\n\n{EXAMPLES}", values::HELP))]
pub(crate) struct Args {
    /// The table
    table: String,
    /// The row's id; one that begins with a dash comes after --
    row_id: String,
    /// The new values; columns left out stay as they are
    #[arg(value_name = "COLUMN=VALUE", required = true)]
    values: Vec<String>,
    /// Only if the row's last change has this revision
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let cells = values::cells(&args.values)?;
    let when = args.if_revision.map_or(When::Always, When::Revision);
    let put = context.client()?.put(&args.table, &args.row_id, &cells, PutMode::Update, when).await?;
    context.done(&written::row("updated", "in", &put.written))
}
