//! Owns where in the grammar the typed words end: the command, the options given, what comes next.

use clap::{Arg, ArgAction, Command};

/// Where the cursor stands.
pub(crate) struct Place<'a> {
    /// The whole grammar.
    pub(super) root: &'a Command,
    /// The command that the words name.
    pub(crate) command: &'a Command,
    /// What its arguments were given: (id of the argument, value), in order; flags with no value.
    pub(super) given: Vec<(&'a str, String)>,
    /// The option whose value is next.
    pub(super) waiting: Option<&'a Arg>,
    /// How many positional words there were.
    positionals: usize,
    /// Whether `--` has ended the options.
    pub(super) literal: bool,
}

impl<'a> Place<'a> {
    /// Follows `words`, those behind the program's name, from the built command `root`.
    pub(crate) fn find(root: &'a Command, words: &[String]) -> Place<'a> {
        let mut place = Place { root, command: root, given: Vec::new(), waiting: None, positionals: 0, literal: false };
        for word in words {
            place.step(word);
        }
        place
    }

    fn step(&mut self, word: &str) {
        if let Some(option) = self.waiting.take() {
            self.given.push((option.get_id().as_str(), word.into()));
        } else if self.literal || !is_option(word) {
            self.positional(word);
        } else if word == "--" {
            self.literal = true;
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            if let Some(option) = self.option(|arg| arg.get_long() == Some(name)) {
                self.take(option, value);
            }
        } else {
            self.cluster(&word[1..]);
        }
    }

    /// Short options in one word: `-qv`, `-ojson`.
    fn cluster(&mut self, letters: &str) {
        for (at, letter) in letters.char_indices() {
            let Some(option) = self.option(|arg| arg.get_short() == Some(letter)) else { return };
            let rest = &letters[at + letter.len_utf8()..];
            if takes_value(option) {
                let rest = rest.strip_prefix('=').unwrap_or(rest);
                return self.take(option, (!rest.is_empty()).then_some(rest));
            }
            self.take(option, None);
        }
    }

    fn take(&mut self, option: &'a Arg, value: Option<&str>) {
        match value {
            Some(value) => self.given.push((option.get_id().as_str(), value.into())),
            None if takes_value(option) && !option.is_require_equals_set() => self.waiting = Some(option),
            None => self.given.push((option.get_id().as_str(), String::new())),
        }
    }

    fn positional(&mut self, word: &str) {
        if !self.literal
            && let Some(command) = self.command.find_subcommand(word)
        {
            self.command = command;
            self.positionals = 0;
        } else {
            if let Some(arg) = self.next_positional() {
                self.given.push((arg.get_id().as_str(), word.into()));
            }
            self.positionals += 1;
        }
    }

    /// The positional argument that the next word would be.
    pub(super) fn next_positional(&self) -> Option<&'a Arg> {
        let free = |arg: &&Arg| self.literal || !arg.is_last_set();
        let all: Vec<&Arg> = self.command.get_positionals().filter(free).collect();
        match all.get(self.positionals) {
            None => all.last().copied().filter(|arg| is_repeated(arg)),
            found => found.copied(),
        }
    }

    /// Whether a word stands where a command should, and is none.
    pub(super) fn is_unknown(&self) -> bool {
        self.command.has_subcommands() && self.positionals > 0
    }

    /// The option of this command for which `wanted` holds.
    pub(super) fn option(&self, wanted: impl Fn(&Arg) -> bool) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| !arg.is_positional() && wanted(arg))
    }

    /// The options that may still be given.
    pub(super) fn options(&self) -> impl Iterator<Item = &'a Arg> {
        let free = |arg: &&Arg| {
            let again = matches!(arg.get_action(), ArgAction::Append);
            !arg.is_positional()
                && !arg.is_hide_set()
                && (again || !self.given.iter().any(|(id, _)| arg.get_id() == *id))
        };
        self.command.get_arguments().filter(free)
    }

    /// The last value that the argument `id` was given.
    pub(super) fn value(&self, id: &str) -> Option<&str> {
        self.given.iter().rev().find(|(other, _)| *other == id).map(|(_, value)| value.as_str())
    }
}

/// Whether a word is an option, and not a negative number or the name of stdin.
pub(super) fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && !word[1..].starts_with(|c: char| c.is_ascii_digit())
}

pub(super) fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn is_repeated(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.max_values() > 1)
}
