//! What the thread looks after between epochs, and the look at the slots with which one begins.

use super::*;

impl Runner {
    /// Keys of past days go also when no call comes.
    pub(super) fn look_for_old_keys(&self) {
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

    /// Acts that nobody asked to be carried out: who lodged them went away before.
    pub(super) fn look_for_intents(&self) {
        if self.shared.asked.lock().due.is_some() {
            return;
        }
        // Rows that do not read were told of at the start, and are by the next epoch.
        let open = self.intents(None).map_or(0, |intents| intents.len() as u64);
        let mut asked = self.shared.asked.lock();
        if open > 0 && asked.due.is_none() {
            asked.pending = asked.pending.max(open);
            asked.due = Some(Instant::now());
        }
    }

    /// Reads former slots again, and what is waited for.
    pub(super) fn slots_changed(&self) {
        if self.work.slots.reload_former(&*self.work.engine).is_err() {
            tracing::error!("the rows of former slots do not read");
        }
        *self.shared.waiting.lock() = self.work.slots.waited_for();
    }

    /// A lost slot that is in reach again is destroyed, which ends the waiting for it.
    pub(super) fn look_at_lost_slots(&self) {
        for former in self.work.slots.former().iter().filter(|slot| slot.is_lost()) {
            if slot_changes::destroy(&self.work, former).unwrap_or(false) {
                tracing::info!(slot = former.name(), "a lost slot is destroyed");
                self.release();
            }
        }
    }

    /// Ends the waiting of everything that no longer waits for a lost slot.
    pub(super) fn release(&self) {
        let mut from = Some(Vec::new());
        while let Some(key) = from {
            let signer = self.work.receipts.clone();
            let released = match self.commit(move |txn| held::release(txn, &key, &signer)) {
                Ok(released) => released,
                Err(halt) => {
                    if let Halt::Refused(refusal) = halt {
                        tracing::warn!("what waited for a lost slot is not released: {refusal}");
                    }
                    self.shared.asked.lock().release_failed = true;
                    break;
                }
            };
            self.shared.held.fetch_sub(released.count, Ordering::Relaxed);
            from = released.next;
        }
        self.slots_changed();
    }

    /// Notices that a slot has gone, or is back, before an erasure needs it.
    pub(super) fn look_at_slots(&self) {
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
    pub(super) fn claim(&self, state: &State) -> Result<(), SeatError> {
        let claimed = self.work.slots.claim(state);
        if let Err(SeatError { name, error: Unfit::Ahead }) = &claimed
            && !self.work.committer.has_failed()
        {
            tracing::error!(slot = name, "{}; no call is served", Unfit::Ahead);
            self.work.committer.give_up();
        }
        claimed
    }

    /// Looks at every slot; where a secret is staged ahead, with the same look takes what seals the next root.
    pub(super) fn check_slots(&self, state: &State) -> Option<Staged> {
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
    pub(super) fn look_early(&self) {
        if self.looked.lock().as_ref().is_some_and(|(at, _)| at.elapsed() < SLOT_LOOK_FRESH / 2) {
            return; // fresh enough, and for a while
        }
        let Ok(state) = self.state() else { return };
        let ahead = self.ahead.lock().as_ref().filter(|ahead| ahead.staged).map(|ahead| ahead.epoch);
        let Some(epoch) = ahead.filter(|epoch| *epoch == state.reserved && state.prepared.is_none()) else { return };
        *self.looked.lock() = self.work.slots.check_staged(&state, epoch).map(|staged| (Instant::now(), staged));
    }
}
