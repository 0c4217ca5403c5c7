//! Owns the words that only a shell has: `\q`, `\timing`, `\set` and the list of them all.

use super::session::{After, Session};
use crate::cli::args::grammar;
use crate::cli::error::{exit, usage};
use crate::cli::options::Options;
use crate::cli::output;
use crate::cli::print::{View, text};
use crate::model::nearest;

/// The words and what they do.
pub(super) const WORDS: [(&str, &str); 6] = [
    ("\\q", "leave; so do exit, quit and Ctrl-D"),
    ("\\d", "list the tables; \\d TABLE shows one"),
    ("\\x", "on|off: show results one column a line"),
    ("\\timing", "on|off: tell how long each statement takes"),
    ("\\set", "show the options that hold for all statements; NAME VALUE sets one: \\set output json"),
    ("\\?", "this list; so does help"),
];

impl Session {
    /// Runs what stands behind a backslash.
    pub(super) fn meta(&mut self, words: &[String]) -> After {
        let words: Vec<&str> = words.iter().map(|word| word.trim_end_matches(';')).collect();
        match words.as_slice() {
            ["q"] => After::Ends,
            ["?"] => self.say(&help()),
            ["d" | "dt"] => self.words(vec!["table".into(), "list".into()]),
            ["d", table] => self.words(vec!["table".into(), "show".into(), (*table).into()]),
            ["x"] => self.lines(self.options.get("output") != Some("line")),
            ["x", "on"] => self.lines(true),
            ["x", "off"] => self.lines(false),
            ["timing"] => self.time(!self.timing),
            ["timing", "on"] => self.time(true),
            ["timing", "off"] => self.time(false),
            ["set"] => self.settings(),
            ["set", name, value @ ..] if !value.is_empty() => match self.options.set(name, &value.join(" ")) {
                Ok(()) => After::Goes(exit::DONE),
                Err(error) => self.refuse(error),
            },
            [] => self.refuse(usage("a word is missing behind \\", "\\? lists them")),
            [word, ..] => {
                // A single letter is near to every other.
                let names = WORDS.iter().map(|(name, _)| &name[1..]).filter(|name| name.len() > 1);
                let near = nearest(word, names);
                let hint = near.map_or("\\? lists what there is".into(), |near| {
                    format!("did you mean \\{near}? \\? lists what there is")
                });
                self.refuse(usage(format!("\"\\{}\" cannot be understood", words.join(" ")), hint))
            }
        }
    }

    fn say(&self, text: &str) -> After {
        match output::result(text) {
            Ok(()) => After::Goes(exit::DONE),
            Err(_) => After::Ends,
        }
    }

    fn time(&mut self, on: bool) -> After {
        self.timing = on;
        self.context().note(if on { "timing is on" } else { "timing is off" });
        After::Goes(exit::DONE)
    }

    fn lines(&mut self, on: bool) -> After {
        match self.options.set("output", if on { "line" } else { "table" }) {
            Ok(()) => {
                self.context().note(if on { "output is line" } else { "output is table" });
                After::Goes(exit::DONE)
            }
            Err(error) => self.refuse(error),
        }
    }

    fn settings(&self) -> After {
        let rows =
            Options::NAMES.iter().map(|name| vec![text(*name), text(self.options.get(name).unwrap_or_default())]);
        let view = View::list(&["name", "value"], rows.collect());
        match self.context().show(&view) {
            Ok(()) => After::Goes(exit::DONE),
            Err(error) => self.refuse(error),
        }
    }
}

/// The commands, and what only a shell has.
fn help() -> String {
    let root = grammar();
    let about = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut lines = vec!["Commands, as after ddb (NAME --help tells all):".to_string()];
    let shown = root.get_subcommands().filter(|command| !command.is_hide_set());
    let usable = shown.filter(|command| !matches!(command.get_name(), "serve" | "demo" | "shell"));
    lines.extend(usable.map(|command| format!("  {:<12} {}", command.get_name(), about(command))));
    lines.push("A query (SELECT …) ends with a semicolon and may have many lines.".into());
    lines.push("Of the shell:".into());
    lines.extend(WORDS.iter().map(|(word, about)| format!("  {word:<12} {about}")));
    lines.join("\n") + "\n"
}
