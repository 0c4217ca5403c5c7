//! Owns what is said of words that make no command: what clap refuses, in the voice of all other errors.
//!
//! One line says what is wrong with which word, one what to write instead.

use std::error::Error as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::grammar;
use super::complete::Place;
use super::error::{CliError, usage};
use super::print::escape;
use crate::model::nearest;

/// What other tools call our commands.
const ELSEWHERE: [(&[&str], &str); 14] = [
    (&["ls", "tables", "databases"], "ddb table list"),
    (&["describe", "desc", "schema"], "ddb table show TABLE"),
    (&["select", "query"], "ddb sql 'SELECT …'"),
    (&["put", "set", "add", "upsert", "replace"], "ddb insert TABLE ROW_ID COLUMN=VALUE… --upsert"),
    (&["patch", "edit", "change"], "ddb update TABLE ROW_ID COLUMN=VALUE…"),
    (&["rm", "del", "remove"], "ddb delete TABLE ROW_ID…"),
    (&["find", "scan", "filter", "count"], "ddb search TABLE FILTER…"),
    (&["dump"], "ddb export TABLE"),
    (&["load", "copy"], "ddb import TABLE FILE"),
    (&["start", "server", "run"], "ddb serve --id N"),
    (&["repl", "console", "cli", "sh"], "ddb shell"),
    (&["nodes", "members", "member", "health", "ping", "info"], "ddb status"),
    (&["transaction", "transact", "tx"], "ddb txn -f FILE"),
    (&["version"], "ddb --version"),
];

/// What is announced, and not there yet.
const LATER: [&str; 4] = ["watch", "node", "backup", "restore"];

