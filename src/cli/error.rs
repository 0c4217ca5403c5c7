//! Owns how a command fails: what is said about it, and the one table of exit codes.

use std::io;

use serde_json::json;

use super::print::{Format, escape};
use crate::client::{ClientError, Tried};
use crate::config::ConfigError;
use crate::model::{Code, Failure, Fate};
use crate::protocol::encode_failure;
use crate::server::ServeError;

/// The exit codes of SPEC §5.
pub(crate) mod exit {
    pub(crate) const DONE: u8 = 0;
    pub(crate) const ERROR: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const UNREACHABLE: u8 = 3;
    pub(crate) const NOT_FOUND: u8 = 4;
    pub(crate) const CONFLICT: u8 = 5;
    pub(crate) const NO_QUORUM: u8 = 6;
    pub(crate) const UNKNOWN: u8 = 7;
    pub(crate) const REFUSED: u8 = 8;
    pub(crate) const FORBIDDEN: u8 = 9;
    pub(crate) const INTERRUPTED: u8 = 130;
    pub(crate) const TERMINATED: u8 = 143;
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// What was typed cannot be done.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    /// There is no usable configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A rule of the nouns is broken by what was typed.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The cluster did not do it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node does not run.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The result could not be written.
    #[error("the result could not be written: {0}")]
    Output(#[source] io::Error),
    /// The system gives the process no way to wait for anything.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// The reader of the result has gone, which is its good right.
    #[error("the reader has gone")]
    ReaderGone,
    /// The command ran, and its result is not what success is.
    #[error("{message}")]
    Result { exit: u8, message: String },
    /// A script ended early, or had failures; each of them is told already.
    #[error("{place} failed with exit code {exit}; {left}")]
    Stopped { place: String, exit: u8, left: String },
    /// All is said already.
    #[error("exit code {0}")]
    Said(u8),
}

/// A usage error with a hint.
pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> CliError {
    CliError::Usage { message: message.into(), hint: Some(hint.into()) }
}

/// That a file, or stdin, cannot be read.
pub(crate) fn unreadable(file: &str, error: &io::Error) -> CliError {
    let said = error.to_string();
    let said = said.split(" (os error").next().unwrap_or(&said).to_lowercase();
    CliError::Usage { message: format!("cannot read \"{file}\": {said}"), hint: None }
}

/// A message without the numbers that the system gives its errors.
fn plain(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut parts = message.split(" (os error ");
    out += parts.next().unwrap_or_default();
    for part in parts {
        out += part.split_once(')').map_or(part, |(_, rest)| rest);
    }
    out
}

/// The one table of exit codes for what a cluster refuses or leaves open.
pub(crate) fn exit_code(failure: &Failure, write: bool) -> u8 {
    let open = write && failure.fate == Fate::Unknown;
    match failure.code {
        Code::NoLeader | Code::Overloaded | Code::ShuttingDown | Code::DiskFull | Code::Timeout if open => {
            exit::UNKNOWN
        }
        Code::NoLeader | Code::Overloaded | Code::ShuttingDown => exit::NO_QUORUM,
        // A write that is known not to have been applied in time is safe to try again.
        Code::Timeout if write => exit::NO_QUORUM,
        Code::Timeout => exit::UNKNOWN,
        Code::BadRequest | Code::BadJson | Code::BadName | Code::BadFilter | Code::BadSql => exit::USAGE,
        Code::TableNotFound | Code::RowNotFound | Code::IndexNotFound => exit::NOT_FOUND,
        Code::TableExists | Code::RowExists | Code::UniqueViolation | Code::RevisionMismatch => exit::CONFLICT,
        Code::ConditionFailed | Code::ColumnExists | Code::IndexExists => exit::CONFLICT,
        Code::BadLine | Code::UnknownColumn | Code::TypeMismatch | Code::TooLarge => exit::REFUSED,
        Code::NotNullViolation => exit::REFUSED,
        Code::Unauthenticated | Code::Forbidden => exit::FORBIDDEN,
        Code::NotFound
        | Code::MethodNotAllowed
        | Code::UnsupportedMediaType
        | Code::IdempotencyKeyReused
        | Code::Compacted
        | Code::DiskFull
        | Code::Internal => exit::ERROR,
    }
}

impl CliError {
    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            CliError::Usage { .. } | CliError::Config(_) => exit::USAGE,
            CliError::Refused(failure) => exit_code(failure, false),
            CliError::Client(ClientError::Unreachable(_)) => exit::UNREACHABLE,
            CliError::Client(ClientError::Failed { failure, write, .. }) => exit_code(failure, *write),
            CliError::Serve(error) if error.is_config() => exit::USAGE,
            CliError::Serve(_) | CliError::Output(_) | CliError::Runtime(_) => exit::ERROR,
            CliError::ReaderGone => exit::DONE,
            CliError::Result { exit, .. } | CliError::Stopped { exit, .. } | CliError::Said(exit) => *exit,
        }
    }

    /// What stands on stderr; empty where nothing is left to say.
    pub(crate) fn report(&self, format: Format, verbose: bool) -> String {
        match self {
            CliError::ReaderGone | CliError::Said(_) => String::new(),
            _ if format.is_json() => self.document() + "\n",
            _ => self.lines(verbose),
        }
    }

    fn lines(&self, verbose: bool) -> String {
        let mut out = format!("error: {}\n", escape(&plain(&self.to_string())));
        for Tried { endpoint, reason } in self.tried(verbose) {
            out += &format!("  {endpoint}: {}\n", escape(reason));
        }
        if let Some(hint) = self.hint() {
            out += &format!("hint: {}\n", escape(&hint));
        }
        out
    }

    /// The endpoints that explain the error.
    fn tried(&self, verbose: bool) -> &[Tried] {
        match self {
            CliError::Client(error @ ClientError::Unreachable(_)) => error.tried(),
            CliError::Client(error) if verbose || error.failure().is_some_and(|f| f.code == Code::Timeout) => {
                error.tried()
            }
            _ => &[],
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CliError::Usage { hint, .. } => hint.clone(),
            CliError::Refused(failure) => failure.hint.clone(),
            CliError::Client(ClientError::Unreachable(_)) => {
                Some("is a node running there? see: ddb serve --help, or try: ddb demo".into())
            }
            CliError::Client(ClientError::Failed { failure, write, .. }) => match &failure.hint {
                None if *write && failure.fate == Fate::Unknown => {
                    Some("the write may have been applied; look before you send it again".into())
                }
                hint => hint.clone(),
            },
            CliError::Serve(ServeError::Listen(_, error)) if error.kind() == io::ErrorKind::AddrInUse => {
                Some("the node runs already (see: ddb status), or another program has its port".into())
            }
            _ => None,
        }
    }

    /// The error as the HTTP error object.
    fn document(&self) -> String {
        let (code, retryable) = match self {
            CliError::Client(ClientError::Failed { failure, write, .. }) => return encoded(failure, *write),
            CliError::Refused(failure) => return encoded(failure, false),
            CliError::Client(ClientError::Unreachable(_)) => ("unreachable", true),
            CliError::Usage { .. } => ("usage", false),
            CliError::Config(_) => ("bad_config", false),
            CliError::Stopped { .. } => ("stopped", false),
            CliError::Result { exit: exit::UNKNOWN, .. } => ("timeout", true),
            CliError::Result { exit: exit::NO_QUORUM, .. } => ("unhealthy", true),
            CliError::Result { exit: exit::NOT_FOUND, .. } => ("empty", false),
            _ => ("internal", false),
        };
        let unreachable = code == "unreachable";
        let told = |t: &Tried| json!({ "endpoint": t.endpoint.as_str(), "reason": t.reason });
        let error = Document {
            code,
            message: plain(&self.to_string()),
            hint: self.hint(),
            outcome: unreachable.then_some(Fate::NotApplied),
            retryable,
            tried: unreachable.then(|| self.tried(true).iter().map(told).collect()),
        };
        json_of(&error)
    }
}

