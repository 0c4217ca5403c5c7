//! Owns the runner of the scripts in `tests/store`.
//!
//! A command's prefix is its idempotency key. Tags: `[json]` cells are JSON, `[rev@N]` and
//! `[absent]` are conditions. Between `batch` and `apply`, writes wait and become one batch; between
//! `begin` and `commit`, checks and operations wait and become one transaction.
//! `UPDATE_GOLDENFILES=1` writes the outputs anew.

use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Argument, Command, Context};

use crate::model::{
    Alteration, Answer, Applied, Cell, Change, Check, ColumnSpec, ColumnType, Counts, Done, Effect, Failure, Filter,
    IdempotencyKey, IndexSpec, KeyRange, OnConflict, Operation, Proposal, PutMode, PutRow, ReadRow, Row, RowKey, Value,
    When, Write,
};

use super::super::{Marks, Store};
use crate::disk::SimDisk;

struct Runner {
    disk: SimDisk,
    store: Store,
    now_ms: u64,
    batch: Option<Vec<Proposal>>,
    transaction: Option<(Vec<Check>, Vec<Operation>)>,
}

impl Runner {
    fn new() -> Runner {
        let disk = SimDisk::new();
        let store = super::common::on(&disk);
        Runner { disk, store, now_ms: 0, batch: None, transaction: None }
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let words: Vec<&str> = command.args.iter().filter_map(word).collect();
        match (command.name.as_str(), words.as_slice()) {
            ("at", [ms]) => self.now_ms = ms.parse()?,
            ("batch", []) => self.batch = Some(Vec::new()),
            ("apply", []) => {
                let batch = self.batch.take().ok_or("no batch")?;
                return self.apply(&batch);
            }
            ("checkpoint", []) => self.store.checkpoint().map(drop)?,
            ("crash", []) => {
                self.disk.cut();
                self.disk = self.disk.after_power_loss(0);
                self.store = super::common::try_on(&self.disk)?;
            }
            ("tables", []) => return self.tables(),
            ("get", [table, row_id]) => return self.get(table, row_id),
            ("scan", [table, after @ ..]) => return self.scan(table, after.first().copied()),
            // Refused writes under keys FROM to TO, one after the other.
            ("flood", [from, to]) => {
                let keys = from.parse::<u64>()?..to.parse()?;
                let batch: Vec<Proposal> =
                    keys.map(|n| super::common::keyed(n, self.now_ms, super::common::drop_table("nothing"))).collect();
                self.apply(&batch)?;
            }
            ("begin", []) => self.transaction = Some(Default::default()),
            ("commit", []) => {
                let (checks, operations) = self.transaction.take().ok_or("no transaction")?;
                return self.write(Write::Transaction { checks, operations }, context);
            }
            (_, words) => match &mut self.transaction {
                Some((checks, operations)) => match part(command, context, words)? {
                    Part::Check(check) => checks.push(check),
                    Part::Operation(operation) => operations.push(operation),
                },
                None => return self.write(parse_write(command, context, words)?, context),
            },
        }
        Ok(String::new())
    }
}

impl Runner {
    fn write(&mut self, write: Write, context: &Context) -> Result<String, Box<dyn Error>> {
        let key = context.prefix.clone().map(|key| {
            let digest = xxhash_rust::xxh3::xxh3_128(format!("{write:?}").as_bytes());
            IdempotencyKey { key, digest }
        });
        let proposal = Proposal { write, key, at_ms: self.now_ms };
        match &mut self.batch {
            Some(batch) => {
                batch.push(proposal);
                Ok(String::new())
            }
            None => self.apply(&[proposal]),
        }
    }

    fn apply(&mut self, batch: &[Proposal]) -> Result<String, Box<dyn Error>> {
        let answers = self.store.apply(batch, Marks::default())?;
        Ok(answers.iter().map(show_answer).collect())
    }

    fn tables(&self) -> Result<String, Box<dyn Error>> {
        let mut out = String::new();
        for (table, rows) in self.store.view().tables()? {
            let columns: Vec<_> = (0..table.columns.len()).map(|place| column(&table.spec(place))).collect();
            writeln!(out, "{} ({}), {rows} rows, revision {}", table.name, columns.join(", "), table.revision)?;
            for index in &table.indexes {
                let (unique, of) = (if index.unique { "unique " } else { "" }, table.index_columns(index).join(", "));
                let ranges = [KeyRange::default()];
                let keys: Result<Vec<_>, _> = self.store.view().index_scan(&table, index, &ranges).collect();
                let keys: Vec<_> = keys?.iter().map(|key| key.text(&table)).collect();
                writeln!(out, "  {unique}index {} ({of}), {:?}: {}", index.name, index.state, keys.join(" "))?;
            }
        }
        Ok(out)
    }