/// Why `words`, those behind the program's name, are no command; clap said so by `error`.
pub(super) fn refusal(error: &clap::Error, words: &[String]) -> CliError {
    let mut root = grammar();
    root.build();
    let refused = Refused { error, words, root: &root, command: Place::find(&root, words).command };
    match error.kind() {
        ErrorKind::InvalidSubcommand => refused.no_command(),
        ErrorKind::UnknownArgument => refused.no_argument(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => refused.no_value(),
        ErrorKind::ArgumentConflict => refused.conflict(),
        ErrorKind::MissingRequiredArgument => refused.missing(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => refused.no_subcommand(),
        _ => refused.other(),
    }
}

struct Refused<'a> {
    error: &'a clap::Error,
    words: &'a [String],
    root: &'a Command,
    /// The command that the words name, as far as they name one.
    command: &'a Command,
}

impl Refused<'_> {
    fn no_command(&self) -> CliError {
        let word = self.about(ContextKind::InvalidSubcommand);
        let before = self.words.split(|other| *other == word).next().unwrap_or_default();
        let above = Place::find(self.root, before).command;
        let known = |command: &Command| nearest(&word, shown(command)).map(String::from);
        if above.get_name() != self.root.get_name() {
            let name = name(above);
            let listed = || format!("its commands are {}", listed(shown(above)));
            let hint = known(above).map_or_else(listed, |near| meant(&name, &near));
            return usage(format!("{name} has no command \"{}\"", escape(&word)), hint);
        }
        let wanted = word.to_lowercase();
        if LATER.contains(&wanted.as_str()) {
            return usage(format!("this version has no {wanted} yet"), "the commands are listed by: ddb --help");
        }
        let elsewhere = ELSEWHERE.iter().find(|(words, _)| words.contains(&wanted.as_str()));
        let below = |command: &&Command| shown(command).any(|name| name == wanted);
        let hint = match (known(self.root), elsewhere, self.root.get_subcommands().find(below)) {
            // What was meant exactly goes before what is a slip of the hand away.
            (_, Some((_, ours)), _) => format!("did you mean: {ours}"),
            (_, None, Some(above)) => meant(&name(above), &wanted),
            (Some(near), None, None) => meant("ddb", &near),
            (None, None, None) => "the commands are listed by: ddb --help".into(),
        };
        usage(format!("there is no command \"{}\"", escape(&word)), hint)
    }

    fn no_argument(&self) -> CliError {
        let word = self.about(ContextKind::InvalidArg);
        let (name, shown) = (name(self.command), escape(&word));
        if let Some(long) = word.strip_prefix("--") {
            let longs: Vec<&str> = self.command.get_arguments().filter_map(clap::Arg::get_long).collect();
            let hint = nearest(long, longs).map_or_else(
                || format!("its options are listed by: {name} --help"),
                |near| format!("did you mean --{near}?"),
            );
            return usage(format!("{name} has no option {shown}"), hint);
        }
        if word.starts_with('-') {
            let hint = format!("options are listed by: {name} --help; a value that begins with a dash comes after --");
            return usage(format!("{name} has no option {shown}"), hint);
        }
        // `--watch 5`, where only `--watch=5` says that they belong together.
        let optional = |word: &&String| {
            let option = self.command.get_arguments().find(|arg| arg.get_long() == word.strip_prefix("--"));
            option.is_some_and(clap::Arg::is_require_equals_set)
        };
        let before = self.words.windows(2).find(|pair| pair[1] == word).map(|pair| &pair[0]).filter(optional);
        let hint = before.map_or_else(|| self.form(), |option| format!("write {option}={shown}"));
        usage(format!("\"{shown}\" is one word too many for {name}"), hint)
    }

    fn no_value(&self) -> CliError {
        let (option, value) = (self.about(ContextKind::InvalidArg), self.about(ContextKind::InvalidValue));
        let bare = option.trim_start_matches('<').split(['[', ' ', '>']).next().unwrap_or(&option);
        if value.is_empty() {
            return usage(format!("{bare} wants a value"), format!("write {option}"));
        }
        let place = self.variable(bare, &value).unwrap_or_else(|| bare.to_string());
        let message = format!("\"{}\" is no value of {place}", escape(&value));
        if let Some(why) = self.error.source().map(ToString::to_string) {
            let number =
                ["invalid digit", "number too", "cannot parse integer"].iter().any(|said| why.starts_with(said));
            return usage(message, if number { "write a whole number, 0 or more".into() } else { why });
        }
        let valid = self.all(ContextKind::ValidValue);
        let known = valid.iter().map(String::as_str);
        let hint = nearest(&value, known.clone())
            .map_or_else(|| format!("it is one of {}", listed(known)), |near| format!("did you mean \"{near}\"?"));
        usage(message, hint)
    }

    /// The variable that gave the option its value, where no word did.
    fn variable(&self, option: &str, value: &str) -> Option<String> {
        let arg = self.root.get_arguments().find(|arg| arg.get_long() == option.strip_prefix("--"))?;
        let variable = arg.get_env()?.to_str()?;
        let given = self.words.iter().any(|word| word.ends_with(value));
        (!given && std::env::var(variable).is_ok_and(|own| own.contains(value))).then(|| variable.into())
    }

    fn conflict(&self) -> CliError {
        let plain = |option: &String| option.split(' ').next().unwrap_or_default().replace(['<', '>'], "");
        let mut all = vec![plain(&self.about(ContextKind::InvalidArg))];
        all.extend(self.all(ContextKind::PriorArg).iter().map(plain));
        all.dedup();
        match all.as_slice() {
            [one] => usage(format!("{one} is given more than once"), "leave one of them out"),
            many => usage(format!("{} exclude each other", many.join(" and ")), "leave one of them out"),
        }
    }

    fn missing(&self) -> CliError {
        let missing = self.all(ContextKind::InvalidArg).join(" and ").replace(['<', '>'], "").replace("...", "");
        usage(format!("{} wants {missing}", name(self.command)), self.form())
    }

    fn no_subcommand(&self) -> CliError {
        let name = name(self.command);
        usage(format!("{name} wants a command: {}", listed(shown(self.command))), format!("see: {name} --help"))
    }

    fn other(&self) -> CliError {
        let said = self.error.render().to_string();
        let first = said.split("\n\n").next().unwrap_or_default();
        usage(escape(first.trim_start_matches("error: ")), format!("see: {} --help", name(self.command)))
    }

    /// How the command is written.
    fn form(&self) -> String {
        let said = self.command.clone().render_usage().to_string();
        let form = said.trim_start_matches("Usage: ").replace("[OPTIONS] ", "").replace(" [OPTIONS]", "");
        format!("write: {}", form.replace(['<', '>'], "").replace("...", "…"))
    }

    fn about(&self, kind: ContextKind) -> String {
        self.all(kind).join(" ")
    }

    fn all(&self, kind: ContextKind) -> Vec<String> {
        match self.error.get(kind) {
            Some(ContextValue::String(one)) => vec![one.clone()],
            Some(ContextValue::Strings(many)) => many.clone(),
            _ => Vec::new(),
        }
    }
}

