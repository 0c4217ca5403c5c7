//! Filters, orders, cursors and other words of a query.

#![no_main]

use ddb::protocol::fuzz::{word, words};

libfuzzer_sys::fuzz_target!(init: ddb_fuzz::seed("words", &words()), |bytes: &[u8]| word(bytes));
