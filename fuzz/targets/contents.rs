//! Snapshots that check out, whatever is in them.

#![no_main]

use ddb::store::fuzz::{content, contents};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("contents", &contents()), |bytes: &[u8]| content(bytes));
