//! Owns how a typed line falls into words: quotes and backslashes as shells read them.

/// A line up to the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The words before the cursor's, without their quotes.
    pub(crate) words: Vec<String>,
    /// The word at the cursor, without its quotes; empty after a blank.
    pub(crate) current: String,
    /// Where in `current` the part begins that bash replaces: after the last unquoted break.
    pub(crate) kept: usize,
    /// The quote that is still open.
    pub(crate) quote: Option<char>,
}

/// Splits `text`; unquoted characters of `breaks` divide a word for the shell, but not for us.
pub(crate) fn split(text: &str, breaks: &str) -> Line {
    let mut line = Line::default();
    let mut in_word = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (line.quote, c) {
            (Some(open), c) if c == open => line.quote = None,
            // Between double quotes a backslash only hides what would mean something there.
            (Some('"'), '\\') => match chars.next_if(|next| matches!(next, '"' | '\\' | '$' | '`')) {
                Some(hidden) => line.current.push(hidden),
                None => line.current.push('\\'),
            },
            (Some(_), c) => line.current.push(c),
            (None, '"' | '\'') => {
                line.quote = Some(c);
                line.kept = line.current.len();
            }
            (None, '\\') => line.current.extend(chars.next()),
            (None, c) if c.is_ascii_whitespace() => {
                if in_word {
                    line.words.push(std::mem::take(&mut line.current));
                }
                line.kept = 0;
                in_word = false;
                continue;
            }
            (None, c) => {
                line.current.push(c);
                if breaks.contains(c) {
                    line.kept = line.current.len();
                }
            }
        }
        in_word = true;
    }
    line
}

/// `text` as a word that bash reads as it stands.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./,:=@%+~".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKS: &str = " \t\n\"'@><=;|&(:";

    #[test]
    fn words_end_at_blanks_that_are_not_hidden() {
        for (text, words, current, quote) in [
            ("ddb get stu", &["ddb", "get"][..], "stu", None),
            ("ddb get ", &["ddb", "get"], "", None),
            ("ddb  get 'a b' \"c\\\"d\" e\\ f g", &["ddb", "get", "a b", "c\"d", "e f"], "g", None),
            ("ddb get 'a b", &["ddb", "get"], "a b", Some('\'')),
            ("ddb get \"\" \"a", &["ddb", "get", ""], "a", Some('"')),
            ("ddb get \\", &["ddb", "get"], "", None),
            ("", &[], "", None),
        ] {
            let line = split(text, BREAKS);
            assert_eq!((line.words.as_slice(), line.current.as_str(), line.quote), (&to(words)[..], current, quote));
        }
    }

    fn to(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn bash_replaces_what_follows_the_last_break() {
        for (text, kept) in [
            ("ddb insert t 1 grade=", "grade=".len()),
            ("ddb insert t 1 grade=A", "grade=".len()),
            ("ddb insert t 1 a:=@f", "a:=@".len()),
            ("ddb insert t 1 'a=b", 0),
            ("ddb insert t 1 a='b=c", 2),
            ("ddb insert t 1 a=b c", 0),
        ] {
            assert_eq!(split(text, BREAKS).kept, kept, "{text}");
        }
        assert_eq!(split("ddb get a=b", " ").kept, 0);
    }

    #[test]
    fn an_escaped_word_is_read_as_it_was() {
        for word in ["plain", "a b", "it's", "\"q\"", "$HOME", "a\\b", "é&ü", "x=@~/f(1)"] {
            assert_eq!(split(&escape(word), "").current, word);
        }
    }
}
