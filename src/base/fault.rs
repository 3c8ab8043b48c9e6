//! Named points at which a test can stop, kill or delay a debug build.
//!
//! Release builds compile to nothing. The points are armed through the `FAILPOINTS` environment variable.

/// Passes a named point. Does nothing unless a test armed it.
#[inline]
pub fn point(name: &'static str) {
    #[cfg(debug_assertions)]
    fail::eval(name, |action| {
        if action.as_deref() == Some("kill") {
            // As `kill -9` would: no destructors, no flushing.
            std::process::abort();
        }
    });
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Arms the points named in the environment; debug builds only.
pub fn arm() {
    #[cfg(debug_assertions)]
    std::mem::forget(fail::FailScenario::setup());
}
