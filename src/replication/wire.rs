//! Owns the messages between nodes and their frames.
//!
//! A peer connection is an HTTP/1.1 connection upgraded to `ddb-peer`. After the upgrade the
//! dialling node sends requests and the accepting node answers, in any order. A frame is a
//! little-endian `u32` length (of what follows), a `u64` request id, and a postcard message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::types::{Answers, Batch, TypeConfig, Vote, entry_size};
use crate::model::{Failure, NodeDigest, NodeStatus};

/// The largest frame that is accepted.
const MAX_FRAME: usize = 64 << 20;

/// About how many bytes a frame without rows takes.
const SMALL_FRAME: usize = 128;

/// What a node asks of another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Raft: replicate entries, or a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// Raft: grant a vote.
    Vote(VoteRequest<TypeConfig>),
    /// Raft: would you grant a vote?
    PreVote(VoteRequest<TypeConfig>),
    /// Raft: leadership goes to another node.
    Transfer(TransferLeaderRequest<TypeConfig>),
    /// Propose so many items, as the leader.
    Forward(u32, Batch),
    /// The log index that a linearizable read must have applied, asked of the leader.
    ReadIndex,
    /// The newest term in which you have voted.
    Voted,
    /// How are you?
    Status,
    /// The hash kept under this token.
    Digest(u64),
    /// A snapshot begins, sent under this leader's vote; chunks and an end follow on this connection.
    SnapshotBegin(Vote),
    /// A piece of the snapshot.
    SnapshotChunk(Bytes),
    /// The snapshot is complete: install it.
    SnapshotEnd,
}

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Response {
    /// To `Append`.
    Append(AppendEntriesResponse<TypeConfig>),
    /// To `Vote` and `PreVote`.
    Vote(VoteResponse<TypeConfig>),
    /// To `Transfer`.
    Transfer(TransferLeaderResponse<TypeConfig>),
    /// To `Forward`.
    Forward(Result<Answers, Refusal>),
    /// To `ReadIndex`.
    ReadIndex(Result<ReadIndex, Failure>),
    /// To `Voted`.
    Voted(u64),
    /// To `Status`.
    Status(NodeStatus),
    /// To `Digest`; `None` while it is being made.
    Digest(Option<NodeDigest>),
    /// To `SnapshotBegin` and `SnapshotChunk`.
    Received,
    /// To `SnapshotEnd`: the receiver's vote.
    Installed(Vote),
    /// The request could not be carried out.
    Fault(String),
    /// The node stops: what it has not answered on this connection, pieces of a snapshot apart, it has not taken.
    /// To no request: its id is 0.
    Closing,
}

/// What a linearizable read must have applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadIndex {
    /// The log index.
    pub(crate) index: u64,
    /// Where only the vote of whoever asked can tell that the leader still led: the index holds unless that is
    /// of a higher term. `None` where a quorum has told.
    pub(crate) unless_voted_beyond: Option<u64>,
}

/// Why a batch of items was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// This node does not lead (any more); nothing was proposed. The leader it knows, if any.
    NotLeader(Option<u64>),
    /// Refused at the door; nothing was proposed.
    Refused(Failure),
    /// It was proposed, and what became of it is unknown.
    Unknown(String),
}

impl Request {
    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        let payload = match self {
            Request::Append(append) => append.entries.iter().map(entry_size).sum(),
            Request::Forward(_, batch) => batch.0.len(),
            Request::SnapshotChunk(chunk) => chunk.len(),
            _ => 0,
        };
        SMALL_FRAME + payload
    }
}

/// Encodes one small frame.
pub(crate) fn encode<T: Serialize>(id: u64, message: &T) -> Result<Bytes, postcard::Error> {
    encode_sized(id, message, SMALL_FRAME)
}

/// Encodes one frame of about so many bytes.
pub(crate) fn encode_sized<T: Serialize>(id: u64, message: &T, size: usize) -> Result<Bytes, postcard::Error> {
    let mut out = Vec::with_capacity(size);
    out.put_u32_le(0);
    out.put_u64_le(id);
    let mut out = postcard::to_extend(message, out)?;
    let length = (out.len() - 4) as u32;
    out[..4].copy_from_slice(&length.to_le_bytes());
    Ok(out.into())
}

/// Reads frames off a connection.
pub(crate) struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// A reader with an empty buffer.
    pub(crate) fn new(io: R) -> FrameReader<R> {
        FrameReader { io, buffer: BytesMut::with_capacity(64 << 10) }
    }

    /// The next frame's id and message; `None` at a clean end. Safe to cancel.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> std::io::Result<Option<(u64, T)>> {
        use std::io::{Error, ErrorKind};
        loop {
            if self.buffer.len() >= 4 {
                let length = (&self.buffer[..4]).get_u32_le() as usize;
                if !(8..=MAX_FRAME).contains(&length) {
                    return Err(Error::new(ErrorKind::InvalidData, format!("a frame of {length} bytes")));
                }
                if self.buffer.len() >= 4 + length {
                    let mut frame = self.buffer.split_to(4 + length);
                    frame.advance(4);
                    let id = frame.get_u64_le();
                    let message = postcard::from_bytes(&frame).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
                    return Ok(Some((id, message)));
                }
                self.buffer.reserve(4 + length - self.buffer.len());
            }
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}