    fn get(&self, name: &str, row_id: &str) -> Result<String, Box<dyn Error>> {
        let view = self.store.view();
        let table = match view.table(name) {
            Ok(table) => table,
            Err(failure) => return Ok(show_failure(&failure)),
        };
        let key = match RowKey::new(&table, row_id) {
            Ok(key) => key,
            Err(failure) => return Ok(show_failure(&failure)),
        };
        Ok(view.row(&table, &key)?.map_or("nothing\n".into(), |row| show_row(&row)))
    }

    fn scan(&self, name: &str, after: Option<&str>) -> Result<String, Box<dyn Error>> {
        let view = self.store.view();
        let table = view.table(name)?;
        let after = after.map(|row_id| RowKey::new(&table, row_id)).transpose()?;
        let rows: Result<String, _> = view.scan(&table, after.as_ref()).map(|row| Ok(show_row(&row?.1))).collect();
        rows
    }
}

fn word(arg: &Argument) -> Option<&str> {
    match arg {
        Argument::Positional(word) => Some(word),
        _ => None,
    }
}

fn parse_write(command: &Command, context: &Context, words: &[&str]) -> Result<Write, Box<dyn Error>> {
    let condition = context.tags.iter().find_map(|tag| tag.strip_prefix("rev@"));
    let when = match condition {
        Some(revision) => When::Revision(revision.parse()?),
        None if context.tags.contains("absent") => When::Absent,
        None => When::Always,
    };
    let json = context.tags.contains("json");
    let cell = |text: &str| -> Result<Cell, String> {
        if json { Value::parse_json(text).map(Cell::Exact) } else { Ok(Cell::Text(text.into())) }
    };
    let keyed = command.args.iter().filter_map(|arg| match arg {
        Argument::KeyValue(key, text) => Some((key, text)),
        _ => None,
    });
    let cells: Result<Vec<_>, String> = keyed.map(|(key, text)| Ok((key.to_string(), cell(text)?))).collect();
    let put = |table: &&str, row_id: &&str, mode| -> Result<Write, Box<dyn Error>> {
        Ok(Write::Put { table: table.to_string(), row_id: row_id.to_string(), cells: cells.clone()?, mode, when })
    };
    match (command.name.as_str(), words) {
        ("create", [name, columns @ ..]) => {
            let columns: Result<_, Failure> = columns.iter().map(|column| ColumnSpec::parse(column)).collect();
            Ok(Write::CreateTable { name: name.to_string(), columns: columns? })
        }
        // alter TABLE "add name:type" "rename a b" "drop a"
        ("alter", [name, changes @ ..]) => {
            let changes = changes.iter().map(|change| alteration(change)).collect::<Result<_, _>>()?;
            Ok(Write::AlterTable { name: name.to_string(), changes })
        }
        ("index", [table, columns]) => {
            let columns = columns.split(',').map(String::from).collect();
            let index = IndexSpec { name: None, columns, unique: context.tags.contains("unique") };
            Ok(Write::CreateIndex { table: table.to_string(), index })
        }
        ("unindex", [table, index]) => Ok(Write::DropIndex { table: table.to_string(), index: index.to_string() }),
        ("build", [table, index, rows]) => {
            Ok(Write::BuildIndex { table: table.to_string(), index: index.to_string(), rows: rows.parse()? })
        }
        ("drop", [name]) => Ok(Write::DropTable { name: name.to_string() }),
        ("insert", [table, row_id]) => put(table, row_id, PutMode::Insert),
        ("replace", [table, row_id]) => put(table, row_id, PutMode::Replace),
        ("update", [table, row_id]) => put(table, row_id, PutMode::Update),
        ("delete", [table, row_id]) => Ok(Write::Delete { table: table.to_string(), row_id: row_id.to_string(), when }),
        // change TABLE a,b,c FILTER… column=value…, or purge to delete; `[more]` says that more rows follow.
        ("change" | "purge", [table, row_ids, filters @ ..]) => {
            let change = if command.name == "change" { Change::Update(cells?) } else { Change::Delete };
            let filters: Result<_, Failure> = filters.iter().map(|word| Filter::parse(word)).collect();
            let row_ids = row_ids.split(',').map(String::from).collect();
            let last = !context.tags.contains("more");
            Ok(Write::ChangeRows { table: table.to_string(), row_ids, filters: filters?, change, last })
        }
        // import TABLE error|skip|replace a,b "ID: x,y" …: one row a word, its line is its place.
        ("import", [table, way, columns, rows @ ..]) => {
            let way = OnConflict::NAMES.iter().find(|(name, _)| name == way).ok_or("no such way")?.1;
            let columns = columns.split(',').map(String::from).collect();
            let rows: Result<Vec<PutRow>, String> = rows.iter().zip(1..).map(|(word, line)| row(word, line)).collect();
            Ok(Write::PutRows { table: table.to_string(), columns, rows: rows?, on_conflict: way })
        }
        (name, _) => Err(format!("{name} is no command, or has other arguments").into()),
    }
}

enum Part {
    Check(Check),
    Operation(Operation),
}

