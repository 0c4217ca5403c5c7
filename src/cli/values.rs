//! Owns the words that give columns their values: `name=text`, `age:=json`, `bio=@file`, `=@-` for stdin.

use std::io::Read as _;

use super::error::{CliError, usage};
use super::print::escape;
use crate::model::{Cell, Value, check_name};

/// The help that every command with values has.
pub(crate) const HELP: &str = "\
Values:
  name=Ahmed     text, made to fit the column's type
  age:=29        JSON: a number, true, null, \"text\", [1,2], {\"a\":1}
  bio=@file      the text of a file, as it is; bio:=@file reads JSON
  bio=@-         the text of stdin; bio:=@- reads JSON
  handle=@@me    text that begins with @";

/// Reads what stands behind `@`: the name of a file, or `-` for stdin.
type Read<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<String>;

/// The cells that the words give, each column at most once.
///
/// # Errors
/// What is wrong with which word.
pub(crate) fn cells(words: &[String]) -> Result<Vec<(String, Cell)>, CliError> {
    let mut stdin_read = false;
    parse(words, &mut |source| {
        let mut text = String::new();
        if source != "-" {
            return std::fs::read_to_string(source);
        }
        if std::mem::replace(&mut stdin_read, true) {
            return Err(std::io::Error::other("it was read for another column already"));
        }
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    })
}

fn parse(words: &[String], read: Read<'_>) -> Result<Vec<(String, Cell)>, CliError> {
    let mut cells: Vec<(String, Cell)> = Vec::with_capacity(words.len());
    for word in words {
        let (name, cell) = cell(word, read)?;
        if cells.iter().any(|(other, _)| *other == name) {
            return Err(CliError::Usage { message: format!("column \"{name}\" is given twice"), hint: None });
        }
        cells.push((name, cell));
    }
    Ok(cells)
}

fn cell(word: &str, read: Read<'_>) -> Result<(String, Cell), CliError> {
    let Some((name, value)) = word.split_once('=') else {
        let shown = short(word);
        return Err(usage(format!("\"{shown}\" gives no value: it has no ="), "write COLUMN=VALUE, or COLUMN:=JSON"));
    };
    let (name, json) = name.strip_suffix(':').map_or((name, false), |name| (name, true));
    check_name("column", name)?;
    let text = match value.strip_prefix('@') {
        None => value.to_string(),
        Some(rest) if rest.starts_with('@') => rest.to_string(),
        Some(source) => read(source).map_err(|error| {
            let from = if source == "-" { "stdin".into() } else { format!("\"{}\"", short(source)) };
            usage(
                format!("column \"{name}\": cannot read {from}: {}", plain(&error)),
                format!("for text that begins with @ write {name}=@@…"),
            )
        })?,
    };
    if !json {
        return Ok((name.into(), Cell::Text(text)));
    }
    match Value::parse_json(&text) {
        Ok(value) => Ok((name.into(), Cell::Exact(value))),
        Err(why) => Err(usage(
            format!("column \"{name}\": \"{}\" cannot be kept: {}", short(&text), escape(&why)),
            format!("for text write {name}=… or {name}:='\"…\"'"),
        )),
    }
}

/// Whether a word reads like COLUMN=VALUE, wherever it stands.
pub(crate) fn is_cell(word: &str) -> bool {
    let Some((name, value)) = word.split_once('=') else { return false };
    !value.is_empty() && check_name("column", name.trim_end_matches(':')).is_ok()
}

/// What the system said, without its number.
fn plain(error: &std::io::Error) -> String {
    let said = error.to_string();
    said.split(" (os error").next().unwrap_or(&said).to_string()
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{dots}", escape(&cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Vec<(String, Cell)>, CliError> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        parse(&words, &mut |source| match source {
            "-" => Ok("from stdin\n".into()),
            "list.json" => Ok(" [1, 2.50]\n".into()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        })
    }

    #[test]
    fn a_word_is_text_json_a_file_or_stdin() {
        let words = ["a=Ahmed", "b:=29", "c=@-", "d:=@list.json", "e=@@me", "f==x:=y", "g=", "h:=null", "i:=\"7\""];
        let text = |text: &str| Cell::Text(text.into());
        let wanted = [
            ("a", text("Ahmed")),
            ("b", Cell::Exact(Value::Int(29))),
            ("c", text("from stdin\n")),
            ("d", Cell::Exact(Value::Json("[1,2.50]".into()))),
            ("e", text("@me")),
            ("f", text("=x:=y")),
            ("g", text("")),
            ("h", Cell::Exact(Value::Null)),
            ("i", Cell::Exact(Value::Text("7".into()))),
        ];
        assert_eq!(read(&words).unwrap(), wanted.map(|(name, cell)| (name.to_string(), cell)));
    }

    #[test]
    fn a_bad_word_is_a_usage_error_that_names_it() {
        for (words, said) in [
            (&["name"][..], "\"name\" gives no value"),
            (&["=x"], "not a column name: it is empty"),
            (&["a-b=x"], "only letters"),
            (&["a=1", "a:=2"], "column \"a\" is given twice"),
            (&["a:=Ahmed"], "column \"a\": \"Ahmed\" cannot be kept"),
            (&["a:=9223372036854775808"], "does not fit in 64 bits"),
            (&["a:={\"k\":1,\"k\":2}"], "stands twice"),
            (&["a=@nowhere"], "column \"a\": cannot read \"nowhere\""),
        ] {
            let error = read(words).unwrap_err();
            assert_eq!(error.exit(), 2, "{words:?}");
            assert!(error.to_string().contains(said), "{words:?}: {error}");
        }
    }
}
