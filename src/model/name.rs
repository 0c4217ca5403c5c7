//! Owns the rule for names of tables and columns, and the search for the nearest known one.

use super::{Code, Failure};

/// What a user sent, as it may stand in a message: escaped, and at most `most` characters of it.
pub fn excerpt(text: &str, most: usize) -> String {
    text.chars().take(most).flat_map(char::escape_debug).collect()
}

/// Checks a table or column name: `^[A-Za-z_][A-Za-z0-9_]{0,62}$`, not starting with `_`.
///
/// `what` is the noun for the message: `table` or `column`.
///
/// # Errors
/// `bad_name`, saying which rule is broken.
pub fn check_name(what: &str, name: &str) -> Result<(), Failure> {
    let bad = |why: &str| {
        let shown = excerpt(name, 80);
        Err(Failure::new(Code::BadName, format!("\"{shown}\" is not a {what} name: {why}"))
            .hint("a name is 1 to 63 letters, digits and underscores, and starts with a letter"))
    };
    let bytes = name.as_bytes();
    match bytes.first() {
        None => bad("it is empty"),
        Some(b'_') => bad("names that start with _ are reserved"),
        Some(b) if !b.is_ascii_alphabetic() => bad("it does not start with a letter"),
        Some(_) if bytes.len() > 63 => bad("it is longer than 63 bytes"),
        Some(_) if !bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') => {
            bad("only letters, digits and _ may stand in it")
        }
        Some(_) => Ok(()),
    }
}

/// The known name nearest to `wanted`, if one is near enough to be what was meant.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(&wanted.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words:
/// the optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_and_nothing_else() {
        for good in ["a", "students", "Grade_2", &"x".repeat(63)] {
            assert!(check_name("table", good).is_ok(), "{good}");
        }
        for bad in ["", "_x", "1a", "a-b", "a b", "é", "a\0", "../x", &"x".repeat(64)] {
            assert_eq!(check_name("table", bad).map_err(|f| f.code), Err(Code::BadName), "{bad:?}");
        }
    }

    #[test]
    fn the_nearest_name_is_a_slip_of_the_hand_away() {
        assert_eq!(nearest("studnets", ["teachers", "students"]), Some("students"));
        assert_eq!(nearest("Grade", ["grade", "name"]), Some("grade"));
        assert_eq!(nearest("zzz", ["students"]), None);
    }
}
