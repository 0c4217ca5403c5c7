//! Owns what the options mean: the endpoints, the deadline, the format and the style of this run.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{IsTerminal as _, stderr, stdin, stdout};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::args::{ColorChoice, Global};
use super::error::{CliError, usage};
use super::output;
use super::pager::Pages;
use super::print::{Format, Style, View, escape};
use crate::client::{Client, Endpoint};
use crate::config::Config;
use crate::model::Level;

/// How long a command may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The client of the command before, and what it was made for.
pub(crate) type Pool = Rc<RefCell<Option<(Vec<Endpoint>, Level, Client)>>>;

/// What a command runs with.
pub(crate) struct Context {
    /// How results are written.
    pub(crate) format: Format,
    /// Where they go.
    pub(crate) style: Style,
    /// Whether to say more.
    pub(crate) verbose: bool,
    /// The time for the whole command, where one was given.
    pub(crate) timeout: Option<Duration>,
    /// Whether to say less.
    pub(crate) quiet: bool,
    /// How fresh reads are.
    pub(crate) level: Level,
    /// Whether the format was asked for on the command line itself.
    pub(crate) format_given: bool,
    /// Whether long results may be shown a screen at a time.
    pub(crate) paged: bool,
    /// The connections that are shared with the commands before and after, where there are any.
    pool: Option<Pool>,
    endpoints: Vec<String>,
    config: Option<PathBuf>,
    color: ColorChoice,
}

impl Context {
    /// What the options mean here and now.
    pub(crate) fn new(global: &Global) -> Context {
        Context {
            format: global.output,
            style: style(global.color),
            verbose: global.verbose,
            timeout: global.timeout,
            quiet: global.quiet,
            level: global.level,
            format_given: global.output_given,
            paged: !global.no_pager,
            pool: None,
            endpoints: global.endpoints.clone(),
            config: global.config.clone(),
            color: global.color,
        }
    }

    /// The same with connections that outlive the command.
    #[must_use]
    pub(crate) fn sharing(self, pool: Pool) -> Context {
        Context { pool: Some(pool), ..self }
    }

    /// A client whose deadline begins now.
    ///
    /// # Errors
    /// No endpoints, or a bad one.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        self.client_for(TIMEOUT)
    }

    /// The same for a command that has another time where none was given.
    ///
    /// # Errors
    /// As `client`.
    pub(crate) fn client_for(&self, default: Duration) -> Result<Client, CliError> {
        let timeout = self.timeout.unwrap_or(default);
        let endpoints = self.endpoints()?;
        let new = || Client::new(&endpoints, timeout, self.level).map(|client| self.telling(client));
        let Some(pool) = &self.pool else { return Ok(new()?) };
        let mut pool = pool.borrow_mut();
        match &*pool {
            Some((for_whom, level, client)) if *for_whom == endpoints && *level == self.level => {
                Ok(client.until(timeout))
            }
            _ => {
                let client = new()?;
                *pool = Some((endpoints, self.level, client.clone()));
                Ok(client)
            }
        }
    }

    /// A client that tells whoever looks what it waits for.
    fn telling(&self, client: Client) -> Client {
        let somebody_looks = !self.quiet && stderr().is_terminal();
        if somebody_looks { client.telling(|why| output::remark(&format!("{}\n", escape(why)))) } else { client }
    }

    /// The nodes to ask: those that are named, else those of the configuration.
    ///
    /// # Errors
    /// There are none, or one is bad.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, CliError> {
        let given: Vec<&str> = self.endpoints.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
        let words = if given.is_empty() {
            Config::endpoints(self.config.as_deref())?.ok_or_else(|| {
                usage(
                    "no endpoints are given, and there is no ./config.json",
                    "name nodes with -e http://host:port or DDB_ENDPOINTS, or a configuration with --config",
                )
            })?
        } else {
            given.into_iter().map(String::from).collect()
        };
        let mut endpoints: Vec<Endpoint> = Vec::with_capacity(words.len());
        for word in words {
            let endpoint =
                Endpoint::parse(&word).map_err(|bad| CliError::Usage { message: bad.to_string(), hint: None })?;
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        Ok(endpoints)
    }

    /// Shows a result.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn show(&self, view: &View) -> Result<(), CliError> {
        let mut pages = self.pages();
        pages.write(&view.render(self.format, self.style))?;
        pages.end()
    }

    /// Where a result goes that may be longer than the screen.
    pub(crate) fn pages(&self) -> Pages {
        Pages::new(self.paged && self.style.terminal)
    }

    /// Shows what was done; who asked for quiet hears of it only where a program reads it.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn done(&self, view: &View) -> Result<(), CliError> {
        if self.quiet && self.format == Format::Table { Ok(()) } else { self.show(view) }
    }

    /// Tells an error, on stderr.
    pub(crate) fn tell(&self, error: &CliError) {
        let said = error.report(self.format, self.verbose);
        output::remark(&if self.format.is_json() { said } else { painted(said, self.color) });
    }

    /// Tells a person who sees a table how many rows it has.
    pub(crate) fn counted(&self, rows: u64) {
        if self.style.terminal && self.format == Format::Table {
            self.note(&format!("({rows} row{})", if rows == 1 { "" } else { "s" }));
        }
    }

    /// Says something about what was done, on stderr.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            output::remark(&format!("{}\n", escape(text)));
        }
    }

    /// Refuses what needs a yes where there is nobody to ask.
    ///
    /// # Errors
    /// A usage error.
    pub(crate) fn check_confirmable(&self, what: &str) -> Result<(), CliError> {
        if stdin().is_terminal() && stderr().is_terminal() {
            return Ok(());
        }
        Err(usage(format!("confirmation is needed to {}", escape(what)), "add --yes"))
    }

    /// Asks for a yes before what cannot be taken back.
    ///
    /// # Errors
    /// There is nobody to ask, or the answer is no.
    pub(crate) fn confirm(&self, what: &str, yes: bool) -> Result<(), CliError> {
        if yes {
            return Ok(());
        }
        self.check_confirmable(what)?;
        output::remark(&format!("{}? [y/N] ", escape(what)));
        let mut answer = String::new();
        let read = stdin().read_line(&mut answer);
        match answer.trim() {
            "y" | "Y" | "yes" if read.is_ok() => Ok(()),
            _ => Err(CliError::Usage { message: "nothing was done".into(), hint: None }),
        }
    }
}

