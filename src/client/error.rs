//! Owns why a call got no answer that it could use.

use super::Endpoint;
use crate::model::Failure;

/// An endpoint that was tried in vain, and why it was in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// What came of it, in a few words.
    pub reason: String,
}

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No endpoint could be connected to, so that nothing was sent.
    #[error("no endpoint could be reached; nothing was sent")]
    Unreachable(Vec<Tried>),
    /// A node refused, or what became of the request is not known.
    #[error("{failure}")]
    Failed {
        /// What went wrong, with the fate of the write.
        failure: Failure,
        /// Whether the request was a write.
        write: bool,
        /// The endpoints that were tried in vain before.
        tried: Vec<Tried>,
    },
}

/// A rule that is broken before anything is sent.
impl From<Failure> for ClientError {
    fn from(failure: Failure) -> ClientError {
        ClientError::Failed { failure, write: false, tried: Vec::new() }
    }
}

impl ClientError {
    /// The failure, unless nothing was sent.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            ClientError::Unreachable(_) => None,
            ClientError::Failed { failure, .. } => Some(failure),
        }
    }

    /// The endpoints that were tried in vain.
    pub fn tried(&self) -> &[Tried] {
        match self {
            ClientError::Unreachable(tried) | ClientError::Failed { tried, .. } => tried,
        }
    }
}
