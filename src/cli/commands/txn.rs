//! `ddb txn`: many operations all or none, read from a file of JSON Lines.

use std::io::Read as _;

use crate::cli::context::Context;
use crate::cli::error::{CliError, usage};
use crate::cli::print::{Look, View, text};
use crate::client::ClientError;
use crate::model::{Code, Part, Value, check_transaction};
use crate::protocol::{Outcome, Step, Transacted, parse_transaction_line};

const EXAMPLES: &str = "\
The file has a condition or an operation a line; empty lines are passed over:
  {\"if\":{\"table\":\"accounts\",\"row_id\":\"1\",\"filter\":[\"balance.ge=10\"]}}
  {\"if\":{\"table\":\"accounts\",\"row_id\":\"2\",\"exists\":true}}
  {\"if\":{\"table\":\"accounts\",\"row_id\":\"2\",\"revision\":42}}
  {\"insert\":{\"table\":\"transfers\",\"row_id\":\"77\",\"data\":{\"amount\":10}}}
  {\"replace\":{\"table\":\"accounts\",\"row_id\":\"1\",\"data\":{\"balance\":90}}}
  {\"update\":{\"table\":\"accounts\",\"row_id\":\"2\",\"data\":{\"balance\":110}}}
  {\"delete\":{\"table\":\"holds\",\"row_id\":\"9\",\"if_exists\":true}}
  {\"get\":{\"table\":\"accounts\",\"row_id\":\"1\"}}
All conditions are looked at first, whatever their place. If they hold, the
operations are done in order, all or none, and share one revision; a get sees
what the operations before it did.

Examples:
  ddb txn -f transfer.jsonl
  ddb txn -f transfer.jsonl --dry-run
  ddb txn -f - -o json";

/// Do many operations as one transaction: all of them or none.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file with a condition or an operation a line, or - for stdin
    #[arg(short, long, value_name = "FILE")]
    file: String,
    /// Check everything and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let text = read(&args.file)?;
    let (mut checks, mut operations) = (Vec::new(), Vec::new());
    let (mut check_lines, mut operation_lines) = (Vec::new(), Vec::new());
    for (line, number) in text.split('\n').zip(1_u64..).filter(|(line, _)| !line.trim().is_empty()) {
        match parse_transaction_line(line.as_bytes()).map_err(|failure| failure.at_line(number))? {
            Step::Check(check) => {
                check_lines.push(number);
                checks.push(check);
            }
            Step::Operation(operation) => {
                operation_lines.push(number);
                operations.push(operation);
            }
        }
    }
    if operations.is_empty() {
        return Err(usage(format!("\"{}\" has no operations", args.file), "see: ddb txn --help"));
    }
    check_transaction(checks.len(), operations.len())?;
    match context.client()?.transact(&checks, &operations, args.dry_run).await {
        Ok(done) => context.done(&told(&done, args.dry_run)),
        Err(error) => Err(by_line(error, &check_lines, &operation_lines).into()),
    }
}

fn read(file: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        name => std::fs::read_to_string(name).map(|read| text = read),
    };
    match read {
        Ok(()) => Ok(text),
        Err(error) => {
            let said = error.to_string();
            let said = said.split(" (os error").next().unwrap_or(&said).to_lowercase();
            Err(CliError::Usage { message: format!("cannot read \"{file}\": {said}"), hint: None })
        }
    }
}

/// The error, said of the line that the part of the transaction stands on.
fn by_line(mut error: ClientError, checks: &[u64], operations: &[u64]) -> ClientError {
    if let ClientError::Failed { failure, .. } = &mut error
        && let Some((part, said)) = Part::of_message(&failure.message)
    {
        let line = match part {
            Part::Condition(index) => checks.get(index),
            Part::Operation(index) => operations.get(index),
        };
        if let Some(line) = line {
            let message = format!("line {line}: {said}");
            // A file is what is wrong where a request was refused unread.
            if matches!(failure.code, Code::BadJson | Code::BadName | Code::BadRequest) {
                failure.code = Code::BadLine;
            }
            failure.message = message;
        }
    }
    error
}

fn told(done: &Transacted, dry_run: bool) -> View {
    let row = |result: &Outcome| {
        let row = result.row.as_ref().map_or(Value::Null, |row| {
            let mut out = Vec::new();
            row.write(&mut out);
            Value::Json(String::from_utf8_lossy(&out).into_owned())
        });
        vec![text(&result.table), result.row_id.clone(), text(&result.effect), row]
    };
    let count = done.results.len();
    let sentence = if dry_run {
        format!("{count} operations would be done; nothing was written")
    } else {
        format!("{count} operations done (revision {})", done.revision)
    };
    let shows_rows = done.results.iter().any(|result| result.row.is_some());
    let look = if shows_rows { Look::Titled(sentence) } else { Look::Sentence(sentence) };
    let rows = done.results.iter().map(row).collect();
    let json = String::from_utf8_lossy(&done.encode()).into_owned();
    View { json: Some(json), ..View::list(&["table", "row_id", "effect", "row"], rows).look(look) }
}