/// The lines of an error with their first words in colour, where stderr may have any.
pub(crate) fn painted(said: String, choice: ColorChoice) -> String {
    if !is_colored(choice, stderr().is_terminal(), |name| std::env::var_os(name)) {
        return said;
    }
    let line = |line: &str| match (line.strip_prefix("error:"), line.strip_prefix("hint:")) {
        (Some(rest), _) => format!("\u{1b}[1;31merror:\u{1b}[0m{rest}\n"),
        (_, Some(rest)) => format!("\u{1b}[1;36mhint:\u{1b}[0m{rest}\n"),
        _ => format!("{line}\n"),
    };
    said.lines().map(line).collect()
}

/// The style for stdout.
fn style(choice: ColorChoice) -> Style {
    let terminal = stdout().is_terminal();
    let width = if terminal { columns().or_else(terminal_width) } else { None };
    Style { color: is_colored(choice, terminal, |name| std::env::var_os(name)), terminal, width }
}

fn is_colored(choice: ColorChoice, terminal: bool, env: impl Fn(&str) -> Option<OsString>) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // NO_COLOR counts unless it is empty: https://no-color.org
        ColorChoice::Auto => {
            let given = |name: &str| env(name).filter(|value| !value.is_empty());
            // The rules of https://bixense.com/clicolors, in the order that anstream has.
            let wanted = given("CLICOLOR").map(|value| value != "0");
            let able = given("TERM").is_some_and(|term| term != "dumb");
            let forced = given("CLICOLOR_FORCE").is_some_and(|value| value != "0");
            match given("NO_COLOR") {
                Some(_) => false,
                None if forced => true,
                None => wanted != Some(false) && terminal && (able || wanted == Some(true) || env("CI").is_some()),
            }
        }
    }
}

fn columns() -> Option<u16> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|width| *width > 0)
}

fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(stdout()).ok().map(|size| size.ws_col).filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them_unless_somebody_says_otherwise() {
        let env = |own: &'static str, value: &'static str| move |name: &str| (name == own).then(|| value.into());
        let auto = |terminal, own, value| is_colored(ColorChoice::Auto, terminal, env(own, value));
        assert!(auto(true, "TERM", "xterm"));
        let mixed = |name: &str| match name {
            "NO_COLOR" => Some("".into()),
            "CLICOLOR" => Some("0".into()),
            _ => Some("xterm".into()),
        };
        assert!(is_colored(ColorChoice::Auto, false, env("CLICOLOR_FORCE", "1")));
        assert!(is_colored(ColorChoice::Auto, true, env("CLICOLOR", "1")));
        assert!(is_colored(ColorChoice::Auto, true, |name| mixed(name).filter(|_| name != "CLICOLOR")));
        assert!(!is_colored(ColorChoice::Auto, true, |name| mixed(name).filter(|_| name != "CLICOLOR_FORCE")));
        assert!(!is_colored(ColorChoice::Auto, true, |_| Some("1".into())));
        assert!(!auto(true, "TERM", "dumb"));
        assert!(!auto(false, "TERM", "xterm"));
        assert!(is_colored(ColorChoice::Always, false, env("NO_COLOR", "1")));
        assert!(!is_colored(ColorChoice::Never, true, env("TERM", "xterm")));
    }
}
