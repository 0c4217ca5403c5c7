//! `ddb demo`: a throwaway cluster on this machine, for a look or for a command.
//!
//! `cluster` owns the nodes and the directory, which never outlive the demo; `tour` shows the main
//! job with real commands; `run` decides what is shown, and ends it all.

mod cluster;
mod run;
mod tour;

pub(crate) use run::{Args, run};
