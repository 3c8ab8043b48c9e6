//! Whether the commit under way comes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::base::limits::COMMIT_STALL_MAX;

/// When the commit under way began.
pub(super) struct UnderWay {
    origin: Instant,
    /// Milliseconds from the origin, plus one; 0 while nothing is committed.
    since: AtomicU64,
}

impl UnderWay {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::new(0) }
    }

    pub(super) fn begin(&self) {
        self.since.store(self.now() + 1, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.since.store(0, Ordering::Release);
    }

    pub(super) fn is_stalled(&self) -> bool {
        let since = self.since.load(Ordering::Acquire);
        since != 0 && (self.now() + 1).saturating_sub(since) >= COMMIT_STALL_MAX.as_millis() as u64
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}
