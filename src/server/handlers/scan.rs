//! Owns the running of a search: slices of bounded size and time, each a piece of the answer's body.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::read::broken;
use crate::model::{Condition, Failure, Order, Row, RowKey, Table};
use crate::protocol::{Explain, RowShape, encode_cursor, encode_ordered_cursor, write_row};
use crate::store::StoreError;

/// How many bytes make a piece.
pub(super) const PIECE: usize = 64 << 10;

/// How many bytes a piece has room for at first.
const FIRST: usize = 4 << 10;

/// How long a slice may run; then others have their turn, and the deadline is looked at.
const SLICE: Duration = Duration::from_millis(20);

/// After how many rows the clock is looked at.
const LOOK: u32 = 128;

/// The same in a glance: so many of the largest rows are read in a few milliseconds.
const GLANCE_LOOK: u32 = 4;

/// How many rows a search may read before it gets a thread of its own to go on, and for how long: a short one
/// costs less than the change of threads.
const GLANCE: (u32, Duration) = (16, Duration::from_millis(1));

/// The rows that a search goes through.
pub(super) type Rows = Box<dyn Iterator<Item = Result<(RowKey, Row), StoreError>> + Send>;

/// What a search is asked for, bound to its table and the moment it is asked.
pub(super) struct Plan {
    pub(super) table: Arc<Table>,
    pub(super) conditions: Vec<Condition>,
    /// The order of the rows, where it is not the one in which they lie.
    pub(super) order: Option<Order>,
    /// The positions of the columns to show; all where there are none.
    pub(super) shown: Option<Vec<usize>>,
    /// How many rows to show at most.
    pub(super) limit: Option<u64>,
    /// How the rows are reached, where that is to be told.
    pub(super) explain: Option<String>,
    /// Whether only the number of rows is asked for.
    pub(super) count: bool,
    pub(super) shape: RowShape,
    pub(super) revision: u64,
}

impl Plan {
    /// Whether a row passes all conditions.
    pub(super) fn passes(&self, row: &Row) -> bool {
        Condition::all_pass(&self.conditions, row)
    }

    fn cursor(&self, key: &RowKey, row: &Row) -> String {
        match &self.order {
            Some(order) => encode_ordered_cursor(self.table.id, order, &order.standing(key, row)),
            None => encode_cursor(self.table.id, key),
        }
    }
}

/// A search on its way.
pub(super) struct Scan {
    pub(super) plan: Plan,
    /// In a mutex so that a scan can be shared, as warp asks of a body; nobody ever locks it.
    pub(super) rows: Mutex<Rows>,
    /// Whether the rows have been tested before.
    tested: bool,
    /// How many rows have been read.
    examined: u64,
    /// How many rows have been shown.
    count: u64,
    /// The last row shown.
    last: Option<(RowKey, Row)>,
    opened: bool,
    pub(super) done: bool,
}

impl Scan {
    /// A search of `rows`, which come by row id or in the order asked for.
    pub(super) fn new(plan: Plan, rows: Rows) -> Scan {
        Scan { tested: false, ..Scan::sorted(plan, rows, 0) }
    }

    /// A search of `rows`, which have been tested and put in order; to find them took so many.
    pub(super) fn sorted(plan: Plan, rows: Rows, examined: u64) -> Scan {
        Scan { plan, rows: Mutex::new(rows), tested: true, examined, count: 0, last: None, opened: false, done: false }
    }

    /// Runs until a piece is full, the slice is over or the search is done.
    pub(super) fn slice(&mut self) -> Result<Vec<u8>, Failure> {
        self.run(&Turn::new())
    }

    /// The same for a few rows, where waiting would hold up others.
    pub(super) fn glance(&mut self) -> Result<Vec<u8>, Failure> {
        self.run(&Turn::glance())
    }

    fn run(&mut self, turn: &Turn) -> Result<Vec<u8>, Failure> {
        let mut out = Vec::with_capacity(FIRST);
        if !self.opened {
            self.opened = true;
            self.plan.shape.open(&mut out);
        }
        for looked in 1.. {
            if out.len() >= PIECE || turn.is_over(looked) {
                break;
            }
            let Some(next) = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner).next() else {
                self.close(&mut out, None);
                break;
            };
            let (key, row) = next.map_err(broken)?;
            if !self.tested {
                self.examined += 1;
                if !self.plan.passes(&row) {
                    continue;
                }
            }
            if self.plan.limit == Some(self.count) {
                // One row more than was asked for is there: the page has a successor.
                let cursor = self.last.take().map(|(key, row)| self.plan.cursor(&key, &row));
                self.close(&mut out, cursor.as_deref());
                break;
            }
            if !self.plan.count {
                if self.count > 0 {
                    out.push(b',');
                }
                write_row(&mut out, &self.plan.table, &row, self.plan.shown.as_deref());
            }
            self.count += 1;
            self.last = Some((key, row));
        }
        Ok(out)
    }

    fn close(&mut self, out: &mut Vec<u8>, cursor: Option<&str>) {
        let explain = self.plan.explain.take().map(|access| Explain {
            access,
            sorted: self.tested,
            rows_examined: self.examined,
            rows_returned: self.count,
        });
        self.plan.shape.close(out, self.count, cursor, self.plan.revision, explain.as_ref());
        self.done = true;
    }
}

