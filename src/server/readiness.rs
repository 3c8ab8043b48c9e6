//! What the process is able to do now: one word, shared between who finds it out and who asks.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{io, mem};

use tokio::sync::watch;

use crate::base::log_safe::LogSafe;

/// What the process is able to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Opening the store, recovering.
    Starting,
    /// Serving calls.
    Ready,
    /// Serving, but with less than the configured safety (a slot is missing, say).
    Degraded,
    /// Serving reads and erasures; the store's volume is filling up, so that nothing new is taken.
    ReadOnly,
    /// Asked to stop; finishing calls.
    Draining,
    /// Serving nothing, or erasures at the most: storage failed or is full, or the log cannot be written.
    NotServing,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::Ready, Self::Degraded, Self::ReadOnly, Self::Draining, Self::NotServing];

    /// Whether calls are served.
    pub const fn is_serving(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded | Self::ReadOnly)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::ReadOnly => "read only",
            Self::Draining => "draining",
            Self::NotServing => "not serving",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LogSafe for State {}

/// The state of the process. Starts as [`State::Starting`]; [`State::Draining`] is its last. Clones share it.
#[derive(Clone)]
pub struct Readiness(Arc<watch::Sender<State>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::Starting)))
    }
}

impl Readiness {
    /// The state now.
    pub fn state(&self) -> State {
        *self.0.borrow()
    }

    /// Changes the state, unless the process is draining already.
    pub fn set(&self, state: State) {
        let before = self.0.send_if_modified(|now| {
            let changes = *now != state && *now != State::Draining;
            if changes {
                *now = state;
            }
            changes
        });
        if before {
            tracing::info!(%state, "the state has changed");
        }
    }

    /// The state and its changes.
    pub fn changes(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}

/// Looks at what it watches every so often, on a thread of its own, so that the state changes although nobody calls.
pub struct Watcher {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Looks once, then again whenever `interval` has passed, and tells `readiness`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        readiness: Readiness,
        interval: Duration,
        look: impl Fn() -> State + Send + 'static,
    ) -> io::Result<Self> {
        readiness.set(look());
        let (stop, stopped) = mpsc::channel();
        let watch = move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                readiness.set(look());
            }
        };
        let thread = thread::Builder::new().name("lacuna-state".into()).spawn(watch)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(mem::take(&mut self.stop));
        if let Some(thread) = self.thread.take() {
            // What it calls reads counters; a panic there was reported by the hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[test]
    fn draining_is_the_last_state() {
        let readiness = Readiness::default();
        assert_eq!(readiness.state(), State::Starting);
        for state in [State::Ready, State::Degraded, State::NotServing, State::Ready, State::Draining] {
            readiness.set(state);
            assert_eq!(readiness.state(), state);
        }
        readiness.set(State::Ready);
        assert_eq!(readiness.state(), State::Draining);
    }

    #[tokio::test]
    async fn the_state_changes_although_nobody_calls() {
        let readiness = Readiness::default();
        let mut changes = readiness.changes();
        let found = Arc::new(Mutex::new(State::Ready));
        let looked_at = found.clone();
        let watcher = Watcher::start(readiness.clone(), Duration::from_millis(1), move || *looked_at.lock()).unwrap();
        assert_eq!(readiness.state(), State::Ready, "known before the first call");
        for state in [State::Degraded, State::Ready, State::NotServing] {
            *found.lock() = state;
            let wait = changes.wait_for(|now| *now == state);
            tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap().unwrap();
        }
        drop(watcher);
        *found.lock() = State::Ready;
        assert_eq!(readiness.state(), State::NotServing);
    }
}
