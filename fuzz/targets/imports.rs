//! Files to import, in both formats.

#![no_main]

use ddb::protocol::fuzz::{import, imports};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("imports", &imports()), |bytes: &[u8]| import(bytes));
