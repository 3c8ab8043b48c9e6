//! The one writer: gathers changes into groups and commits each group with one sync.
//!
//! Calls hand in a closure; the committer's thread runs the closures one after another, seals the pages they changed,
//! gives their events places in the log, and commits everything as one batch. Only then do the calls go on.
//!
//! Waking is what makes this fast or slow. The thread is woken when a runtime is about to sleep, when enough has
//! gathered, or when the oldest change has waited long enough; and it hands a finished group back to each runtime
//! with a single wake, through a pump that completes the calls on the runtime's own thread.

mod change;
mod pump;
mod queue;
mod under_way;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use self::change::{Change, Queued, Reply};
use self::queue::{Queue, Turn, turn_of};
use self::under_way::UnderWay;
use self::writer::Writer;
use super::refusal::{Refusal, Unavailable};
use super::room::Room;
use super::txn::{Ground, Txn};
use crate::audit::sequence::Head;
use crate::base::limits::{COMMIT_GATHER_COUNT, COMMIT_GATHER_TIME, SHUTDOWN_TIME_MAX};
use crate::base::time::{Clock, Timestamp};
use crate::keys::tally::Tally;
use crate::keys::tree::Root;

/// Where the writer goes on: the end of the log, the time of its last entry, and the tally of all pages.
pub(super) type End = (Head, Option<Timestamp>, Option<Tally>);

/// Hands changes to the one writer.
pub struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    failed: AtomicBool,
    log_size: AtomicU64,
    last_entry: Mutex<Option<Timestamp>>,
    under_way: UnderWay,
    room: Arc<Room>,
}

