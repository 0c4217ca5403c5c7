//! Owns how a search, an export or a change by filter reaches its rows: by row id, by an index, or by reading all.
//!
//! Rows that an index names come one by one from all over the table, which costs some times more a row than
//! to read them as they lie. So where an index names more than a part of the table, all of it is read.

use std::sync::Arc;

use super::super::dispatch::App;
use super::read::unreadable;
use super::scan::Rows;
use super::search::in_turn;
use crate::model::{Access, Condition, Failure, IndexUse, KeyRange, Order, RowKey, Table};
use crate::replication::Group;
use crate::store::{StoreError, View};

/// Which part of a table an index may name, as a divisor, and between which bounds.
const PART: u64 = 4;
const LEAST_KEYS: u64 = 1_000;
const MOST_KEYS: u64 = 100_000;

/// The way to the rows.
pub(super) enum Way {
    /// By row id.
    Rows(Access),
    /// By an index, whose rows come as they are wanted.
    Index(IndexUse),
    /// The rows that an index names, by row id.
    Named { index: usize, keys: Arc<[RowKey]> },
}

impl Way {
    /// The best way to the rows that pass the conditions: by row id, or where there is an `order`, in it if
    /// they lie so.
    pub(super) async fn find(
        app: &App,
        view: &View,
        table: &Arc<Table>,
        conditions: &[Condition],
        order: Option<&Order>,
    ) -> Result<Way, Failure> {
        let access = Access::of(table, conditions);
        let index = match access {
            Access::Point(_) => None,
            _ => IndexUse::best(table, conditions, order),
        };
        let Some(index) = index else { return Ok(Way::Rows(access)) };
        let as_wanted = if order.is_some() { index.ordered } else { index.by_row_id };
        if as_wanted {
            return Ok(Way::Index(index));
        }
        let (view, table, group) = (view.clone(), table.clone(), app.group.clone());
        let place = index.index;
        let keys = in_turn(&app.scans, move || named(&view, &table, &index).map_err(unreadable(&group))).await?;
        Ok(keys.map_or(Way::Rows(access), |keys| Way::Named { index: place, keys: keys.into() }))
    }

    /// Its name, with the index's: `point`, `range`, `scan`, `index NAME`.
    pub(super) fn name(&self, table: &Arc<Table>) -> String {
        let index = |place: usize| format!("index {}", table.indexes[place].name);
        match self {
            Way::Rows(access) => access.name().into(),
            Way::Index(IndexUse { index: place, .. }) | Way::Named { index: place, .. } => index(*place),
        }
    }

    /// The rows that may pass by falling row id, those after `after`; an index has been told where to begin.
    pub(super) fn rows_back(&self, group: &Group, view: &View, table: &Arc<Table>, after: Option<&RowKey>) -> Rows {
        let keys: Arc<[RowKey]> = match self {
            Way::Rows(Access::Point(keys)) => keys.as_slice().into(),
            Way::Named { keys, .. } => keys.clone(),
            Way::Index(index) => return entries(group, view, table, index),
            Way::Rows(Access::Range(range)) => return stretch_back(group, view, table, range, after),
            Way::Rows(Access::Scan) => return stretch_back(group, view, table, &KeyRange::default(), after),
        };
        let end = after.map_or(keys.len(), |after| keys.partition_point(|key| key < after));
        rows_of(group, view, table, (0..end).rev().map(move |place| Ok(keys[place].clone())))
    }

    /// The rows that may pass, those after `after` where they come by row id.
    pub(super) fn rows(&self, group: &Group, view: &View, table: &Arc<Table>, after: Option<&RowKey>) -> Rows {
        match self {
            Way::Rows(Access::Point(keys)) => points(group, view, table, keys.as_slice().into(), after),
            Way::Rows(Access::Range(range)) => stretch(group, view, table, range, after),
            Way::Rows(Access::Scan) => stretch(group, view, table, &KeyRange::default(), after),
            Way::Index(index) => {
                entries(group, view, table, &after.map_or(index.clone(), |after| index.clone().after_row(after)))
            }
            Way::Named { keys, .. } => points(group, view, table, keys.clone(), after),
        }
    }
}

/// The keys of the rows that the index names, by row id; `None` where they are too many to be worth it.
fn named(view: &View, table: &Arc<Table>, index: &IndexUse) -> Result<Option<Vec<RowKey>>, StoreError> {
    let most = (view.rows(table)? / PART).clamp(LEAST_KEYS, MOST_KEYS) as usize;
    let scan = view.index_scan(table, &table.indexes[index.index], &index.ranges);
    // They come in the room of whole entries, and there may be many.
    let shrunk = |mut key: RowKey| {
        key.0.shrink_to_fit();
        key
    };
    let mut keys = scan.take(most + 1).map(|key| key.map(shrunk)).collect::<Result<Vec<RowKey>, StoreError>>()?;
    if keys.len() > most {
        return Ok(None);
    }
    keys.sort_unstable();
    Ok(Some(keys))
}

/// The rows in a range of keys, those after `after`.
fn stretch(group: &Group, view: &View, table: &Arc<Table>, range: &KeyRange, after: Option<&RowKey>) -> Rows {
    let range = after.map_or(range.clone(), |after| range.clone().after(after));
    let group = group.clone();
    Box::new(view.range(table, &range).inspect(move |row| note(&group, row)))
}

/// The same from the last to the first.
fn stretch_back(group: &Group, view: &View, table: &Arc<Table>, range: &KeyRange, after: Option<&RowKey>) -> Rows {
    let range = after.map_or(range.clone(), |after| range.clone().before(after));
    let group = group.clone();
    Box::new(view.range_back(table, &range).inspect(move |row| note(&group, row)))
}

/// The rows that an index names, in its order.
pub(super) fn entries(group: &Group, view: &View, table: &Arc<Table>, index: &IndexUse) -> Rows {
    rows_of(group, view, table, view.walk(table, index))
}

/// The rows under these keys, which are in order; those after `after`.
fn points(group: &Group, view: &View, table: &Arc<Table>, keys: Arc<[RowKey]>, after: Option<&RowKey>) -> Rows {
    let first = after.map_or(0, |after| keys.partition_point(|key| key <= after));
    rows_of(group, view, table, (first..keys.len()).map(move |place| Ok(keys[place].clone())))
}

/// The rows under these keys that are there.
pub(super) fn rows_of(
    group: &Group,
    view: &View,
    table: &Arc<Table>,
    keys: impl Iterator<Item = Result<RowKey, StoreError>> + Send + 'static,
) -> Rows {
    let group = group.clone();
    Box::new(view.rows_under(table, keys).inspect(move |row| note(&group, row)))
}

/// Tells the group of a read that the store could not do.
fn note<T>(group: &Group, row: &Result<T, StoreError>) {
    if let Err(error) = row {
        group.note(error);
    }
}