/// The HTTP error object for what no node said.
#[derive(serde::Serialize)]
struct Document {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Fate>,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tried: Option<Vec<serde_json::Value>>,
}

fn json_of(error: &Document) -> String {
    // Strings, bools and an enum: there is nothing in it that JSON cannot hold.
    let error = serde_json::to_string(error).unwrap_or_default();
    format!("{{\"error\":{error}}}")
}

fn encoded(failure: &Failure, write: bool) -> String {
    String::from_utf8_lossy(&encode_failure(failure, write)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Endpoint;

    fn failed(failure: Failure, write: bool) -> CliError {
        CliError::Client(ClientError::Failed { failure, write, tried: Vec::new() })
    }

    #[test]
    fn every_code_and_fate_has_the_exit_code_of_the_contract() {
        for (code, fate, write, wanted) in [
            (Code::NoLeader, Fate::NotApplied, true, 6),
            (Code::NoLeader, Fate::NotApplied, false, 6),
            (Code::NoLeader, Fate::Unknown, true, 7),
            (Code::Overloaded, Fate::NotApplied, true, 6),
            (Code::ShuttingDown, Fate::Unknown, true, 7),
            (Code::Timeout, Fate::Unknown, true, 7),
            (Code::Timeout, Fate::NotApplied, true, 6),
            (Code::Timeout, Fate::NotApplied, false, 7),
            (Code::DiskFull, Fate::NotApplied, true, 1),
            (Code::Internal, Fate::Unknown, true, 1),
            (Code::BadJson, Fate::NotApplied, true, 2),
            (Code::BadFilter, Fate::NotApplied, false, 2),
            (Code::TableNotFound, Fate::NotApplied, false, 4),
            (Code::RowNotFound, Fate::NotApplied, true, 4),
            (Code::RowExists, Fate::NotApplied, true, 5),
            (Code::TableExists, Fate::NotApplied, true, 5),
            (Code::RevisionMismatch, Fate::NotApplied, true, 5),
            (Code::UnknownColumn, Fate::NotApplied, true, 8),
            (Code::TypeMismatch, Fate::NotApplied, true, 8),
            (Code::TooLarge, Fate::NotApplied, true, 8),
            (Code::BadLine, Fate::Unknown, true, 8),
            (Code::Forbidden, Fate::NotApplied, true, 9),
        ] {
            let mut failure = Failure::new(code, "x");
            failure.fate = fate;
            assert_eq!(failed(failure, write).exit(), wanted, "{code:?} {fate:?} {write}");
        }
        assert_eq!(CliError::Client(ClientError::Unreachable(Vec::new())).exit(), 3);
        assert_eq!(usage("x", "y").exit(), 2);
        assert_eq!(CliError::ReaderGone.exit(), 0);
        assert_eq!(CliError::Output(io::Error::other("x")).exit(), 1);
    }

    #[test]
    fn an_error_is_a_line_a_hint_and_for_programs_the_object_of_the_node() {
        let failure = Failure::new(Code::TableNotFound, "table \"studnets\" does not exist")
            .hint("did you mean \"students\"? list them with: ddb table list");
        let error = failed(failure, false);
        let wanted = "error: table \"studnets\" does not exist\nhint: did you mean \"students\"? list them with: ddb table list\n";
        assert_eq!(error.report(Format::Table, false), wanted);
        let wanted = r#"{"error":{"code":"table_not_found","message":"table \"studnets\" does not exist","hint":"did you mean \"students\"? list them with: ddb table list","retryable":false}}"#;
        assert_eq!(error.report(Format::Jsonl, false), format!("{wanted}\n"));
    }

    #[test]
    fn numbers_of_the_system_are_not_for_people() {
        assert_eq!(plain("a: Not found (os error 2); b: refused (os error 111)"), "a: Not found; b: refused");
    }

    #[test]
    fn an_unknown_outcome_is_always_said() {
        let error = failed(Failure::internal("a fault").unknown(), true);
        assert!(error.report(Format::Table, false).contains("may have been applied"));
        assert!(error.report(Format::Json, false).contains("\"outcome\":\"unknown\""));
    }

    #[test]
    fn what_was_tried_in_vain_is_listed() {
        let endpoint = Endpoint::parse("a:1").unwrap();
        let tried = vec![Tried { endpoint, reason: "connection\u{1b} refused".into() }];
        let error = CliError::Client(ClientError::Unreachable(tried));
        let said = error.report(Format::Csv, false);
        assert!(
            said.starts_with(
                "error: no endpoint could be reached; nothing was sent\n  http://a:1: connection\\u{1b} refused\nhint: "
            ),
            "{said}"
        );
        let document: serde_json::Value = serde_json::from_str(&error.report(Format::Json, false)).unwrap();
        assert_eq!(document["error"]["tried"][0]["endpoint"], "http://a:1");
        assert_eq!(document["error"]["outcome"], "not_applied");
    }
}