impl Committer {
    /// Starts the writer's thread.
    pub(super) fn start(
        ground: Ground,
        root: Arc<ArcSwap<Root>>,
        (head, last_entry, tally): End,
        clock: Arc<dyn Clock>,
        room: Arc<Room>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            failed: AtomicBool::new(false),
            log_size: AtomicU64::new(head.size()),
            last_entry: Mutex::new(last_entry),
            under_way: UnderWay::new(),
            room,
        });
        let mut writer = Writer { shared: shared.clone(), ground, root, head, tally, clock, unsettled: false };
        let thread = std::thread::Builder::new().name("committer".into()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Runs a change on the writer's thread and waits until it is durable.
    ///
    /// # Durability
    /// `Ok` means that everything the closure wrote and recorded survives `kill -9` and power loss. An error means
    /// that nothing of it was written. Dropping the future does not take the change back.
    pub async fn commit<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let reply = self.submit(work, Turn::InOrder)?;
        reply.await.unwrap_or_else(|_| Err(Unavailable::Stopping.into()))
    }

    /// As [`Committer::commit`], ahead of all that waits, and also when too much waits already: for what ends data.
    pub async fn commit_first<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let reply = self.submit(work, Turn::First)?;
        reply.await.unwrap_or_else(|_| Err(Unavailable::Stopping.into()))
    }

    /// As [`Committer::commit_first`], for what waits for another change that follows at once.
    ///
    /// # Durability
    /// On `Ok` every read sees the change. It survives `kill -9`, and power loss with the next change that does: nobody may
    /// be told of it before that, or before [`Committer::settle`].
    pub async fn commit_followed<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let reply = self.submit(work, Turn::FirstFollowed)?;
        reply.await.unwrap_or_else(|_| Err(Unavailable::Stopping.into()))
    }

    /// Makes everything durable that was committed before.
    pub async fn settle(&self) -> Result<(), Refusal> {
        self.commit_first(|_| Ok(())).await
    }

    /// As [`Committer::commit`], for many changes, handed over at once. Each succeeds or fails by itself. A few share a sync;
    /// of more, so many at a time that others do not wait for all.
    pub async fn commit_all<T, F>(&self, works: Vec<F>) -> Vec<Result<T, Refusal>>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let count = works.len();
        let replies = match self.submit_all(works, turn_of(count)) {
            Ok(replies) => replies,
            Err(refusal) => return (0..count).map(|_| Err(refusal.clone())).collect(),
        };
        let mut outcomes = Vec::with_capacity(count);
        for reply in replies {
            outcomes.push(reply.await.unwrap_or_else(|_| Err(Unavailable::Stopping.into())));
        }
        outcomes
    }

    /// As [`Committer::commit_all`], for a plain thread.
    pub fn commit_all_blocking<T, F>(&self, works: Vec<F>) -> Vec<Result<T, Refusal>>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let count = works.len();
        let stopping = |_| Err(Unavailable::Stopping.into());
        match self.submit_all(works, turn_of(count)) {
            Ok(replies) => replies.into_iter().map(|reply| reply.blocking_recv().unwrap_or_else(stopping)).collect(),
            Err(refusal) => (0..count).map(|_| Err(refusal.clone())).collect(),
        }
    }

    /// As [`Committer::commit`], for a plain thread; alone also goes ahead of all that waits.
    pub fn commit_blocking<T, F>(&self, work: F, alone: bool) -> Result<T, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        self.submit_blocking(work, if alone { Turn::Alone } else { Turn::InOrder })
    }

    /// As [`Committer::commit_blocking`], for rows that can be made anew from what is durable. It records nothing.
    ///
    /// # Durability
    /// On `Ok` every read sees the rows. They survive `kill -9`, and power loss with the next change that is durable.
    pub fn commit_derived<T, F>(&self, work: F) -> Result<T, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        self.submit_blocking(work, Turn::Derived)
    }

    fn submit_blocking<T, F>(&self, work: F, turn: Turn) -> Result<T, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let reply = self.submit(work, turn)?;
        reply.blocking_recv().unwrap_or_else(|_| Err(Unavailable::Stopping.into()))
    }

    /// Makes this thread's runtime complete its own calls: spawns the pump on it. Call once per runtime thread.
    pub fn attach_runtime(&self) {
        pump::attach();
    }

    /// To be called when a runtime is about to sleep: what has gathered is committed now.
    pub fn runtime_parks(&self) {
        if self.shared.queue.lock().len() > 0 {
            self.shared.wake.notify_one();
        }
    }

    /// From now on nothing is committed or served: the store is not what it must be.
    pub(super) fn give_up(&self) {
        self.shared.failed.store(true, Ordering::Release);
    }

    /// Whether storage failed; then nothing is committed or served any more.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Whether changes are taken.
    ///
    /// # Errors
    /// Storage has failed, or the commit under way does not come back.
    pub fn check(&self) -> Result<(), Unavailable> {
        if self.has_failed() {
            Err(Unavailable::StorageFailed)
        } else if self.shared.under_way.is_stalled() {
            Err(Unavailable::LogUnavailable)
        } else {
            Ok(())
        }
    }

    /// Leaves in the log that are durable.
    pub fn log_size(&self) -> u64 {
        self.shared.log_size.load(Ordering::Acquire)
    }

    /// The time of the log's last entry; none while it is empty.
    pub fn last_entry(&self) -> Option<Timestamp> {
        *self.shared.last_entry.lock()
    }

    /// Commits what is queued, then ends the thread. One that is held up by the medium is not waited for: what it
    /// was asked to commit was not acknowledged.
    pub fn stop(&self) {
        self.shared.queue.lock().stopping = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            end_within(SHUTDOWN_TIME_MAX, thread);
        }
    }

    fn submit<T, F>(&self, work: F, turn: Turn) -> Result<Reply<T>, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        let mut replies = self.submit_all(vec![work], turn)?;
        replies.pop().ok_or(Unavailable::Internal.into())
    }

    fn submit_all<T, F>(&self, works: Vec<F>, turn: Turn) -> Result<Vec<Reply<T>>, Refusal>
    where
        F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        T: Send + 'static,
    {
        self.check()?;
        let pump = pump::of_this_thread();
        let (mut jobs, mut replies) = (Vec::with_capacity(works.len()), Vec::with_capacity(works.len()));
        for work in works {
            let (reply, receiver) = oneshot::channel();
            let job = Box::new(Change { work: Some(work), result: None, reply, turn });
            jobs.push(Queued { job, pump: pump.clone() });
            replies.push(receiver);
        }
        let in_runtime = pump.is_some();
        let mut queue = self.shared.queue.lock();
        if queue.stopping {
            return Err(Unavailable::Stopping.into());
        }
        let added = jobs.len();
        queue.put(turn, jobs)?;
        let waited = queue.since.get_or_insert_with(Instant::now).elapsed();
        let enough = queue.len() >= COMMIT_GATHER_COUNT && queue.len() - added < COMMIT_GATHER_COUNT;
        let wake = !in_runtime || enough || waited >= COMMIT_GATHER_TIME;
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(replies)
    }
}

/// Waits for a thread to end, but not for ever: a medium that does not answer must not keep a process from ending.
pub(super) fn end_within(time: Duration, thread: JoinHandle<()>) {
    let until = Instant::now() + time;
    while !thread.is_finished() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    if thread.is_finished() {
        // A panic there has been reported, and leaves nothing half done.
        let _ = thread.join();
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
