//! `ddb status`: shows the cluster and its nodes.

use std::time::{Duration, Instant};

use crate::cli::args::timeout;
use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::output;
use crate::cli::pager::height;
use crate::cli::print::{Format, Look, View, bytes, escape, number, text};
use crate::model::{ClusterStatus, NodeStatus, Role, Value};

const EXAMPLES: &str = "\
Examples:
  ddb status
  ddb status --watch=1
  ddb status --check --quiet || echo 'the cluster is not well'";

/// Show the cluster and its nodes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show it again every S seconds, until interrupted
    #[arg(long, value_name = "S", num_args = 0..=1, require_equals = true, default_missing_value = "2")]
    #[arg(value_parser = timeout)]
    watch: Option<Duration>,
    /// Exit with 6 unless all is well: quorum, every node up, the master leads
    #[arg(long, conflicts_with = "watch")]
    check: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    if let Some(pause) = args.watch {
        let mut screen = Screen::new(context);
        let mut answered = Instant::now();
        loop {
            let client = client.until(context.timeout.unwrap_or(Duration::from_secs(2)));
            match client.status().await {
                Ok(status) => {
                    answered = Instant::now();
                    screen.show(&view(&status, context.format))?;
                }
                Err(error) => {
                    let silent = answered.elapsed().as_secs();
                    let said = CliError::from(error).report(Format::Table, context.verbose);
                    screen.say(&format!("no node has answered for {silent} s\n{said}"))?;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }
    let status = client.status().await?;
    if !(args.check && context.quiet) {
        context.show(&view(&status, context.format))?;
    }
    if args.check && !status.healthy {
        let problems = status.problems.join("; ");
        return Err(CliError::Result {
            exit: exit::NO_QUORUM,
            message: format!("the cluster is not well: {problems}"),
        });
    }
    Ok(())
}

/// A place where one result takes the place of the one before; where it is no terminal they
/// follow each other.
pub(crate) struct Screen<'a> {
    context: &'a Context,
    /// How many lines the last one has.
    lines: usize,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(context: &'a Context) -> Screen<'a> {
        Screen { context, lines: 0 }
    }

    pub(crate) fn show(&mut self, view: &View) -> Result<(), CliError> {
        self.say(&view.render(self.context.format, self.context.style))
    }

    pub(crate) fn say(&mut self, text: &str) -> Result<(), CliError> {
        if !self.context.style.terminal {
            return output::result(text);
        }
        let text = fitting(text, height());
        let up = if self.lines > 0 { format!("\u{1b}[{}A", self.lines) } else { String::new() };
        self.lines = text.lines().count();
        // Each line up to its end, and all below: no flicker as a cleared screen has. Lines are
        // cut at the edge meanwhile, so that each takes one row.
        let lines: String = text.lines().map(|line| format!("{line}\u{1b}[K\n")).collect();
        output::result(&format!("{up}\u{1b}[?7l{lines}\u{1b}[?7h\u{1b}[J"))
    }
}

/// As much of the text as fits above the cursor's line: what has left the screen cannot be written over.
fn fitting(text: &str, height: Option<usize>) -> String {
    let most = height.map_or(usize::MAX, |height| height.saturating_sub(1).max(1));
    let all = text.lines().count();
    let cut = all > most;
    let kept = text.lines().take(most - usize::from(cut)).chain(cut.then_some("…"));
    kept.map(|line| format!("{line}\n")).collect()
}

/// The columns that a narrow terminal does without; the term is in the title.
const SPARE: [&str; 8] = ["free", "version", "term", "disk", "applied", "fsync p99", "lag", "address"];

/// The cluster: a line on it all, its problems, a row a node.
pub(crate) fn view(status: &ClusterStatus, format: Format) -> View {
    let columns = ["id", "address", "role", "state", "term", "applied", "lag", "fsync p99", "disk", "free", "version"];
    let mut rows: Vec<_> = status.nodes.iter().map(|node| row(node, status.leader.is_some())).collect();
    if format == Format::Table {
        // As -e takes it as well; a table has no room for what all addresses have.
        let short = |address: &String| text(address.trim_start_matches("http://"));
        rows.iter_mut().zip(&status.nodes).for_each(|(row, node)| row[1] = short(&node.address));
    }
    View::list(&columns, rows).look(Look::Titled(title(status))).json(status).sparing(&SPARE)
}

fn title(status: &ClusterStatus) -> String {
    let ClusterStatus { cluster, node, leader, term, revision, healthy, problems, nodes, .. } = status;
    let leads = match leader {
        Some(leader) => format!("node {} leads", leader.id),
        None => "no leader".into(),
    };
    let well = if *healthy { ", all is well" } else { "" };
    let (up, spare) = status.up_and_spare();
    let mut title = format!(
        "cluster {cluster}, as node {node} sees it: {leads}, term {term}, revision {revision}{well}\n\
         {up} of {} nodes up, {spare} more may fail",
        nodes.len(),
    );
    for problem in problems {
        title += &format!("\n  - {}", escape(problem));
    }
    title
}

fn row(node: &NodeStatus, led: bool) -> Vec<Value> {
    let shown = |figure: Option<u64>| figure.map_or(Value::Null, number);
    let role = node.role.map(|role| match role {
        // It was, and does not know yet that nobody follows.
        Role::Leader if !led => "(leader)",
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
    });
    let size = |count: Option<u64>| count.map_or(Value::Null, |count| text(bytes(count)));
    let state = match (node.up, node.silent_ms) {
        (true, _) => "up".into(),
        (false, Some(ms)) => format!("down for {} s", ms / 1_000),
        (false, None) => "down".into(),
    };
    vec![
        number(node.id),
        text(&node.address),
        role.map_or(Value::Null, text),
        text(state),
        shown(node.term),
        shown(node.applied_index),
        shown(node.lag),
        node.fsync_p99_us.map_or(Value::Null, |us| text(format!("{:.1} ms", us as f64 / 1e3))),
        size(node.disk_used),
        size(node.disk_free),
        node.version.as_ref().map_or(Value::Null, text),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::Style;
    use crate::model::{Configured, Leader};

    fn cluster() -> ClusterStatus {
        let up = NodeStatus {
            id: 1,
            address: "http://127.0.0.1:8080".into(),
            configured: Configured::Master,
            up: true,
            role: Some(Role::Leader),
            term: Some(3),
            revision: Some(42),
            applied_index: Some(50),
            last_log_index: Some(50),
            lag: Some(0),
            version: Some("0.1.0".into()),
            silent_ms: None,
            fsync_p99_us: Some(1_240),
            disk_used: Some(3 << 19),
            disk_free: Some(5 << 30),
        };
        let down = NodeStatus::silent(2, up.address.clone(), Configured::Slave, Some(3_400));
        ClusterStatus {
            cluster: "demo".into(),
            node: 1,
            leader: Some(Leader { id: 1, address: "http://127.0.0.1:8080".into() }),
            term: 3,
            revision: 42,
            quorum: true,
            preferred_leader: Some(1),
            healthy: false,
            problems: vec!["node 2 does not answer".into()],
            nodes: vec![up, down],
        }
    }

    #[test]
    fn a_status_is_a_line_its_problems_and_a_row_a_node() {
        let shown = view(&cluster(), Format::Table).render(Format::Table, Style::default());
        let mut lines = shown.lines();
        let title = "cluster demo, as node 1 sees it: node 1 leads, term 3, revision 42";
        assert_eq!((lines.next(), lines.next()), (Some(title), Some("1 of 2 nodes up, 0 more may fail")));
        assert_eq!(lines.next(), Some("  - node 2 does not answer"));
        assert!(shown.contains("┆   0 ┆ 1.2 ms    ┆ 1.5 MiB ┆ 5.0 GiB ┆ 0.1.0   │"), "{shown}");
        assert!(shown.contains("│  2 ┆ 127.0.0.1:8080 ┆        ┆ down for 3 s ┆"), "{shown}");
    }

    #[test]
    fn a_narrow_terminal_shows_every_node_without_the_columns_that_have_no_room() {
        let narrow = |width| {
            view(&cluster(), Format::Table).render(Format::Table, Style { width: Some(width), ..Style::default() })
        };
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        for width in [200, 120, 80, 60, 40] {
            let shown = narrow(width);
            assert!(widest(&shown) <= usize::from(width), "{shown}");
            assert_eq!(shown.contains("(no room for"), width < 120, "{shown}");
            assert!(shown.contains("│  2 ┆") && shown.contains("down for 3 s"), "{shown}");
        }
        let shown = narrow(80);
        assert!(shown.contains("lag") && shown.contains("fsync p99"), "{shown}");
        assert!(shown.ends_with("(no room for free, version, term, disk)\n"), "{shown}");
        assert!(narrow(40).contains("as node 1 sees it: node 1\nleads"), "{}", narrow(40));
    }

    #[test]
    fn what_is_shown_again_and_again_fits_the_screen() {
        assert_eq!(fitting("a\nb\nc\n", Some(4)), "a\nb\nc\n");
        assert_eq!(fitting("a\nb\nc\n", Some(3)), "a\n…\n");
        assert_eq!(fitting("a\nb\nc\n", Some(1)), "…\n");
        assert_eq!(fitting("a\nb\n", None), "a\nb\n");
    }

    #[test]
    fn for_programs_a_status_is_the_one_of_the_node() {
        let document = view(&cluster(), Format::Json).render(Format::Json, Style::default());
        assert_eq!(serde_json::from_str::<ClusterStatus>(&document).unwrap(), cluster());
        assert!(
            view(&cluster(), Format::Csv)
                .render(Format::Csv, Style::default())
                .starts_with("id,address,role,state,term")
        );
    }
}
