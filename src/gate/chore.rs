//! Threads that look after a vault: one step after another, as long as their owner and the vault live.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::refusal::Refusal;
use super::vault::Vault;

/// Such a thread. Ends with its owner, after the step that it is in.
pub struct Chore {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Chore {
    /// Starts it. Each step says for how long the thread rests after it.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        name: &str,
        vault: &Arc<Vault>,
        mut step: impl FnMut(&Vault) -> Duration + Send + 'static,
    ) -> std::io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (stop, vault) = (stopping.clone(), Arc::downgrade(vault));
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            while !stop.load(Ordering::Acquire) {
                let Some(vault) = vault.upgrade() else { return };
                let rest = step(&vault);
                drop(vault);
                std::thread::park_timeout(rest);
            }
        })?;
        Ok(Self { stopping, thread: Some(thread) })
    }
}

/// For how long to rest after a step, which told whether there is more to do at once. What a step was refused is told by who
/// can say why.
pub fn rest(after: Result<bool, Refusal>, (more, nothing): (Duration, Duration), chore: &'static str) -> Duration {
    match after {
        Ok(true) => more,
        Ok(false) => nothing,
        Err(refusal) => {
            tracing::debug!("{chore}: a step was not made: {refusal}");
            nothing
        }
    }
}

impl Drop for Chore {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported, and leaves nothing half done.
            let _ = thread.join();
        }
    }
}
