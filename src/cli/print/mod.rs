//! How results look: data, format and style in, text out. Nothing here reads or writes anything.
//!
//! A `View` is a whole result; a `Printer` takes rows as they arrive. Control characters never
//! reach a terminal: what is made for eyes (`table`, `line`, `markdown`) is always escaped, JSON
//! escapes by its own rules, and `csv` and `tsv` are escaped where a terminal reads them.

mod delimited;
mod escape;
mod format;
mod framed;
mod json;
mod printer;
mod prose;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use escape::escape;
pub(crate) use format::{Format, Style};
pub(crate) use printer::Printer;
pub(crate) use view::{Look, View, bytes, number, text, value_text};
