//! Owns scripts: the statements of a file, a pipe or the command line, one after the other.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use super::session::{After, Session};
use super::statement::{Next, next};
use crate::cli::error::{CliError, exit, unreadable, usage};

/// Where statements come from.
pub(crate) enum Source {
    /// The words of a `-c`.
    Text(String),
    /// A file, or `-` for stdin.
    File(String),
}

impl Source {
    fn name(&self) -> &str {
        match self {
            Source::Text(_) => "-c",
            Source::File(file) if file == "-" => "stdin",
            Source::File(file) => file,
        }
    }
}

/// Runs all statements of `sources` in order.
///
/// # Errors
/// The first failure: its exit code, and where it was. With `keep_going` the rest runs first.
pub(crate) fn play(session: &mut Session, sources: &[Source], keep_going: bool) -> Result<(), CliError> {
    let mut script = Script { session, keep_going, run: 0, failed: 0, first: None };
    for source in sources {
        if !script.source(source)? {
            break;
        }
    }
    match script.first {
        None => Ok(()),
        Some(CliError::Stopped { place, exit, .. }) => {
            let left = if keep_going {
                format!("{} of {} statements failed, the first one there", script.failed, script.run)
            } else {
                "what follows it was not run".into()
            };
            Err(CliError::Stopped { place, exit, left })
        }
        Some(error) => Err(error),
    }
}

struct Script<'a> {
    session: &'a mut Session,
    keep_going: bool,
    run: usize,
    failed: usize,
    first: Option<CliError>,
}

impl Script<'_> {
    /// Runs a source to its end; whether the next one is to run.
    fn source(&mut self, source: &Source) -> Result<bool, CliError> {
        match source {
            Source::Text(text) => Ok(self.rest(source, text, 1, true).1),
            // Not held: a statement that takes its rows from stdin gets the lines below it.
            Source::File(file) if file == "-" => self.lines(source, |text| std::io::stdin().read_line(text)),
            Source::File(file) => {
                let mut opened = BufReader::new(File::open(file).map_err(|error| unreadable(file, &error))?);
                self.lines(source, move |text| opened.read_line(text))
            }
        }
    }

    /// Runs statements as their lines arrive, so that a program may wait for what it asked.
    fn lines(
        &mut self,
        source: &Source,
        mut read_line: impl FnMut(&mut String) -> std::io::Result<usize>,
    ) -> Result<bool, CliError> {
        let (mut text, mut line) = (String::new(), 1);
        loop {
            let ended = read_line(&mut text).map_err(|error| unreadable(source.name(), &error))? == 0;
            let (read, goes_on) = self.rest(source, &text, line, ended);
            if ended || !goes_on {
                return Ok(goes_on);
            }
            line += text[..read].matches('\n').count();
            text.drain(..read);
        }
    }

    /// Runs the statements of `text`, whose first line is number `first`: how much of it was run,
    /// and whether to go on.
    fn rest(&mut self, source: &Source, text: &str, first: usize, all: bool) -> (usize, bool) {
        let mut at = 0;
        loop {
            let above = first + text[..at].matches('\n').count();
            match next(&text[at..], all) {
                Next::Nothing => return (text.len(), true),
                Next::Open(why) if all => {
                    self.session
                        .refuse(usage(format!("the last statement is not whole: {why}"), "end it, or take it out"));
                    return (text.len(), self.failed(source, above, exit::USAGE));
                }
                Next::Open(_) => return (at, true),
                Next::Whole { statement, line, rest } => {
                    at += rest;
                    self.run += 1;
                    let goes_on = match self.session.run(statement) {
                        After::Ends => false,
                        After::Goes(exit::DONE) => true,
                        After::Goes(code) => self.failed(source, above + line, code),
                    };
                    if !goes_on {
                        return (at, false);
                    }
                }
            }
        }
    }

    fn failed(&mut self, source: &Source, line: usize, exit: u8) -> bool {
        self.failed += 1;
        self.first.get_or_insert(match source {
            // The statement is in sight.
            Source::Text(_) => CliError::Said(exit),
            Source::File(_) => {
                CliError::Stopped { place: format!("{}: line {line}", source.name()), exit, left: String::new() }
            }
        });
        self.keep_going
    }
}
