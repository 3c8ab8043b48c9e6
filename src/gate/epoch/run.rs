//! One epoch after another, step by step.

mod finish;
mod looks;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::done::{Done, Finished};
use super::{Phase, STATE, Shared, SlotChange, Work};
use crate::base::fault;
use crate::base::limits::{EPOCH_RETRY, SLOT_LOOK, SLOT_LOOK_FRESH, SWEEP_ROWS_MAX};
use crate::gate::approvals;
use crate::gate::days;
use crate::gate::former::{self, FormerSlot};
use crate::gate::held;
use crate::gate::intents::{self, Intent, What, delete_below, delete_rows, is_removed_unread};
use crate::gate::ledger::Ledger;
use crate::gate::periods;
use crate::gate::readings::{Forgotten, Scope};
use crate::gate::receipts::{Carried, Case, Signed};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::slot_changes;
use crate::gate::slots::{SeatError, Staged, Unfit};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::uploads::{self, Expired};
use crate::keys::epoch::{Prepared, State};
use crate::keys::page::{Page, PageId, Tree};
use crate::keys::tree::ROOT_PAGE;
use crate::store::keyspace::Space;

pub(super) struct Runner {
    work: Work,
    shared: Arc<Shared>,
    tell: watch::Sender<Finished>,
    /// Pages that the epoch in flight left behind; their open copies are dropped with the rows.
    replaced: Mutex<Vec<(PageId, u64)>>,
    ahead: Mutex<Option<Ahead>>,
    /// What a look at the slots gave while somebody was about to ask for an epoch.
    looked: Mutex<Option<(Instant, Staged)>>,
}

/// What an epoch that this run has prepared need not read again.
struct Fresh {
    intents: Vec<(u64, Intent)>,
    staged: Arc<Staged>,
}

/// A number that the last epoch reserved for the next.
struct Ahead {
    epoch: u64,
    staged: bool,
}

enum Wake {
    /// A change of the slots, which comes between epochs.
    Change(SlotChange),
    /// An epoch is due.
    Epoch,
    /// One is about to be asked for.
    Soon,
    /// A lost slot's end is known.
    Release,
    /// It is time to look at the slots, and for keys of past days.
    Look,
}

/// Why an epoch did not finish now.
enum Halt {
    Slot(SeatError),
    Refused(Refusal),
}

