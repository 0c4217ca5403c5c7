//! Owns the words that only a shell has: `\q`, `\timing`, `\set` and the list of them all.

use super::session::{After, Session};
use crate::cli::args::grammar;
use crate::cli::error::{exit, usage};
use crate::cli::options::Options;
use crate::cli::output;
use crate::cli::print::{View, text};
use crate::model::nearest;

/// The words and what they do.
pub(super) const WORDS: [(&str, &str); 4] = [
    ("\\q", "leave; so do exit, quit and Ctrl-D"),
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
                let near = nearest(word, WORDS.iter().map(|(name, _)| &name[1..]));
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
