//! Owns what SIGINT and SIGTERM do to a client command: it ends at once, with their exit codes.
//! Of a session only the statement ends, and only while a pager has the terminal nothing does.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::error::exit;

/// Ends the process on a signal. A thread of its own listens, so that a command that waits for
/// stdin, or for the reader of its output, ends as well.
pub(crate) fn end_on_signal() {
    on_signal(|code| std::process::exit(i32::from(code)));
}

/// Calls `act` with the exit code of each signal, on a thread of its own.
fn on_signal(act: impl Fn(u8) + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let _ = runtime.map(|runtime| {
            runtime.block_on(async {
                let Ok(mut signals) = Signals::listen() else { return };
                loop {
                    match signals.next().await {
                        exit::INTERRUPTED if PAGED.load(Ordering::Relaxed) => {}
                        code => act(code),
                    }
                }
            });
        });
    });
}

/// Whether a pager has the terminal: a Ctrl-C is then meant for it alone.
pub(crate) static PAGED: AtomicBool = AtomicBool::new(false);

/// SIGINT as a session hears it: it cancels the statement that runs, and at the prompt nothing.
#[derive(Clone)]
pub(crate) struct Interrupts(Arc<Heard>);

struct Heard {
    running: AtomicBool,
    heard: AtomicBool,
    told: Notify,
}

/// A statement runs for as long as this lives.
pub(crate) struct Running<'a>(&'a Interrupts);

impl Interrupts {
    /// Begins to listen. SIGTERM, and a second SIGINT of one statement, end the program: it may be
    /// waiting for something that nothing can cancel.
    pub(crate) fn listen() -> Interrupts {
        let heard = Heard { running: false.into(), heard: false.into(), told: Notify::new() };
        let interrupts = Interrupts(Arc::new(heard));
        let Interrupts(own) = interrupts.clone();
        on_signal(move |code| {
            let running = own.running.load(Ordering::SeqCst);
            if code != exit::INTERRUPTED || (running && own.heard.swap(true, Ordering::SeqCst)) {
                std::process::exit(i32::from(code));
            }
            own.told.notify_one();
        });
        interrupts
    }

    /// A statement begins.
    pub(crate) fn begin(&self) -> Running<'_> {
        self.0.heard.store(false, Ordering::SeqCst);
        self.0.running.store(true, Ordering::SeqCst);
        Running(self)
    }

    /// Waits until the statement that runs is interrupted.
    pub(crate) async fn heard(&self) {
        loop {
            self.0.told.notified().await;
            // What came before the statement began was not meant for it.
            if self.0.heard.load(Ordering::SeqCst) {
                return;
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.0.running.store(false, Ordering::SeqCst);
    }
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
