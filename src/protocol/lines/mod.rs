//! Rows as lines of a file, JSON Lines or CSV: where a line ends, what row it is, how a row is written.
//!
//! What `write` writes `read` reads back: JSON Lines exactly; CSV by the columns' types, where an
//! empty field is null and `""` is empty text, and a `json` column holds JSON. A column of type
//! `any` comes back from CSV as text.

mod ends;
mod read;
mod write;

pub use ends::{LineFormat, RecordEnds};
pub use read::RowReader;
pub use write::{write_csv_head, write_line};
