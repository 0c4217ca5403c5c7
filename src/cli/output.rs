//! Owns stdout and stderr of a command: a closed pipe is told apart, and nothing panics.

use std::io::{self, ErrorKind, Write as _};

use super::error::CliError;

/// Writes a result to stdout.
pub(crate) fn result(text: &str) -> Result<(), CliError> {
    result_bytes(text.as_bytes())
}

/// `result` for bytes.
pub(crate) fn result_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CliError::ReaderGone),
        Err(error) => Err(CliError::Output(error)),
    }
}

/// Writes to stderr; where that is closed there is nobody left to tell.
pub(crate) fn remark(text: &str) {
    remark_bytes(text.as_bytes());
}

/// `remark` for bytes.
pub(crate) fn remark_bytes(bytes: &[u8]) {
    let _ = io::stderr().lock().write_all(bytes);
}