/// The time that a slice has.
pub(super) struct Turn {
    until: Instant,
    /// After how many rows the clock is looked at.
    look: u32,
    /// How many rows may be read.
    rows: u32,
}

impl Turn {
    pub(super) fn new() -> Turn {
        Turn { until: Instant::now() + SLICE, look: LOOK, rows: u32::MAX }
    }

    fn glance() -> Turn {
        let (rows, time) = GLANCE;
        Turn { until: Instant::now() + time, look: GLANCE_LOOK, rows }
    }

    /// Whether it is over, before the row of that number; the clock is looked at now and then only.
    pub(super) fn is_over(&self, row: u32) -> bool {
        row > self.rows || (row.is_multiple_of(self.look) && Instant::now() >= self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ColumnSpec, Filter, Value};
    use crate::protocol::{Page, decode, decode_cursor};

    fn scan(rows: u64, filters: &[&str], limit: Option<u64>, note: &str) -> Scan {
        let specs = ["id:int", "even:bool", "note"].map(|word| ColumnSpec::parse(word).unwrap());
        let table = Table::declare(1, "t", &specs, 1).unwrap();
        let (keys, note) = (table.clone(), note.to_string());
        let row = move |n: u64| {
            let id = Value::Int(n as i64);
            let values = vec![id.clone(), Value::Bool(n.is_multiple_of(2)), Value::Text(note.clone())];
            Ok((RowKey::new(&keys, &n.to_string()).unwrap(), Row { id, values, revision: n }))
        };
        let conditions = filters.iter().map(|text| Filter::parse(text).unwrap().bind(&table).unwrap()).collect();
        let plan = Plan {
            table: table.into(),
            conditions,
            order: None,
            shown: None,
            limit,
            explain: Some("scan".into()),
            count: false,
            shape: RowShape::Page,
            revision: 99,
        };
        Scan::new(plan, Box::new((1..=rows).map(row)))
    }

    fn pieces(mut scan: Scan) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        while !scan.done {
            pieces.push(scan.slice().unwrap());
        }
        pieces
    }

    #[test]
    fn a_page_with_a_successor_has_a_cursor_and_the_last_has_none() {
        for (rows, limit, shown, more) in
            [(5, Some(3), 3, true), (3, Some(3), 3, false), (0, Some(3), 0, false), (5, None, 5, false)]
        {
            let page: Page = decode(&pieces(scan(rows, &[], limit, "x")).concat()).unwrap();
            assert_eq!((page.rows.len(), page.count, page.cursor.is_some()), (shown, shown as u64, more), "{rows}");
            assert_eq!(page.revision, 99);
            if let Some(cursor) = page.cursor {
                let table = scan(0, &[], None, "").plan.table;
                assert_eq!(decode_cursor(1, &cursor), RowKey::new(&table, "3"));
            }
        }
    }

    #[test]
    fn filters_are_anded_and_rows_that_fail_do_not_count() {
        let page: Page = decode(&pieces(scan(9, &["even=true", "note=x"], Some(2), "x")).concat()).unwrap();
        assert_eq!(page.rows.iter().map(|row| row.revision).collect::<Vec<_>>(), [2, 4]);
        assert!(page.cursor.is_some());
        let explain = page.explain.unwrap();
        assert_eq!((explain.access.as_str(), explain.rows_examined, explain.rows_returned), ("scan", 6, 2));
        let page: Page = decode(&pieces(scan(9, &["even=true", "note=y"], Some(2), "x")).concat()).unwrap();
        assert_eq!((page.count, page.cursor), (0, None));
    }

    #[test]
    fn a_large_answer_comes_in_pieces_of_bounded_size() {
        let note = "n".repeat(1_000);
        let pieces = pieces(scan(1_000, &[], None, &note));
        assert!(pieces.len() > 10, "{}", pieces.len());
        assert!(pieces.iter().all(|piece| piece.len() < PIECE + 2_000));
        let page: Page = decode(&pieces.concat()).unwrap();
        assert_eq!(page.count, 1_000);
    }

    #[test]
    fn a_glance_reads_a_few_rows_whether_they_pass_or_not() {
        let mut scan = scan(1_000, &["note=y"], None, "x");
        scan.glance().unwrap();
        assert!(!scan.done && (1..=u64::from(GLANCE.0)).contains(&scan.examined), "{}", scan.examined);
    }

    #[test]
    fn a_row_that_cannot_be_read_is_a_failure_and_not_an_end() {
        let mut scan = scan(3, &[], None, "x");
        let broken = std::iter::once(Err(StoreError::Damaged { file: "f".into(), what: "w".into() }));
        scan.rows = Mutex::new(Box::new(broken));
        assert!(scan.slice().is_err());
        assert!(!scan.done);
    }
}
