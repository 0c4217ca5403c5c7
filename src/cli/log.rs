//! Owns the log of a node: lines on stderr, written by a thread of its own.
//!
//! A stderr that nobody reads must not hold up the node: once the thread is behind by `LINES`,
//! lines are dropped, and their number is told when it goes on.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::error::{CliError, usage};
use super::output;

/// How many lines may wait to be written.
const LINES: usize = 4_096;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Where log lines go; clones are cheap.
#[derive(Clone)]
pub(crate) struct Log {
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

/// Starts logging for the whole process, at the level of `DDB_LOG`, else of the options.
///
/// # Errors
/// `DDB_LOG` cannot be understood.
pub(crate) fn start(verbose: bool, quiet: bool, color: bool) -> Result<Log, CliError> {
    let default = match (verbose, quiet) {
        (true, _) => "debug",
        (_, true) => "warn",
        _ => "info",
    };
    let wanted = std::env::var("DDB_LOG").ok().filter(|text| !text.is_empty());
    let wanted = wanted.as_deref().unwrap_or(default);
    // A bare level is meant for ddb; what the libraries below say is for who asks for them by name.
    let bare = wanted.chars().all(|c| c.is_ascii_alphabetic());
    let filter = if bare { format!("off,ddb={wanted}") } else { wanted.to_string() };
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        usage(format!("DDB_LOG: {error}"), "write info or debug, or name a library: info,openraft=info")
    })?;
    let log = Log::new(output::remark_bytes);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .with_ansi(color && io::stderr().is_terminal())
        .finish();
    // It fails only where logging is on already, which then goes on.
    let _ = tracing::subscriber::set_global_default(subscriber);
    Ok(log)
}

impl Log {
    fn new(sink: impl FnMut(&[u8]) + Send + 'static) -> Log {
        let (lines, waiting) = sync_channel(LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let told = dropped.clone();
        std::thread::spawn(move || write_all(&waiting, &told, sink));
        Log { lines, dropped }
    }

    /// Waits until what was logged so far is written, but not for ever.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        // A queue that is full is not worth waiting for: nobody reads it.
        if self.lines.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(LAST_LINES);
        }
    }
}

fn write_all(waiting: &Receiver<Message>, dropped: &AtomicU64, mut sink: impl FnMut(&[u8])) {
    for message in waiting {
        match message {
            Message::Line(line) => sink(&line),
            Message::Flush(done) => {
                // Whoever waited may have given up.
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            sink(format!("{lost} log lines were dropped: stderr was not read\n").as_bytes());
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { log: self, text: Vec::new() }
    }
}

/// One line on its way; it is sent when it is dropped.
pub(crate) struct Line<'a> {
    log: &'a Log,
    text: Vec<u8>,
}

impl Write for Line<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let line = Message::Line(std::mem::take(&mut self.text));
        if let Err(TrySendError::Full(_)) = self.log.lines.try_send(line) {
            self.log.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_blocked_sink_drops_lines_and_says_how_many() {
        let (seen, lines) = channel();
        let (unblock, blocked) = channel::<()>();
        let log = Log::new(move |line: &[u8]| {
            let _ = blocked.recv();
            let _ = seen.send(String::from_utf8_lossy(line).into_owned());
        });
        // One is with the sink at most, `LINES` wait: at least one of these is dropped.
        for _ in 0..LINES + 2 {
            log.make_writer().write_all(b"x\n").unwrap();
        }
        drop(unblock);
        let told = std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(30)).ok())
            .find(|line| line.contains("log lines were dropped"));
        assert!(told.is_some());
    }
}
