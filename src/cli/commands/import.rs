//! `ddb import`: puts the rows of a file into a table, piece by piece.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal as _, Read, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::context::Context;
use crate::cli::error::{CliError, unreadable, usage};
use crate::cli::output;
use crate::cli::print::{Look, View, number, text};
use crate::client::{Client, ClientError, Import, Pieces};
use crate::model::{Counts, Fate, OnConflict};
use crate::protocol::{BadLine, Imported, LineFormat};

/// How long a piece may take where no time was given for the whole.
const PIECE_TIME: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Files:
  JSON Lines  an object a line: {\"id\":1,\"name\":\"Ahmed\"}; values keep their types
  CSV         a header names the columns; text is made to fit their types;
              an empty field is null, \"\" is empty text
The row id is the column id, or row_id where the table declares no id; --id
names another. Rows without one get the number of their line with
--generate-ids. Rows go in in order, in batches that are all or nothing: at a
bad line the import stops, and the error says from which line on nothing was
imported. --max-errors N leaves up to N bad lines out, says which and why, and
imports the rest. An import that was interrupted goes on with --resume: rows
that are there as the file has them are passed over, one that differs ends it.

Examples:
  ddb import flights flights.csv --id flight
  ddb import students students.jsonl --on-conflict replace
  ddb export students | ddb import pupils - --format jsonl
  ddb import students new.csv --dry-run --max-errors 100
  ddb import flights flights.csv --generate-ids --resume";

/// Import rows from a file of CSV or JSON Lines.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The table
    table: String,
    /// The file, or - for stdin
    file: String,
    /// How the rows stand in it: csv or jsonl [default: by the file's name, or by how it begins]
    #[arg(long, value_name = "FORMAT", value_parser = LineFormat::parse)]
    format: Option<LineFormat>,
    /// What to do with a row that is there already: error, skip, replace, or same: an error unless it is equal
    #[arg(long, value_name = "WAY", value_parser = way, default_value = "error")]
    on_conflict: OnConflict,
    /// The column that is the row id [default: id, or row_id where the table has no id]
    #[arg(long, value_name = "COLUMN")]
    id: Option<String>,
    /// Give rows without an id one: PREFIX and the number of their line
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    generate_ids: Option<String>,
    /// How many bad lines are left out, with their reasons told, before one stops the import
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1000))]
    max_errors: u64,
    /// Go on with an import that was interrupted: the same as --on-conflict same
    #[arg(long, conflicts_with = "on_conflict")]
    resume: bool,
    /// Check everything and write nothing
    #[arg(long)]
    dry_run: bool,
}

fn way(word: &str) -> Result<OnConflict, String> {
    let known = OnConflict::NAMES.iter().find(|(name, _)| *name == word);
    known.map(|(_, way)| *way).ok_or_else(|| OnConflict::HINT.into())
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (mut source, size) = open(&args.file)?;
    let format = match args.format.or_else(|| by_name(&args.file)) {
        Some(format) => format,
        None => by_look(&mut source).map_err(|error| unreadable(&args.file, &error))?,
    };
    let Args { table, on_conflict, id, generate_ids, max_errors, resume, dry_run, file, .. } = args;
    let on_conflict = if resume { OnConflict::Same } else { on_conflict };
    let max_errors = max_errors as usize;
    let import = Import { table, format, on_conflict, id, generate_ids, max_errors, dry_run };
    let client = context.client_for(PIECE_TIME)?;
    let mut progress = Progress::new(context, size);
    let sent = send(&client, import, Pieces::new(source, format), &file, context, &mut progress).await;
    progress.end();
    context.done(&told(&sent?, dry_run))
}

async fn send(
    client: &Client,
    mut import: Import,
    mut pieces: Pieces<impl Read>,
    file: &str,
    context: &Context,
    progress: &mut Progress,
) -> Result<Imported, CliError> {
    let mut all = Counts::default();
    let mut rejected = Vec::new();
    let mut revision = 0;
    while let Some(piece) = pieces.next_piece().map_err(|error| unreadable(file, &error))? {
        // A time that was given is for the whole; else each piece has its own.
        let answer = match context.timeout {
            Some(_) => client.import(&import, piece).await,
            None => client.until(PIECE_TIME).import(&import, piece).await,
        };
        let answer = answer.map_err(|error| stopped(error, all.rows() > 0 && !import.dry_run))?;
        let Imported { inserted, replaced, skipped, rejected: bad, .. } = answer;
        all.add(Counts { inserted, replaced, skipped });
        revision = answer.revision;
        import.max_errors -= bad.len().min(import.max_errors);
        for BadLine { line, message, .. } in &bad {
            progress.remark(&format!("line {line} left out: {message}\n"));
        }
        rejected.extend(bad);
        progress.show(all.rows(), pieces.read);
    }
    Ok(Imported::new(&import.table, all, rejected, revision))
}

