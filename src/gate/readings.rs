//! Who is reading whom right now, so that an epoch can wait for, or cut, the calls that hold what it forgets.
//!
//! A reader registers before it looks at any row; an erasure's tombstone is in force before it waits here. So either
//! the reader sees the tombstone, or the erasure sees the reader. Who is cut is told of the erasure, which is durable by then.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;

use super::refusal::State as Gone;
use crate::base::id::{ItemId, SubjectId};

/// The readings in progress, by subject.
#[derive(Default)]
pub struct Readings {
    active: Mutex<HashMap<SubjectId, Vec<Arc<State>>>>,
    ended: Condvar,
}

struct State {
    reads: What,
    cut: AtomicBool,
    /// Set before `cut`: that it is the whole subject that goes.
    whole: AtomicBool,
    notify: Notify,
}

/// What is read of a subject.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Anything.
    Anything,
    /// One item.
    Item(ItemId),
    /// Its entries in the log with its audit key, or nothing for the moment.
    Presence,
}

impl What {
    /// Whether forgetting items of the subject, or all of it, concerns this.
    fn concerns(self, forgotten: Forgotten) -> bool {
        match (forgotten, self) {
            (Forgotten::Everything, _) | (Forgotten::Items | Forgotten::Item(_), What::Anything) => true,
            (Forgotten::Items, What::Item(_)) => true,
            (Forgotten::Item(forgotten), What::Item(item)) => forgotten == item,
            (Forgotten::Items | Forgotten::Item(_), What::Presence) => false,
        }
    }
}

/// One call that reads a subject; ends when dropped.
pub struct Reading {
    readings: Arc<Readings>,
    subject: SubjectId,
    state: Arc<State>,
}

/// What is to be forgotten of a subject.
pub type Scope = (SubjectId, Forgotten);

/// What is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// The subject.
    Everything,
    /// Some items, or what hangs on them; which is not known here.
    Items,
    /// One item.
    Item(ItemId),
}

impl Readings {
    /// Registers a reader of one item, or of any. Must come before it reads any row of the subject.
    pub fn begin(self: &Arc<Self>, subject: SubjectId, item: Option<ItemId>) -> Reading {
        self.begin_with(subject, item.map_or(What::Anything, What::Item))
    }

    /// Registers a reader of the subject's entries in the log: only the end of the subject itself concerns it.
    pub fn begin_log(self: &Arc<Self>, subject: SubjectId) -> Reading {
        self.begin_with(subject, What::Presence)
    }

    /// Registers a stream about the subject, which registers anew for each step in which it reads: only the end of the
    /// subject itself concerns it.
    pub fn begin_presence(self: &Arc<Self>, subject: SubjectId) -> Reading {
        self.begin_with(subject, What::Presence)
    }

    fn begin_with(self: &Arc<Self>, subject: SubjectId, reads: What) -> Reading {
        let state = Arc::new(State {
            reads,
            cut: AtomicBool::new(false),
            whole: AtomicBool::new(false),
            notify: Notify::new(),
        });
        self.active.lock().entry(subject).or_default().push(state.clone());
        Reading { readings: self.clone(), subject, state }
    }

    /// Waits until nobody who began before reads what these scopes name; after `patience` the rest is cut, once
    /// `before_cut` has made durable what they are told. If that fails nobody is cut.
    pub fn drain<E>(
        &self,
        scopes: &[Scope],
        patience: Duration,
        before_cut: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let deadline = Instant::now() + patience;
        let mut active = self.active.lock();
        // Readers that begin from now on see the tombstone; they are not waited for.
        let concerned = |(subject, item): &Scope| {
            let of_subject = active.get(subject).into_iter().flatten();
            let concerned = of_subject.filter(|state| state.reads.concerns(*item));
            let concerned = concerned.inspect(|state| {
                state.whole.fetch_or(*item == Forgotten::Everything, Ordering::AcqRel);
            });
            concerned.map(|state| (*subject, state.clone())).collect::<Vec<_>>()
        };
        let waiting: Vec<(SubjectId, Arc<State>)> = scopes.iter().flat_map(concerned).collect();
        let is_reading = |active: &HashMap<SubjectId, Vec<Arc<State>>>, (subject, state): &(SubjectId, Arc<State>)| {
            active.get(subject).is_some_and(|states| states.iter().any(|other| Arc::ptr_eq(other, state)))
        };
        let is_over = |active: &HashMap<_, _>| !waiting.iter().any(|reader| is_reading(active, reader));
        while !is_over(&active) && !self.ended.wait_until(&mut active, deadline).timed_out() {}
        if is_over(&active) {
            return Ok(());
        }
        MutexGuard::unlocked(&mut active, before_cut)?;
        for (_, state) in &waiting {
            state.cut.store(true, Ordering::Release);
            state.notify.notify_waiters();
        }
        while !is_over(&active) {
            self.ended.wait(&mut active);
        }
        Ok(())
    }
}

impl Reading {
    /// Whether an erasure has cut this reading: nothing of it may be revealed any more.
    pub fn is_cut(&self) -> bool {
        self.state.cut.load(Ordering::Acquire)
    }

    /// What a reading that was cut is told: the end of its item, or of the whole subject.
    pub fn ended_by(&self) -> Gone {
        if self.state.whole.load(Ordering::Acquire) { Gone::SubjectErased } else { Gone::ItemErased }
    }

