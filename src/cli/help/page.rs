//! Owns the man pages: one a command, one for the program, one for its configuration.

use std::io;

use clap::Command;
use clap_mangen::Man;

use super::roff::{escape, section, text, wrap};
use super::{EXIT_CODES, topic};

/// The day of the last change of the pages' shape; fixed, so that they are the same whenever made.
const DATE: &str = "2026-11-22";

/// What the pages belong to.
const MANUAL: &str = "ddb Manual";

/// Which version they are of.
const SOURCE: &str = concat!("ddb ", env!("CARGO_PKG_VERSION"));

const FILES: &str = "  ./config.json     the configuration, where nothing names another
  DATA_DIR/node-N/  the data of node N";

/// A man page: the name of its file and what it holds.
pub(crate) struct Page {
    pub(crate) file: String,
    pub(crate) text: String,
}

/// All man pages of the program whose grammar `root` is.
///
/// # Errors
/// None that can happen: the pages are written to memory.
pub(crate) fn pages(mut root: Command) -> io::Result<Vec<Page>> {
    root.build();
    let mut pages = Vec::new();
    collect(&root, &[], &mut pages)?;
    pages.push(config_page());
    Ok(pages)
}

/// The page of `command`, which stands below `above`, and those of its subcommands.
fn collect(command: &Command, above: &[&str], pages: &mut Vec<Page>) -> io::Result<()> {
    let path: Vec<&str> = above.iter().copied().chain([command.get_name()]).collect();
    let shown: Vec<&Command> = command.get_subcommands().filter(|sub| !sub.is_hide_set()).collect();
    pages.push(Page { file: format!("{}.1", path.join("-")), text: page(command, &path)? });
    shown.into_iter().try_for_each(|sub| collect(sub, &path, pages))
}

fn page(command: &Command, path: &[&str]) -> io::Result<String> {
    let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string);
    let sections = sections(help.as_deref().unwrap_or_default());
    let mut text = grammar(command, path, &sections)?;
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        text += &commands(command, path);
    }
    for (heading, body) in sections.iter().filter(|(heading, _)| !matches!(*heading, DESCRIPTION | EXAMPLES | EXIT)) {
        text += &section(heading, body);
    }
    if path.len() == 1 {
        text.extend(["values", "filters", "output", "consistency"].map(|name| section(name, about(name))));
    }
    text += &section("exit status", EXIT_CODES);
    text += &section("environment", about("environment"));
    text += &section("files", FILES);
    text.extend(sections.iter().filter(|(heading, _)| *heading == EXAMPLES).map(|(_, body)| section("examples", body)));
    Ok(wrap(&(text + &see_also(command, path))))
}

/// The sections up to the options, and what the help says without a heading.
fn grammar(command: &Command, path: &[&str], sections: &[(&str, &str)]) -> io::Result<String> {
    let name = path.join("-");
    let usage = command.clone().render_usage().to_string();
    let plain = command.clone().override_usage(usage.trim_start_matches("Usage: ").to_string()).display_name(&name);
    let man = Man::new(plain).title(name.to_uppercase()).section("1").date(DATE).source(SOURCE).manual(MANUAL);
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    for (_, body) in sections.iter().filter(|(heading, _)| *heading == DESCRIPTION) {
        out.extend_from_slice(format!(".PP\n{}", text(body)).as_bytes());
    }
    man.render_options_section(&mut out)?;
    // Every section brings the definition of the apostrophe; once is enough.
    let markup = String::from_utf8_lossy(&out).replace(APOSTROPHE, "");
    Ok(format!("{APOSTROPHE}{markup}"))
}

/// How pages write an apostrophe that no formatter bends.
const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

const DESCRIPTION: &str = "";
const EXAMPLES: &str = "Examples";
const EXIT: &str = "Exit codes";

/// The parts of the text that ends a command's help: (heading, body). A heading is a line of its
/// own that ends in a colon; what stands before the first has none.
fn sections(help: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for part in help.split("\n\n") {
        match part.split_once('\n') {
            Some((heading, body)) if heading.ends_with(':') && body.starts_with("  ") => {
                found.push((heading.trim_end_matches(':'), body));
            }
            // The page has the topics themselves, or says where they are.
            _ if part.starts_with("Topics: ddb help") => {}
            _ => found.push((DESCRIPTION, part)),
        }
    }
    found.retain(|(_, body)| !body.trim().is_empty());
    found
}

fn commands(command: &Command, path: &[&str]) -> String {
    let mut out = String::from(".SH COMMANDS\n");
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        let name = escape(&format!("{}-{}", path.join("-"), sub.get_name()));
        out += &format!(".TP\n\\fB{name}\\fR(1)\n{}\n", escape(&about));
    }
    out
}

fn see_also(command: &Command, path: &[&str]) -> String {
    let mut names: Vec<String> = Vec::new();
    if path.len() > 1 {
        names.push(format!("{}(1)", path[..path.len() - 1].join("-")));
    }
    let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    names.extend(subs.map(|sub| format!("{}-{}(1)", path.join("-"), sub.get_name())));
    names.push("ddb-config(5)".into());
    see(&names)
}

fn see(names: &[String]) -> String {
    let line = |name: &String| {
        let (name, number) = name.split_once('(').unwrap_or((name, ")"));
        format!(".BR {} ({number}", escape(name))
    };
    let lines: Vec<String> = names.iter().map(line).collect();
    format!(".SH SEE ALSO\n{}\n", lines.join(" ,\n"))
}

/// The text of a topic without its examples.
fn about(name: &str) -> &'static str {
    let text = topic(name).map_or("", |topic| topic.text);
    text.split("\nExamples:\n").next().unwrap_or(text)
}

fn config_page() -> Page {
    let text = topic("config").map_or("", |topic| topic.text);
    let examples = text.split("\nExamples:\n").nth(1).unwrap_or_default();
    let mut page = format!(".TH DDB\\-CONFIG 5 {DATE} \"{SOURCE}\" \"{MANUAL}\"\n");
    page += ".SH NAME\nddb\\-config \\- the file that describes a cluster\n";
    page += &section("synopsis", "./config.json");
    page += &section("description", about("config"));
    page += &section("environment", about("environment"));
    page += &section("files", FILES);
    page += &section("examples", examples);
    page += &see(&["ddb(1)".into(), "ddb-config-show(1)".into(), "ddb-serve(1)".into()]);
    Page { file: "ddb-config.5".into(), text: wrap(&page) }
}
