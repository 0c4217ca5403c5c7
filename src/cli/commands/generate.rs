//! `ddb generate`: writes the man pages, for those who build ddb.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use crate::cli::args::Cli;
use crate::cli::error::CliError;
use crate::cli::help::pages;

const EXAMPLES: &str = "\
Examples:
  ddb generate man";

/// Write the man pages into a directory; those that are there and of no use are removed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The directory
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), CliError> {
    write(&args.dir).map_err(CliError::Output)
}

fn write(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "1" || end == "5") {
            std::fs::remove_file(path)?;
        }
    }
    for page in pages(Cli::command())? {
        std::fs::write(dir.join(page.file), page.text)?;
    }
    Ok(())
}
