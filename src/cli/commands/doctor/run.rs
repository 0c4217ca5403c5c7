//! Owns the run of all looks, and what they come to together.

use std::time::Duration;

use super::cluster;
use super::finding::{Finding, failed, view};
use super::here::{self, Port};
use crate::cli::args::Global;
use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::signals;
use crate::client::Endpoint;

/// How long a node has to answer where nobody says.
const TIMEOUT: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
What is found is PASS, WARN, FAIL, or SKIP where there is nothing to look at;
any FAIL makes the exit code 1. Where a node has its data on this machine, its
disk is timed with a small file that is removed again.

Examples:
  ddb doctor
  ddb doctor --config /etc/ddb/config.json
  ddb doctor -e http://127.0.0.1:8080 -o json";

/// Look for what is wrong, on this machine and in the cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, global: &Global, context: &Context) -> Result<(), CliError> {
    signals::end_on_signal();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let findings = runtime.block_on(look(global, context));
    runtime.shutdown_background();
    let mut pages = context.pages();
    pages.write(&view(&findings, context.style).render(context.format, context.style))?;
    pages.end()?;
    match failed(&findings).as_slice() {
        [] => Ok(()),
        names => Err(CliError::Result { exit: exit::ERROR, message: format!("not well: {}", names.join(", ")) }),
    }
}

async fn look(global: &Global, context: &Context) -> Vec<Finding> {
    let (config, found) = here::config(global.config.as_deref());
    let mut findings = vec![found];
    let nodes = config.as_ref().map_or(&[][..], |config| &config.nodes);
    let ports: Vec<Port> = nodes.iter().map(|node| here::port(&node.address)).collect();
    findings.extend(here::disk(config.as_ref(), ports.iter().any(|port| *port != Port::Elsewhere)));
    let named = context.endpoints();
    if let Err(error) = &named
        && !global.endpoints.is_empty()
    {
        findings.push(Finding::fail("nodes", error.to_string(), "write -e http://host:port"));
    }
    // Those of the configuration as well as those that the commands would ask.
    let mut endpoints = named.unwrap_or_default();
    for endpoint in nodes.iter().filter_map(|node| Endpoint::parse(&node.address).ok()) {
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    let asked = cluster::ask(endpoints, context.timeout.unwrap_or(TIMEOUT)).await;
    let port = |(node, port): (&crate::config::NodeConfig, Port)| {
        let answers = asked.iter().any(|asked| asked.answers_at(&node.address));
        here::port_finding(node, port, answers)
    };
    match nodes {
        [] => findings.push(Finding::skip("ports", "there is no configuration")),
        nodes => findings.extend(nodes.iter().zip(ports).map(port)),
    }
    findings.extend(cluster::findings(&asked));
    findings
}
