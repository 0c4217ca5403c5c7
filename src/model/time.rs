//! Owns the check that a text is an RFC 3339 timestamp, and the instant it names.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Nanoseconds since 1970 (UTC) that `text` names, or `None` if it is no RFC 3339 timestamp.
pub(super) fn instant(text: &str) -> Option<i128> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp_nanos)
}
