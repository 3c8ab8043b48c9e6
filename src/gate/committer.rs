//! The one writer: gathers changes into groups and commits each group with one sync.
//!
//! Calls hand in a closure; the committer's thread runs the closures one after another, seals the pages they changed,
//! gives their events places in the log, and commits everything as one batch. Only then do the calls go on.
//!
//! Waking is what makes this fast or slow. The thread is woken when a runtime is about to sleep, when enough has
//! gathered, or when the oldest change has waited long enough; and it hands a finished group back to each runtime
//! with a single wake, through a pump that completes the calls on the runtime's own thread.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};

use super::jumps;
use super::refusal::{Refusal, Unavailable};
use super::room::Room;
use super::txn::{Changes, Ground, Txn};
use crate::audit::sequence::Head;
use crate::base::fault;
use crate::base::limits::{
    COMMIT_BULK_FROM, COMMIT_BULK_MAX, COMMIT_GATHER_COUNT, COMMIT_GATHER_TIME, COMMIT_GROUP_MAX, COMMIT_QUEUE_MAX,
    COMMIT_STALL_MAX, ROOM_PROBE, SHUTDOWN_TIME_MAX,
};
use crate::base::time::{Clock, Timestamp};
use crate::keys::tree::{Root, seal_all};
use crate::store;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;

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

#[derive(Default)]
struct Queue {
    /// What goes ahead of everything else: what ends data, and the epochs that carry it out.
    first: VecDeque<Queued>,
    jobs: VecDeque<Queued>,
    /// What calls bring many at a time, by call: each takes its turn with all others, so that nobody waits for all.
    bulk: VecDeque<Vec<Queued>>,
    bulk_was_last: bool,
    since: Option<Instant>,
    stopping: bool,
}

/// When a change has its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// After those that came before it.
    InOrder,
    /// With the others of its call, taking turns with all others.
    Bulk,
    /// Ahead of all others.
    First,
    /// Ahead of all others, in a group of its own.
    Alone,
    /// As in order, and need not be durable: it can be made anew.
    Derived,
}

impl Queue {
    fn len(&self) -> usize {
        self.first.len() + self.jobs.len() + self.bulk_len()
    }

    fn bulk_len(&self) -> usize {
        self.bulk.iter().map(Vec::len).sum()
    }

    /// Puts changes into their line, if it takes as many.
    fn put(&mut self, turn: Turn, jobs: Vec<Queued>) -> Result<(), Unavailable> {
        let waiting = match turn {
            Turn::InOrder | Turn::Derived => self.jobs.len(),
            Turn::Bulk => self.bulk_len(),
            Turn::First | Turn::Alone => self.first.len(),
        };
        if waiting + jobs.len() > COMMIT_QUEUE_MAX {
            return Err(Unavailable::Overloaded);
        }
        match turn {
            Turn::InOrder | Turn::Derived => self.jobs.extend(jobs),
            Turn::Bulk => self.bulk.push_back(jobs),
            Turn::First | Turn::Alone => self.first.extend(jobs),
        }
        Ok(())
    }

    /// One change that must be alone, those of a call that brought many, or as many others as a group takes, those that go
    /// first at its head.
    fn take_group(&mut self) -> Vec<Queued> {
        let is_alone = |queued: &Queued| queued.job.turn() == Turn::Alone;
        if self.first.front().is_some_and(is_alone) {
            return self.first.drain(..1).collect();
        }
        let is_bulks_turn = self.first.is_empty() && self.jobs.is_empty() || !self.bulk_was_last;
        self.bulk_was_last = is_bulks_turn && !self.bulk.is_empty();
        if self.bulk_was_last {
            return self.take_bulk();
        }
        let joint = self.first.iter().take(COMMIT_GROUP_MAX).take_while(|queued| !is_alone(queued)).count();
        let others = self.jobs.len().min(COMMIT_GROUP_MAX - joint);
        self.first.drain(..joint).chain(self.jobs.drain(..others)).collect()
    }

    /// The changes of one call, and of further ones as far as they are few.
    fn take_bulk(&mut self) -> Vec<Queued> {
        let mut group = self.bulk.pop_front().unwrap_or_default();
        while self.bulk.front().is_some_and(|next| group.len() + next.len() <= COMMIT_BULK_MAX) {
            group.extend(self.bulk.pop_front().unwrap_or_default());
        }
        group
    }
}

