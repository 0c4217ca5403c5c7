//! `ddb doctor`: looks for what is wrong on this machine and in the cluster.
//!
//! `here` looks at the configuration, the disks and the ports of this machine, `cluster` asks the
//! nodes, `finding` is what a look comes to, `run` puts them together. Nothing is changed: the one
//! file that is written, to time the disk, is removed again.

mod cluster;
mod finding;
mod here;
mod run;

pub(crate) use run::{Args, run};
