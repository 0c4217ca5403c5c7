//! Owns the questions that completion asks of the cluster: soon answered, or not at all.

use std::time::Duration;

use crate::cli::args::Global;
use crate::cli::context::Context;
use crate::client::{Client, ClientError};
use crate::config::Config;
use crate::model::{ColumnType, Level};

/// How long the cluster may take; nobody waits longer for a TAB.
const CAP: Duration = Duration::from_millis(250);

/// What is known only outside the program.
pub(super) trait Live {
    /// The names of the tables.
    fn tables(&self) -> Vec<String>;
    /// The columns of a table.
    fn columns(&self, table: &str) -> Vec<(String, ColumnType)>;
    /// The names of a table's indexes.
    fn indexes(&self, table: &str) -> Vec<String>;
    /// The nodes of the configuration: id and address.
    fn nodes(&self) -> Vec<(u64, String)>;
}

/// The cluster that the command would ask.
pub(super) struct Cluster {
    global: Option<Global>,
}

impl Cluster {
    /// The cluster that the options among `given` name, else the variables, else the configuration.
    pub(super) fn of(given: &[(&str, String)]) -> Cluster {
        let wanted = given.iter().filter(|(id, _)| matches!(*id, "endpoints" | "config"));
        let words = wanted.map(|(id, value)| format!("--{id}={value}"));
        Cluster { global: Global::read(words).ok() }
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(Client) -> Result<T, ClientError>) -> Option<T> {
        let mut context = Context::new(self.global.as_ref()?);
        context.timeout = Some(CAP);
        // What a node has is good enough, and there without a leader.
        context.level = Level::Stale;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        let answer = runtime.block_on(async {
            let client = context.client().ok()?;
            tokio::time::timeout(CAP, question(client)).await.ok()?.ok()
        });
        // Not dropped: that would wait for a name that is still being looked up.
        runtime.shutdown_background();
        answer
    }
}

impl Live for Cluster {
    fn tables(&self) -> Vec<String> {
        let list = self.ask(async |client| client.tables().await);
        list.map(|list| list.tables.into_iter().map(|table| table.name).collect()).unwrap_or_default()
    }

    fn columns(&self, table: &str) -> Vec<(String, ColumnType)> {
        if table.is_empty() {
            return Vec::new();
        }
        let table = self.ask(async |client| client.table(table).await);
        table
            .map(|table| table.columns.into_iter().map(|column| (column.name, column.kind)).collect())
            .unwrap_or_default()
    }

    fn indexes(&self, table: &str) -> Vec<String> {
        let table = self.ask(async |client| client.table(table).await);
        table.map(|table| table.indexes.into_iter().map(|index| index.name).collect()).unwrap_or_default()
    }

    fn nodes(&self) -> Vec<(u64, String)> {
        let config = self.global.as_ref().and_then(|global| Config::load(global.config.as_deref(), &[]).ok());
        config.map(|c| c.nodes.into_iter().map(|node| (node.id, node.address)).collect()).unwrap_or_default()
    }
}
