//! A vault that stands still: opened for a look at its store, without the threads that carry anything on. No epoch runs, no
//! sweep, no checkpoint is signed; the slots are locked and left as they are.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::committer::Committer;
use super::index::Index;
use super::open::{OpenError, Parts, Unlocked, end_of_log, ground, unlock};
use super::slots::SlotSet;
use super::vault::alone_with;
use crate::base::id::VaultId;
use crate::store::Engine;

/// It.
pub struct Still {
    id: VaultId,
    epoch: u64,
    engine: Arc<dyn Engine>,
    committer: Committer,
    slots: Arc<SlotSet>,
}

impl Still {
    /// Opens the vault of a store, with all checks of a start. Changes nothing.
    ///
    /// # Errors
    /// As for [`open`](super::open::open).
    pub fn open(parts: Parts) -> Result<Self, OpenError> {
        let Unlocked { identity, head, slots, root, tally, .. } = unlock(&parts)?;
        let (engine, epoch) = (parts.engine, root.epoch);
        let ground = ground(identity.vault, &engine, &Arc::new(Index::new(identity.vault)));
        let end = end_of_log(&*engine, head, tally)?;
        let root = Arc::new(ArcSwap::from_pointee(root));
        let committer = Committer::start(ground, root, end, parts.clock, Arc::new(parts.room));
        let committer = committer.map_err(|_| OpenError::Thread)?;
        Ok(Self { id: identity.vault, epoch, engine, committer, slots })
    }

    /// The vault.
    pub fn id(&self) -> VaultId {
        self.id
    }

    /// The epoch in force.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The one writer.
    pub fn committer(&self) -> &Committer {
        &self.committer
    }

    /// Closes the store. False if that took too long.
    #[must_use = "a store that is open at the end of the process aborts it"]
    pub fn end(self) -> bool {
        let Self { engine, committer, slots, .. } = self;
        drop((committer, slots));
        alone_with(&engine)
    }
}
