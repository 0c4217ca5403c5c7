//! Owns the names of the formats, and what of the terminal matters for them.

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A framed table, for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header; tabs, line breaks and backslashes are escaped.
    Tsv,
    /// One column a line.
    Line,
    /// A Markdown table.
    Markdown,
}

impl Format {
    /// Whether results are JSON, and errors therefore are, too.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Format::Json | Format::Jsonl)
    }
}

/// Where the text goes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// Whether it may be coloured.
    pub(crate) color: bool,
    /// Whether a terminal reads it.
    pub(crate) terminal: bool,
    /// The terminal's width, to wrap tables to; they are not wrapped where it is not known.
    pub(crate) width: Option<u16>,
}
