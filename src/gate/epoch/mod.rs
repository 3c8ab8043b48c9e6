//! The thread that carries out epochs: everything that was asked to be forgotten, with one path update and one
//! replacement of the slots' secrets.
//!
//! The order of steps is the promise; `docs/architecture.md` tells why each comes where it does. Every step is
//! durable before the next begins, and a crash between any two is answered by [`crate::keys::epoch`].

mod run;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::committer::Committer;
use super::pages::StoredPages;
use super::readings::Readings;
use super::slots::SlotSet;
use super::vault::Patience;
use crate::base::id::SlotId;
use crate::keys::tree::Root;
use crate::store::Engine;
use run::Runner;

/// The row of the epoch's state.
pub const STATE: &[u8] = b"epoch";

/// Where a running epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Calls that hold what is forgotten come to an end.
    Draining = 1,
    /// The slots make their next secrets.
    Staging = 2,
    /// The new tree is durable; only forward from here.
    Committed = 3,
    /// The slots destroy their old secrets.
    Destroying = 4,
}

/// Runs epochs and tells who waits.
pub struct Epochs {
    shared: Arc<Shared>,
    done: watch::Receiver<Done>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Every intent up to this one is carried out.
    pub through: u64,
    /// By this epoch.
    pub epoch: u64,
}

struct Shared {
    asked: Mutex<Asked>,
    wake: Condvar,
    waiting: Mutex<Vec<SlotId>>,
    phase: AtomicU8,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Asked {
    /// When the oldest erasure that nobody waits for must be carried out.
    due: Option<Instant>,
    pending: u64,
    /// Keys of a day are gone: their rows can go too.
    sweep: bool,
}

/// What the thread works on.
pub(super) struct Work {
    pub engine: Arc<dyn Engine>,
    pub committer: Arc<Committer>,
    pub readings: Arc<Readings>,
    pub slots: Arc<SlotSet>,
    pub root: Arc<ArcSwap<Root>>,
    pub pages: Arc<StoredPages>,
    pub patience: Patience,
}

impl Epochs {
    /// Starts the thread. `pending` erasures were found, or an unfinished epoch.
    pub(super) fn start(work: Work, pending: u64, unfinished: bool) -> std::io::Result<Self> {
        let due = (pending > 0 || unfinished).then(Instant::now);
        let shared = Arc::new(Shared {
            asked: Mutex::new(Asked { due, pending, sweep: false }),
            wake: Condvar::new(),
            waiting: Mutex::new(work.slots.missing()),
            phase: AtomicU8::new(0),
            stopping: AtomicBool::new(false),
        });
        let (tell, done) = watch::channel(Done { through: 0, epoch: work.root.load().epoch });
        let runner = Runner::new(work, shared.clone(), tell);
        let thread = std::thread::Builder::new().name("epochs".into()).spawn(move || runner.run())?;
        Ok(Self { shared, done, thread: Mutex::new(Some(thread)) })
    }

    /// Tells that an intent is durable; `urgent` if somebody waits for it.
    pub fn ask(&self, urgent: bool, patience: Duration) {
        let mut asked = self.shared.asked.lock();
        asked.pending += 1;
        let due = Instant::now() + if urgent { Duration::ZERO } else { patience };
        asked.due = Some(asked.due.map_or(due, |known| known.min(due)));
        drop(asked);
        self.shared.wake.notify_one();
    }

    /// Waits until an intent is carried out, at most until the deadline. The epoch, or `None` while it is pending.
    pub async fn wait_for(&self, intent: u64, deadline: Option<Instant>) -> Option<u64> {
        let mut done = self.done.clone();
        let wait = async move { done.wait_for(|done| done.through >= intent).await.map(|done| done.epoch).ok() };
        match deadline {
            None => wait.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), wait).await.ok().flatten(),
        }
    }

    /// The slots that the vault waits for.
    pub fn waiting(&self) -> Vec<SlotId> {
        self.shared.waiting.lock().clone()
    }

    /// Erasures that are not carried out yet.
    pub fn pending(&self) -> u64 {
        self.shared.asked.lock().pending
    }

    /// Where a running epoch is.
    pub fn phase(&self) -> Option<Phase> {
        let number = self.shared.phase.load(Ordering::Relaxed);
        [Phase::Draining, Phase::Staging, Phase::Committed, Phase::Destroying].into_iter().find(|p| *p as u8 == number)
    }

    /// Lets the epoch in progress finish a step and ends the thread; what is left is carried out at the next start.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}
