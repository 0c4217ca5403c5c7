//! Owns how a search reaches its rows: by row id, by an index, or by reading all.
//!
//! Rows that an index names come one by one from all over the table, which costs some times more a row than
//! to read them as they lie. So where an index names more than a part of the table, all of it is read.

use super::super::dispatch::App;
use super::read::unreadable;
use super::scan::{Plan, Rows};
use super::search::{candidates, in_turn, rows_of};
use crate::model::{Access, Failure, IndexUse, RowKey, Table};
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
    Named { index: usize, keys: Vec<RowKey> },
}

impl Way {
    /// The best way to the rows of a search.
    pub(super) async fn find(app: &App, view: &View, plan: &Plan) -> Result<Way, Failure> {
        let access = Access::of(&plan.table, &plan.conditions);
        let index = match access {
            Access::Point(_) => None,
            _ => IndexUse::best(&plan.table, &plan.conditions, plan.order.as_ref()),
        };
        let Some(index) = index else { return Ok(Way::Rows(access)) };
        let as_wanted = if plan.order.is_some() { index.ordered } else { index.by_row_id };
        if as_wanted {
            return Ok(Way::Index(index));
        }
        let (view, table, group) = (view.clone(), plan.table.clone(), app.group.clone());
        let place = index.index;
        let keys = in_turn(&app.scans, move || named(&view, &table, &index).map_err(unreadable(&group))).await?;
        Ok(keys.map_or(Way::Rows(access), |keys| Way::Named { index: place, keys }))
    }

    /// Its name, with the index's: `point`, `range`, `scan`, `index NAME`.
    pub(super) fn name(&self, table: &Table) -> String {
        let index = |place: usize| format!("index {}", table.indexes[place].name);
        match self {
            Way::Rows(access) => access.name().into(),
            Way::Index(IndexUse { index: place, .. }) | Way::Named { index: place, .. } => index(*place),
        }
    }

    /// The rows that may pass, those after `after` where they come by row id.
    pub(super) fn rows(self, group: &Group, view: &View, table: &Table, after: Option<&RowKey>) -> Rows {
        match self {
            Way::Rows(access) => candidates(group, view, table, access, after),
            Way::Index(index) => {
                entries(group, view, table, &after.map_or(index.clone(), |after| index.after_row(after)))
            }
            Way::Named { keys, .. } => candidates(group, view, table, Access::Point(keys), after),
        }
    }
}

/// The keys of the rows that the index names, by row id; `None` where they are too many to be worth it.
fn named(view: &View, table: &Table, index: &IndexUse) -> Result<Option<Vec<RowKey>>, StoreError> {
    let most = (view.rows(table)? / PART).clamp(LEAST_KEYS, MOST_KEYS) as usize;
    let scan = view.index_scan(table, &table.indexes[index.index], &index.ranges);
    let mut keys = scan.take(most + 1).collect::<Result<Vec<RowKey>, StoreError>>()?;
    if keys.len() > most {
        return Ok(None);
    }
    keys.sort_unstable();
    Ok(Some(keys))
}

/// The rows that an index names, in its order.
pub(super) fn entries(group: &Group, view: &View, table: &Table, index: &IndexUse) -> Rows {
    rows_of(group, view, table, view.index_scan(table, &table.indexes[index.index], &index.ranges))
}
