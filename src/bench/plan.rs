//! Owns what a run is to do.

use std::time::Duration;

use crate::model::Level;

/// What is asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Rows are put, one a request.
    Insert,
    /// Rows are read by their id.
    Get,
    /// Ten rows of a group are looked for.
    Search,
    /// Every other request reads, every other one puts.
    Mixed,
    /// New rows are put, a thousand a request.
    Import,
}

impl Workload {
    /// All workloads with their names.
    pub const NAMES: [(&'static str, Workload); 5] = [
        ("insert", Workload::Insert),
        ("get", Workload::Get),
        ("search", Workload::Search),
        ("mixed", Workload::Mixed),
        ("import", Workload::Import),
    ];

    /// The workload's name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, own)| *own == self).map_or("insert", |(name, _)| name)
    }

    /// Whether it reads rows, which must be there before it begins.
    pub fn reads(self) -> bool {
        matches!(self, Workload::Get | Workload::Search | Workload::Mixed)
    }
}

/// Which rows are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// All alike.
    Uniform,
    /// A few of them most of the time (Zipf's law with exponent 1).
    Zipf,
    /// One after the other.
    Sequential,
}

impl Spread {
    /// All distributions with their names.
    pub const NAMES: [(&'static str, Spread); 3] =
        [("uniform", Spread::Uniform), ("zipf", Spread::Zipf), ("sequential", Spread::Sequential)];

    /// The distribution's name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, own)| *own == self).map_or("uniform", |(name, _)| name)
    }
}

/// Which nodes are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The one that leads when the run begins.
    Leader,
    /// The others.
    Followers,
    /// All of them.
    All,
}

impl Via {
    /// All choices with their names.
    pub const NAMES: [(&'static str, Via); 3] =
        [("leader", Via::Leader), ("followers", Via::Followers), ("all", Via::All)];

    /// The choice's name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, own)| *own == self).map_or("all", |(name, _)| name)
    }
}

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// After so much time.
    After(Duration),
    /// After so many requests.
    Count(u64),
}

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is asked of the store.
    pub workload: Workload,
    /// How many requests are under way at a time, each on a connection of its own.
    pub connections: usize,
    /// When it is over.
    pub stop: Stop,
    /// Requests a second, begun at fixed times whatever the store does (an open loop: a request that had to wait
    /// for its turn counts from when it should have begun). Without it each connection asks again as soon as it
    /// has its answer (a closed loop).
    pub rate: Option<f64>,
    /// How many different rows there are.
    pub keys: u64,
    /// Which of them are asked for.
    pub spread: Spread,
    /// How many bytes of text a row has besides its numbers.
    pub value_bytes: usize,
    /// How fresh reads are.
    pub level: Level,
    /// What the choice of rows begins with: the same seed chooses the same rows.
    pub seed: u64,
}
