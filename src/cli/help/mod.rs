//! Help beyond that of single commands: the topics, and what is made of all of it under `man/`.
//!
//! The text of a topic stands once, in `topics/`; `ddb help TOPIC` prints it, and the man pages
//! hold it, too. `page` turns a command into a man page, `roff` plain text into its markup.

mod page;
mod roff;
mod topics;

pub(crate) use page::pages;
pub(crate) use topics::{EXIT_CODES, TOPICS, topic};
