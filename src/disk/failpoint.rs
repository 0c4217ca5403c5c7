//! Owns the named places at which a test makes a node end, or its disk fail; in other builds they do nothing.

use std::io;

/// Stands before or after a step that must be durable. Built with `failpoints`, the process ends here, or the
/// step fails, where the environment's `FAILPOINTS` says so: `log-sync=5*off->return(abort)`; `return(EIO)`
/// and `return(ENOSPC)` fail.
///
/// # Errors
/// What `FAILPOINTS` asks for.
#[cfg(feature = "failpoints")]
pub fn reach(point: &str) -> io::Result<()> {
    static SETUP: std::sync::Once = std::sync::Once::new();
    SETUP.call_once(|| std::mem::forget(fail::FailScenario::setup()));
    let told = |what: Option<String>| match what.as_deref() {
        Some("abort") => {
            // At once: the log of a process that ends is lost.
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("ends at {point}\n"));
            std::process::abort()
        }
        Some("ENOSPC") => io::ErrorKind::StorageFull.into(),
        _ => io::Error::other(format!("told to fail at {point}")),
    };
    fail::eval(point, told).map_or(Ok(()), Err)
}

/// Nothing, in this build.
///
/// # Errors
/// None.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn reach(_point: &str) -> io::Result<()> {
    Ok(())
}