/// How a change went, once it is known.
type Reply<T> = oneshot::Receiver<Result<T, Refusal>>;

struct Queued {
    job: Box<dyn Job>,
    pump: Option<Arc<Pump>>,
}

/// A change, with its type erased.
trait Job: Send {
    /// When it has its turn.
    fn turn(&self) -> Turn;
    /// Runs the closure. The changes to commit, or `None` if it refused.
    fn run(&mut self, txn: Txn<'_>) -> Option<Changes>;
    /// Tells the call how it went.
    fn finish(self: Box<Self>, outcome: Result<(), Refusal>);
}

struct Change<F, T> {
    work: Option<F>,
    result: Option<Result<T, Refusal>>,
    reply: oneshot::Sender<Result<T, Refusal>>,
    turn: Turn,
}

impl<F, T> Job for Change<F, T>
where
    F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send,
    T: Send,
{
    fn turn(&self) -> Turn {
        self.turn
    }

    fn run(&mut self, mut txn: Txn<'_>) -> Option<Changes> {
        let work = self.work.take()?;
        // A panic must not take the writer down: the draft is dropped, so nothing of it is left.
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut txn)));
        let result = result.unwrap_or_else(|_| Err(Unavailable::Internal.into()));
        let changes = result.is_ok().then(|| txn.into_changes());
        self.result = Some(result);
        changes
    }

    fn finish(mut self: Box<Self>, outcome: Result<(), Refusal>) {
        let result = match (self.result.take(), outcome) {
            (Some(Err(refusal)), _) => Err(refusal),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)), Err(refusal)) => Err(refusal),
            (None, _) => Err(Unavailable::Stopping.into()),
        };
        let _ = self.reply.send(result); // the caller may be gone; the change stands
    }
}

/// A call's change and how it went.
type Finished = (Box<dyn Job>, Result<(), Refusal>);

/// Completes finished calls on the thread of the runtime they belong to.
struct Pump {
    finished: Mutex<Vec<Finished>>,
    notify: Notify,
}

thread_local! {
    static PUMP: RefCell<Option<Arc<Pump>>> = const { RefCell::new(None) };
}

