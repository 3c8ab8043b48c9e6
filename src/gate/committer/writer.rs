//! The writer's thread: takes a group, runs it, and commits it as one batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::Shared;
use super::change::Queued;
use super::pump::finish;
use super::queue::Turn;
use crate::audit::sequence::Head;
use crate::base::fault;
use crate::base::limits::ROOM_PROBE;
use crate::base::time::Clock;
use crate::gate::jumps;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::tally;
use crate::gate::txn::{Changes, Ground, Standing, Txn};
use crate::keys::tally::Tally;
use crate::keys::tree::{Root, seal_all};
use crate::store;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;

/// The state of the writer's thread.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) ground: Ground,
    pub(super) root: Arc<ArcSwap<Root>>,
    pub(super) head: Head,
    /// Of the pages as they are; none where the store's is not the newest.
    pub(super) tally: Option<Tally>,
    pub(super) clock: Arc<dyn Clock>,
    /// Whether the log has entries that the next change to last makes last too.
    pub(super) unsettled: bool,
}

impl Writer {
    pub(super) fn run(&mut self) {
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
        let standing = Standing { now, last_entry, tally: self.tally.as_ref() };
        let (mut changes, mut must_last) = (Changes::default(), false);
        for queued in group {
            let txn = Txn::new(&self.ground, &root, &changes, standing);
            if let Some(more) = queued.job.run(txn) {
                must_last |= match queued.job.turn() {
                    Turn::Derived => !more.events.is_empty(),
                    Turn::FirstFollowed => false,
                    Turn::InOrder | Turn::Bulk | Turn::First | Turn::Alone => true,
                };
                changes.batch.absorb(more.batch);
                changes.nodes.extend(more.nodes);
                changes.events.extend(more.events);
                changes.root = more.root.or(changes.root);
                changes.left.extend(more.left);
                changes.counted = more.counted.or(changes.counted);
            }
        }
        let new_root = changes.root.map(Arc::new);
        let sealed =
            seal_all(&self.ground.vault, &*self.ground.pages, new_root.as_ref().unwrap_or(&root), changes.nodes)?;
        let mut batch = changes.batch;
        for page in &sealed.pages {
            batch.put(Space::Page, page.id.row_key(page.generation), &page.bytes[..]);
        }
        for page in &sealed.obsolete {
            batch.delete(Space::Page, page.id.row_key(page.generation));
        }
        let head = self.head.append(&mut batch, now, &changes.events);
        let tally = changes.counted.as_ref().or(self.tally.as_ref());
        let tally = tally.map(|tally| tally::after(tally, &changes.left, &sealed));
        if let Some(tally) =
            tally.as_ref().filter(|tally| self.is_news(tally) || head != self.head || new_root.is_some())
        {
            let root = new_root.as_ref().unwrap_or(&root);
            tally::put(&mut batch, tally, &self.ground.vault, (root, head))?;
        }
        if head != self.head {
            jumps::note(&*self.ground.engine, &mut batch, last_entry, now)?;
        }
        if batch.is_empty() {
            if !(must_last && self.unsettled) {
                return Ok(());
            }
            head.write_again(&mut batch);
        }
        fault::point("commit_before");
        self.write(batch, must_last)?;
        fault::point("commit_after");
        for page in sealed.pages {
            self.ground.pages.cache().publish(page.id, page.generation, page.page);
        }
        for page in sealed.obsolete {
            self.ground.pages.cache().remove(page.id, page.generation);
        }
        self.tally = tally;
        if let Some(root) = new_root {
            self.root.store(root);
        }
        if head != self.head {
            *self.shared.last_entry.lock() = Some(now);
        }
        self.unsettled = !must_last && (self.unsettled || head != self.head);
        self.head = head;
        if !self.unsettled {
            self.shared.log_size.store(head.size(), Ordering::Release);
        }
        Ok(())
    }

    fn is_news(&self, tally: &Tally) -> bool {
        self.tally.as_ref().is_none_or(|before| !tally.is(before))
    }

    fn write(&self, batch: Batch, must_last: bool) -> Result<(), store::Error> {
        let engine = &self.ground.engine;
        let written = if must_last { engine.commit(batch) } else { engine.commit_derived(batch) };
        match written {
            Ok(()) if must_last => self.shared.room.engine_writes(),
            Ok(()) => {} // it may not have reached the medium
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
        let _ = self.write(batch, true);
    }
}
