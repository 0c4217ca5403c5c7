//! Segments of the log as they come.

#![no_main]

use ddb::replication::fuzz::{segment, segments};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("segments", &segments()), |bytes: &[u8]| segment(bytes));