/// The error of a piece, once others are `in_already`: of the import as a whole "not applied" would be wrong.
fn stopped(mut error: ClientError, in_already: bool) -> ClientError {
    if let ClientError::Failed { failure, .. } = &mut error {
        if in_already {
            failure.fate = Fate::Unknown;
        }
        if failure.fate == Fate::Unknown && failure.hint.is_none() {
            failure.hint = Some("with --resume the same file can be imported again: what is in is passed over".into());
        }
    }
    error
}

/// A file or stdin.
type Source = BufReader<Box<dyn Read>>;

/// The file, and how large it is where that is known.
fn open(file: &str) -> Result<(Source, Option<u64>), CliError> {
    if file == "-" {
        return Ok((BufReader::new(Box::new(std::io::stdin())), None));
    }
    let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
    let about = opened.metadata().map_err(|error| unreadable(file, &error))?;
    if about.is_dir() {
        return Err(usage(format!("\"{file}\" is a directory"), "name a file of CSV or JSON Lines, or - for stdin"));
    }
    let size = about.is_file().then_some(about.len());
    Ok((BufReader::new(Box::new(opened)), size))
}

fn by_name(file: &str) -> Option<LineFormat> {
    match Path::new(file).extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "csv" => Some(LineFormat::Csv),
        "jsonl" | "ndjson" => Some(LineFormat::Jsonl),
        _ => None,
    }
}

/// What a file looks like whose name says nothing: JSON Lines begin with a brace.
fn by_look(source: &mut impl BufRead) -> std::io::Result<LineFormat> {
    let first = source.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(if first.is_none_or(|byte| *byte == b'{') { LineFormat::Jsonl } else { LineFormat::Csv })
}

fn told(imported: &Imported, dry_run: bool) -> View {
    let Imported { table, rows, inserted, replaced, skipped, rejected, revision } = imported;
    let bad = rejected.len() as u64;
    let counts = format!("{inserted} inserted, {replaced} replaced, {skipped} skipped, {bad} lines left out");
    let counts = counts.strip_suffix(", 0 lines left out").unwrap_or(&counts);
    let sentence = if dry_run {
        format!("{rows} rows would go into {table} ({counts}); nothing was written")
    } else {
        format!("imported {rows} rows into {table} ({counts}; revision {revision})")
    };
    let columns = ["table", "rows", "inserted", "replaced", "skipped", "rejected", "revision"];
    let numbers = [*rows, *inserted, *replaced, *skipped, bad, *revision].map(number);
    View::single(&columns, [vec![text(table)], numbers.to_vec()].concat()).look(Look::Sentence(sentence))
}

/// A bar on the terminal that says how far an import is, once it has taken a while.
struct Progress {
    bar: ProgressBar,
    wanted: bool,
    began: Instant,
}

impl Progress {
    fn new(context: &Context, size: Option<u64>) -> Progress {
        let wanted = stderr().is_terminal() && !context.quiet;
        let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::hidden());
        let form = if size.is_some() { "[{bar:30}] {percent}%  {msg}  {eta} left" } else { "{spinner} {msg}" };
        // The forms are right; were one not, the bar would look plain.
        bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar, wanted, began: Instant::now() }
    }

    fn show(&mut self, rows: u64, read: u64) {
        let took = self.began.elapsed();
        if self.wanted && took >= Duration::from_secs(1) {
            self.wanted = false;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_message(pace(rows, took));
        self.bar.set_position(read);
    }

    /// Says something above the bar.
    fn remark(&self, text: &str) {
        self.bar.suspend(|| output::remark(text));
    }

    /// Wipes the bar away.
    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn pace(rows: u64, took: Duration) -> String {
    format!("{rows} rows, {:.0} rows/s", rows as f64 / took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_known_by_name_or_by_look() {
        for (file, wanted) in [
            ("a/b.csv", Some(LineFormat::Csv)),
            ("B.CSV", Some(LineFormat::Csv)),
            ("b.jsonl", Some(LineFormat::Jsonl)),
            ("b.ndjson", Some(LineFormat::Jsonl)),
            ("b.txt", None),
            ("-", None),
        ] {
            assert_eq!(by_name(file), wanted, "{file}");
        }
        for (look, wanted) in
            [("\n {\"id\":1}", LineFormat::Jsonl), ("id,name\n", LineFormat::Csv), ("", LineFormat::Jsonl)]
        {
            assert_eq!(by_look(&mut look.as_bytes()).unwrap(), wanted, "{look}");
        }
    }

    #[test]
    fn progress_tells_rows_and_their_rate() {
        assert_eq!(pace(1_000, Duration::from_secs(2)), "1000 rows, 500 rows/s");
    }
}
