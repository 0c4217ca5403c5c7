//! Owns the pager: on a terminal, what is longer than the screen is shown a screen at a time.
//!
//! `DDB_PAGER` says which, else `PAGER`, else it is `less -FRX` where that is there. `cat`, like
//! `--no-pager`, means none. A terminal that is dumb, or says nothing of itself, has none.

use std::env;
use std::io::{ErrorKind, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use super::error::{CliError, exit};
use super::output;
use super::signals::PAGED;

/// The pager where nobody names one.
const LESS: &str = "less -FRX";

/// A result on its way to stdout, or to a pager once it is longer than the screen.
pub(crate) struct Pages {
    /// The pager and how many lines fit without it.
    wanted: Option<(String, usize)>,
    /// What still fits.
    waiting: String,
    running: Option<Child>,
}

impl Pages {
    /// A way to stdout; where it is `wanted` and there is one, by a pager.
    pub(crate) fn new(wanted: bool) -> Pages {
        let wanted = if wanted { pager(|name| env::var(name).ok()).zip(height()) } else { None };
        Pages { wanted, waiting: String::new(), running: None }
    }

    /// Takes a piece of the result.
    ///
    /// # Errors
    /// It could not be written, or the reader has gone.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), CliError> {
        let Some((pager, height)) = &self.wanted else { return output::result(text) };
        if self.running.is_none() {
            self.waiting += text;
            // The prompt needs a line as well.
            if self.waiting.lines().count() < *height {
                return Ok(());
            }
            self.running = Some(start(pager)?);
            let waiting = std::mem::take(&mut self.waiting);
            return self.feed(&waiting);
        }
        self.feed(text)
    }

    fn feed(&mut self, text: &str) -> Result<(), CliError> {
        let Some(stdin) = self.running.as_mut().and_then(|child| child.stdin.as_mut()) else { return Ok(()) };
        match stdin.write_all(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.wait().and(Err(CliError::ReaderGone)),
            written => written.map_err(CliError::Output),
        }
    }

    /// Shows what is left, and waits until it was read.
    ///
    /// # Errors
    /// As `write`.
    pub(crate) fn end(mut self) -> Result<(), CliError> {
        output::result(&std::mem::take(&mut self.waiting))?;
        self.wait()
    }

    /// Waits for the end of the pager.
    fn wait(&mut self) -> Result<(), CliError> {
        let Some(mut child) = self.running.take() else { return Ok(()) };
        drop(child.stdin.take());
        let ended = child.wait();
        PAGED.store(false, Ordering::Relaxed);
        match ended.map_err(CliError::Output)?.code() {
            // What a shell says of a command that it cannot run.
            Some(126 | 127) => {
                let pager = self.wanted.as_ref().map_or("", |(pager, _)| pager);
                let message =
                    format!("the pager \"{pager}\" cannot be run; name another with DDB_PAGER, or add --no-pager");
                Err(CliError::Result { exit: exit::ERROR, message })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // An error came in between: what was found before it is shown all the same.
        let _ = output::result(&self.waiting);
        let _ = self.wait();
    }
}

fn start(pager: &str) -> Result<Child, CliError> {
    PAGED.store(true, Ordering::Relaxed);
    let child = Command::new("sh").args(["-c", pager]).stdin(Stdio::piped()).spawn();
    child.map_err(|error| {
        PAGED.store(false, Ordering::Relaxed);
        CliError::Output(error)
    })
}

/// The command line of the pager, where one is wanted and there is one.
fn pager(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let given = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    if given("TERM").is_none_or(|term| term == "dumb") {
        return None;
    }
    match given("DDB_PAGER").or_else(|| given("PAGER")) {
        Some(pager) => Some(pager).filter(|pager| pager.trim() != "cat"),
        None => given("PATH")
            .filter(|path| env::split_paths(path).any(|dir| dir.join("less").is_file()))
            .map(|_| LESS.into()),
    }
}

/// How many lines the terminal has.
pub(crate) fn height() -> Option<usize> {
    let lines = env::var("LINES").ok().and_then(|lines| lines.parse().ok());
    let told = || rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_row));
    lines.or_else(told).filter(|lines| *lines > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pager_is_the_one_that_was_named_unless_there_is_none_to_be() {
        let of = |variables: &[(&str, &str)]| {
            pager(|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.to_string()))
        };
        let term = ("TERM", "xterm");
        assert_eq!(of(&[term, ("DDB_PAGER", "most"), ("PAGER", "more")]).as_deref(), Some("most"));
        assert_eq!(of(&[term, ("DDB_PAGER", ""), ("PAGER", "more")]).as_deref(), Some("more"));
        assert_eq!(of(&[term, ("DDB_PAGER", "cat"), ("PAGER", "more")]), None);
        assert_eq!(of(&[term, ("PATH", "/nowhere")]), None);
        assert_eq!(of(&[("TERM", "dumb"), ("PAGER", "more")]), None);
        assert_eq!(of(&[("PAGER", "more")]), None);
    }
}
