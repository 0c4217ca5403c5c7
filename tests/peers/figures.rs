//! Gathers the figures of all repetitions, and tells their medians and the ratios within a repetition.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ddb::bench::Outcome;

use crate::cells::{CELLS, Cell};

/// CPU seconds, user and system, of processes so far.
pub(crate) fn cpu_of(pids: &[u32]) -> f64 {
    let ticks: u64 = pids
        .iter()
        .map(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
            // The name may hold spaces; what follows its bracket does not.
            let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
            let number = |at: usize| fields[at].parse::<u64>().expect("a number");
            number(11) + number(12)
        })
        .sum();
    ticks as f64 / 100.0
}

#[derive(Default)]
pub(crate) struct Figures(BTreeMap<&'static str, Vec<[f64; 5]>>);

impl Figures {
    /// Notes one cell of one repetition; answers a line about it.
    pub(crate) fn take(&mut self, cell: &Cell, own: &(Outcome, f64), other: &(Outcome, f64)) -> String {
        let rate = |outcome: &Outcome| outcome.rows as f64 / outcome.took.as_secs_f64();
        let cost = |(outcome, cpu): &(Outcome, f64)| cpu * 10_000.0 / outcome.rows.max(1) as f64;
        let row = [rate(&own.0), cost(own), rate(&other.0), cost(other), rate(&own.0) / rate(&other.0)];
        self.0.entry(cell.name).or_default().push(row);
        let [a, b, c, d, e] = row;
        let failed = own.0.failed + other.0.failed;
        format!("{:<34} ddb {a:>9.0}/s {b:>6.3}   etcd {c:>9.0}/s {d:>6.3}   ratio {e:.2}   failed {failed}", cell.name)
    }

    /// The medians, as a table in Markdown.
    pub(crate) fn table(&self) -> String {
        let mut out = String::from(
            "| workload, connections | ddb rows/s · CPU s per 10,000 | etcd rows/s · CPU s per 10,000 | ratio (min … max) |\n|---|---|---|---|\n",
        );
        for cell in CELLS {
            let Some(rows) = self.0.get(cell.name) else { continue };
            let sorted = |at: usize| {
                let mut column: Vec<f64> = rows.iter().map(|row| row[at]).collect();
                column.sort_by(f64::total_cmp);
                column
            };
            let median = |at: usize| sorted(at)[rows.len() / 2];
            let ratios = sorted(4);
            let _ = writeln!(
                out,
                "| {} | {:.0} · {:.2} | {:.0} · {:.2} | {:.2} ({:.2} … {:.2}) |",
                cell.name,
                median(0),
                median(1),
                median(2),
                median(3),
                median(4),
                ratios[0],
                ratios[ratios.len() - 1]
            );
        }
        out
    }
}
