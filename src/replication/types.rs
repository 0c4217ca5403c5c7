//! Owns the types that openraft is instantiated with, and the batch of writes a log entry holds.

use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use openraft::EntryPayload;
use serde::{Deserialize, Serialize};

use crate::model::{Answer, Proposal};

openraft::declare_raft_types!(
    /// The types of a group's Raft.
    pub(crate) TypeConfig:
        D = Batch,
        R = Answers,
        NodeId = u64,
        Node = openraft::BasicNode,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = super::runtime::Runtime,
);

pub(crate) type Raft = openraft::Raft<TypeConfig, super::applier::Applier>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Membership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type RaftInstant = openraft::type_config::alias::InstantOf<TypeConfig>;
pub(crate) type RaftState = openraft::RaftState<TypeConfig>;
pub(crate) type RaftMetrics = openraft::RaftMetrics<TypeConfig>;

/// One thing that goes through the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Item {
    /// A write.
    Write(Proposal),
    /// Every replica hashes its tables at this place and keeps the hash under this token.
    Digest(u64),
}

/// The items of one log entry, encoded once by the node that took them: log, peers and applier
/// pass the same bytes on. Each item is a little-endian `u32` length and its postcard bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Batch(pub(crate) Bytes);

/// The answers to a batch, one an item (a digest is answered like a write that changed nothing).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answers(pub(crate) Vec<Answer>);

impl Item {
    /// The item's bytes as they stand in a batch.
    pub(crate) fn encode(&self) -> Result<Bytes, postcard::Error> {
        let mut out = Vec::with_capacity(256);
        out.put_u32_le(0);
        let mut out = postcard::to_extend(self, out)?;
        let length = (out.len() - 4) as u32;
        out[..4].copy_from_slice(&length.to_le_bytes());
        Ok(out.into())
    }
}

/// About how many bytes an entry takes.
pub(crate) fn entry_size(entry: &Entry) -> usize {
    64 + if let EntryPayload::Normal(batch) = &entry.payload { batch.0.len() } else { 0 }
}

impl Batch {
    /// Decodes the items, in order.
    pub(crate) fn items(&self) -> impl Iterator<Item = Result<Item, postcard::Error>> + '_ {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            if rest.len() < 4 {
                rest = &[];
                return Some(Err(postcard::Error::DeserializeUnexpectedEnd));
            }
            let length = rest.get_u32_le() as usize;
            let Some((item, after)) = rest.split_at_checked(length) else {
                rest = &[];
                return Some(Err(postcard::Error::DeserializeUnexpectedEnd));
            };
            rest = after;
            Some(postcard::from_bytes(item))
        })
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} bytes)", self.0.len())
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Serialize for Batch {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Batch, D::Error> {
        Bytes::deserialize(input).map(Batch)
    }
}
