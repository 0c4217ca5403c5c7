//! Records of the log, in batches that check out.

#![no_main]

use ddb::replication::fuzz::{log, records};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("records", &records()), |bytes: &[u8]| log(bytes));
