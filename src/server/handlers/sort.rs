//! Owns the sorting of a search: where each row stands, kept for no more rows than memory is set aside for.
//!
//! Rows are not kept, only where they stand; they are read again, in the same view, once it is known
//! which are shown.

use std::collections::BinaryHeap;

use super::read::broken;
use super::scan::{Plan, Rows, Turn};
use crate::model::{Code, Failure, Order, RowKey, Standing};

/// The most rows that are sorted at a time.
const MOST_ROWS: usize = 100_000;

/// The most bytes that their places may take.
const MOST_BYTES: usize = 32 << 20;

/// A sort on its way.
pub(super) struct Sort {
    order: Order,
    rows: Rows,
    /// Rows up to this place were shown before.
    after: Option<Standing>,
    /// How many rows are wanted: those to show, and one that tells whether there are more.
    wanted: Option<usize>,
    /// The first rows in order so far; the last of them on top.
    found: BinaryHeap<Standing>,
    bytes: usize,
    examined: u64,
    done: bool,
}

impl Sort {
    pub(super) fn new(order: Order, rows: Rows, after: Option<Standing>, limit: Option<u64>) -> Sort {
        let wanted = limit.and_then(|limit| usize::try_from(limit).ok()?.checked_add(1));
        Sort { order, rows, after, wanted, found: BinaryHeap::new(), bytes: 0, examined: 0, done: false }
    }

    /// Runs until the slice is over or all rows have been seen.
    pub(super) fn slice(&mut self, plan: &Plan) -> Result<(), Failure> {
        let turn = Turn::new();
        for looked in 1.. {
            if turn.is_over(looked) {
                break;
            }
            let Some(next) = self.rows.next() else {
                self.done = true;
                break;
            };
            let (key, row) = next.map_err(broken)?;
            self.examined += 1;
            if plan.passes(&row) {
                self.put(self.order.standing(&key, &row))?;
            }
        }
        Ok(())
    }

    fn put(&mut self, standing: Standing) -> Result<(), Failure> {
        if self.after.as_ref().is_some_and(|after| standing <= *after) {
            return Ok(());
        }
        let full = self.wanted.is_some_and(|wanted| self.found.len() == wanted);
        if full && self.found.peek().is_some_and(|last| standing >= *last) {
            return Ok(());
        }
        self.bytes += standing.bytes();
        self.found.push(standing);
        if full {
            self.bytes -= self.found.pop().map_or(0, |last| last.bytes());
        }
        // One more than the most rows, as the last one wanted only tells that there are more.
        if self.found.len() > MOST_ROWS + 1 || (self.found.len() > MOST_ROWS && self.wanted.is_none()) {
            return Err(too_many(&format!("more than {MOST_ROWS} rows pass")));
        }
        if self.bytes > MOST_BYTES {
            return Err(too_many(&format!("what {} rows are sorted by takes too much memory", self.found.len())));
        }
        Ok(())
    }

    /// Whether all rows have been seen.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The keys of the rows in order, and how many rows were read to find them.
    pub(super) fn finish(self) -> (Vec<RowKey>, u64) {
        let keys = self.found.into_sorted_vec().iter().map(|standing| standing.key().clone()).collect();
        (keys, self.examined)
    }
}

fn too_many(why: &str) -> Failure {
    Failure::new(Code::TooLarge, format!("the rows cannot be put in order at once: {why}"))
        .hint(format!("add limit= (at most {MOST_ROWS}) and go on with the cursor, or narrow the search by a filter"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ColumnSpec, Filter, Row, Table, Value};
    use crate::protocol::RowShape;

    /// Sorts rows 0 to `rows`, of which row n holds n mod 10 and a text so long.
    fn sort(
        rows: u64,
        order: &str,
        filter: Option<&str>,
        limit: Option<u64>,
        long: usize,
    ) -> Result<Vec<u64>, Failure> {
        let specs = ["n:int", "x:text"].map(|word| ColumnSpec::parse(word).unwrap());
        let table = Table::declare(1, "t", &specs, 1).unwrap();
        let order = Order::parse(&table, order)?.unwrap();
        let conditions = filter.iter().map(|text| Filter::parse(text).unwrap().bind(&table).unwrap()).collect();
        let row = move |n: u64| {
            let values = vec![Value::Int((n % 10) as i64), Value::Text("x".repeat(long))];
            Ok((RowKey(n.to_be_bytes().to_vec()), Row { id: Value::Text(n.to_string()), values, revision: 1 }))
        };
        let mut sort = Sort::new(order.clone(), Box::new((0..rows).map(row)), None, limit);
        let (shape, order) = (RowShape::Page, Some(order));
        let table = table.into();
        let plan =
            Plan { table, conditions, order, shown: None, limit, explain: None, count: false, shape, revision: 1 };
        while !sort.is_done() {
            sort.slice(&plan)?;
        }
        let (keys, examined) = sort.finish();
        assert_eq!(examined, rows);
        Ok(keys.into_iter().map(|key| u64::from_be_bytes(key.0.try_into().unwrap())).collect())
    }

    #[test]
    fn with_a_limit_only_the_first_rows_and_one_more_are_kept() {
        assert_eq!(sort(1_000, "n", None, Some(3), 1).unwrap(), [0, 10, 20, 30]);
        assert_eq!(sort(1_000, "-n", None, Some(2), 1).unwrap(), [9, 19, 29]);
        assert_eq!(sort(1_000, "-n,-row_id", Some("n.lt=3"), Some(1), 1).unwrap(), [992, 982]);
        assert_eq!(sort(3, "-n", None, Some(7), 1).unwrap(), [2, 1, 0]);
        // However many rows there are, and however long their texts.
        assert_eq!(sort(MOST_ROWS as u64 + 2, "n", None, Some(1), 1).unwrap(), [0, 10]);
        assert_eq!(sort(1_000, "x,n", None, Some(1), 1 << 16).unwrap(), [0, 10]);
    }

    #[test]
    fn what_takes_too_much_memory_is_refused_with_the_way_out() {
        for (rows, order, limit, long) in [
            (MOST_ROWS as u64 + 1, "n", None, 1),
            (MOST_ROWS as u64 + 2, "n", Some(u64::MAX), 1),
            (80_000, "x", None, 1_000),
        ] {
            let failure = sort(rows, order, None, limit, long).unwrap_err();
            assert_eq!(failure.code, Code::TooLarge, "{rows} {order}");
            assert!(failure.hint.unwrap().starts_with("add limit="));
        }
        assert_eq!(sort(MOST_ROWS as u64, "n", None, None, 1).unwrap().len(), MOST_ROWS);
    }
}
