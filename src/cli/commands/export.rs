//! `ddb export`: writes the rows of a table to stdout, as of one revision.

use crate::cli::context::Context;
use crate::cli::error::{CliError, usage};
use crate::cli::output;
use crate::cli::print::{Format, escape};
use crate::model::Filter;
use crate::protocol::LineFormat;

const EXAMPLES: &str = "\
Formats:
  -o jsonl  an object a line, every value exact; also what is written without -o
  -o csv    a header, then a line a row; null is an empty field, \"\" is empty text
Rows come by row id. What export writes import reads back as it was; in CSV, values of columns
without a type come back as text.

Examples:
  ddb export students > students.jsonl
  ddb export students grade=A -o csv > best.csv
  ddb export students | ddb import pupils -";

/// Export the rows of a table as JSON Lines or CSV.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The table
    table: String,
    /// What rows must be like: COLUMN=VALUE; row_id=VALUE names the row id
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let format = match context.format {
        Format::Table | Format::Jsonl => LineFormat::Jsonl,
        Format::Csv => LineFormat::Csv,
        Format::Json | Format::Tsv | Format::Line | Format::Markdown => {
            return Err(usage("export writes JSON Lines or CSV", "add -o jsonl or -o csv; other formats: ddb search"));
        }
    };
    Filter::parse_all(args.filters.iter().map(String::as_str))?;
    let mut export = context.client()?.export(&args.table, &args.filters, format).await?;
    let mut lines = Lines { terminal: context.style.terminal, held: Vec::new() };
    while let Some(bytes) = export.next().await? {
        lines.write(&bytes)?;
    }
    lines.end()
}

/// Lines on their way to stdout, made harmless where a terminal reads them.
struct Lines {
    terminal: bool,
    /// The beginning of a line for the terminal.
    held: Vec<u8>,
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if !self.terminal {
            return output::result_bytes(bytes);
        }
        self.held.extend_from_slice(bytes);
        let whole = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.held.drain(..whole).collect();
        let shown: String = String::from_utf8_lossy(&lines).lines().map(|line| format!("{}\n", escape(line))).collect();
        output::result(&shown)
    }

    fn end(self) -> Result<(), CliError> {
        output::result(&escape(&String::from_utf8_lossy(&self.held)))
    }
}