/// The names of the commands below one.
fn shown(command: &Command) -> impl Iterator<Item = &str> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(Command::get_name)
}

/// The command as it is typed: `ddb table create`.
fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or(command.get_name()).replace('-', " ")
}

fn meant(above: &str, name: &str) -> String {
    format!("did you mean: {above} {name}")
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::parse;
    use crate::cli::print::Format;

    fn said(line: &str) -> String {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        let error = parse(std::iter::once("ddb".to_string()).chain(words.iter().cloned())).unwrap_err();
        refusal(&error, &words).report(Format::Table, false)
    }

    #[test]
    fn the_one_command_that_was_meant_is_named() {
        for (line, hint) in [
            ("isert t 1", "ddb insert"),
            ("serch t", "ddb search"),
            ("ls", "ddb table list"),
            ("list", "ddb table list"),
            ("create table t", "ddb table create"),
            ("describe t", "ddb table show TABLE"),
            ("version", "ddb --version"),
            ("table lst", "ddb table list"),
        ] {
            assert!(said(line).ends_with(&format!("hint: did you mean: {hint}\n")), "{line}: {}", said(line));
        }
        assert!(said("nosuch").ends_with("hint: the commands are listed by: ddb --help\n"));
        assert_eq!(said("table nosuch").lines().next(), Some("error: ddb table has no command \"nosuch\""));
    }

    #[test]
    fn what_is_wrong_with_a_word_is_said_in_two_lines() {
        for (line, error, hint) in [
            ("get t 1 --ouput json", "ddb get has no option --ouput", "did you mean --output?"),
            ("get t 1 2", "\"2\" is one word too many for ddb get", "write: ddb get TABLE ROW_ID"),
            ("get t", "ddb get wants ROW_ID", "write: ddb get TABLE ROW_ID"),
            ("insert", "ddb insert wants TABLE and ROW_ID", "write: ddb insert TABLE ROW_ID [COLUMN=VALUE]…"),
            ("serve", "ddb serve wants --id N", "write: ddb serve --id N"),
            ("status --watch 5", "\"5\" is one word too many for ddb status", "write --watch=5"),
            ("status -o jsn", "\"jsn\" is no value of --output", "did you mean \"json\"?"),
            ("search t --limit x", "\"x\" is no value of --limit", "write a whole number, 0 or more"),
            ("search t --limit -1", "\"-1\" is no value of --limit", "write a whole number, 0 or more"),
            ("get t 1 --timeout soon", "\"soon\" is no value of --timeout", "write it as 500ms, 5s or 2m"),
            ("search t --count --keys-only", "--count and --keys-only exclude each other", "leave one of them out"),
            ("table index t", "ddb table index wants a command: add, drop, list", "see: ddb table index --help"),
            ("search t --order", "--order wants a value", "write --order <A,-B>"),
        ] {
            assert_eq!(said(line), format!("error: {error}\nhint: {hint}\n"), "{line}");
        }
    }
}
