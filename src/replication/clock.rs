//! Owns the one look at the wall clock: the time that is stamped into a write.

/// Milliseconds since 1970, UTC.
#[expect(clippy::disallowed_methods, reason = "this is the one place that stamps times")]
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
