//! Owns the figures about HTTP, and the recorder behind `/metrics` for all rooms.

use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustix::time::{ClockId, clock_gettime};

use super::reply::STATUSES;
use super::routes::{ROUTES, Route};

/// The bounds of the histograms, in seconds.
const BOUNDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Installs the recorder of this process, once; the rooms below may make their handles after it.
pub fn install_metrics() {
    recorder();
}

fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        // It fails only where another recorder is in place, whose figures are then not ours to show.
        PrometheusBuilder::new().set_buckets(&BOUNDS).and_then(PrometheusBuilder::install_recorder).ok()
    };
    RECORDER.get_or_init(install).as_ref()
}

/// The text of `/metrics`, those of the process as they are now.
pub(super) fn render() -> String {
    recorder();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    gauge!("process_cpu_seconds_total").set(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
    if let Some(bytes) = resident_bytes() {
        gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    // Once, as the system's clock may be set meanwhile.
    static STARTED: OnceLock<Option<f64>> = OnceLock::new();
    if let Some(since) = STARTED.get_or_init(started) {
        gauge!("process_start_time_seconds").set(*since);
    }
    recorder().map(PrometheusHandle::render).unwrap_or_default()
}

/// The memory of this process that is not swapped out; `None` where the system does not tell.
fn resident_bytes() -> Option<u64> {
    let sizes = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = sizes.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// When this process started, in seconds of Unix time; `None` where the system does not tell.
fn started() -> Option<f64> {
    let own = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program may hold blanks; after it, this is the 20th word: proc_pid_stat(5).
    let ticks: f64 = own.rsplit(')').next()?.split_whitespace().nth(19)?.parse().ok()?;
    let system = std::fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// Folds what the histograms have gathered, so that they stay small while nobody asks: they keep each time as it is till then.
pub(super) async fn upkeep() {
    let mut beat = tokio::time::interval(Duration::from_millis(500));
    loop {
        beat.tick().await;
        if let Some(recorder) = recorder() {
            recorder.run_upkeep();
        }
    }
}

/// The handles of one server, made as they are needed.
pub(super) struct Meter {
    /// By route, the last for none; then by status as in `STATUSES`.
    requests: Vec<[OnceLock<Counter>; STATUSES.len()]>,
    seconds: Vec<OnceLock<Histogram>>,
}

impl Meter {
    pub(super) fn new() -> Meter {
        install_metrics();
        let routes = ROUTES.len() + 1;
        Meter {
            requests: (0..routes).map(|_| [const { OnceLock::new() }; STATUSES.len()]).collect(),
            seconds: (0..routes).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Counts an answer.
    pub(super) fn answered(&self, route: Option<&'static Route>, status: u16, took: Duration) {
        let index = route.map_or(ROUTES.len(), |route| route.endpoint as usize);
        let (method, path) = route.map_or(("other", "other"), |route| (route.method, route.path));
        let column = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        let count = self.requests[index][column].get_or_init(|| {
            let status = STATUSES[column].to_string();
            counter!("ddb_http_requests_total", "method" => method, "route" => path, "status" => status)
        });
        count.increment(1);
        let seconds = self.seconds[index]
            .get_or_init(|| histogram!("ddb_http_request_seconds", "method" => method, "route" => path));
        seconds.record(took.as_secs_f64());
    }
}

/// The gauge of open connections.
pub(super) fn connections() -> Gauge {
    install_metrics();
    gauge!("ddb_http_connections")
}
