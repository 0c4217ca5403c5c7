//! Owns the virtual table: one of our tables as SQLite sees it, and the cursors over it.
//!
//! The traits that SQLite's C reads are unsafe to implement: the first field must be SQLite's own, and the
//! layout C's. That is all there is to uphold; no line here runs unsafe code.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexFlags, IndexInfo, Module, OrderBy, VTab, VTabConnection, VTabCursor,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

use super::plan::{Asked, Place, Sign, best};
use super::reach::{Reach, reach};
use super::value;
use crate::model::{Access, ColumnType, Row, RowKey, Table, Value};
use crate::store::{StoreError, View};

/// What a virtual table is made of.
pub(super) struct Source {
    pub(super) view: View,
    pub(super) table: Arc<Table>,
    /// How many rows the table has.
    pub(super) rows: u64,
    /// Why SQL cannot name the table, if it cannot.
    pub(super) clash: Option<String>,
    pub(super) notes: Arc<Notes>,
}

/// What is to be known of a query once it has ended.
#[derive(Default)]
pub(super) struct Notes {
    /// The columns of the tables that it named.
    pub(super) columns: Mutex<Vec<String>>,
    /// The failure of a read.
    pub(super) error: Mutex<Option<StoreError>>,
}

type Rows = Box<dyn Iterator<Item = Result<(RowKey, Row), StoreError>>>;

/// Makes the table of `source` known to the connection.
pub(super) fn add(connection: &Connection, source: Source) -> Result<()> {
    const MODULE: &Module<'_, Tab> = &Module::eponymous_only_module();
    let name = source.table.name.clone();
    connection.create_module(name.as_str(), MODULE, Some(Arc::new(source)))
}

#[repr(C)]
struct Tab {
    /// SQLite's part, which must come first.
    base: sqlite3_vtab,
    source: Arc<Source>,
    places: Arc<[Place]>,
    /// Which column is the row id.
    id: c_int,
}

/// The columns in the order of `SELECT *`, then the hidden one.
fn places(table: &Table) -> Arc<[Place]> {
    let own = table.id_column().is_none().then_some(Place::RowId);
    own.into_iter().chain((0..table.columns.len()).map(Place::Column)).chain([Place::Revision]).collect()
}

/// The table as a declaration. The first word of a type is ours; what follows it gives it the affinity that
/// leaves our values as they are.
fn declaration(table: &Table) -> Result<CString> {
    let kind = |name: &str, kind: ColumnType| match (name, kind) {
        ("id", ColumnType::Any) | ("row_id", _) => "any text primary key",
        ("id", ColumnType::Int) => "int primary key",
        ("id", _) => "text primary key",
        (_, ColumnType::Any) => "any blob",
        (_, ColumnType::Json) => "json blob",
        (_, ColumnType::Timestamp) => "timestamp text",
        (_, other) => other.as_str(),
    };
    let own = table.id_column().is_none().then_some(("row_id", ColumnType::Text));
    let columns = own.into_iter().chain(table.columns.iter().map(|column| (column.name.as_str(), column.kind)));
    let columns: Vec<String> = columns.map(|(name, own)| format!("\"{name}\" {}", kind(name, own))).collect();
    let text = format!("CREATE TABLE x({}, \"_revision\" int hidden) WITHOUT ROWID", columns.join(", "));
    CString::new(text).map_err(|error| Error::ModuleError(error.to_string()))
}

/// Two columns that SQL takes for one.
fn clash(table: &Table) -> Option<String> {
    let lower: Vec<String> = table.columns.iter().map(|column| column.name.to_ascii_lowercase()).collect();
    let second = (1..lower.len()).find(|at| lower[..*at].contains(&lower[*at]))?;
    let name = &table.columns[second].name;
    Some(format!("table \"{}\" has another column \"{name}\" but for case, which SQL does not tell apart", table.name))
}