/// check TABLE ID [exists|absent] FILTER…, read TABLE ID, or a write of one row; `[if_exists]` is delete's.
fn part(command: &Command, context: &Context, words: &[&str]) -> Result<Part, Box<dyn Error>> {
    let operation = match (command.name.as_str(), words) {
        ("check", [table, row_id, more @ ..]) => {
            let exists = more.first().and_then(|word| ["absent", "exists"].iter().position(|known| known == word));
            let filters = more[usize::from(exists.is_some())..].iter().map(|word| Filter::parse(word));
            let revision = context.tags.iter().find_map(|tag| tag.strip_prefix("rev@")).map(str::parse).transpose()?;
            return Ok(Part::Check(Check {
                table: table.to_string(),
                row_id: row_id.to_string(),
                exists: exists.map(|at| at == 1),
                revision,
                filters: filters.collect::<Result<_, Failure>>()?,
            }));
        }
        ("read", [table, row_id]) => Operation::Get { table: table.to_string(), row_id: row_id.to_string() },
        _ => match parse_write(command, context, words)? {
            Write::Put { table, row_id, cells, mode, .. } => Operation::Put { table, row_id, cells, mode },
            Write::Delete { table, row_id, .. } => {
                Operation::Delete { table, row_id, if_exists: context.tags.contains("if_exists") }
            }
            other => return Err(format!("{other:?} is no part of a transaction").into()),
        },
    };
    Ok(Part::Operation(operation))
}

fn alteration(change: &str) -> Result<Alteration, Box<dyn Error>> {
    Ok(match change.split(' ').collect::<Vec<_>>().as_slice() {
        ["add", spec] => Alteration::Add(ColumnSpec::parse(spec)?),
        ["rename", from, to] => Alteration::Rename { from: from.to_string(), to: to.to_string() },
        ["drop", column] => Alteration::Drop { column: column.to_string() },
        _ => return Err(format!("{change} is no change").into()),
    })
}

fn row(word: &str, line: u64) -> Result<PutRow, String> {
    let (row_id, cells) = word.split_once(": ").unwrap_or((word, ""));
    let cells = cells.split(',').zip(0..).filter(|(text, _)| !text.is_empty());
    let cells = cells.map(|(text, index)| (index, Cell::Text(text.into()))).collect();
    Ok(PutRow { line, row_id: row_id.into(), cells })
}

fn show_answer(answer: &Answer) -> String {
    let Applied { revision, effect } = match answer {
        Ok(applied) => applied,
        Err(failure) => return show_failure(failure),
    };
    let did = match effect {
        Effect::Created(_) => "created",
        Effect::Dropped => "dropped",
        Effect::Inserted(_) => "inserted",
        Effect::Updated(_) => "updated",
        Effect::Deleted(_) => "deleted",
        Effect::Altered(_) => "altered",
        Effect::Built => "built",
        Effect::Imported(Counts { inserted, replaced, skipped }) => {
            return format!("{inserted} inserted, {replaced} replaced, {skipped} skipped, revision {revision}\n");
        }
        Effect::Transacted(done) => {
            let done: String = done.iter().map(|did| show_done(&did.done)).collect();
            return format!("{done}revision {revision}\n");
        }
        Effect::Changed { rows, through, last } => {
            let end = if *last { ", the last" } else { "" };
            let through = through.as_deref().unwrap_or("nothing");
            return format!("{rows} changed, through {through}{end}, revision {revision}\n");
        }
    };
    format!("{did}, revision {revision}\n")
}

fn show_done(done: &Done) -> String {
    match done {
        Done::Read(Some(ReadRow { id, data, revision })) => {
            let values = data.iter().map(|(_, value)| value.clone()).collect();
            format!("read {}", show_row(&Row { id: id.clone(), values, revision: *revision }))
        }
        other => format!("{}\n", format!("{other:?}").to_lowercase()),
    }
}

/// Its type is told also where it is any.
fn column(spec: &ColumnSpec) -> String {
    let text = spec.to_string();
    let (name, rest) = text.split_once(':').unwrap_or((&text, ""));
    match spec.kind {
        ColumnType::Any if rest.is_empty() => format!("{name}:any"),
        ColumnType::Any => format!("{name}:any:{rest}"),
        _ => text,
    }
}

fn show_failure(failure: &Failure) -> String {
    let Failure { code, message, hint, .. } = failure;
    let hint = hint.as_ref().map_or(String::new(), |hint| format!("\n  hint: {hint}"));
    format!("{}: {message}{hint}\n", code.as_str())
}

fn show_row(row: &Row) -> String {
    let json = |value: &Value| {
        let mut out = String::new();
        value.write_json(&mut out);
        out
    };
    let values: Vec<String> = row.values.iter().map(json).collect();
    format!("{} → {} @{}\n", json(&row.id), values.join(" "), row.revision)
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let path = format!("{}/tests/store/{}.golden", env!("CARGO_MANIFEST_DIR"), stringify!($name));
            goldenscript::run(&mut Runner::new(), path).unwrap();
        })*
    };
}

scripts! {
    tables rows types order conditions refusals idempotency expiry drops imports transactions changes alter constraints
    indexes
}
