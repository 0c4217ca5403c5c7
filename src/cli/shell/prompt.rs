//! Owns the prompt: which cluster, and who leads it, as far as that is known soon enough.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::cli::args::Global;
use crate::cli::context::Context;
use crate::cli::print::escape;
use crate::client::ClientError;
use crate::model::ClusterStatus;

/// How long a prompt waits for news; what comes later is for the next one.
const SOON: Duration = Duration::from_millis(150);

/// How long the cluster has to answer at all.
const LATE: Duration = Duration::from_secs(1);

/// A thread that asks the cluster, and what it said last.
pub(super) struct Prompt {
    ask: Sender<Global>,
    told: Receiver<String>,
    text: String,
}

impl Prompt {
    pub(super) fn start() -> Prompt {
        let (ask, asked) = channel();
        let (tell, told) = channel();
        std::thread::spawn(move || answer(&asked, &tell));
        Prompt { ask, told, text: "ddb> ".into() }
    }

    /// The prompt for the next statement, whose options these are.
    pub(super) fn text(&mut self, global: &Global) -> &str {
        // What was too late for the prompt before.
        self.text = self.told.try_iter().last().unwrap_or(std::mem::take(&mut self.text));
        // Without the thread the prompt stays what it is.
        let _ = self.ask.send(global.clone());
        if let Ok(text) = self.told.recv_timeout(SOON) {
            self.text = text;
        }
        &self.text
    }
}

fn answer(asked: &Receiver<Global>, tell: &Sender<String>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    for global in asked {
        // Of questions that wait, only the last matters.
        let global = asked.try_iter().last().unwrap_or(global);
        let mut context = Context::new(&global);
        context.timeout = Some(LATE);
        let status = runtime.block_on(async {
            let client = context.client().ok()?;
            Some(client.status().await)
        });
        if tell.send(text(status)).is_err() {
            return;
        }
    }
}

fn text(status: Option<Result<ClusterStatus, ClientError>>) -> String {
    match status {
        Some(Ok(ClusterStatus { cluster, leader, .. })) => match leader {
            Some(leader) => format!("{} (leader {})> ", escape(&cluster), leader.id),
            None => format!("{} (no leader)> ", escape(&cluster)),
        },
        Some(Err(_)) => "ddb (no node)> ".into(),
        None => "ddb> ".into(),
    }
}
