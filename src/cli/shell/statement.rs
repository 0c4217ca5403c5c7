//! Owns where a statement ends: a command at the end of its line or at `;`, SQL at `;` alone.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::cli::complete::split;

/// The words that SQL begins with; no command is called like one of them.
const SQL: [&str; 4] = ["select", "with", "values", "explain"];

/// What can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// A command: its words, without their quotes.
    Command(Vec<String>),
    /// A query, without its `;`.
    Sql(String),
    /// What only a shell knows: the words behind a backslash.
    Meta(Vec<String>),
}

/// What a text begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing but blanks and comments, to the end.
    Nothing,
    /// A statement.
    Whole {
        statement: Statement,
        /// In which line of the text it begins, from 0.
        line: usize,
        /// Where the rest of the text begins.
        rest: usize,
    },
    /// A statement that needs more lines; why.
    Open(&'static str),
}

/// The first statement of `text`; `all` says that no more lines will come.
pub(super) fn next(text: &str, all: bool) -> Next {
    let start = skip_blanks(text);
    let body = &text[start..];
    let line = text[..start].matches('\n').count();
    let Some(first) = body.chars().next() else { return Next::Nothing };
    let end_of_line = body.find('\n').unwrap_or(body.len());
    if first == '\\' {
        let statement = Statement::Meta(words(&body[1..end_of_line]));
        return Next::Whole { statement, line, rest: start + end_of_line };
    }
    let (read, end) = if is_sql(body) { sql(body, all) } else { command(body, all) };
    match read {
        Ok(statement) => Next::Whole { statement, line, rest: start + end },
        Err(why) => Next::Open(why),
    }
}

/// Whether a statement that begins like this is SQL.
pub(super) fn is_sql(text: &str) -> bool {
    let word: String = text.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    SQL.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// Where the first statement begins, past blanks, empty statements and lines of comment.
fn skip_blanks(text: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let blank = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';').len();
        at += blank;
        let rest = &text[at..];
        let dashes =
            rest.strip_prefix("--").is_some_and(|more| more.is_empty() || more.starts_with(char::is_whitespace));
        if !rest.starts_with('#') && !dashes {
            return at;
        }
        at += rest.find('\n').unwrap_or(rest.len());
    }
}

type Read = (Result<Statement, &'static str>, usize);

/// A command up to the end of its line, or to `;`; a backslash at the end joins the next line.
fn command(body: &str, all: bool) -> Read {
    let mut text = String::new();
    let mut quote = None;
    let mut chars = body.char_indices().peekable();
    let mut end = body.len();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None | Some('"'), '\\') => {
                match chars.next() {
                    Some((at, '\n')) if quote.is_none() && (all || at + 1 < body.len()) => text.push(' '),
                    None | Some((_, '\n')) if quote.is_none() => {
                        return (Err("a backslash joins the next line"), body.len());
                    }
                    None => {}
                    Some((_, hidden)) => text.extend([c, hidden]),
                }
                continue;
            }
            (None, '\n' | ';') => {
                end = at + 1;
                break;
            }
            (None, '#') if text.ends_with(char::is_whitespace) => {
                skip_line(&mut chars);
                continue;
            }
            _ => {}
        }
        text.push(c);
    }
    match quote {
        Some(_) => (Err("a quote is still open"), body.len()),
        None => (Ok(Statement::Command(words(&text))), end),
    }
}

/// A query up to its `;`, which may stand in texts, names and comments as well.
fn sql(body: &str, all: bool) -> Read {
    let mut quote = None;
    let mut chars = body.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '-') if chars.next_if(|(_, next)| *next == '-').is_some() => skip_line(&mut chars),
            (None, ';') => return (Ok(Statement::Sql(body[..at].trim_end().into())), at + 1),
            (None, _) => {}
        }
    }
    match quote {
        Some(_) => (Err("a quote is still open"), body.len()),
        None if all => (Ok(Statement::Sql(body.trim_end().into())), body.len()),
        None => (Err("a query ends with ;"), body.len()),
    }
}

fn skip_line(chars: &mut Peekable<CharIndices<'_>>) {
    while chars.next_if(|(_, c)| *c != '\n').is_some() {}
}

fn words(text: &str) -> Vec<String> {
    // The blank ends the last word.
    split(&format!("{text} "), "").words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All statements of a text, each with its line; what is open at its end.
    fn all(text: &str, end: bool) -> (Vec<(usize, Statement)>, Option<&'static str>) {
        let (mut found, mut at) = (Vec::new(), 0);
        loop {
            match next(&text[at..], end) {
                Next::Nothing => return (found, None),
                Next::Open(why) => return (found, Some(why)),
                Next::Whole { statement, line, rest } => {
                    found.push((text[..at].matches('\n').count() + line, statement));
                    at += rest;
                }
            }
        }
    }

    fn command(words: &[&str]) -> Statement {
        Statement::Command(words.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_command_ends_with_its_line_or_at_a_semicolon() {
        let text =
            "# all students\n\nget t 1; get t 'a;b' # one more\n  insert t 2 name=\"x\ny\" \\\n grade=A;\n;\nstatus";
        let wanted = vec![
            (2, command(&["get", "t", "1"])),
            (2, command(&["get", "t", "a;b"])),
            (3, command(&["insert", "t", "2", "name=x\ny", "grade=A"])),
            (7, command(&["status"])),
        ];
        assert_eq!(all(text, false), (wanted, None));
    }

    #[test]
    fn a_query_ends_at_its_semicolon_wherever_that_line_is() {
        let text =
            "SELECT ';', \"a;\" -- not here;\n FROM t\n;-- then\nwith x as (select 1) select * from x; get t 1\n";
        let wanted = vec![
            (0, Statement::Sql("SELECT ';', \"a;\" -- not here;\n FROM t".into())),
            (3, Statement::Sql("with x as (select 1) select * from x".into())),
            (3, command(&["get", "t", "1"])),
        ];
        assert_eq!(all(text, false), (wanted, None));
        assert_eq!(all("select 1", false), (Vec::new(), Some("a query ends with ;")));
        assert_eq!(all("select 1\n", true).0, [(0, Statement::Sql("select 1".into()))]);
    }

    #[test]
    fn what_is_open_waits_for_more_lines() {
        for (text, why) in [
            ("insert t 1 name='a", "a quote is still open"),
            ("insert t 1 name=\"a\\\"", "a quote is still open"),
            ("insert t 1 \\", "a backslash joins the next line"),
            ("insert t 1 \\\n", "a backslash joins the next line"),
            ("select 'a;", "a quote is still open"),
        ] {
            assert_eq!(next(text, false), Next::Open(why), "{text}");
        }
    }

    #[test]
    fn a_backslash_begins_what_only_a_shell_knows() {
        let text = "\\timing on\n\\set output json\n";
        let meta = |words: &[&str]| Statement::Meta(words.iter().map(ToString::to_string).collect());
        assert_eq!(all(text, false).0, [(0, meta(&["timing", "on"])), (1, meta(&["set", "output", "json"]))]);
        assert_eq!(all("  -- nothing\n#\n;;\n", true), (Vec::new(), None));
    }
}
