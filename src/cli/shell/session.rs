//! Owns one session: the options of all its statements, its connections, and the run of one.

use std::time::Instant;

use tokio::runtime::Runtime;

use super::statement::Statement;
use crate::cli::args::{Command, Global, parse};
use crate::cli::context::{Context, Pool};
use crate::cli::error::{CliError, exit, usage};
use crate::cli::options::Options;
use crate::cli::output;
use crate::cli::run::{ask, local, told};
use crate::cli::signals::Interrupts;

/// What becomes of the session after a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It goes on; the exit code of the statement.
    Goes(u8),
    /// It ends.
    Ends,
}

/// A session: what its statements have in common.
pub(crate) struct Session {
    /// The options that hold for every statement that says nothing else.
    pub(super) options: Options,
    /// Whether to tell how long each statement took.
    pub(super) timing: bool,
    /// The connections, kept from one statement to the next.
    pool: Pool,
    runtime: Runtime,
    /// What cancels a statement, where somebody can.
    interrupts: Option<Interrupts>,
}

impl Session {
    /// A session with these options; where nothing `interrupts`, a signal ends the program.
    ///
    /// # Errors
    /// The system gives the process no way to wait for anything.
    pub(crate) fn new(global: &Global, interrupts: Option<Interrupts>) -> Result<Session, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
        let options = Options::of(global);
        Ok(Session { options, timing: false, pool: Pool::default(), runtime, interrupts })
    }

    /// Runs a statement and tells what is to be told of it.
    pub(super) fn run(&mut self, statement: Statement) -> After {
        let began = Instant::now();
        let after = match statement {
            Statement::Meta(words) => return self.meta(&words),
            Statement::Command(words) => self.words(words),
            Statement::Sql(query) => After::Goes(self.command(&["sql".into(), query])),
        };
        if self.timing && matches!(after, After::Goes(_)) {
            output::remark(&format!("Time: {:.1} ms\n", began.elapsed().as_secs_f64() * 1e3));
        }
        after
    }

    pub(super) fn words(&mut self, mut words: Vec<String>) -> After {
        // A command that was pasted from a hint or a page.
        if words.first().is_some_and(|word| word == "ddb") {
            words.remove(0);
        }
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] => After::Goes(exit::DONE),
            ["exit" | "quit"] => After::Ends,
            ["help"] => self.meta(&["?".into()]),
            _ => After::Goes(self.command(&words)),
        }
    }

    /// Runs a command; its exit code.
    fn command(&self, words: &[String]) -> u8 {
        let words: Vec<String> = self.options.words().into_iter().chain(words.iter().cloned()).collect();
        let cli = match parse(std::iter::once("ddb".to_string()).chain(words.iter().cloned())) {
            Ok(cli) => cli,
            Err(error) => return told(&error, &words, None),
        };
        let context = Context::new(&cli.global).sharing(self.pool.clone());
        let result = match cli.command {
            Command::Client(command) => self.wait(ask(command, &context)),
            Command::Shell(_) => Err(usage("this is the shell already", "leave it with \\q")),
            Command::Serve(_) | Command::Demo(_) => {
                Err(usage("nodes are not started from within the shell", "run it in another terminal"))
            }
            _ => local(cli, &context),
        };
        self.tell(result, &context)
    }

    /// Waits for a statement, unless it is interrupted.
    fn wait(&self, statement: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
        let Some(interrupts) = &self.interrupts else { return self.runtime.block_on(statement) };
        let _running = interrupts.begin();
        self.runtime.block_on(async {
            tokio::select! {
                result = statement => result,
                () = interrupts.heard() => {
                    output::remark("\n");
                    let message = "interrupted; what was sent may have been done all the same".into();
                    Err(CliError::Result { exit: exit::INTERRUPTED, message })
                }
            }
        })
    }

    fn tell(&self, result: Result<(), CliError>, context: &Context) -> u8 {
        match result {
            Ok(()) => exit::DONE,
            Err(error) => {
                context.tell(&error);
                error.exit()
            }
        }
    }

    /// Tells an error of the shell itself; its exit code.
    pub(super) fn refuse(&self, error: CliError) -> After {
        let context = self.context();
        After::Goes(self.tell(Err(error), &context))
    }

    /// What a statement without options of its own runs with.
    pub(super) fn context(&self) -> Context {
        Context::new(self.options.global()).sharing(self.pool.clone())
    }
}