impl Committer {
    /// Starts the writer's thread at the end of the log, whose last entry is of that time.
    pub(super) fn start(
        ground: Ground,
        root: Arc<ArcSwap<Root>>,
        (head, last_entry): (Head, Option<Timestamp>),
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
        let mut writer = Writer { shared: shared.clone(), ground, root, head, clock };
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
        let pump = Arc::new(Pump { finished: Mutex::default(), notify: Notify::new() });
        PUMP.with(|slot| *slot.borrow_mut() = Some(pump.clone()));
        tokio::spawn(async move {
            loop {
                pump.notify.notified().await;
                let finished = std::mem::take(&mut *pump.finished.lock());
                for (job, outcome) in finished {
                    job.finish(outcome);
                }
            }
        });
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
        let pump = PUMP.with(|pump| pump.borrow().clone());
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

/// The turn of that many changes of one call.
fn turn_of(count: usize) -> Turn {
    if count < COMMIT_BULK_FROM { Turn::InOrder } else { Turn::Bulk }
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

/// When the commit under way began.
struct UnderWay {
    origin: Instant,
    /// Milliseconds from the origin, plus one; 0 while nothing is committed.
    since: AtomicU64,
}

impl UnderWay {
    fn new() -> Self {
        Self { origin: Instant::now(), since: AtomicU64::new(0) }
    }

    fn begin(&self) {
        self.since.store(self.now() + 1, Ordering::Release);
    }

    fn end(&self) {
        self.since.store(0, Ordering::Release);
    }

    fn is_stalled(&self) -> bool {
        let since = self.since.load(Ordering::Acquire);
        since != 0 && (self.now() + 1).saturating_sub(since) >= COMMIT_STALL_MAX.as_millis() as u64
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_millis() as u64
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The state of the writer's thread.
struct Writer {
    shared: Arc<Shared>,
    ground: Ground,
    root: Arc<ArcSwap<Root>>,
    head: Head,
    clock: Arc<dyn Clock>,
}

impl Writer {
    fn run(&mut self) {
        while let Some(group) = self.next_group() {
            self.shared.under_way.begin();
            self.commit_group(group);
            self.shared.under_way.end();
        }
    }

    /// Waits for changes and takes the next group; `None` once stopped and empty.
    fn next_group(&self) -> Option<Vec<Queued>> {
        let mut queue = self.shared.queue.lock();
        while queue.len() == 0 {
            if queue.stopping {
                return None;
            }
            if !self.shared.room.is_engine_full() {
                self.shared.wake.wait(&mut queue);
            } else if self.shared.wake.wait_for(&mut queue, ROOM_PROBE).timed_out() {
                return Some(Vec::new());
            }
        }
        let group = queue.take_group();
        queue.since = (queue.len() > 0).then(Instant::now);
        Some(group)
    }

    fn commit_group(&mut self, mut group: Vec<Queued>) {
        if group.is_empty() {
            return self.probe();
        }
        let outcome = if self.shared.failed.load(Ordering::Acquire) {
            Err(Unavailable::StorageFailed.into())
        } else {
            self.try_commit(&mut group)
        };
        finish(group, outcome);
    }

    fn try_commit(&mut self, group: &mut [Queued]) -> Result<(), Refusal> {
        let now = self.clock.now();
        let root = self.root.load_full();
        let last_entry = *self.shared.last_entry.lock();
        let (mut changes, mut derived) = (Changes::default(), true);
        for queued in group {
            let txn = Txn::new(&self.ground, &root, &changes, (now, last_entry));
            if let Some(more) = queued.job.run(txn) {
                derived &= queued.job.turn() == Turn::Derived && more.events.is_empty();
                changes.batch.absorb(more.batch);
                changes.nodes.extend(more.nodes);
                changes.events.extend(more.events);
                changes.root = more.root.or(changes.root);
            }
        }
        let new_root = changes.root.map(Arc::new);
        let sealed =
            seal_all(&self.ground.vault, &*self.ground.pages, new_root.as_ref().unwrap_or(&root), changes.nodes)?;
        let mut batch = changes.batch;
        for page in &sealed.pages {
            batch.put(Space::Page, page.id.row_key(page.generation), &page.bytes[..]);
        }
        for (id, generation) in &sealed.obsolete {
            batch.delete(Space::Page, id.row_key(*generation));
        }
        let head = self.head.append(&mut batch, now, &changes.events);
        if head != self.head {
            jumps::note(&*self.ground.engine, &mut batch, last_entry, now)?;
        }
        if batch.is_empty() {
            return Ok(());
        }
        fault::point("commit_before");
        self.write(batch, derived)?;
        fault::point("commit_after");
        for page in sealed.pages {
            self.ground.pages.cache().publish(page.id, page.generation, page.page);
        }
        for (id, generation) in sealed.obsolete {
            self.ground.pages.cache().remove(id, generation);
        }
        if let Some(root) = new_root {
            self.root.store(root);
        }
        if head != self.head {
            *self.shared.last_entry.lock() = Some(now);
        }
        self.head = head;
        self.shared.log_size.store(head.size(), Ordering::Release);
        Ok(())
    }

    fn write(&self, batch: Batch, derived: bool) -> Result<(), store::Error> {
        let engine = &self.ground.engine;
        let written = if derived { engine.commit_derived(batch) } else { engine.commit(batch) };
        match written {
            Ok(()) => self.shared.room.engine_writes(),
            Err(store::Error::Full) => self.shared.room.engine_is_full(),
            Err(_) => {
                // The first failure is the last: a sync that failed once may lie the next time.
                self.shared.failed.store(true, Ordering::Release);
                tracing::error!("storage failed; no call is served until the process is restarted");
            }
        }
        written
    }

    /// Writes what is there already, to find out whether the engine writes again.
    fn probe(&self) {
        let mut batch = Batch::new();
        self.head.write_again(&mut batch);
        // Whatever comes of it is noted.
        let _ = self.write(batch, false);
    }
}

/// Hands a finished group back: one wake per runtime, then the calls that came from plain threads.
fn finish(group: Vec<Queued>, outcome: Result<(), Refusal>) {
    let mut pumps: Vec<Arc<Pump>> = Vec::new();
    for Queued { job, pump } in group {
        match pump {
            None => job.finish(outcome.clone()),
            Some(pump) => {
                pump.finished.lock().push((job, outcome.clone()));
                if !pumps.iter().any(|known| Arc::ptr_eq(known, &pump)) {
                    pumps.push(pump);
                }
            }
        }
    }
    for pump in pumps {
        pump.notify.notify_one();
    }
}

#[cfg(test)]
mod tests;
