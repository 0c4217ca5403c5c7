//! JSON bodies of requests.

#![no_main]

use ddb::protocol::fuzz::{bodies, body};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("bodies", &bodies()), |bytes: &[u8]| body(bytes));
