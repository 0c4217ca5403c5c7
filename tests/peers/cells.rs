//! What is measured.

use ddb::bench::{Via, Workload};
use ddb::model::Level;

pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
    pub(crate) connections: usize,
    pub(crate) via: Via,
    pub(crate) level: Level,
}

const fn cell(name: &'static str, workload: Workload, connections: usize, via: Via, level: Level) -> Cell {
    Cell { name, workload, connections, via, level }
}

pub(crate) const CELLS: &[Cell] = &[
    cell("insert, 1 connection", Workload::Insert, 1, Via::Leader, Level::Linearizable),
    cell("insert, 16", Workload::Insert, 16, Via::Leader, Level::Linearizable),
    cell("insert, 64", Workload::Insert, 64, Via::Leader, Level::Linearizable),
    cell("insert, 256", Workload::Insert, 256, Via::Leader, Level::Linearizable),
    cell("insert through followers, 64", Workload::Insert, 64, Via::Followers, Level::Linearizable),
    cell("get at the leader, 64", Workload::Get, 64, Via::Leader, Level::Linearizable),
    cell("get at followers, 64", Workload::Get, 64, Via::Followers, Level::Linearizable),
    cell("stale get, 64", Workload::Get, 64, Via::All, Level::Stale),
    cell("import, 4", Workload::Import, 4, Via::Leader, Level::Linearizable),
];
