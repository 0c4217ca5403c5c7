//! What is measured.

use ddb::bench::{Via, Workload};
use ddb::model::Level;

use crate::etcd::SHARED;

pub(crate) struct Cell {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
    pub(crate) connections: usize,
    /// How many of them share a connection to this store; to etcd sixteen always do.
    pub(crate) streams: usize,
    pub(crate) via: Via,
    pub(crate) level: Level,
}

const fn cell(name: &'static str, workload: Workload, connections: usize, via: Via, level: Level) -> Cell {
    Cell { name, workload, connections, streams: 1, via, level }
}

/// The same over HTTP/2, with as many requests on a connection as etcd gets.
const fn shared(name: &'static str, cell: Cell) -> Cell {
    Cell { name, streams: SHARED, ..cell }
}

const INSERTS: Cell = cell("insert, 64", Workload::Insert, 64, Via::Leader, Level::Linearizable);
const MANY_INSERTS: Cell = cell("insert, 256", Workload::Insert, 256, Via::Leader, Level::Linearizable);
const GETS: Cell = cell("get at the leader, 64", Workload::Get, 64, Via::Leader, Level::Linearizable);
const FOLLOWERS_GETS: Cell = cell("get at followers, 64", Workload::Get, 64, Via::Followers, Level::Linearizable);
const STALE_GETS: Cell = cell("stale get, 64", Workload::Get, 64, Via::All, Level::Stale);

pub(crate) const CELLS: &[Cell] = &[
    cell("insert, 1 connection", Workload::Insert, 1, Via::Leader, Level::Linearizable),
    cell("insert, 16", Workload::Insert, 16, Via::Leader, Level::Linearizable),
    INSERTS,
    shared("insert, 64, as streams", INSERTS),
    MANY_INSERTS,
    shared("insert, 256, as streams", MANY_INSERTS),
    cell("insert through followers, 64", Workload::Insert, 64, Via::Followers, Level::Linearizable),
    GETS,
    shared("get at the leader, 64, as streams", GETS),
    FOLLOWERS_GETS,
    shared("get at followers, 64, as streams", FOLLOWERS_GETS),
    STALE_GETS,
    shared("stale get, 64, as streams", STALE_GETS),
    cell("import, 4", Workload::Import, 4, Via::Leader, Level::Linearizable),
];
