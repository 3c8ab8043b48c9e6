//! Who is reading whom right now, so that an epoch can wait for, or cut, the calls that hold what it forgets.
//!
//! A reader registers before it looks at any row; an erasure's tombstone is durable before it waits here. So either
//! the reader sees the tombstone, or the erasure sees the reader.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use crate::base::id::SubjectId;

/// The readings in progress, by subject.
#[derive(Default)]
pub struct Readings {
    active: Mutex<HashMap<SubjectId, (usize, Arc<Cut>)>>,
    ended: Condvar,
}

#[derive(Default)]
struct Cut {
    happened: AtomicBool,
    notify: Notify,
}

/// One call that reads a subject; ends when dropped.
pub struct Reading {
    readings: Arc<Readings>,
    subject: SubjectId,
    cut: Arc<Cut>,
}

impl Readings {
    /// Registers a reader. Must come before it reads any row of the subject.
    pub fn begin(self: &Arc<Self>, subject: SubjectId) -> Reading {
        let mut active = self.active.lock();
        let (count, cut) = active.entry(subject).or_default();
        *count += 1;
        Reading { readings: self.clone(), subject, cut: cut.clone() }
    }

    /// Waits until nobody who began before reads these subjects; after `patience` the rest is cut.
    pub fn drain(&self, subjects: &[SubjectId], patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut active = self.active.lock();
        // Readers that begin meanwhile see the tombstone and are over at once; they may share this wait.
        let waiting: Vec<(SubjectId, Arc<Cut>)> =
            subjects.iter().filter_map(|subject| active.get(subject).map(|(_, cut)| (*subject, cut.clone()))).collect();
        let is_over = |active: &HashMap<SubjectId, (usize, Arc<Cut>)>| {
            waiting.iter().all(|(subject, cut)| !active.get(subject).is_some_and(|(_, now)| Arc::ptr_eq(now, cut)))
        };
        while !is_over(&active) && !self.ended.wait_until(&mut active, deadline).timed_out() {}
        for (_, cut) in &waiting {
            cut.happened.store(true, Ordering::Release);
            cut.notify.notify_waiters();
        }
        while !is_over(&active) {
            self.ended.wait(&mut active);
        }
    }
}

impl Reading {
    /// Runs `work`, or gives up with `None` when an erasure cuts this reading.
    pub async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cut = self.cut.notify.notified();
        tokio::pin!(cut);
        cut.as_mut().enable();
        if self.cut.happened.load(Ordering::Acquire) {
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
        // INVARIANT: an entry stays in the map, with one cut, from its first reader to its last.
        if let Some((count, cut)) = active.get_mut(&self.subject)
            && Arc::ptr_eq(cut, &self.cut)
        {
            *count -= 1;
            if *count == 0 {
                active.remove(&self.subject);
                self.readings.ended.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: SubjectId = SubjectId::from_bytes([1; 16]);

    #[test]
    fn draining_waits_for_readers_of_the_same_subject_only() {
        let readings = Arc::new(Readings::default());
        let _other = readings.begin(SubjectId::from_bytes([2; 16]));
        let reader = readings.begin(SUBJECT);
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[SUBJECT], Duration::from_secs(60))
        });
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiter.is_finished());
        drop(reader);
        waiter.join().expect("drained");
    }

    #[tokio::test]
    async fn a_stalled_reader_is_cut() {
        let readings = Arc::new(Readings::default());
        let reader = readings.begin(SUBJECT);
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[SUBJECT], Duration::from_millis(20))
        });
        assert!(reader.unless_cut(std::future::pending::<()>()).await.is_none());
        assert!(!waiter.is_finished(), "the epoch goes on only once the reader is gone");
        drop(reader);
        waiter.join().expect("drained");
    }

    #[tokio::test]
    async fn a_reader_that_looks_up_after_the_cut_sees_it() {
        let readings = Arc::new(Readings::default());
        let reader = readings.begin(SUBJECT);
        let waiter = std::thread::spawn({
            let readings = readings.clone();
            move || readings.drain(&[SUBJECT], Duration::ZERO)
        });
        while !reader.cut.happened.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        assert!(reader.unless_cut(async {}).await.is_none());
        drop(reader);
        waiter.join().expect("drained");
    }
}
