//! What is applied.

#![no_main]

use ddb::replication::fuzz::{entries, entry};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("entries", &entries()), |bytes: &[u8]| entry(bytes));
