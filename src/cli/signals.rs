//! Owns what SIGINT and SIGTERM do to a client command: it ends at once, with their exit codes.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::exit;

/// Ends the process on a signal. A thread of its own listens, so that a command that waits for
/// stdin, or for the reader of its output, ends as well.
pub(crate) fn end_on_signal() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let _ = runtime.map(|runtime| {
            runtime.block_on(async {
                if let Ok(mut signals) = Signals::listen() {
                    std::process::exit(i32::from(signals.next().await));
                }
            });
        });
    });
}

/// SIGINT and SIGTERM, heard from the moment this is made.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen; needs a runtime around it.
    ///
    /// # Errors
    /// The system does not let it.
    pub(crate) fn listen() -> io::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The exit code of the next signal.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => exit::INTERRUPTED,
            _ = self.terminate.recv() => exit::TERMINATED,
        }
    }
}
