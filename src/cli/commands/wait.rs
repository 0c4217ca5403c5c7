//! `ddb wait`: waits until the cluster is as it should be.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::client::{Client, ClientError};
use crate::model::{Code, check_name};

/// How long to wait where nobody says.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  ddb wait --for leader --timeout 30s
  ddb wait --for leader --for nodes=3
  ddb wait --for table=students";

/// Wait until the cluster is as it should be.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What must hold, all of it if repeated: leader, nodes=N (so many are up), table=NAME
    #[arg(long = "for", value_name = "WHAT", value_parser = Condition::parse, default_value = "leader")]
    conditions: Vec<Condition>,
}

/// What to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// A leader with a quorum.
    Leader,
    /// At least so many nodes are up.
    Nodes(usize),
    /// The table is there.
    Table(String),
}

impl Condition {
    fn parse(text: &str) -> Result<Condition, String> {
        match text.split_once('=') {
            None if text == "leader" => Ok(Condition::Leader),
            Some(("nodes", count)) => match count.parse() {
                Ok(count) if count > 0 => Ok(Condition::Nodes(count)),
                _ => Err("write nodes=3".into()),
            },
            Some(("table", name)) => {
                check_name("table", name).map_err(|failure| failure.message)?;
                Ok(Condition::Table(name.into()))
            }
            _ => Err("write leader, nodes=3 or table=students".into()),
        }
    }

    /// Why the condition does not hold yet.
    async fn unmet(&self, client: &Client) -> Option<String> {
        let result = match self {
            Condition::Leader => client.status().await.map(|status| {
                (!status.quorum)
                    .then(|| status.problems.first().cloned().unwrap_or_else(|| "there is no leader".into()))
            }),
            Condition::Nodes(wanted) => client.status().await.map(|status| {
                let up = status.nodes.iter().filter(|node| node.up).count();
                (up < *wanted).then(|| format!("{up} of {wanted} nodes are up"))
            }),
            Condition::Table(name) => match client.table(name).await {
                Err(error) if error.failure().is_some_and(|f| f.code == Code::TableNotFound) => {
                    Ok(Some(format!("there is no table \"{name}\"")))
                }
                other => other.map(|_| None),
            },
        };
        result.unwrap_or_else(|error: ClientError| Some(error.to_string()))
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let time = context.timeout.unwrap_or(TIMEOUT);
    wait(&context.client_for(TIMEOUT)?, &args.conditions, time).await
}

async fn wait(client: &Client, conditions: &[Condition], time: Duration) -> Result<(), CliError> {
    let mut why = "there was no time to look".to_string();
    let look = async {
        let mut ticks = interval(PAUSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match first_unmet(&client.until(LOOK.min(time)), conditions).await {
                Some(unmet) => why = unmet,
                None => return,
            }
        }
    };
    match timeout_at(Instant::now() + time, look).await {
        Ok(()) => Ok(()),
        Err(_) => {
            let message = format!("timed out after {} s: {why}", time.as_secs_f64());
            Err(CliError::Result { exit: exit::UNKNOWN, message })
        }
    }
}

async fn first_unmet(client: &Client, conditions: &[Condition]) -> Option<String> {
    for condition in conditions {
        if let Some(unmet) = condition.unmet(client).await {
            return Some(unmet);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_others_refused() {
        assert_eq!(Condition::parse("leader"), Ok(Condition::Leader));
        assert_eq!(Condition::parse("nodes=3"), Ok(Condition::Nodes(3)));
        assert_eq!(Condition::parse("table=students"), Ok(Condition::Table("students".into())));
        for bad in ["", "nodes", "nodes=0", "nodes=x", "table=", "table=a-b", "leader=1", "quorum"] {
            assert!(Condition::parse(bad).is_err(), "{bad}");
        }
    }
}
