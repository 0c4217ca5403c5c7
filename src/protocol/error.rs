//! Owns the JSON of a refusal: `{"error":{"code","message","hint","outcome","retryable"}}`.

use serde::{Deserialize, Serialize};

use crate::model::{Code, Failure, Fate};

#[derive(Serialize, Deserialize)]
struct Body {
    error: Inner,
}

#[derive(Serialize, Deserialize)]
struct Inner {
    code: String,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Fate>,
    #[serde(default)]
    retryable: bool,
}

/// The body for a failure; `outcome` stands in it where the request was a write.
pub fn encode_failure(failure: &Failure, write: bool) -> Vec<u8> {
    let error = Inner {
        code: failure.code.as_str().into(),
        message: failure.message.clone(),
        hint: failure.hint.clone(),
        outcome: write.then_some(failure.fate),
        retryable: failure.retryable,
    };
    // Strings, a bool and an enum: there is nothing in it that JSON cannot hold.
    serde_json::to_vec(&Body { error }).unwrap_or_default()
}

/// The failure that `body` tells of; `None` if it is no such body.
///
/// A code that this version does not know is `internal`, with the message kept. Where the body
/// tells no outcome the request was no write, and the fate is `NotApplied`.
pub fn decode_failure(body: &[u8]) -> Option<Failure> {
    let Body { error } = serde_json::from_slice(body).ok()?;
    Some(Failure {
        code: Code::parse(&error.code).unwrap_or(Code::Internal),
        message: error.message,
        hint: error.hint,
        fate: error.outcome.unwrap_or(Fate::NotApplied),
        retryable: error.retryable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_comes_back_as_it_was() {
        let failure = Failure::new(Code::NoLeader, "no \"leader\"").hint("wait").unknown();
        let body = encode_failure(&failure, true);
        let text = r#"{"error":{"code":"no_leader","message":"no \"leader\"","hint":"wait","outcome":"unknown","retryable":true}}"#;
        assert_eq!(String::from_utf8_lossy(&body), text);
        assert_eq!(decode_failure(&body), Some(failure));
    }

    #[test]
    fn a_read_tells_no_outcome_and_a_stranger_no_failure() {
        let failure = Failure::new(Code::RowNotFound, "gone");
        let body = encode_failure(&failure, false);
        assert_eq!(
            String::from_utf8_lossy(&body),
            r#"{"error":{"code":"row_not_found","message":"gone","retryable":false}}"#
        );
        assert_eq!(decode_failure(&body), Some(failure));
        assert_eq!(decode_failure(b"<html>"), None);
        let newer = br#"{"error":{"code":"new","message":"m","more":1}}"#;
        assert_eq!(decode_failure(newer).map(|f| (f.code, f.message)), Some((Code::Internal, "m".into())));
    }
}
