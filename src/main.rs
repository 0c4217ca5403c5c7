//! ddb: one binary, the node and its client.

use std::process::ExitCode;

fn main() -> ExitCode {
    ddb::cli::run()
}
