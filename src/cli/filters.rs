//! Owns the words that are filters: read as the nouns read them, with a hint for what other languages write.

use super::error::CliError;
use crate::model::{Failure, Filter, check_name};

/// Operators of other languages, the longer ones first, and what stands for them here.
const ELSEWHERE: [(&str, &str); 8] = [
    (">=", ".ge="),
    ("<=", ".le="),
    ("<>", "!="),
    (">", ".gt="),
    ("<", ".lt="),
    ("~", ".contains="),
    (" like ", ".contains="),
    (" LIKE ", ".contains="),
];

/// The filters that the words are.
///
/// # Errors
/// The first word that is none.
pub(crate) fn filters(words: &[String]) -> Result<Vec<Filter>, CliError> {
    match words.iter().find_map(|word| Filter::parse(word).err().map(|failure| refused(failure, word))) {
        Some(error) => Err(error),
        None => Ok(Filter::parse_all(words.iter().map(String::as_str))?),
    }
}

fn refused(failure: Failure, word: &str) -> CliError {
    match meant(word) {
        Some(ours) => failure.hint(format!("did you mean '{ours}'? see: ddb help filters")).into(),
        None => failure.into(),
    }
}

/// The word with our operator, where it has one of another language.
fn meant(word: &str) -> Option<String> {
    ELSEWHERE.iter().find_map(|(theirs, ours)| {
        let (column, value) = word.split_once(theirs)?;
        let (column, value) = (column.trim(), value.trim());
        let plain = check_name("column", column).is_ok() && !value.contains(char::is_control);
        plain.then(|| format!("{column}{ours}{}", value.trim_matches(['%', '\''])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::Format;

    #[test]
    fn an_operator_of_another_language_is_told_in_ours() {
        for (word, ours) in [
            ("age>18", "age.gt=18"),
            ("age >= 18", "age.ge=18"),
            ("age<=18", "age.le=18"),
            ("name<>Sara", "name!=Sara"),
            ("name like 'Ah%'", "name.contains=Ah"),
        ] {
            let said = filters(&[word.into()]).unwrap_err().report(Format::Table, false);
            assert!(said.contains(&format!("hint: did you mean '{ours}'? see: ddb help filters\n")), "{said}");
            assert!(Filter::parse(ours).is_ok(), "{ours}");
        }
        assert!(filters(&["age".into()]).unwrap_err().report(Format::Table, false).contains("hint: write a filter as"));
        assert_eq!(filters(&["age=1".into(), "name=a>b".into()]).unwrap().len(), 2);
    }
}
