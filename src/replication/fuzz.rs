//! Owns what must hold of what peers send: a connection may end by it, and nothing else; no entry stops a replica.
//!
//! The tests here try each rule on alterations of its seeds, `fuzz/` on whatever its search comes upon.

#![expect(clippy::unwrap_used, reason = "what does not hold is to panic")]

use openraft::entry::RaftEntry as _;
use openraft::raft::{AppendEntriesRequest, VoteRequest};

use super::types::{Batch, Entry, Item, LogId, TypeConfig, Vote};
use super::wire::{FrameReader, ReadIndex, Request, Response, encode};
use crate::model::{
    Alteration, Cell, ColumnSpec, IdempotencyKey, IndexSpec, Operation, Proposal, PutMode, When, Write,
};
use crate::store::{Marks, Store};

pub use super::log::fuzz::{log, records, segment, segments};

fn item(write: Write) -> Vec<u8> {
    let key = IdempotencyKey { key: "k".into(), digest: 7 };
    Item::Write(Proposal { write, key: Some(key), at_ms: 1 }).encode().unwrap().to_vec()
}

fn batch() -> Batch {
    Batch(item(Write::Delete { table: "t".into(), row_id: "7".into(), when: When::Always }).into())
}

/// Requests and answers as they stand on a connection.
pub fn messages() -> Vec<Vec<u8>> {
    let append = AppendEntriesRequest::<TypeConfig> {
        vote: Vote::new_committed(1, 1),
        prev_log_id: Some(LogId::new_term_index(1, 6)),
        entries: vec![Entry::new(LogId::new_term_index(1, 7), openraft::EntryPayload::Normal(batch()))],
        leader_commit: None,
    };
    let requests = [
        Request::Append(append),
        Request::Vote(VoteRequest::new(Vote::new(2, 3), None)),
        Request::Status,
        Request::ReadIndex,
        Request::Voted,
        Request::Forward(1, batch()),
        Request::SnapshotBegin(Vote::new(1, 1)),
        Request::SnapshotChunk(batch().0),
    ];
    let read = ReadIndex { index: 9, unless_voted_beyond: Some(4) };
    let responses = [
        Response::Received,
        Response::Fault("why".into()),
        Response::ReadIndex(Ok(read)),
        Response::Voted(4),
        Response::Closing,
    ];
    let requests = requests.iter().map(|request| encode(7, request).unwrap().to_vec());
    requests.chain(responses.iter().map(|response| encode(8, response).unwrap().to_vec())).collect()
}

/// No bytes on a peer connection bring a node down.
pub fn message(bytes: &[u8]) {
    futures::executor::block_on(async {
        let mut frames = FrameReader::new(bytes);
        while let Ok(Some((_, request))) = frames.next::<Request>().await {
            if let Request::Forward(_, batch) = request {
                batch.items().for_each(drop);
            }
        }
        let mut frames = FrameReader::new(bytes);
        while let Ok(Some(_)) = frames.next::<Response>().await {}
    });
}

/// Items of entries, of several kinds.
pub fn entries() -> Vec<Vec<u8>> {
    let columns = vec![ColumnSpec::parse("v:int").unwrap(), ColumnSpec::parse("f:float:not-null:default=1").unwrap()];
    let cells = vec![("v".to_string(), Cell::Text("5".into()))];
    let (table, row_id, mode) = ("u".to_string(), "7".to_string(), PutMode::Insert);
    let operation = Operation::Put { table: table.clone(), row_id: row_id.clone(), cells: cells.clone(), mode };
    let index = IndexSpec { name: Some("i".into()), columns: vec!["v".into()], unique: true };
    let writes = [
        Write::CreateTable { name: "u".into(), columns },
        Write::Put { table, row_id, cells, mode, when: When::Always },
        Write::CreateIndex { table: "t".into(), index },
        Write::BuildIndex { table: "t".into(), index: "i".into(), rows: 10 },
        Write::AlterTable { name: "t".into(), changes: vec![Alteration::Drop { column: "v".into() }] },
        Write::Transaction { checks: Vec::new(), operations: vec![operation] },
        Write::DropTable { name: "t".into() },
    ];
    let items = writes.map(item);
    let digest = Item::Digest(5).encode().unwrap().to_vec();
    [vec![items.concat(), [batch().0.to_vec(), digest].concat()], items.to_vec()].concat()
}

/// No items of an entry stop a replica, and two replicas make the same of them.
pub fn entry(bytes: &[u8]) {
    let batch = Batch(bytes.to_vec().into());
    assert!(batch.items().count() <= bytes.len());
    let write = |item| if let Ok(Item::Write(proposal)) = item { Some(proposal) } else { None };
    let proposals: Vec<Proposal> = batch.items().filter_map(write).collect();
    if proposals.is_empty() {
        return;
    }
    let replica = || {
        let store = Store::in_memory().unwrap();
        let columns = vec![ColumnSpec::parse("v:int").unwrap(), ColumnSpec::parse("s").unwrap()];
        let table = Write::CreateTable { name: "t".into(), columns };
        store.apply(&[Proposal { write: table, key: None, at_ms: 0 }], Marks::default()).unwrap();
        let answers = store.apply(&proposals, Marks::default()).unwrap();
        (answers, store.view().digest().unwrap())
    };
    assert_eq!(replica(), replica());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{altered, altered_some};

    #[test]
    fn no_bytes_on_a_peer_connection_bring_a_node_down() {
        altered(&messages(), message);
    }

    #[test]
    fn no_bytes_in_an_entry_bring_the_applier_down() {
        altered_some(&entries(), 10, entry);
    }
}
