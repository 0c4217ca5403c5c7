//! Snapshots as they come.

#![no_main]

use ddb::store::fuzz::{stream, streams};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("streams", &streams()), |bytes: &[u8]| stream(bytes));
