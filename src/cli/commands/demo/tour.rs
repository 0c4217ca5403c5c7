//! Owns the tour: the main job, shown with the very commands that a user would type.

use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::{interval, timeout};

use super::cluster::Cluster;
use crate::cli::context::Context;
use crate::cli::error::{CliError, exit};
use crate::cli::output;
use crate::client::Client;
use crate::model::ClusterStatus;

/// How long anything on the tour may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one look at the cluster may take.
const LOOK: Duration = Duration::from_secs(1);

/// A tour of one cluster.
pub(super) struct Tour<'a> {
    pub(super) context: &'a Context,
    pub(super) client: &'a Client,
    pub(super) cluster: &'a mut Cluster,
}

impl Tour<'_> {
    /// Shows tables, rows and searches, then the loss of the master and its return.
    pub(super) async fn run(mut self) -> Result<(), CliError> {
        let size = self.cluster.ids().len();
        self.say(&format!("A cluster of {size}, and node 1 leads it."))?;
        self.ddb("status").await?;
        self.say("A table, some rows, a search; any node takes any of them.")?;
        self.ddb("table create students id name grade").await?;
        self.ddb("insert students 1 name=Ahmed grade=A").await?;
        self.ddb("insert students 2 name=Sara grade=B").await?;
        self.ddb("update students 2 grade=A").await?;
        self.ddb("search students grade=A").await?;
        if size > 2 {
            self.lose_the_master().await?;
            self.bring_it_back().await?;
        }
        self.say("Every node holds the same rows.")?;
        self.ddb("search students").await?;
        self.ddb("verify").await
    }

    async fn lose_the_master(&mut self) -> Result<(), CliError> {
        let pid = self.cluster.pid(1).unwrap_or_default();
        self.say("Now the master dies.")?;
        output::result(&format!("$ kill -9 {pid}\n"))?;
        let began = Instant::now();
        self.cluster.kill(1).map_err(failed)?;
        let status =
            self.until("another node leads", |s| s.leader.as_ref().is_some_and(|leader| leader.id != 1)).await?;
        let leader = status.leader.map_or(0, |leader| leader.id);
        self.say(&format!("Node {leader} leads after {:.1} s, and writes go on.", began.elapsed().as_secs_f64()))?;
        self.ddb("insert students 3 name=Lina grade=A").await?;
        self.ddb("status").await
    }

    async fn bring_it_back(&mut self) -> Result<(), CliError> {
        self.say("The master is started again, catches up, and takes leadership back.")?;
        output::result(&format!("$ ddb serve --id 1 --config {} &\n", self.cluster.config().display()))?;
        let began = Instant::now();
        self.cluster.restart(1).await.map_err(failed)?;
        self.until("all is well again", |status| status.healthy).await?;
        self.say(&format!("Node 1 leads again after {:.1} s.", began.elapsed().as_secs_f64()))
    }

    fn say(&self, text: &str) -> Result<(), CliError> {
        let (bold, plain) = if self.context.style.color { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        output::result(&format!("\n{bold}{text}{plain}\n"))
    }

    /// Runs `ddb` with these words, shown as they would be typed.
    async fn ddb(&self, words: &str) -> Result<(), CliError> {
        output::result(&format!("$ ddb {words}\n"))?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(words.split(' ')).env("DDB_ENDPOINTS", self.cluster.endpoints()).kill_on_drop(true);
        command.env_remove("DDB_OUTPUT").env("DDB_COLOR", if self.context.style.color { "always" } else { "never" });
        let ended = command.status().await.map_err(failed)?;
        if ended.success() {
            return Ok(());
        }
        Err(CliError::Result { exit: exit::ERROR, message: format!("ddb {words}: {ended}") })
    }

    async fn until(&self, what: &str, holds: impl Fn(&ClusterStatus) -> bool) -> Result<ClusterStatus, CliError> {
        until(self.client, what, holds).await
    }
}

/// Looks at the cluster until it is as wanted.
pub(super) async fn until(
    client: &Client,
    what: &str,
    holds: impl Fn(&ClusterStatus) -> bool,
) -> Result<ClusterStatus, CliError> {
    let look = async {
        let mut ticks = interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            match client.until(LOOK).status().await {
                Ok(status) if holds(&status) => return status,
                _ => {}
            }
        }
    };
    let late = |_| CliError::Result { exit: exit::UNKNOWN, message: format!("not so in time: {what}") };
    timeout(PATIENCE, look).await.map_err(late)
}

/// A demo that the system does not let happen.
pub(super) fn failed(error: impl Into<anyhow::Error>) -> CliError {
    CliError::Result { exit: exit::ERROR, message: format!("the demo cannot go on: {:#}", error.into()) }
}
