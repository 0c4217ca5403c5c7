//! `ddb search`: shows the rows that pass all filters, page by page as they arrive.

use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::pager::Pages;
use crate::cli::print::{Format, Look, Printer, View, number, text};
use crate::cli::rows::{ROW_ID, Shape};
use crate::client::{Client, Search};
use crate::model::{Filter, Value};
use crate::protocol::Explain;

const AFTER: &str = "\
Filters (a row has to pass all of them):
  COLUMN=VALUE  COLUMN!=VALUE         equal, not equal
  COLUMN.gt=VALUE  .ge=  .lt=  .le=   above, at least, below, at most
  COLUMN.prefix=TEXT  .contains=TEXT  begins with, contains
  COLUMN.in=A,B,C                     equals one of them
  COLUMN.null=true|false              has no value, has one; no other filter finds a row without

Values compare by the column's type. In a column of type any, numbers and texts that are numbers
compare as numbers, the rest as text. What a timestamp begins with or contains is as it was written.

Examples:
  ddb search students
  ddb search students grade=A name=Ahmed --columns name,grade
  ddb search students age.ge=18 age.lt=30 --order grade,-age --limit 10
  ddb search students name.prefix=Ah grade.in=A,B email.null=false
  ddb search students grade=F --keys-only | ddb delete students - --yes
  ddb search students -o jsonl --limit 10
  ddb search students id.prefix=2024- --explain";

/// Show the rows of a table that pass all filters.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The table
    table: String,
    /// What rows must be like: COLUMN=VALUE, COLUMN.gt=VALUE and so on (see below); row_id is the row id
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// The columns to show, in this order; row_id is the row id
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with_all = ["count", "keys_only"])]
    columns: Vec<String>,
    /// Order by these columns, falling with a minus; nulls come last, equal rows go by row id
    #[arg(long, value_name = "A,-B", allow_hyphen_values = true)]
    order: Option<String>,
    /// How many rows to show at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Show only how many rows there are
    #[arg(long, conflicts_with = "keys_only")]
    count: bool,
    /// Show only the row ids, one a line unless -o says otherwise
    #[arg(long)]
    keys_only: bool,
    /// Show only how the rows are found: by point, range, index or scan, how many are examined and returned
    #[arg(long, conflicts_with_all = ["count", "keys_only"])]
    explain: bool,
    /// Exit with 4 if there is no such row
    #[arg(long)]
    fail_empty: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let filters = Filter::parse_all(args.filters.iter().map(String::as_str))?;
    let columns = args.columns.iter().filter(|name| *name != ROW_ID).cloned().collect();
    // How many there are does not depend on their order.
    let order = args.order.clone().filter(|_| !args.count);
    let search = Search {
        table: args.table.clone(),
        filters,
        columns,
        order,
        limit: args.limit,
        explain: args.explain,
        count: args.count,
    };
    let client = context.client()?;
    let found = if args.explain {
        explain(&client, &search, context).await?
    } else if args.count {
        count(&client, &search, context).await?
    } else if args.keys_only {
        Listing::new(context, Some(Shape::only(&[ROW_ID.into()])), true).run(&client, &search).await?
    } else {
        let shape = (!args.columns.is_empty()).then(|| Shape::only(&args.columns));
        Listing::new(context, shape, false).run(&client, &search).await?
    };
    match found {
        0 if args.fail_empty => Err(CliError::Result { exit: exit::NOT_FOUND, message: "no row was found".into() }),
        _ => Ok(()),
    }
}

async fn count(client: &Client, search: &Search, context: &Context) -> Result<u64, CliError> {
    let count = if search.filters.is_empty() {
        client.table(&search.table).await?.rows.min(search.limit.unwrap_or(u64::MAX))
    } else {
        client.search(search).next().await?.map_or(0, |page| page.count)
    };
    context.show(
        &View::single(&["table", "count"], vec![text(&search.table), number(count)])
            .look(Look::Sentence(count.to_string())),
    )?;
    Ok(count)
}

/// Shows how the rows are found, all pages together.
async fn explain(client: &Client, search: &Search, context: &Context) -> Result<u64, CliError> {
    let mut all: Option<Explain> = None;
    let mut pages = client.search(search);
    while let Some(page) = pages.next().await? {
        let Some(explain) = page.explain else { continue };
        let (examined, returned) = all.as_ref().map_or((0, 0), |all| (all.rows_examined, all.rows_returned));
        all = Some(Explain {
            rows_examined: explain.rows_examined + examined,
            rows_returned: explain.rows_returned + returned,
            ..explain
        });
    }
    // Only a limit of 0 asks for no page, and an older node tells nothing.
    let Some(Explain { access, sorted, rows_examined, rows_returned }) = all else { return Ok(0) };
    let row = vec![text(access), Value::Bool(sorted), number(rows_examined), number(rows_returned)];
    context.show(&View::single(&["access", "sorted", "rows_examined", "rows_returned"], row))?;
    Ok(rows_returned)
}

/// Rows on their way to stdout.
struct Listing<'a> {
    context: &'a Context,
    /// The columns to show; all of the table's where nobody said.
    shape: Option<Shape>,
    /// Whether, for people, values stand bare on their lines.
    bare: bool,
    printer: Option<Printer>,
    found: u64,
    pages: Pages,
}

impl<'a> Listing<'a> {
    fn new(context: &'a Context, shape: Option<Shape>, bare: bool) -> Listing<'a> {
        // A list of keys is made for programs: a variable that is meant for people does not change it.
        let bare = bare && (context.format == Format::Table || !context.format_given);
        Listing { context, shape, bare, printer: None, found: 0, pages: context.pages() }
    }

    /// Prints the rows of a search page by page; how many there were.
    async fn run(mut self, client: &Client, search: &Search) -> Result<u64, CliError> {
        let mut pages = client.search(search);
        while let Some(page) = pages.next().await? {
            let Some(first) = page.rows.first() else { continue };
            self.found += page.rows.len() as u64;
            let shape = self.shape.get_or_insert_with(|| Shape::of(first)).clone();
            let rows = page.rows.into_iter().map(|row| shape.flat(row)).collect();
            if self.bare {
                let view = View { rows, look: Look::Bare, ..View::default() };
                self.pages.write(&view.render(Format::Table, self.context.style))?;
                continue;
            }
            let begun = self.begin(&shape);
            let printed = self.printer.as_mut().map(|printer| printer.rows(rows)).unwrap_or_default();
            self.pages.write(&(begun + &printed))?;
        }
        self.end(client, search).await
    }

    /// What stands before the first row.
    fn begin(&mut self, shape: &Shape) -> String {
        if self.printer.is_some() {
            return String::new();
        }
        let printer = Printer::new(self.context.format, self.context.style, shape.columns().to_vec());
        let head = printer.head();
        self.printer = Some(printer);
        head
    }

    async fn end(mut self, client: &Client, search: &Search) -> Result<u64, CliError> {
        if self.bare {
            return self.pages.end().map(|()| self.found);
        }
        let mut head = String::new();
        if self.printer.is_none() {
            // Without a row only the table itself can tell its columns.
            let shape = match self.shape.take() {
                Some(shape) => shape,
                None => Shape::table(client.table(&search.table).await?.columns.into_iter().map(|column| column.name)),
            };
            head = self.begin(&shape);
        }
        let foot = self.printer.map(Printer::foot).unwrap_or_default();
        self.pages.write(&(head + &foot))?;
        self.pages.end().map(|()| self.found)
    }
}