impl From<SeatError> for Halt {
    fn from(error: SeatError) -> Self {
        Self::Slot(error)
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Runner {
    pub(super) fn new(work: Work, shared: Arc<Shared>, tell: watch::Sender<Finished>) -> Self {
        Self { work, shared, tell, replaced: Mutex::default(), ahead: Mutex::default(), looked: Mutex::default() }
    }

    /// Carries out epochs until the thread shall end.
    pub(super) fn run(self) {
        while let Some(wake) = self.wait() {
            match wake {
                Wake::Change(change) => {
                    // A slot that has joined does not hold what was staged ahead.
                    *self.ahead.lock() = None;
                    *self.looked.lock() = None;
                    let asks = change(&self.work);
                    self.slots_changed();
                    let mut asked = self.shared.asked.lock();
                    if asks {
                        asked.pending += 1;
                        asked.due = Some(Instant::now());
                    }
                    continue;
                }
                Wake::Soon => {
                    self.look_early();
                    continue;
                }
                Wake::Release => {
                    self.release();
                    continue;
                }
                Wake::Look => {
                    self.look_at_slots();
                    self.look_at_lost_slots();
                    if std::mem::take(&mut self.shared.asked.lock().release_failed) {
                        self.release();
                    }
                    self.look_for_old_keys();
                    self.look_for_intents();
                    continue;
                }
                Wake::Epoch => {}
            }
            match self.run_epoch() {
                Ok(done) => {
                    *self.shared.waiting.lock() = self.work.slots.waited_for();
                    if let Some(done) = done {
                        self.tell.send_modify(|finished| finished.push(done));
                    }
                }
                Err(halt) => self.halted(&halt),
            }
            self.shared.phase.store(0, Ordering::Relaxed);
            if !self.shared.stopping.load(Ordering::Acquire) {
                self.work_ahead();
            }
        }
        self.shared.asked.lock().changes.clear(); // who waits for one is told that the vault stops
    }

    /// Waits until something is due; `None` when the thread shall end.
    fn wait(&self) -> Option<Wake> {
        let look = Instant::now() + SLOT_LOOK;
        let mut asked = self.shared.asked.lock();
        loop {
            let now = Instant::now();
            if self.shared.stopping.load(Ordering::Acquire) {
                return None;
            }
            if let Some(change) = asked.changes.pop_front() {
                return Some(Wake::Change(change));
            }
            if std::mem::take(&mut asked.release) {
                return Some(Wake::Release);
            }
            let is_expected = std::mem::take(&mut asked.expected);
            match asked.due {
                Some(due) if due <= now => {
                    asked.due = None;
                    return Some(Wake::Epoch);
                }
                _ if is_expected => return Some(Wake::Soon),
                _ if look <= now => return Some(Wake::Look),
                due => {
                    self.shared.wake.wait_until(&mut asked, due.map_or(look, |due| due.min(look)));
                }
            }
        }
    }

    fn halted(&self, halt: &Halt) {
        match halt {
            Halt::Slot(error) => tracing::warn!(slot = error.name, "erasures are pending: {}", error.error),
            Halt::Refused(refusal) => tracing::warn!("erasures are pending: {refusal}"),
        }
        *self.shared.waiting.lock() = self.work.slots.waited_for();
        let mut asked = self.shared.asked.lock();
        let retry = Instant::now() + EPOCH_RETRY;
        asked.due = Some(retry);
    }

    fn phase(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// One epoch, if there is anything to do.
    fn run_epoch(&self) -> Result<Option<Done>, Halt> {
        let state = self.state()?;
        let staged = self.check_slots(&state);
        self.claim(&state)?;
        self.work.slots.require_all()?;
        let (prepared, fresh) = match state.prepared {
            Some(prepared) => (prepared, None),
            None => match self.prepare(state, staged)? {
                Some((prepared, fresh)) => (prepared, Some(fresh)),
                None => {
                    self.nothing_is_left();
                    return Ok(None);
                }
            },
        };
        self.phase(Phase::Destroying);
        // Where this run has reserved the next number with the new tree, what is destroyed gives way to its secret.
        let next = match fresh {
            Some(_) => Ahead { epoch: prepared.epoch + 1, staged: true },
            None => Ahead { epoch: state.reserved.max(prepared.epoch) + 1, staged: false },
        };
        let (intents, staged) = match fresh {
            Some(fresh) => (fresh.intents, fresh.staged),
            None => {
                // Where they do not read, nothing is destroyed.
                let intents = self.intents(Some(prepared.intents_through))?;
                (intents, Arc::new(self.work.slots.read_staged(prepared.epoch)?))
            }
        };
        self.open_next(&staged)?;
        let over = next.staged.then_some(next.epoch);
        let (slots, seen) = self.work.slots.replace((&staged, over), state.current, &*self.work.clock)?;
        *self.looked.lock() = seen.map(|staged| (Instant::now(), staged));
        let carried = Carried { epoch: prepared.epoch, at: self.work.clock.now(), slots };
        self.finish((state.current, next), prepared, carried, intents).map(Some)
    }

    /// An intent may be carried out before the epochs are told of it: then it is counted when it is gone already.
    fn nothing_is_left(&self) {
        let mut asked = self.shared.asked.lock();
        if asked.due.is_none() {
            asked.pending = 0;
        }
    }

    /// Steps 1 to 3: drain, stage, and one batch with the new pages beside the old and the new root sealed per slot.
    fn prepare(&self, state: State, staged: Option<Staged>) -> Result<Option<(Prepared, Fresh)>, Halt> {
        let intents = self.intents(None)?;
        let Some((through, _)) = intents.last() else {
            // What is staged is good for the next.
            *self.ahead.lock() = staged.map(|_| Ahead { epoch: state.reserved, staged: true });
            return Ok(None);
        };
        let through = *through;
        self.phase(Phase::Draining);
        let forgotten = |intent: &Intent| match (intent.what, intent.item) {
            (What::Subject, _) => Forgotten::Everything,
            (_, Some(item)) => Forgotten::Item(item),
            (_, None) => Forgotten::Items,
        };
        let scope = |intent: &Intent| intent.subject.map(|subject| (subject, forgotten(intent)));
        let scopes: Vec<Scope> = intents.iter().filter_map(|(_, intent)| scope(intent)).collect();
        self.work.readings.drain(&scopes, self.work.patience.drain, || self.commit(|_| Ok(())))?;

        self.phase(Phase::Staging);
        let (reserved, staged) = self.reserve(state, staged)?;
        let epoch = reserved.reserved;

        let prepared = Prepared { epoch, intents_through: through };
        let targets: Vec<_> = intents.iter().flat_map(|(_, intent)| intent.targets.iter().copied()).collect();
        let whole: Vec<_> = intents.iter().filter_map(|(_, intent)| intent.gone_tree()).collect();
        let (slots, staged) = (self.work.slots.clone(), Arc::new(staged));
        let sealing = staged.clone();
        let replaced = self.commit(move |txn| {
            let mut ledger = Ledger::find(txn)?;
            ledger.prepare(through)?;
            let forgotten = txn.forget(epoch, &targets, &whole)?;
            ledger.store(txn)?;
            for (key, row) in slots.seal_root(&sealing, &forgotten.root.key).map_err(|_| Unavailable::Internal)? {
                txn.put(Space::Root, key, row);
            }
            for (number, (id, generation)) in forgotten.replaced.iter().enumerate() {
                txn.put(Space::Doomed, doomed_key(epoch, number), id.row_key(*generation));
            }
            // The next number is reserved along the way: its secrets take the place of those that are destroyed.
            let state = State { prepared: Some(prepared), reserved: epoch + 1, ..reserved };
            txn.put(Space::Meta, STATE, state.encode());
            Ok(forgotten.replaced)
        })?;
        *self.replaced.lock() = replaced;
        fault::point("epoch_prepared");
        self.phase(Phase::Committed);
        Ok(Some((prepared, Fresh { intents, staged })))
    }

    /// A number that no slot has heard of, or that every slot heard of from this process alone, staged in every slot.
    fn reserve(&self, state: State, staged: Option<Staged>) -> Result<(State, Staged), Halt> {
        if let Some(staged) = staged {
            return Ok((state, staged));
        }
        let reserved = State { reserved: state.reserved + 1, ..state };
        self.commit(move |txn| {
            txn.put(Space::Meta, STATE, reserved.encode());
            Ok(())
        })?;
        self.work.slots.destroy_except(state.current)?;
        self.work.slots.stage(state.current, reserved.reserved)?;
        Ok((reserved, self.work.slots.read_staged(reserved.reserved)?))
    }

    /// Between epochs: stages the next secrets, so that the next erasure need not wait for it, and deletes rows that
    /// nothing opens any more. What fails here is done again by the next epoch, or told by it.
    fn work_ahead(&self) {
        let ahead = self.ahead.lock().take();
        if let Some(ahead) = ahead {
            let staged = ahead.staged || self.stage_ahead(ahead.epoch);
            // A slot that failed may hold anything: the next epoch takes another number.
            *self.ahead.lock() = staged.then_some(Ahead { staged, ..ahead });
        }
        if std::mem::take(&mut self.shared.asked.lock().sweep) {
            while self.commit(days::sweep).unwrap_or(false) {}
        }
    }

    fn stage_ahead(&self, epoch: u64) -> bool {
        let current = self.work.root.load().epoch;
        self.work.slots.require_all().is_ok() && self.work.slots.stage(current, epoch).is_ok()
    }

    /// Step 4: the new root must open through every slot, and its top page with it, before anything is destroyed. What
    /// was read back from the slots after it was staged need not be read again: each is looked at before it is overwritten.
    fn open_next(&self, staged: &Staged) -> Result<(), Halt> {
        let key = self.work.slots.open_staged(&*self.work.engine, staged)?;
        let key = key.ok_or(Unavailable::Internal).map_err(Refusal::from)?;
        let root = self.work.root.load();
        let same = crate::crypto::mac::equal(key.expose(), root.key.expose()) && staged.is_of(root.epoch);
        let top = self.work.engine.get(Space::Page, &ROOT_PAGE.row_key(root.epoch)).map_err(Refusal::from)?;
        let opens = |top: Vec<u8>| Page::open(&self.work.vault, ROOT_PAGE, root.epoch, &key, &top).is_ok();
        if same && top.is_some_and(opens) { Ok(()) } else { Err(Refusal::from(Unavailable::Damaged).into()) }
    }

    fn state(&self) -> Result<State, Halt> {
        let row = self.work.engine.get(Space::Meta, STATE).map_err(Refusal::from)?;
        let state = row.and_then(|row| State::decode(&row).ok()).ok_or(Unavailable::Damaged);
        Ok(state.map_err(Refusal::from)?)
    }

    /// Those of a prepared epoch, or those for the next.
    fn intents(&self, prepared: Option<u64>) -> Result<Vec<(u64, Intent)>, Halt> {
        let Work { engine, vault, root, .. } = &self.work;
        let ledger = Ledger::load(&**engine, vault, &root.load().key)?;
        Ok(intents::to_carry_out(&**engine, &ledger, prepared)?)
    }

    fn commit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Halt> {
        Ok(self.work.committer.commit_blocking(work, true)?)
    }
}

/// The key of the row that names one of the old pages that go with an epoch.
fn doomed_key(epoch: u64, number: usize) -> Vec<u8> {
    [epoch.to_be_bytes(), (number as u64).to_be_bytes()].concat()
}
