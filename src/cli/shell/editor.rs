//! Owns the session at a terminal: the line that is typed, its history and its completion.
//!
//! The only place that names rustyline.

use std::env;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use rustyline::completion::{Completer, Pair};
use rustyline::config::Config;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, CompletionType, Editor};

use super::meta;
use super::prompt::Prompt;
use super::session::{After, Session};
use super::statement::{Next, is_sql, next};
use crate::cli::complete::{Candidate, candidates, escape, split};
use crate::cli::error::CliError;

/// How many statements are remembered.
const REMEMBERED: usize = 10_000;

/// Reads statements from the terminal and runs them until there are no more.
///
/// # Errors
/// The terminal cannot be used.
pub(crate) fn interact(session: &mut Session) -> Result<(), CliError> {
    let mut editor = editor().map_err(failed)?;
    let history = history_file();
    if let Some(file) = &history {
        // On the first time there is none.
        let _ = editor.load_history(file);
    }
    let version = env!("CARGO_PKG_VERSION");
    session.context().note(&format!("ddb {version}; help lists the commands, \\q leaves"));
    let mut prompt = Prompt::start();
    loop {
        if let Some(helper) = editor.helper_mut() {
            helper.options = session.options.words();
        }
        match editor.readline(prompt.text(session.options.global())) {
            Ok(text) => {
                let added = editor.add_history_entry(text.trim_end()).map_err(failed)?;
                if let Some(file) = history.as_ref().filter(|_| added) {
                    // A session goes on without a history.
                    let _ = editor.append_history(file);
                }
                if run(session, &text) == After::Ends {
                    return Ok(());
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}

fn failed(error: ReadlineError) -> CliError {
    CliError::Output(io::Error::other(format!("the terminal cannot be used: {error}")))
}

fn editor() -> Result<Editor<Helper, FileHistory>, ReadlineError> {
    let config = Config::builder()
        .max_history_size(REMEMBERED)?
        .history_ignore_space(true)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        // The terminal, also where results go elsewhere.
        .behavior(Behavior::PreferTerm)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(Helper { options: Vec::new() }));
    Ok(editor)
}

/// Runs what was typed: usually one statement, of a paste many.
fn run(session: &mut Session, text: &str) -> After {
    let mut at = 0;
    while let Next::Whole { statement, rest, .. } = next(&text[at..], false) {
        if session.run(statement) == After::Ends {
            return After::Ends;
        }
        at += rest;
    }
    After::Goes(0)
}

/// `ddb/history` in the directory for what programs remember; nobody else may read it.
fn history_file() -> Option<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".local/state"));
    let dir = state.or_else(home)?.join("ddb");
    DirBuilder::new().recursive(true).mode(0o700).create(&dir).ok()?;
    Some(dir.join("history"))
}

/// What the line editor asks: what may follow, and whether a statement is whole.
struct Helper {
    /// The options of the session, which say where names are asked for.
    options: Vec<String>,
}

impl rustyline::Helper for Helper {}
impl Highlighter for Helper {}
impl Hinter for Helper {
    type Hint = String;
}

impl Validator for Helper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let mut rest = context.input();
        loop {
            match next(rest, false) {
                Next::Whole { rest: at, .. } => rest = &rest[at..],
                Next::Open(_) => return Ok(ValidationResult::Incomplete),
                Next::Nothing => return Ok(ValidationResult::Valid(None)),
            }
        }
    }
}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok((position, self.offers(last_statement(&line[..position]))))
    }
}

/// The statement that `text` ends with.
fn last_statement(text: &str) -> &str {
    let mut last = text;
    while let Next::Whole { rest, .. } = next(last, false)
        && rest < last.len()
    {
        last = &last[rest..];
    }
    last.trim_start()
}

impl Helper {
    /// What may follow, as the rest of the word at the cursor.
    fn offers(&self, statement: &str) -> Vec<Pair> {
        if let Some(word) = statement.strip_prefix('\\') {
            let known = meta::WORDS.iter().map(|(name, _)| &name[1..]).filter(|name| name.starts_with(word));
            return known.map(|name| pair(name, &name[word.len()..], " ")).collect();
        }
        if is_sql(statement) {
            let name = statement
                .rfind(|c: char| !c.is_alphanumeric() && c != '_')
                .map_or(statement, |at| &statement[at + 1..]);
            let tables = self.ask(&["table", "show"], name);
            return tables.iter().map(|table| pair(&table.value, &table.value[name.len()..], " ")).collect();
        }
        let line = split(statement, "");
        let words: Vec<&str> = line.words.iter().map(String::as_str).skip_while(|word| *word == "ddb").collect();
        let offer = |Candidate { value, open, .. }: &Candidate| {
            let rest = &value[line.current.len()..];
            match line.quote {
                Some(quote) => pair(value, rest, if *open { String::new() } else { format!("{quote} ") }),
                None => pair(value, &escape(rest), if *open { "" } else { " " }),
            }
        };
        self.ask(&words, &line.current).iter().map(offer).collect()
    }

    fn ask(&self, words: &[&str], current: &str) -> Vec<Candidate> {
        let words: Vec<String> = self.options.iter().cloned().chain(words.iter().map(ToString::to_string)).collect();
        candidates(&words, current)
    }
}

fn pair(shown: &str, rest: &str, end: impl AsRef<str>) -> Pair {
    Pair { display: shown.into(), replacement: format!("{rest}{}", end.as_ref()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(statement: &str) -> Vec<String> {
        let helper = Helper { options: vec!["--endpoints=127.0.0.1:1".into()] };
        helper.offers(last_statement(statement)).into_iter().map(|pair| pair.replacement).collect()
    }

    #[test]
    fn the_rest_of_the_word_is_offered_for_the_statement_at_the_cursor() {
        assert_eq!(offered("upd"), ["ate "]);
        assert_eq!(offered("ddb upd"), ["ate "]);
        assert_eq!(offered("get t 1; ins"), ["ert "]);
        assert_eq!(offered("status -o 'js"), ["on' ", "onl' "]);
        assert_eq!(offered("table create t a:tim"), ["estamp "]);
        assert_eq!(offered("\\ti"), ["ming "]);
        assert!(offered("select * from t").is_empty());
    }
}
