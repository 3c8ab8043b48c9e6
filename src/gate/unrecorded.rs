//! Reads without a record, for one measurement: what the log costs. Compiled only with the feature of that name, which
//! `scripts/bench` alone asks for; a program built with it does not `serve`.
//!
//! As long as the file exists that `LACUNA_UNRECORDED` names, reads are not recorded.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whether reads are to go unrecorded now.
pub(super) fn is_asked_for() -> bool {
    static WATCHED: LazyLock<()> = LazyLock::new(|| {
        if let Some(path) = std::env::var_os("LACUNA_UNRECORDED") {
            tracing::warn!("this program can leave reads unrecorded: it is for measurements");
            std::thread::spawn(move || watch(Path::new(&path)));
        }
    });
    LazyLock::force(&WATCHED);
    ASKED.load(Ordering::Relaxed)
}

static ASKED: AtomicBool = AtomicBool::new(false);

fn watch(path: &Path) {
    loop {
        ASKED.store(path.exists(), Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
}
