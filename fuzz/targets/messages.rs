//! What peers send.

#![no_main]

use ddb::replication::fuzz::{message, messages};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("messages", &messages()), |bytes: &[u8]| message(bytes));
