//! `ddb sql`: runs one read-only SQL query and shows its rows as they arrive.

use std::io::Read as _;

use crate::cli::context::Context;
use crate::cli::error::{CliError, usage};
use crate::cli::print::{Format, Printer};
use crate::cli::values;
use crate::model::{Cell, SqlParams, SqlQuery, Value};

const AFTER: &str = "\
The query is one SELECT (or WITH, VALUES, EXPLAIN) in the SQL of SQLite, with
joins, aggregates, window functions and json_extract. It sees all tables as of
one revision and changes nothing. Conditions on the row id or indexed columns
(=, IN, <, BETWEEN, GLOB 'a*') read no more rows than they must; on timestamps
and columns without a type only = does. --explain shows what is read.

  text, timestamp  text                    int, float  exact numbers
  bool             1 or 0                  json        text, for json_extract
  any              what the value is: a number and its text differ, so write
                   CAST(age AS INTEGER) > 20

A table without a column id has row_id; _revision is that of a row's last
change. Text stands in 'single quotes', names of columns in \"double\" ones.
Case does not matter in names. Parameters are given by name, as values are to
insert: :grade by --param grade=A or grade:=1.

Examples:
  ddb sql 'SELECT grade, count(*) FROM students GROUP BY grade'
  ddb sql 'SELECT s.name, t.name FROM students s JOIN teachers t ON s.teacher = t.id' -o csv
  ddb sql 'SELECT * FROM students WHERE name = :name' --param name=Ahmed
  ddb sql -f report.sql --timeout 60s -o json
  ddb sql --explain 'SELECT * FROM students WHERE age BETWEEN 20 AND 25'";

/// Run a read-only SQL query over the tables.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The query: one SELECT
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    query: Option<String>,
    /// Read the query from a file, or from - for stdin
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// The value of a parameter :NAME; :=JSON, =@FILE as for insert
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Show how the query would be run, and run it not
    #[arg(long)]
    explain: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let mut text = match (args.query, args.file) {
        (Some(query), _) => query,
        (None, file) => read(&file.unwrap_or_default())?,
    };
    if args.explain {
        text.insert_str(0, "EXPLAIN QUERY PLAN ");
    }
    let given = values::cells(&args.params)?.into_iter().map(|(name, cell)| match cell {
        Cell::Exact(value) => (name, value),
        Cell::Text(text) => (name, Value::Text(text)),
    });
    let given: Vec<(String, Value)> = given.collect();
    let params = if given.is_empty() { SqlParams::Listed(Vec::new()) } else { SqlParams::Named(given) };
    let mut answer = context.client()?.sql(&SqlQuery { text, params }).await?;
    let mut columns = std::mem::take(&mut answer.columns);
    if context.format.is_json() {
        tell_apart(&mut columns);
    }
    // What is shown is the plan's words alone; programs get all of it.
    let words = (args.explain && context.format == Format::Table).then(|| columns.len().saturating_sub(1));
    if let Some(at) = words {
        columns.drain(..at);
    }
    let mut printer = Printer::new(context.format, context.style, columns);
    let (mut pages, mut count) = (context.pages(), 0);
    pages.write(&printer.head())?;
    while let Some(mut rows) = answer.next().await? {
        if let Some(at) = words {
            rows.iter_mut().for_each(|row| drop(row.drain(..at)));
        }
        count += rows.len() as u64;
        pages.write(&printer.rows(rows))?;
    }
    pages.write(&printer.foot())?;
    pages.end()?;
    context.counted(count);
    Ok(())
}

/// The query in a file or on stdin.
fn read(file: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let read = if file == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|error| {
        let said = error.to_string();
        let said = said.split(" (os error").next().unwrap_or(&said).to_lowercase();
        usage(format!("cannot read \"{file}\": {said}"), "name a file with a query, or - for stdin")
    })
}

/// Gives columns of the same name a number, as an object has each name once.
fn tell_apart(columns: &mut [String]) {
    for at in 1..columns.len() {
        let own = columns[at].clone();
        let mut number = 2;
        while columns[..at].contains(&columns[at]) {
            columns[at] = format!("{own}_{number}");
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tell_apart;

    #[test]
    fn columns_of_the_same_name_are_told_apart() {
        let mut columns = ["id", "name", "id", "id_2", "id"].map(String::from);
        tell_apart(&mut columns);
        assert_eq!(columns, ["id", "name", "id_2", "id_2_2", "id_3"]);
    }
}
