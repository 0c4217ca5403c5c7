//! `ddb verify`: proves that all nodes hold the same tables.

use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::print::{Look, View, escape, number, text};
use crate::model::{NodeDigest, Value, VerifyReport};

const EXAMPLES: &str = "\
Examples:
  ddb verify
  ddb verify -o json --timeout 60s";

/// Compare a hash of every node's tables, all at one revision.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) async fn run(context: &Context) -> Result<(), CliError> {
    let report = context.client()?.verify().await?;
    context.show(&view(&report))?;
    match verdict(&report) {
        None => Ok(()),
        Some(message) => Err(CliError::Result { exit: exit::ERROR, message }),
    }
}

fn view(report: &VerifyReport) -> View {
    let shown = |number_of: Option<u64>| number_of.map_or(Value::Null, number);
    let words = |word: &Option<String>| word.as_ref().map_or(Value::Null, text);
    let row = |node: &NodeDigest| {
        vec![number(node.id), words(&node.hash), shown(node.tables), shown(node.rows), words(&node.error)]
    };
    let rows = report.nodes.iter().map(row).collect();
    let title = match verdict(report) {
        None => format!("all {} nodes hold the same data at revision {}", report.nodes.len(), report.revision),
        Some(message) => escape(&message).into_owned(),
    };
    View::list(&["id", "hash", "tables", "rows", "error"], rows).look(Look::Titled(title)).json(report)
}

/// What is wrong, if anything is.
fn verdict(report: &VerifyReport) -> Option<String> {
    let silent: Vec<String> = report.nodes.iter().filter(|n| n.hash.is_none()).map(|n| n.id.to_string()).collect();
    if !report.equal {
        return Some(format!("the nodes hold different data at revision {}", report.revision));
    }
    (!report.complete).then(|| format!("not every node could be compared: no hash of node {}", silent.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(id: u64, hash: Option<&str>) -> NodeDigest {
        NodeDigest { id, hash: hash.map(String::from), tables: None, rows: None, error: None }
    }

    #[test]
    fn only_a_complete_and_equal_comparison_is_a_proof() {
        let report = |equal, complete, hash| {
            let nodes = vec![digest(1, Some("a")), digest(2, hash)];
            verdict(&VerifyReport { revision: 7, equal, complete, nodes })
        };
        assert_eq!(report(true, true, Some("a")), None);
        assert!(report(false, true, Some("b")).is_some_and(|said| said.contains("different data at revision 7")));
        assert!(report(true, false, None).is_some_and(|said| said.ends_with("no hash of node 2")));
    }
}
