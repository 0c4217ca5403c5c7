//! Owns the options of all commands as names and values, as a session keeps and changes them.

use clap::ValueEnum;

use super::args::Global;
use super::error::{CliError, usage};
use crate::model::nearest;
use crate::protocol::{format_duration, level_name};

/// The options that hold for the statements of a session.
pub(crate) struct Options {
    values: Vec<(&'static str, String)>,
    global: Global,
}

impl Options {
    /// The names, as after `--`.
    pub(crate) const NAMES: [&'static str; 9] =
        ["endpoints", "output", "timeout", "level", "config", "color", "quiet", "verbose", "no-pager"];

    /// The options that were given, and the defaults of the rest.
    pub(crate) fn of(global: &Global) -> Options {
        let name = |value: Option<clap::builder::PossibleValue>| value.map(|v| v.get_name().to_string());
        let flag = |on: bool| on.then(|| "on".to_string());
        let endpoints = global.endpoints.join(",");
        let value = |option: &str| match option {
            "endpoints" => Some(endpoints.clone()).filter(|text| !text.is_empty()),
            "output" => name(global.output.to_possible_value()),
            "timeout" => global.timeout.map(format_duration),
            "level" => Some(level_name(global.level).into()),
            "config" => global.config.as_ref().map(|path| path.display().to_string()),
            "color" => name(global.color.to_possible_value()),
            "quiet" => flag(global.quiet),
            "verbose" => flag(global.verbose),
            _ => flag(global.no_pager),
        };
        let values = Options::NAMES.iter().filter_map(|option| Some((*option, value(option)?))).collect();
        Options { values, global: global.clone() }
    }

    /// The value of an option, where it has one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    /// Gives an option another value; a flag is `on` or `off`.
    ///
    /// # Errors
    /// There is no such option, or this is no value of it.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), CliError> {
        let Some(known) = Options::NAMES.into_iter().find(|known| *known == name) else {
            let near = nearest(name, Options::NAMES);
            let hint = near.map_or_else(
                || format!("there are {}", Options::NAMES.join(", ")),
                |n| format!("did you mean \"{n}\"?"),
            );
            return Err(usage(format!("there is no option \"{name}\""), hint));
        };
        let mut values: Vec<_> = self.values.iter().filter(|(own, _)| *own != known).cloned().collect();
        match (is_flag(known), value) {
            (true, "off") => {}
            (true, "on") | (false, _) => values.push((known, value.into())),
            (true, _) => {
                return Err(usage(format!("{known} is on or off, not \"{value}\""), format!("\\set {known} on")));
            }
        }
        let global = Global::read(words(&values)).map_err(|error| {
            let said = error.render().to_string();
            let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string();
            usage(first, format!("ddb help lists what --{known} takes"))
        })?;
        *self = Options { values, global };
        Ok(())
    }

    /// The options as words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        words(&self.values)
    }

    /// What they mean.
    pub(crate) fn global(&self) -> &Global {
        &self.global
    }
}

fn is_flag(name: &str) -> bool {
    matches!(name, "quiet" | "verbose" | "no-pager")
}

fn words(values: &[(&'static str, String)]) -> Vec<String> {
    let word =
        |(name, value): &(&str, String)| if is_flag(name) { format!("--{name}") } else { format!("--{name}={value}") };
    values.iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::parse;
    use crate::cli::print::Format;

    #[test]
    fn options_come_back_as_they_were_given_and_can_be_set() {
        let typed = ["ddb", "-e", "a:1,b:2", "-ojson", "--timeout", "300ms", "-q", "status"];
        let cli = parse(typed).unwrap();
        let mut options = Options::of(&cli.global);
        let words = ["--endpoints=a:1,b:2", "--output=json", "--timeout=300ms", "--level=linearizable", "--color=auto"];
        assert_eq!(options.words(), [&words[..], &["--quiet"]].concat());
        assert!(options.set("output", "xml").is_err() && options.set("quiet", "maybe").is_err());
        let error = options.set("outptu", "csv").unwrap_err();
        assert!(error.report(Format::Table, false).contains("did you mean \"output\"?"));
        options.set("output", "csv").unwrap();
        options.set("quiet", "off").unwrap();
        assert_eq!((options.global().output, options.global().quiet), (Format::Csv, false));
        assert_eq!(options.get("timeout"), Some("300ms"));
    }

    #[test]
    fn a_statement_has_the_options_of_its_session_unless_it_says_otherwise() {
        let words = |line: &[&str]| parse(["ddb", "--output=json", "-e", "a:1"].iter().chain(line)).unwrap().global;
        let global = words(&["get", "t", "1"]);
        assert_eq!((global.output, global.endpoints), (Format::Json, vec!["a:1".to_string()]));
        let global = words(&["get", "t", "1", "-o", "csv", "-e", "b:2"]);
        assert_eq!((global.output, global.endpoints), (Format::Csv, vec!["b:2".to_string()]));
    }
}
