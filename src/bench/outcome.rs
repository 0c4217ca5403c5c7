//! Owns what came of a run.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// Half of the requests took at most this.
    pub p50: f64,
    /// Nine in ten.
    pub p90: f64,
    /// 99 in a hundred.
    pub p99: f64,
    /// 999 in a thousand.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    pub(super) fn of(micros: &Histogram<u64>) -> Latency {
        let ms = |us: u64| us as f64 / 1_000.0;
        let at = |q| ms(micros.value_at_quantile(q));
        Latency {
            mean: micros.mean() / 1_000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: ms(micros.max()),
        }
    }
}

/// What the look back found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// How many acknowledged rows were read back.
    pub keys: u64,
    /// How many of them were missing or older than acknowledged.
    pub lost: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Requests that were answered well within the run.
    pub requests: u64,
    /// Rows that they wrote, read or found.
    pub rows: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Why the first of them did.
    pub first_failure: Option<String>,
    /// How long the run took.
    pub took: Duration,
    /// How long requests took.
    pub latency: Latency,
    /// CPU time of the generator.
    pub own_cpu_seconds: f64,
    /// The look back, where the run wrote.
    pub checked: Option<Checked>,
}

impl Outcome {
    /// Requests a second.
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64().max(f64::EPSILON)
    }
}
