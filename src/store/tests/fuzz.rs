//! Hostile bytes for a snapshot's stream: a receiver takes all of a copy, or refuses it.

use super::super::Store;
use super::super::stream::parse;
use super::common::{apply, create, put};
use crate::fuzz::altered;

#[test]
fn no_altered_stream_becomes_a_store() {
    let source = Store::in_memory().unwrap();
    apply(&source, [create("t", &["v"])]);
    apply(&source, (0..20).map(|n| put("t", n, &[("v", "x")])));
    let frames: Vec<Vec<u8>> = source.view().export().map(Result::unwrap).collect();
    let (stream, digest) = (frames.concat(), source.view().digest().unwrap());
    let store = Store::in_memory().unwrap();
    let mut whole = 0;
    altered(&[vec![stream.clone()], frames].concat(), |bytes| {
        // A receiver is slow to make, and refuses what is no row of frames by this very function.
        let mut rest = bytes;
        while let Ok(Some((_, length))) = parse(rest) {
            rest = &rest[length..];
        }
        if !rest.is_empty() {
            return;
        }
        let mut receiver = store.receive().unwrap();
        let taken = bytes.chunks(97).try_for_each(|chunk| receiver.write(chunk));
        if let Ok(received) = taken.and_then(|()| receiver.finish()) {
            assert!(bytes == stream, "another stream than the one that was sent");
            store.install(received).unwrap();
            assert_eq!(store.view().digest().unwrap(), digest);
            whole += 1;
        }
    });
    assert!(whole > 0);
}
