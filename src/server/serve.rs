//! Owns the life of a node: bind, start the group, serve, and on a signal retire in good order.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Limits, run};
use crate::config::Config;
use crate::replication::{DirectoryError, Group, StartError};

/// Why a node does not run (any more).
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration does not fit: nothing was started.
    #[error("{0}")]
    Config(String),
    /// The node could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, std::io::Error),
    /// The node ran, and had to stop.
    #[error("node {0} stopped: {1}")]
    Failed(u64, String),
}

impl ServeError {
    /// Whether the user must change the configuration or the command line.
    pub fn is_config(&self) -> bool {
        match self {
            ServeError::Config(_) | ServeError::Start(StartError::Directory(DirectoryError::Foreign { .. })) => true,
            ServeError::Listen(_, error) => error.kind() == std::io::ErrorKind::InvalidInput,
            _ => false,
        }
    }
}

/// Which signal ended the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

/// Runs node `id` until SIGTERM or SIGINT; `on_ready` hears the bound address once requests are accepted.
///
/// # Errors
/// The node could not start, or had to stop by itself.
pub async fn serve(
    config: Config,
    id: u64,
    listen: Option<String>,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<Ended, ServeError> {
    let node = config.node(id).ok_or_else(|| {
        let known: Vec<String> = config.nodes.iter().map(|node| node.id.to_string()).collect();
        ServeError::Config(format!("node {id} is not in the configuration; it has nodes {}", known.join(", ")))
    })?;
    let address = listen.unwrap_or_else(|| node.address.trim_start_matches("http://").to_string());
    let unbound = |e| ServeError::Listen(address.clone(), e);
    let listener = TcpListener::bind(&address).await.map_err(unbound)?;
    let bound = listener.local_addr().map_err(unbound)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unbound)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unbound)?;

    super::install_metrics();
    let limits = Limits { connections: config.max_connections, ..Limits::default() };
    let group = Group::start(config, id).await?;
    let (close, closed) = oneshot::channel::<()>();
    let mut serving = tokio::spawn(run(listener, group.clone(), limits, async move {
        // A dropped sender closes as well.
        let _ = closed.await;
    }));
    on_ready(bound);

    let ended = tokio::select! {
        biased;
        _ = terminate.recv() => Ok(Ended::Terminated),
        _ = interrupt.recv() => Ok(Ended::Interrupted),
        why = group.failed() => Err(ServeError::Failed(id, why)),
        _ = &mut serving => Err(ServeError::Failed(id, "the server has stopped".into())),
    };
    if ended.is_ok() {
        tracing::info!("stopping");
        group.retire().await;
    }
    drop(close);
    if !serving.is_finished()
        && let Err(e) = serving.await
    {
        tracing::warn!("the server did not stop cleanly: {e}");
    }
    group.stop().await;
    ended
}
