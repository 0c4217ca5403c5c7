//! ddb: one binary, the node and its client.

use std::process::ExitCode;

/// Rows and messages of many sizes come and go on all threads: it does that with less work than the
/// system's allocator, and gives more of the memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ddb::cli::run()
}
