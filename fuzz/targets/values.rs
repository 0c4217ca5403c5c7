//! Numbers and texts, there and back.

#![no_main]

use ddb::protocol::fuzz::{value, values};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("values", &values()), |bytes: &[u8]| value(bytes));
