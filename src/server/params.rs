//! Owns the query: which parameters there are, each at most once, decoded once.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::model::{Code, Failure, Filter, excerpt, nearest};
use crate::protocol::{parse_duration, parse_level};
use crate::replication::ReadWant;

/// How long a request may take unless it says otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest that any request may take; one that asks for more gets this.
const LONGEST: Duration = Duration::from_secs(60);

/// The parameters that every route takes.
const COMMON: [&str; 3] = ["level", "min_revision", "timeout"];

/// The parameters of one request.
#[derive(Debug)]
pub(super) struct Params {
    /// How fresh a read must be.
    pub(super) want: ReadWant,
    /// How long the request may take.
    pub(super) timeout: Duration,
    /// Those of the route itself, in the order given.
    own: Vec<(&'static str, String)>,
}

impl Params {
    /// Reads a query whose route takes the parameters `own` besides those that every route takes.
    ///
    /// # Errors
    /// `bad_request` for an unknown, repeated or malformed parameter.
    pub(super) fn parse(query: &str, own: &'static [&'static str]) -> Result<Params, Failure> {
        let mut params = Params { want: ReadWant::default(), timeout: TIMEOUT, own: Vec::new() };
        let mut seen: Vec<&'static str> = Vec::new();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let (name, value) = (known(&decode(name)?, own)?, decode(value)?);
            if name != "filter" && seen.contains(&name) {
                return Err(bad(format!("parameter \"{name}\" stands twice")));
            }
            seen.push(name);
            match name {
                "level" => params.want.level = parse_level(&value)?,
                "min_revision" => params.want.min_revision = Some(number(name, &value)?),
                "timeout" => params.timeout = parse_duration(&value)?.min(LONGEST),
                _ => params.own.push((name, value)),
            }
        }
        Ok(params)
    }

    /// The value of one of the route's own parameters.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of a parameter that may be repeated.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.own.iter().filter(move |(own, _)| *own == name).map(|(_, value)| value.as_str())
    }

    /// The filters, in their order.
    ///
    /// # Errors
    /// `bad_filter` for the first that is none, and where they are too many.
    pub(super) fn filters(&self) -> Result<Vec<Filter>, Failure> {
        Filter::parse_all(self.all("filter"))
    }

    /// The value of a parameter that is a number.
    ///
    /// # Errors
    /// `bad_request` where it is none.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.get(name).map(|value| number(name, value)).transpose()
    }

    /// Whether a parameter that is true or false is there and true; alone it is true.
    ///
    /// # Errors
    /// `bad_request` where it is neither.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name) {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(_) => Err(bad(format!("parameter \"{name}\" is neither true nor false"))),
        }
    }
}

fn bad(message: String) -> Failure {
    Failure::new(Code::BadRequest, message)
}

fn number(name: &str, value: &str) -> Result<u64, Failure> {
    match value.parse() {
        Ok(number) if value.bytes().all(|b| b.is_ascii_digit()) => Ok(number),
        _ => Err(bad(format!("parameter \"{name}\" is not a number: \"{}\"", short(value)))),
    }
}

fn known(name: &str, own: &'static [&'static str]) -> Result<&'static str, Failure> {
    let mut all = own.iter().chain(&COMMON).copied();
    if let Some(known) = all.find(|known| *known == name) {
        return Ok(known);
    }
    let all: Vec<&str> = own.iter().chain(&COMMON).copied().collect();
    Err(bad(format!("unknown parameter \"{}\"", short(name))).hint(match nearest(name, all.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("this route takes {}", all.join(", ")),
    }))
}

fn short(text: &str) -> String {
    excerpt(text, 80)
}

/// A name or value of a query, decoded once: `+` is a space, as forms have it.
fn decode(text: &str) -> Result<String, Failure> {
    let text = if text.contains('+') { &text.replace('+', " ") } else { text };
    if !text.contains('%') {
        return Ok(text.into());
    }
    let whole = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if text.split('%').skip(1).any(|rest| !whole(rest)) {
        return Err(bad(format!("a % in the query is not followed by two hexadecimal digits: \"{}\"", short(text))));
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(bad(format!("the query is not UTF-8 once decoded: \"{}\"", short(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Level;

    const OWN: &[&str] = &["filter", "limit", "cursor"];

    #[test]
    fn parameters_are_decoded_once_and_found() {
        let query = "filter=a%3D1+2&filter=b%3D%252B&&limit=7&level=stale&min_revision=9&timeout=500ms&cursor";
        let params = Params::parse(query, OWN).unwrap();
        assert_eq!(params.all("filter").collect::<Vec<_>>(), ["a=1 2", "b=%2B"]);
        assert_eq!((params.number("limit"), params.get("cursor")), (Ok(Some(7)), Some("")));
        assert_eq!((params.want.level, params.want.min_revision), (Level::Stale, Some(9)));
        assert_eq!(params.timeout, Duration::from_millis(500));
        let params = Params::parse("", OWN).unwrap();
        assert_eq!((params.want.level, params.timeout, params.get("limit")), (Level::Linearizable, TIMEOUT, None));
        assert_eq!(Params::parse("timeout=2m", OWN).map(|p| p.timeout), Ok(LONGEST));
    }

    #[test]
    fn what_is_unknown_repeated_or_malformed_is_refused() {
        for (query, said) in [
            ("levle=stale", "unknown parameter \"levle\""),
            ("order=a", "unknown parameter"),
            ("level=strong", "\"strong\" is not a level"),
            ("level=", "is not a level"),
            ("level=stale&level=stale", "\"level\" stands twice"),
            ("limit=1&limit=2", "\"limit\" stands twice"),
            ("min_revision=-1", "\"min_revision\" is not a number"),
            ("min_revision=+1", "\"min_revision\" is not a number"),
            ("timeout=soon", "is not a duration"),
            ("cursor=%zz", "two hexadecimal digits"),
            ("cursor=%ff", "not UTF-8"),
            ("%6cimit2=1", "unknown parameter \"limit2\""),
        ] {
            let failure = Params::parse(query, OWN).unwrap_err();
            assert!(failure.code == Code::BadRequest && failure.message.contains(said), "{query}: {}", failure.message);
        }
        let params = Params::parse("limit=x", OWN).unwrap();
        assert_eq!(params.number("limit").map_err(|f| f.code), Err(Code::BadRequest));
        assert_eq!(Params::parse("limt=1", OWN).unwrap_err().hint.as_deref(), Some("did you mean \"limit\"?"));
    }
}