    /// Runs `work`, or gives up with `None` when an erasure cuts this reading.
    pub async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cut = self.state.notify.notified();
        tokio::pin!(cut);
        cut.as_mut().enable();
        if self.state.cut.load(Ordering::Acquire) {
            return None;
        }
        tokio::select! {
            biased;
            value = work => Some(value),
            () = cut => None,
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut active = self.readings.active.lock();
        if let Some(states) = active.get_mut(&self.subject) {
            states.retain(|state| !Arc::ptr_eq(state, &self.state));
            if states.is_empty() {
                active.remove(&self.subject);
            }
        }
        self.readings.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SUBJECT: SubjectId = SubjectId::from_bytes([1; 16]);

    fn at_once() -> Result<(), ()> {
        Ok(())
    }

    #[test]
    fn draining_waits_for_readers_of_the_same_subject_only() {
        let readings = Arc::new(Readings::default());
        let _other = readings.begin(SubjectId::from_bytes([2; 16]), None);
        let reader = readings.begin(SUBJECT, None);
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[(SUBJECT, Forgotten::Everything)], Duration::from_secs(60), at_once)
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiter.is_finished());
        drop(reader);
        waiter.join().expect("no panic").expect("drained");
    }

    #[tokio::test]
    async fn a_stalled_reader_is_cut() {
        let readings = Arc::new(Readings::default());
        let reader = readings.begin(SUBJECT, None);
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[(SUBJECT, Forgotten::Everything)], Duration::from_millis(20), at_once)
        });
        assert!(reader.unless_cut(std::future::pending::<()>()).await.is_none());
        assert!(!waiter.is_finished(), "the epoch goes on only once the reader is gone");
        drop(reader);
        waiter.join().expect("no panic").expect("drained");
    }

    #[test]
    fn forgetting_one_item_leaves_readers_of_others_alone() {
        let readings = Arc::new(Readings::default());
        let (kept, forgotten) = (ItemId::from_bytes([3; 16]), ItemId::from_bytes([4; 16]));
        let _other = readings.begin(SUBJECT, Some(kept));
        readings.drain(&[(SUBJECT, Forgotten::Item(forgotten))], Duration::from_secs(60), at_once).expect("drained");
        let reader = readings.begin(SUBJECT, Some(forgotten));
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[(SUBJECT, Forgotten::Item(forgotten))], Duration::ZERO, at_once)
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(!waiter.is_finished());
        drop(reader);
        waiter.join().expect("no panic").expect("drained");
    }

    #[test]
    fn a_reader_of_the_log_is_concerned_by_the_end_of_the_subject_only() {
        let readings = Arc::new(Readings::default());
        let reader = readings.begin_log(SUBJECT);
        readings
            .drain(&[(SUBJECT, Forgotten::Item(ItemId::from_bytes([4; 16])))], Duration::from_secs(60), at_once)
            .expect("drained");
        assert!(!reader.is_cut());
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[(SUBJECT, Forgotten::Everything)], Duration::ZERO, at_once)
        });
        while !reader.is_cut() {
            std::thread::yield_now();
        }
        drop(reader);
        waiter.join().expect("no panic").expect("drained");
    }

    #[tokio::test]
    async fn a_reader_that_looks_up_after_the_cut_sees_it() {
        let readings = Arc::new(Readings::default());
        let reader = readings.begin(SUBJECT, None);
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[(SUBJECT, Forgotten::Everything)], Duration::ZERO, at_once)
        });
        while !reader.state.cut.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert!(reader.unless_cut(async {}).await.is_none());
        drop(reader);
        waiter.join().expect("no panic").expect("drained");
    }

    /// Long enough for any drain that ends, so that one that does not fails its test.
    const LONG: Duration = Duration::from_secs(20);

    /// Drains on a thread of its own. What it came to, once it has.
    fn draining(
        readings: &Arc<Readings>,
        before_cut: impl FnOnce() -> Result<(), &'static str> + Send + 'static,
    ) -> mpsc::Receiver<Result<(), &'static str>> {
        let (tell, told) = mpsc::channel();
        let readings = readings.clone();
        std::thread::spawn(move || {
            tell.send(readings.drain(&[(SUBJECT, Forgotten::Everything)], Duration::ZERO, before_cut))
        });
        told
    }

    #[test]
    fn nobody_is_cut_before_what_they_are_told_is_durable() {
        let readings = Arc::new(Readings::default());
        let nobody = draining(&readings, || Err("nobody is there to be cut"));
        assert_eq!(nobody.recv_timeout(LONG), Ok(Ok(())));
        let reader = readings.begin(SUBJECT, None);
        let refused = draining(&readings, || Err("not durable"));
        assert_eq!(refused.recv_timeout(LONG), Ok(Err("not durable")));
        assert!(!reader.is_cut());
        let state = reader.state.clone();
        let drained =
            draining(&readings, move || if state.cut.load(Ordering::Acquire) { Err("cut already") } else { Ok(()) });
        let deadline = Instant::now() + LONG;
        while !reader.is_cut() {
            assert!(Instant::now() < deadline, "is cut in the end");
            std::thread::yield_now();
        }
        drop(reader);
        assert_eq!(drained.recv_timeout(LONG), Ok(Ok(())));
    }
}
