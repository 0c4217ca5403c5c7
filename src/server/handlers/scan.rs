//! Owns the running of a search: slices of bounded size and time, each a piece of the answer's body.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::read::broken;
use crate::model::{Failure, Filter, Row, RowKey, Table};
use crate::protocol::{RowShape, encode_cursor, write_row};
use crate::store::StoreError;

/// How many bytes make a piece.
pub(super) const PIECE: usize = 64 << 10;

/// How long a slice may run; then others have their turn, and the deadline is looked at.
const SLICE: Duration = Duration::from_millis(20);

/// After how many rows the clock is looked at.
const LOOK: u32 = 128;

/// The rows that a search goes through, in key order.
pub(super) type Rows = Box<dyn Iterator<Item = Result<(RowKey, Row), StoreError>> + Send>;

/// A search on its way.
pub(super) struct Scan {
    /// In a mutex so that a scan can be shared, as warp asks of a body; nobody ever locks it.
    pub(super) rows: Mutex<Rows>,
    pub(super) table: Table,
    pub(super) filters: Vec<Filter>,
    /// The positions of the columns to show; all where there are none.
    pub(super) shown: Option<Vec<usize>>,
    /// How many rows to show at most.
    pub(super) limit: Option<u64>,
    pub(super) shape: RowShape,
    pub(super) revision: u64,
    /// How many rows have been shown.
    pub(super) count: u64,
    /// The last row shown.
    pub(super) last: Option<RowKey>,
    pub(super) opened: bool,
    pub(super) done: bool,
}

impl Scan {
    /// Runs until a piece is full, the slice is over or the search is done.
    pub(super) fn slice(&mut self) -> Result<Vec<u8>, Failure> {
        let until = Instant::now() + SLICE;
        let mut out = Vec::new();
        if !self.opened {
            self.opened = true;
            self.shape.open(&mut out);
        }
        let mut looked = 0;
        while out.len() < PIECE {
            looked += 1;
            if looked % LOOK == 0 && Instant::now() >= until {
                break;
            }
            let Some(next) = self.rows.get_mut().unwrap_or_else(PoisonError::into_inner).next() else {
                self.close(&mut out, None);
                break;
            };
            let (key, row) = next.map_err(broken)?;
            if !self.passes(&row)? {
                continue;
            }
            if self.limit == Some(self.count) {
                // One row more than was asked for is there: the page has a successor.
                let cursor = self.last.take().map(|last| encode_cursor(self.table.id, &last));
                self.close(&mut out, cursor.as_deref());
                break;
            }
            if self.count > 0 {
                out.push(b',');
            }
            write_row(&mut out, &self.table, &row, self.shown.as_deref());
            self.count += 1;
            self.last = Some(key);
        }
        Ok(out)
    }

    fn passes(&self, row: &Row) -> Result<bool, Failure> {
        for filter in &self.filters {
            if !filter.matches(&self.table, row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn close(&mut self, out: &mut Vec<u8>, cursor: Option<&str>) {
        self.shape.close(out, self.count, cursor, self.revision);
        self.done = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ColumnSpec, Value};
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
        Scan {
            rows: Mutex::new(Box::new((1..=rows).map(row))),
            table,
            filters: filters.iter().map(|text| Filter::parse(text).unwrap()).collect(),
            shown: None,
            limit,
            shape: RowShape::Page,
            revision: 99,
            count: 0,
            last: None,
            opened: false,
            done: false,
        }
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
                let table = scan(0, &[], None, "").table;
                assert_eq!(decode_cursor(1, &cursor), RowKey::new(&table, "3"));
            }
        }
    }

    #[test]
    fn filters_are_anded_and_rows_that_fail_do_not_count() {
        let page: Page = decode(&pieces(scan(9, &["even=true", "note=x"], Some(2), "x")).concat()).unwrap();
        assert_eq!(page.rows.iter().map(|row| row.revision).collect::<Vec<_>>(), [2, 4]);
        assert!(page.cursor.is_some());
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
    fn a_row_that_cannot_be_read_is_a_failure_and_not_an_end() {
        let mut scan = scan(3, &[], None, "x");
        let broken = std::iter::once(Err(StoreError::Damaged { file: "f".into(), what: "w".into() }));
        scan.rows = Mutex::new(Box::new(broken));
        assert!(scan.slice().is_err());
        assert!(!scan.done);
    }
}
