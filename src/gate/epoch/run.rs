//! One epoch after another, step by step.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::done::{Done, Finished};
use super::{Phase, STATE, Shared, SlotChange, Work};
use crate::base::fault;
use crate::base::limits::{EPOCH_INTENTS_MAX, EPOCH_RETRY, SLOT_LOOK, SLOT_LOOK_FRESH, SWEEP_ROWS_MAX};
use crate::base::secret::Key;
use crate::gate::approvals;
use crate::gate::days;
use crate::gate::former::{self, FormerSlot};
use crate::gate::held;
use crate::gate::intents::{Intent, What, delete_below, delete_rows, is_removed_unread};
use crate::gate::periods;
use crate::gate::readings::{Forgotten, Scope};
use crate::gate::receipts::{Carried, Case, Signed};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::slot_changes;
use crate::gate::slots::{SeatError, Staged, Unfit};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::uploads::{self, Expired};
use crate::keys::epoch::{Prepared, State};
use crate::keys::page::{PageId, Tree};
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
    /// Every intent up to this one is gone: a search from the first would pass over all of them.
    gone_through: AtomicU64,
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
        Self {
            work,
            shared,
            tell,
            replaced: Mutex::default(),
            ahead: Mutex::default(),
            looked: Mutex::default(),
            gone_through: AtomicU64::new(0),
        }
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
                    self.look_for_old_keys();
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

    /// Keys of past days go also when no call comes.
    fn look_for_old_keys(&self) {
        let vault = self.work.vault;
        while self.commit(move |txn| approvals::sweep(txn, &vault)).unwrap_or(false) {}
        self.look_for_expired_uploads();
        if self.commit(|txn| Ok(days::forget_old(txn)? | periods::forget_old(txn)?)).unwrap_or(false) {
            let mut asked = self.shared.asked.lock();
            asked.pending += 1;
            asked.due = Some(Instant::now());
        }
    }

    /// Uploads that nobody finished in time.
    fn look_for_expired_uploads(&self) {
        while let Ok(Expired { given_up, more }) = self.commit(uploads::expire) {
            if given_up > 0 {
                let mut asked = self.shared.asked.lock();
                asked.pending += given_up;
                asked.due = Some(Instant::now());
            }
            if !more {
                return;
            }
        }
    }

    /// Reads former slots again, and what is waited for.
    fn slots_changed(&self) {
        if self.work.slots.reload_former(&*self.work.engine).is_err() {
            tracing::error!("the rows of former slots do not read");
        }
        *self.shared.waiting.lock() = self.work.slots.waited_for();
    }

    /// A lost slot that is in reach again is destroyed, which ends the waiting for it.
    fn look_at_lost_slots(&self) {
        for former in self.work.slots.former().iter().filter(|slot| slot.is_lost()) {
            if slot_changes::destroy(&self.work, former).unwrap_or(false) {
                tracing::info!(slot = former.name(), "a lost slot is destroyed");
                self.release();
            }
        }
    }

    /// Ends the waiting of everything that no longer waits for a lost slot.
    fn release(&self) {
        let mut from = Some(Vec::new());
        while let Some(key) = from {
            let signer = self.work.receipts.clone();
            let released = match self.commit(move |txn| held::release(txn, &key, &signer)) {
                Ok(released) => released,
                Err(_) => {
                    self.shared.asked.lock().release = true;
                    break;
                }
            };
            self.shared.held.fetch_sub(released.count, Ordering::Relaxed);
            from = released.next;
        }
        self.slots_changed();
    }

    /// Notices that a slot has gone, or is back, before an erasure needs it.
    fn look_at_slots(&self) {
        let Ok(state) = self.state() else { return };
        self.work.slots.check(&state);
        let claimed = self.claim(&state);
        let missing = self.work.slots.waited_for();
        let mut waiting = self.shared.waiting.lock();
        if *waiting != missing {
            match claimed {
                Err(error) => tracing::warn!(slot = error.name, "a slot is not used: {}", error.error),
                Ok(()) if missing.is_empty() => tracing::info!("every slot is in reach again"),
                Ok(()) => tracing::warn!(count = missing.len(), "slots are out of reach"),
            }
            *waiting = missing;
        }
    }

    /// Claims what is in reach again. A slot that is ahead shows that the store is an old copy, put back with old copies of
    /// the others while this one was away: then nothing is served any more.
    fn claim(&self, state: &State) -> Result<(), SeatError> {
        let claimed = self.work.slots.claim(state);
        if let Err(SeatError { name, error: Unfit::Ahead }) = &claimed
            && !self.work.committer.has_failed()
        {
            tracing::error!(slot = name, "{}; no call is served", Unfit::Ahead);
            self.work.committer.give_up();
        }
        claimed
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
        self.open_next(prepared.epoch, fresh.as_ref().map(|fresh| &fresh.staged))?;
        let slots = self.work.slots.replace(prepared.epoch, state.current, &*self.work.clock)?;
        let intents = match fresh {
            Some(fresh) => fresh.intents,
            None => self.intents(prepared.intents_through)?,
        };
        let carried = Carried { epoch: prepared.epoch, at: self.work.clock.now(), slots };
        self.finish(state.current, prepared, carried, intents).map(Some)
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
        let intents = self.intents(u64::MAX)?;
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
        self.work.readings.drain(&scopes, self.work.patience.drain);

        self.phase(Phase::Staging);
        let (reserved, staged) = self.reserve(state, staged)?;
        let epoch = reserved.reserved;

        let prepared = Prepared { epoch, intents_through: through };
        let targets: Vec<_> = intents.iter().flat_map(|(_, intent)| intent.targets.iter().copied()).collect();
        let (slots, staged) = (self.work.slots.clone(), Arc::new(staged));
        let sealing = staged.clone();
        let replaced = self.commit(move |txn| {
            let forgotten = txn.forget(epoch, &targets)?;
            for (key, row) in slots.seal_root(&sealing, &forgotten.root.key).map_err(|_| Unavailable::Internal)? {
                txn.put(Space::Root, key, row);
            }
            for (number, (id, generation)) in forgotten.replaced.iter().enumerate() {
                let key = [epoch.to_be_bytes(), (number as u64).to_be_bytes()].concat();
                txn.put(Space::Doomed, key, id.row_key(*generation));
            }
            txn.put(Space::Meta, STATE, State { prepared: Some(prepared), ..reserved }.encode());
            Ok(forgotten.replaced)
        })?;
        *self.replaced.lock() = replaced;
        fault::point("epoch_prepared");
        self.phase(Phase::Committed);
        Ok(Some((prepared, Fresh { intents, staged })))
    }

    /// Looks at every slot; where a secret is staged ahead, with the same look takes what seals the next root.
    fn check_slots(&self, state: &State) -> Option<Staged> {
        let ahead = self.ahead.lock().take().filter(|ahead| ahead.staged && ahead.epoch == state.reserved);
        let looked = self.looked.lock().take().filter(|(at, _)| at.elapsed() < SLOT_LOOK_FRESH);
        match ahead {
            Some(ahead) if state.prepared.is_none() && looked.as_ref().is_some_and(|(_, s)| s.is_of(ahead.epoch)) => {
                looked.map(|(_, staged)| staged)
            }
            Some(ahead) if state.prepared.is_none() => self.work.slots.check_staged(state, ahead.epoch),
            _ => {
                self.work.slots.check(state);
                None
            }
        }
    }

    /// The look at the slots with which an epoch begins, while what asks for it is still on its way to the medium.
    fn look_early(&self) {
        let Ok(state) = self.state() else { return };
        let ahead = self.ahead.lock().as_ref().filter(|ahead| ahead.staged).map(|ahead| ahead.epoch);
        let Some(epoch) = ahead.filter(|epoch| *epoch == state.reserved && state.prepared.is_none()) else { return };
        *self.looked.lock() = self.work.slots.check_staged(&state, epoch).map(|staged| (Instant::now(), staged));
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
    fn open_next(&self, epoch: u64, staged: Option<&Arc<Staged>>) -> Result<(), Halt> {
        let (slots, engine) = (&self.work.slots, &*self.work.engine);
        let key: Option<Key> = match staged {
            Some(staged) => slots.open_staged(engine, staged)?,
            None => slots.open_root(engine, epoch)?,
        };
        let key = key.ok_or(Unavailable::Internal).map_err(Refusal::from)?;
        let root = self.work.root.load();
        let same = crate::crypto::mac::equal(key.expose(), root.key.expose()) && root.epoch == epoch;
        let top = self.work.engine.get(Space::Page, &ROOT_PAGE.row_key(epoch)).map_err(Refusal::from)?;
        if same && top.is_some() { Ok(()) } else { Err(Refusal::from(Unavailable::Damaged).into()) }
    }

    /// Step 6: the rows go, the intents end, and the log says so.
    fn finish(
        &self,
        old: u64,
        prepared: Prepared,
        carried: Carried,
        intents: Vec<(u64, Intent)>,
    ) -> Result<Done, Halt> {
        let carried_out = intents.len() as u64;
        let turned = intents.iter().any(|(_, intent)| intent.what == What::DayKeys);
        let epoch = prepared.epoch;
        self.delete_ahead(&intents)?;
        let (former, statements) = self.statements(&intents, &carried);
        let signer = self.work.receipts.clone();
        let (kept_back, gone) = self.commit(move |txn| {
            let stored = former::all(txn)?;
            // Where what is known of former slots has changed meanwhile, so have the statements.
            let statements = (stored == former).then_some(statements);
            let ending = held::Ending { carried: &carried, former: &stored, signer: &signer };
            let trees: HashSet<Tree> = intents.iter().filter_map(|(_, intent)| intent.gone_tree()).collect();
            let (mut kept_back, mut gone) = (0, Vec::new());
            for (at, (number, intent)) in intents.iter().enumerate() {
                txn.delete(Space::Intent, number.to_be_bytes());
                for row in &intent.rows {
                    delete_rows(txn, row)?;
                }
                if let Some(tree) = intent.gone_tree() {
                    gone.extend(delete_tree(txn, tree)?);
                }
                // What a tree that is gone had handed out goes with it.
                for (tree, position) in intent.targets.iter().filter(|(tree, _)| !trees.contains(tree)) {
                    txn.release_position(*tree, *position)?;
                }
                let ready = statements.as_ref().and_then(|statements| statements[at].as_ref());
                kept_back += u64::from(held::end(txn, *number, intent, &ending, ready)?);
            }
            held::count(txn, &ending.lost(), kept_back)?;
            for (key, row) in txn.rows(Space::Doomed, &epoch.to_be_bytes(), &[], usize::MAX)? {
                txn.delete(Space::Page, row);
                txn.delete(Space::Doomed, key);
            }
            delete_below(txn, Space::Root, &old.to_be_bytes())?;
            // The next number is reserved along the way, so that the next epoch finds its secrets staged.
            let state = State { current: epoch, reserved: epoch + 1, prepared: None };
            txn.put(Space::Meta, STATE, state.encode());
            Ok((kept_back, gone))
        })?;
        fault::point("epoch_finished");
        self.gone_through.store(prepared.intents_through, Ordering::Relaxed);
        if kept_back > 0 {
            self.shared.held.fetch_add(kept_back, Ordering::Relaxed);
            self.slots_changed();
        }
        for (id, generation) in std::mem::take(&mut *self.replaced.lock()).into_iter().chain(gone) {
            self.work.pages.cache().remove(id, generation);
        }
        *self.ahead.lock() = Some(Ahead { epoch: epoch + 1, staged: false });
        let mut asked = self.shared.asked.lock();
        asked.pending = asked.pending.saturating_sub(carried_out);
        if asked.pending > 0 {
            asked.due = Some(Instant::now());
        }
        asked.sweep |= turned;
        Ok(Done { through: prepared.intents_through, epoch })
    }

    /// Deletes most of what a large prefix holds before the batch that ends the intents, which so stays small. A crash
    /// between leaves less to delete.
    fn delete_ahead(&self, intents: &[(u64, Intent)]) -> Result<(), Halt> {
        let large = || intents.iter().map(|(_, intent)| intent).filter(|intent| !is_small(intent));
        let trees = large().filter_map(|intent| intent.gone_tree());
        let pages = trees.map(|tree| (Space::Page, tree.row_prefix()));
        let rows = large().flat_map(|intent| &intent.rows);
        let rows = rows.filter(|row| row.prefix && !is_removed_unread(row.space));
        let below: Vec<_> = rows.map(|row| (row.space, row.key.clone())).chain(pages).collect();
        for (space, prefix) in below {
            let scan = || self.work.engine.scan(space, &prefix, &[], SWEEP_ROWS_MAX);
            let mut rows = scan().map_err(Refusal::from)?;
            while rows.len() == SWEEP_ROWS_MAX {
                self.commit(move |txn| {
                    rows.into_iter().for_each(|(key, _)| txn.delete(space, key));
                    Ok(())
                })?;
                rows = scan().map_err(Refusal::from)?;
            }
        }
        Ok(())
    }

    /// The statements of what was carried out, made beside the writer's thread, and the former slots that they rely on;
    /// none while a slot is lost.
    fn statements(&self, intents: &[(u64, Intent)], carried: &Carried) -> (Vec<FormerSlot>, Vec<Option<Signed>>) {
        let former = self.work.slots.former();
        if former.iter().any(FormerSlot::is_lost) {
            return (former, vec![None; intents.len()]);
        }
        let attested = held::attestations(&former);
        let sign =
            |intent: &Intent| Some(self.work.receipts.sign(&intent.receipt, intent.case.as_ref()?, carried, &attested));
        let statements = intents.iter().map(|(_, intent)| sign(intent)).collect();
        (former, statements)
    }

    fn state(&self) -> Result<State, Halt> {
        let row = self.work.engine.get(Space::Meta, STATE).map_err(Refusal::from)?;
        let state = row.and_then(|row| State::decode(&row).ok()).ok_or(Unavailable::Damaged);
        Ok(state.map_err(Refusal::from)?)
    }

    fn intents(&self, through: u64) -> Result<Vec<(u64, Intent)>, Halt> {
        let from = self.gone_through.load(Ordering::Relaxed) + 1;
        let rows = self.work.engine.scan(Space::Intent, &[], &from.to_be_bytes(), EPOCH_INTENTS_MAX);
        let rows = rows.map_err(Refusal::from)?;
        let mut intents = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            let number = key.try_into().map(u64::from_be_bytes).map_err(|_| Refusal::from(Unavailable::Damaged))?;
            if number <= through {
                intents.push((number, Intent::decode(&row).map_err(|_| Refusal::from(Unavailable::Damaged))?));
            }
        }
        Ok(intents)
    }

    fn commit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Halt> {
        Ok(self.work.committer.commit_blocking(work, true)?)
    }
}

/// Whether its rows are few, as its keys are: most people have some items, and each of these some rows.
fn is_small(intent: &Intent) -> bool {
    let keys = |case: &Case| {
        let kept = case.kept_list.as_ref().map_or(case.kept.len() as u64, |list| list.count);
        case.keys.count + kept
    };
    intent.case.as_ref().is_some_and(|case| keys(case) <= KEYS_OF_FEW_ROWS)
}

/// So many keys have no more rows than one batch takes.
const KEYS_OF_FEW_ROWS: u64 = 100;

/// Deletes the pages of a tree that is gone, and what is known of its positions. The pages, so that open copies go too.
fn delete_tree(txn: &mut Txn<'_>, tree: Tree) -> Result<Vec<(PageId, u64)>, Refusal> {
    delete_below(txn, Space::Free, &tree.row_prefix())?;
    let mut pages = Vec::new();
    for (key, _) in txn.rows(Space::Page, &tree.row_prefix(), &[], usize::MAX)? {
        pages.extend(PageId::of_row(tree, &key));
        txn.delete(Space::Page, key);
    }
    Ok(pages)
}
