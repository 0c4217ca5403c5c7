//! `ddb table`: creates, lists, shows and drops tables.

use super::{table_alter, table_index};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::print::{Look, View, number, text};
use crate::model::{Code, ColumnSpec, ColumnType, Value};
use crate::protocol::{TableInfo, Written};

const EXAMPLES: &str = "\
Examples:
  ddb table create students id name grade
  ddb table create people id:int name:text born:timestamp
  ddb table list
  ddb table show students
  ddb table alter students add points:int rename grade to mark
  ddb table index students add grade,name
  ddb table drop students --yes";

const CREATE_EXAMPLES: &str = "\
A column is name[:type][:not-null][:unique][:default=VALUE]. Column types: any
(the default), text, int, float, bool, json, timestamp. A column named id is the
row id; declared id:int, ids are integers and sort as such. A default is what a
new row holds where it leaves the column out; it is the rest of the word.

A table has at most 1,000 columns, and a cluster 10,000 tables.

Examples:
  ddb table create students id name grade
  ddb table create users id:int name:text:not-null grade:text:default=A email:text:unique
  ddb table create people id:int name:text born:timestamp --if-not-exists";

const LIST_EXAMPLES: &str = "\
Examples:
  ddb table list
  ddb table list -o jsonl";

const SHOW_EXAMPLES: &str = "\
Examples:
  ddb table show students
  ddb table show students -o json";

const DROP_EXAMPLES: &str = "\
Examples:
  ddb table drop students
  ddb table drop students --yes --if-exists";

/// Create, list, show, alter and drop tables, and their indexes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Create a table with its columns
    #[command(after_help = CREATE_EXAMPLES)]
    Create {
        /// Its name
        name: String,
        /// Its columns, in order: name, name:type, or with constraints (see below)
        #[arg(value_name = "COLUMN", required = true)]
        columns: Vec<String>,
        /// Leave a table that is there already as it is
        #[arg(long)]
        if_not_exists: bool,
    },
    /// List the tables of the cluster
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Show the columns, constraints and indexes of a table, and how much is in it
    #[command(after_help = SHOW_EXAMPLES)]
    Show {
        /// Its name
        name: String,
    },
    /// Add, rename and drop columns of a table
    #[command(after_help = table_alter::EXAMPLES)]
    Alter(table_alter::Args),
    /// Add, drop and list the indexes of a table
    #[command(after_help = table_index::EXAMPLES)]
    Index(table_index::Args),
    /// Drop a table with all its rows
    #[command(after_help = DROP_EXAMPLES)]
    Drop {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Pass over a table that is not there
        #[arg(long)]
        if_exists: bool,
    },
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Create { name, columns, if_not_exists } => create(&name, &columns, if_not_exists, context).await,
        Command::List => list(context).await,
        Command::Show { name } => show(&name, context).await,
        Command::Alter(args) => table_alter::run(args, context).await,
        Command::Index(args) => table_index::run(args, context).await,
        Command::Drop { name, yes, if_exists } => drop(&name, yes, if_exists, context).await,
    }
}

async fn create(name: &str, columns: &[String], if_not_exists: bool, context: &Context) -> Result<(), CliError> {
    let columns = columns.iter().map(|word| ColumnSpec::parse(word)).collect::<Result<Vec<_>, _>>()?;
    match context.client()?.create_table(name, &columns).await {
        Ok(created) => context.done(
            &View::single(
                &["table", "columns", "revision"],
                vec![text(name), words(&columns), number(created.revision)],
            )
            .look(Look::Sentence(format!("created table {name} (revision {})", created.revision)))
            .json(&created),
        ),
        Err(error) if if_not_exists && error.failure().is_some_and(|f| f.code == Code::TableExists) => {
            context.note(&format!("table {name} is there already; nothing was written"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let list = context.client()?.tables().await?;
    // For people the columns as they are typed, for programs as the node tells them.
    let columns = |table: &TableInfo| match serde_json::to_value(table) {
        Ok(told) if context.format.is_json() => Value::Json(told["columns"].to_string()),
        _ => words(&table.columns),
    };
    let row = |table: &TableInfo| vec![text(&table.name), columns(table), number(table.rows), number(table.revision)];
    context.show(&View::list(&["name", "columns", "rows", "revision"], list.tables.iter().map(row).collect()))
}

async fn show(name: &str, context: &Context) -> Result<(), CliError> {
    let table = context.client()?.table(name).await?;
    let rows = table.columns.iter().map(|column| {
        let mut constraints = ColumnSpec { kind: ColumnType::Any, ..column.clone() }.to_string();
        constraints.replace_range(..(column.name.len() + 1).min(constraints.len()), "");
        vec![text(&column.name), text(column.kind.as_str()), text(constraints.replace(':', " "))]
    });
    let bytes = table.bytes.map_or(String::new(), |bytes| format!(", about {bytes} bytes"));
    let mut title = format!("table {}: {} rows{bytes}, revision {}", table.name, table.rows, table.revision);
    for index in &table.indexes {
        title += &format!("\nindex {}", table_index::told(index, table.rows));
    }
    let view = View::list(&["column", "type", "constraints"], rows.collect());
    context.show(&view.look(Look::Titled(title)).json(&table))
}

async fn drop(name: &str, yes: bool, if_exists: bool, context: &Context) -> Result<(), CliError> {
    context.confirm(&format!("drop table {name} with all its rows"), yes)?;
    match context.client()?.drop_table(name).await {
        Ok(Written { table, revision, .. }) => context.done(
            &View::single(&["table", "revision"], vec![text(&table), number(revision)])
                .look(Look::Sentence(format!("dropped table {table} (revision {revision})"))),
        ),
        Err(error) if if_exists && error.failure().is_some_and(|f| f.code == Code::TableNotFound) => {
            context.note(&format!("table {name} is not there; nothing was written"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The columns as they are declared on the command line: `id:int name grade`.
fn words(columns: &[ColumnSpec]) -> Value {
    text(columns.iter().map(ColumnSpec::to_string).collect::<Vec<_>>().join(" "))
}
