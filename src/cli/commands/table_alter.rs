//! `ddb table alter`: adds, renames and drops columns.

use crate::cli::context::Context;
use crate::cli::error::{CliError, usage};
use crate::cli::print::{Look, View, number, text};
use crate::model::{Alteration, ColumnSpec};

pub(crate) const EXAMPLES: &str = "\
Changes, done together or not at all:
  add COLUMN         a new column, as ddb table create declares it;
                     rows that are there hold its default
  rename OLD to NEW  another name; values and indexes stay
  drop COLUMN        the column goes with its values and the indexes that it
                     is in

No row is rewritten, however many there are.

Examples:
  ddb table alter students add phone:text:unique
  ddb table alter students add points:int:not-null:default=0 rename grade to mark drop notes";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The table
    table: String,
    /// What to change: add COLUMN, rename OLD to NEW, drop COLUMN; several in a row
    #[arg(value_name = "CHANGE", required = true)]
    changes: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let changes = parse(&args.changes)?;
    let altered = context.client()?.alter_table(&args.table, &changes).await?;
    let words = altered.columns.iter().map(ColumnSpec::to_string).collect::<Vec<_>>().join(" ");
    let sentence = format!("altered table {} (revision {})", altered.table, altered.revision);
    let row = vec![text(&altered.table), text(words), number(altered.revision)];
    context.done(&View::single(&["table", "columns", "revision"], row).look(Look::Sentence(sentence)).json(&altered))
}

/// Reads `add email:text rename grade to mark drop notes`.
fn parse(words: &[String]) -> Result<Vec<Alteration>, CliError> {
    let hint = "changes are: add COLUMN, rename OLD to NEW, drop COLUMN";
    let mut changes = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(what) = words.next() {
        let mut next = || words.next().ok_or_else(|| usage(format!("\"{what}\" lacks a column"), hint));
        changes.push(match what.to_ascii_lowercase().as_str() {
            "add" => Alteration::Add(ColumnSpec::parse(next()?)?),
            "drop" => Alteration::Drop { column: next()?.into() },
            "rename" => {
                let (from, word) = (next()?, next()?);
                let to = if word.eq_ignore_ascii_case("to") { next()? } else { word };
                Alteration::Rename { from: from.into(), to: to.into() }
            }
            _ => return Err(usage(format!("\"{what}\" is no change of a table"), hint)),
        });
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(String::from).collect()
    }

    #[test]
    fn changes_are_read_one_after_the_other() {
        let wanted = vec![
            Alteration::Add(ColumnSpec::parse("a:int").unwrap()),
            Alteration::Rename { from: "b".into(), to: "c".into() },
            Alteration::Rename { from: "to".into(), to: "d".into() },
            Alteration::Drop { column: "add".into() },
        ];
        assert_eq!(parse(&words("add a:int rename b TO c rename to d drop add")).unwrap(), wanted);
        for bad in ["add", "rename a", "rename a to", "drop", "remove a", "a:int", "add a:word"] {
            assert!(parse(&words(bad)).is_err(), "{bad}");
        }
    }
}
