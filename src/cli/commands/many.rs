//! Owns `--where` of update and delete: the same change of all rows that pass filters.

use std::time::Duration;

use crate::cli::context::Context;
use crate::cli::error::{CliError, usage};
use crate::cli::print::{Look, View, number, text};
use crate::cli::rows::Shape;
use crate::client::{ChangeRows, Client, Search};
use crate::model::{Change, Filter};
use crate::protocol::Changed;

/// How long it may all take where no time was given.
const TIME: Duration = Duration::from_secs(600);

/// How many of the rows a dry run shows.
const SHOWN: u64 = 10;

/// Which rows, where no row id says it.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// All rows that pass this filter; several have to pass all (ddb help filters)
    #[arg(long = "where", value_name = "FILTER", conflicts_with_all = ["all", "if_revision", "conditions"])]
    filters: Vec<String>,
    /// All rows of the table
    #[arg(long, conflicts_with_all = ["if_revision", "conditions"])]
    all: bool,
    /// With --where or --all: show how many rows it would be, and the first ten, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Which {
    /// Whether rows are named by what they are like, and not by their ids.
    pub(super) fn is_given(&self) -> bool {
        self.all || !self.filters.is_empty()
    }

    /// Whether nobody is to be asked.
    pub(super) fn yes(&self) -> bool {
        self.yes
    }

    /// Refuses a dry run of what is no change of many rows.
    pub(super) fn check_single(&self) -> Result<(), CliError> {
        if self.dry_run {
            Err(usage("--dry-run goes with --where or --all", "name the rows by --where"))
        } else {
            Ok(())
        }
    }

    /// Makes the change, once it was confirmed.
    pub(super) async fn change(self, table: &str, change: Change, context: &Context) -> Result<(), CliError> {
        let filters = Filter::parse_all(self.filters.iter().map(String::as_str))?;
        let (verb, done) = match change {
            Change::Update(_) => ("update", "updated"),
            Change::Delete => ("delete", "deleted"),
        };
        if !self.yes && !self.dry_run {
            context.check_confirmable(&format!("{verb} rows of {table}"))?;
        }
        let rows = ChangeRows { table: table.into(), filters, change, dry_run: true };
        let client = context.client_for(TIME)?;
        if self.dry_run {
            return rehearse(&client, rows, verb, context).await;
        }
        if !self.yes {
            let Changed { rows: count, .. } = client.change_rows(&rows).await?;
            context.confirm(&format!("{verb} {count} rows of {table}"), false)?;
        }
        // Whoever was asked may have taken time to answer.
        let changed = context.client_for(TIME)?.change_rows(&ChangeRows { dry_run: false, ..rows }).await?;
        let Changed { rows, transactions, revision, .. } = changed;
        let parts = if transactions == 1 { "transaction" } else { "transactions" };
        let sentence = format!("{done} {rows} rows of {table} (in {transactions} {parts}, revision {revision})");
        context.done(&told(&changed).look(Look::Sentence(sentence)))
    }
}

/// Counts the rows, and shows people the first of them.
async fn rehearse(client: &Client, rows: ChangeRows, verb: &str, context: &Context) -> Result<(), CliError> {
    let changed = client.change_rows(&rows).await?;
    let (table, filters) = (rows.table, rows.filters);
    let sentence = format!("it would {verb} {} rows of {table}; nothing was written", changed.rows);
    let search = Search { table, filters, limit: Some(SHOWN), ..Search::default() };
    let first = if context.format.is_json() { None } else { client.search(&search).next().await? };
    let first = first.map(|page| page.rows).unwrap_or_default();
    let Some(row) = first.first() else { return context.show(&told(&changed).look(Look::Sentence(sentence))) };
    let shape = Shape::of(row);
    let view = View {
        columns: shape.columns().to_vec(),
        rows: first.into_iter().map(|row| shape.flat(row)).collect(),
        ..View::default()
    };
    context.note(&sentence);
    context.show(&view)
}

fn told(changed: &Changed) -> View {
    let Changed { table, rows, transactions, revision } = changed;
    let columns = ["table", "rows", "transactions", "revision"];
    View::single(&columns, vec![text(table), number(*rows), number(*transactions), number(*revision)])
}
