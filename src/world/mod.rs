//! What a node has of the world outside: connections, the time of day, chance, a place for slow work.
//!
//! In production it is the operating system's. In a simulation (`tests/sim`) all of it follows from
//! one seed: a thread that called `simulate` takes its chances from that seed and does slow work as
//! tasks of its own runtime, and the nodes on it get a `World` whose network and clock are
//! simulated. The code of a node is the same in both and cannot tell them apart.
//!
//! Deliberately missing: timers. tokio's are used everywhere, and a simulation replaces the time
//! beneath them.

mod chance;
mod clock;
mod network;
mod outside;
mod work;

pub use chance::{Chance, name, number, simulate, simulated};
pub use clock::{Clock, WallClock};
pub use network::{Dialled, Listener, Network, Stream, Tcp};
pub use outside::World;
pub use work::{background, breathe, has_time, hurry, work};
