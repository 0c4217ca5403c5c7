//! Stands in for the crate of this name, through `[patch]` in the main `Cargo.toml`.
//!
//! openraft keeps histograms of its own steps, which only its feature `runtime-stats` can show. This build has
//! that off, so they would cost time at every step and, as the crate makes the tables of all its
//! scales at once, 26 MB of memory a node, for figures that nobody can ask for. Here a histogram holds nothing
//! and says so: no samples.
//!
//! Deliberately missing: all that openraft does not name. With `runtime-stats` on, take the patch away.

use std::fmt;
use std::marker::PhantomData;

/// A histogram that holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()>(PhantomData<T>);

impl<T> Histogram<T> {
    /// A histogram that holds nothing.
    pub const fn new() -> Histogram<T> {
        Histogram(PhantomData)
    }

    /// Notes nothing.
    pub fn record(&mut self, _value: u64) {}

    /// Notes nothing, so often.
    pub fn record_n(&mut self, _value: u64, _times: u64) {}

    /// What there is: nothing.
    pub fn percentile_stats(&self) -> PercentileStats {
        PercentileStats::default()
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Histogram<T> {
        Histogram::new()
    }
}

/// The percentiles of no samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    pub samples: u64,
    pub p0_1: u64,
    pub p1: u64,
    pub p5: u64,
    pub p10: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no samples")
    }
}

/// A chart of nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsciiChart;

impl AsciiChart {
    /// A chart of nothing.
    pub const fn new() -> AsciiChart {
        AsciiChart
    }

    /// Adds nothing.
    #[must_use]
    pub fn add(self, _name: &str, _histogram: Histogram) -> AsciiChart {
        self
    }

    /// Shows as much.
    #[must_use]
    pub fn detailed(self) -> AsciiChart {
        self
    }
}

impl fmt::Display for AsciiChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no samples")
    }
}
