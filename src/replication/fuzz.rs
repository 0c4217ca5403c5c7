//! Hostile bytes for what peers send: a connection may end by them, and nothing else.

use super::types::{Batch, Item};
use super::wire::{FrameReader, Request, Response, encode};
use crate::fuzz::altered;
use crate::model::{Proposal, When, Write};

fn batch() -> Batch {
    let write = Write::Delete { table: "t".into(), row_id: "7".into(), when: When::Always };
    Batch(Item::Write(Proposal { write, key: None, at_ms: 1 }).encode().unwrap())
}

#[test]
fn no_bytes_on_a_peer_connection_bring_a_node_down() {
    let requests =
        [Request::Status, Request::ReadIndex, Request::Forward(1, batch()), Request::SnapshotChunk(batch().0)];
    let mut seeds: Vec<Vec<u8>> = requests.iter().map(|request| encode(7, request).unwrap().to_vec()).collect();
    let responses = [Response::Received, Response::Fault("why".into()), Response::ReadIndex(Ok(9))];
    seeds.extend(responses.iter().map(|response| encode(8, response).unwrap().to_vec()));
    altered(&seeds, |bytes| {
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
    });
}

#[test]
fn no_bytes_in_an_entry_bring_the_applier_down() {
    altered(&[batch().0.to_vec(), [batch().0, batch().0].concat()], |bytes| {
        let batch = Batch(bytes.to_vec().into());
        assert!(batch.items().count() <= bytes.len());
    });
}
