//! `ddb get`: shows one row.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::print::View;
use crate::cli::rows::Shape;

const EXAMPLES: &str = "\
Examples:
  ddb get students 1
  ddb get students 1 -o json
  ddb get students 1 -v          its revision, too, for ddb update --if-revision";

/// Show one row of a table.
#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The table
    table: String,
    /// The row's id; one that begins with a dash comes after --
    row_id: String,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let row = context.client()?.row(&args.table, &args.row_id).await?;
    let revision = row.revision;
    let shape = Shape::of(&row);
    context.show(&View {
        columns: shape.columns().to_vec(),
        rows: vec![shape.flat(row)],
        single: true,
        ..View::default()
    })?;
    if context.verbose {
        context.note(&format!("revision {revision}"));
    }
    Ok(())
}
