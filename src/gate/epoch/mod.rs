//! The thread that carries out epochs: everything that was asked to be forgotten, with one path update and one
//! replacement of the slots' secrets.
//!
//! The order of steps is the promise; `docs/architecture.md` tells why each comes where it does. Every step is
//! durable before the next begins, and a crash between any two is answered by [`crate::keys::epoch`].

mod done;
mod run;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{oneshot, watch};

use super::committer::{Committer, end_within};
use super::log;
use super::pages::StoredPages;
use super::readings::Readings;
use super::receipts::ReceiptSigner;
use super::refusal::{Refusal, Unavailable};
use super::slots::SlotSet;
use super::vault::Patience;
use crate::base::id::{SlotId, VaultId};
use crate::base::limits::{SHUTDOWN_TIME_MAX, SLOT_CHANGES_MAX};
use crate::base::time::Clock;
use crate::keys::tree::Root;
use crate::store::Engine;
use done::Finished;
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
    done: watch::Receiver<Finished>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    asked: Mutex<Asked>,
    wake: Condvar,
    waiting: Mutex<Vec<SlotId>>,
    phase: AtomicU8,
    /// Acts of forgetting that are carried out and wait for a lost slot.
    held: AtomicU64,
    /// Erasures whose intent is still to be lodged, as far as that is known.
    parting: AtomicU64,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Asked {
    /// When the oldest erasure that nobody waits for must be carried out.
    due: Option<Instant>,
    pending: u64,
    /// Somebody is about to ask for one and to wait for it.
    expected: bool,
    /// Keys of a day are gone: their rows can go too.
    sweep: bool,
    /// A lost slot's end is known: what waited for it can be released.
    release: bool,
    /// That failed, and is tried again when the slots are looked at.
    release_failed: bool,
    /// Changes of the slots, which no epoch may be in the middle of.
    changes: VecDeque<SlotChange>,
}

/// A change of the slots, carried out between epochs. Whether it asked for one.
pub(super) type SlotChange = Box<dyn FnOnce(&Work) -> bool + Send>;

/// What the thread works on.
pub(super) struct Work {
    pub vault: VaultId,
    pub engine: Arc<dyn Engine>,
    pub committer: Arc<Committer>,
    pub readings: Arc<Readings>,
    pub slots: Arc<SlotSet>,
    pub root: Arc<ArcSwap<Root>>,
    pub pages: Arc<StoredPages>,
    pub receipts: Arc<ReceiptSigner>,
    pub checkpoint: log::Expectation,
    pub clock: Arc<dyn Clock>,
    pub patience: Patience,
}

/// Tells the epochs that one of them is about to be asked for, so that they look at the slots meanwhile.
pub struct Expectation(Arc<Shared>);

impl Expectation {
    /// It is.
    pub fn tell(&self) {
        self.0.asked.lock().expected = true;
        self.0.wake.notify_one();
    }
}

impl Epochs {
    /// Starts the thread. `pending` erasures were found, or an unfinished epoch.
    pub(super) fn start(work: Work, pending: u64, held: u64, unfinished: bool) -> std::io::Result<Self> {
        let due = (pending > 0 || unfinished).then(Instant::now);
        let shared = Arc::new(Shared {
            asked: Mutex::new(Asked { due, pending, release: held > 0, ..Asked::default() }),
            wake: Condvar::new(),
            waiting: Mutex::new(work.slots.waited_for()),
            phase: AtomicU8::new(0),
            held: AtomicU64::new(held),
            parting: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        });
        let (tell, done) = watch::channel(Finished::default());
        let runner = Runner::new(work, shared.clone(), tell);
        let thread = std::thread::Builder::new().name("epochs".into()).spawn(move || runner.run())?;
        Ok(Self { shared, done, thread: Mutex::new(Some(thread)) })
    }

    /// What tells, from the writer's thread, that an intent will be durable soon and be waited for.
    pub fn expectation(&self) -> Expectation {
        Expectation(self.shared.clone())
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
        let wait = async move { done.wait_for(|done| done.epoch_of(intent).is_some()).await.ok()?.epoch_of(intent) };
        match deadline {
            None => wait.await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), wait).await.ok().flatten(),
        }
    }

    /// The slots that the vault waits for.
    pub fn waiting(&self) -> Vec<SlotId> {
        self.shared.waiting.lock().clone()
    }

    /// Erasures that are not carried out yet, or wait for a lost slot.
    pub fn pending(&self) -> u64 {
        let parting = self.shared.parting.load(Ordering::Relaxed);
        self.shared.asked.lock().pending + self.shared.held.load(Ordering::Relaxed) + parting
    }

    /// Tells that one more erasure has its intent still to be lodged.
    pub fn parting_begins(&self) {
        self.shared.parting.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells how many erasures have their intent still to be lodged.
    pub fn parting(&self, count: u64) {
        self.shared.parting.store(count, Ordering::Relaxed);
    }

    /// Makes a change of the slots as soon as no epoch is in progress. `asks` tells whether it lodged an intent.
    ///
    /// # Errors
    /// What `change` refuses; [`Unavailable::Overloaded`] if too many wait already.
    pub(super) async fn between<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Work) -> Result<T, Refusal> + Send + 'static,
        asks: fn(&T) -> bool,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let run = move |work: &Work| {
            let changed = change(work);
            if work.slots.reload_former(&*work.engine).is_err() {
                tracing::error!("the rows of former slots do not read");
            }
            let asks = changed.as_ref().is_ok_and(asks);
            let _ = reply.send(changed); // the caller may be gone; the change stands
            asks
        };
        self.queue(Box::new(run))?;
        answer.await.unwrap_or_else(|_| Err(Unavailable::Stopping.into()))
    }

    fn queue(&self, change: SlotChange) -> Result<(), Unavailable> {
        let mut asked = self.shared.asked.lock();
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(Unavailable::Stopping);
        }
        if asked.changes.len() >= SLOT_CHANGES_MAX {
            return Err(Unavailable::Overloaded);
        }
        asked.changes.push_back(change);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Tells that a lost slot's end is known, and how much was released with it already.
    pub(super) fn released(&self, count: u64) {
        self.shared.held.fetch_sub(count, Ordering::Relaxed);
        self.shared.asked.lock().release = true;
        self.shared.wake.notify_one();
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
            end_within(SHUTDOWN_TIME_MAX, thread);
        }
    }
}