#[expect(unsafe_code, reason = "SQLite reads the beginning of the struct, which is its own base")]
unsafe impl VTab<'_> for Tab {
    type Aux = Arc<Source>;
    type Cursor = Cursor;

    fn connect(
        _: &mut VTabConnection,
        source: Option<&Arc<Source>>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Tab)> {
        let source = source.ok_or_else(|| Error::ModuleError("a table came without its source".into()))?.clone();
        let table = &source.table;
        if let Some(why) = source.clash.clone().or_else(|| clash(table)) {
            return Err(Error::ModuleError(why));
        }
        let names = table.columns.iter().map(|column| column.name.clone());
        source.notes.columns.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        let id = c_int::try_from(table.id_column().unwrap_or(0)).unwrap_or(0);
        let declared = Cow::Owned(declaration(table)?);
        let places = places(table);
        Ok((declared, Tab { base: sqlite3_vtab::default(), source, places, id }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut asked: Vec<Asked> = Vec::new();
        for (at, constraint) in info.constraints().enumerate() {
            if constraint.is_usable()
                && let Some(place) = self.place(constraint.column())
                && let Some(sign) = sign(&constraint.operator())
            {
                asked.push(Asked { at, place, sign, each: false });
            }
        }
        // An order of another kind than our keys' is no help.
        asked.retain(|own| info.collation(own.at).is_ok_and(|name| name == "BINARY"));
        for own in asked.iter_mut().filter(|own| own.sign == Sign::Equal) {
            own.each = info.is_in_constraint(own.at)?;
            if let Ok(Some(ValueRef::Integer(_) | ValueRef::Real(_))) = info.rhs_value(own.at) {
                own.sign = Sign::Literal;
            }
        }
        let rising = |by: OrderBy<'_>| if by.is_order_by_desc() { None } else { self.place(by.column()) };
        let order: Vec<Option<Place>> = info.order_bys().map(rising).collect();
        let way = best(&self.source.table, self.source.rows, &asked, &order);
        for (argument, at) in (1..).zip(&way.taken) {
            info.constraint_usage(*at).set_argv_index(argument);
        }
        if way.one {
            info.set_idx_flags(IndexFlags::SQLITE_INDEX_SCAN_UNIQUE);
        }
        info.set_idx_num(way.number);
        info.set_idx_str(&way.words);
        info.set_estimated_rows(way.rows as i64);
        info.set_estimated_cost(way.cost);
        info.set_order_by_consumed(way.ordered);
        Ok(true)
    }

    fn open(&mut self) -> Result<Cursor> {
        let (source, places) = (self.source.clone(), self.places.clone());
        Ok(Cursor { base: sqlite3_vtab_cursor::default(), source, places, rows: None, row: None })
    }
}

impl Tab {
    /// What SQLite's column of that number shows.
    fn place(&self, column: c_int) -> Option<Place> {
        let place = usize::try_from(column).ok().and_then(|column| self.places.get(column)).copied();
        if column == self.id { Some(Place::RowId) } else { place }
    }
}

fn sign(operator: &IndexConstraintOp) -> Option<Sign> {
    Some(match operator {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Sign::Equal,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => Sign::Greater,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => Sign::AtLeast,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => Sign::Less,
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => Sign::AtMost,
        _ => return None,
    })
}

#[repr(C)]
struct Cursor {
    /// SQLite's part, which must come first.
    base: sqlite3_vtab_cursor,
    source: Arc<Source>,
    places: Arc<[Place]>,
    rows: Option<Rows>,
    /// Where it stands; nowhere at the end.
    row: Option<Row>,
}

impl Cursor {
    /// The rows that have to be read.
    fn rows(&self, reach: Reach) -> Rows {
        let Source { view, table, .. } = &*self.source;
        match reach {
            Reach::Rows(Access::Scan) => Box::new(view.scan(table, None)),
            Reach::Rows(Access::Range(range)) => Box::new(view.range(table, &range)),
            Reach::Rows(Access::Point(keys)) => self.looked_up(keys.into_iter().map(Ok)),
            Reach::Index(place, ranges) => self.looked_up(view.index_scan(table, &table.indexes[place], &ranges)),
        }
    }

    /// The rows under these keys that there are.
    fn looked_up(&self, keys: impl Iterator<Item = Result<RowKey, StoreError>> + 'static) -> Rows {
        Box::new(self.source.view.rows_under(&self.source.table, keys))
    }

    fn advance(&mut self) -> Result<()> {
        self.row = match self.rows.as_mut().and_then(Iterator::next).transpose() {
            Ok(next) => next.map(|(_, row)| row),
            Err(error) => {
                let said = Error::ModuleError(error.to_string());
                self.source.notes.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return Err(said);
            }
        };
        Ok(())
    }
}

/// Keeps a panic from crossing into C, where it would end the process.
fn shielded(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let broken = |_| Err(Error::ModuleError("a row could not be read, by a fault of the server's own".into()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(broken)
}

#[expect(unsafe_code, reason = "SQLite reads the beginning of the struct, which is its own base")]
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, _: c_int, plan: Option<&str>, given: &Filters<'_>) -> Result<()> {
        let values: Vec<Option<Value>> = given.iter().map(value::sought).collect();
        shielded(|| {
            self.rows = Some(self.rows(reach(&self.source.table, plan.unwrap_or_default(), &values)));
            self.advance()
        })
    }

    fn next(&mut self) -> Result<()> {
        shielded(|| self.advance())
    }

    fn eof(&self) -> bool {
        self.row.is_none()
    }

    fn column(&self, context: &mut Context, at: c_int) -> Result<()> {
        let place = usize::try_from(at).ok().and_then(|at| self.places.get(at));
        let (Some(row), Some(place)) = (&self.row, place) else { return Ok(()) };
        match *place {
            Place::RowId => context.set_result(value::given(&row.id)),
            Place::Column(index) => context.set_result(value::given(row.values.get(index).unwrap_or(&Value::Null))),
            Place::Revision => context.set_result(value::revision(row.revision)),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Err(Error::ModuleError("the tables have no rowid".into()))
    }
}
