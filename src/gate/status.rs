//! How the vault is, for those who operate it.

use super::call::Call;
use super::purge::{self, Progress};
use super::refusal::Refusal;
use super::room::Level;
use super::vault::Vault;
use crate::base::id::{SlotId, VaultId};
use crate::base::time::Timestamp;
use crate::keys::slot::grade::Grade;
use crate::store::format::FORMAT;

pub use super::epoch::Phase;
pub use super::former::{End, FormerSlot};
pub use super::slots::SlotState;

/// Whether the vault serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VaultState {
    /// Everything works.
    Serving,
    /// Calls are served; erasures stay pending because a slot is out of reach or lost.
    Degraded,
    /// The store's volume is filling up: nothing new is taken.
    ReadOnly,
    /// Nothing is served: storage failed, or the log cannot be written.
    Failed,
}

/// One slot.
pub struct SlotStatus {
    /// The slot.
    pub slot: SlotId,
    /// The name of its file.
    pub name: String,
    /// How strongly it destroys.
    pub grade: Grade,
    /// The newest epoch seen in it.
    pub epoch: u64,
    /// How it stands.
    pub state: SlotState,
}

/// The vault as a machine.
pub struct VaultStatus {
    /// Its id.
    pub vault: VaultId,
    /// The format of its store.
    pub format: u32,
    /// Whether it serves.
    pub state: VaultState,
    /// The epoch in force.
    pub epoch: u64,
    /// Erasures that are not carried out yet.
    pub pending: u64,
    /// Where a running epoch is.
    pub phase: Option<Phase>,
    /// The slots it waits for.
    pub waiting: Vec<SlotId>,
    /// Every slot.
    pub slots: Vec<SlotStatus>,
    /// Slots that are no longer the vault's.
    pub former: Vec<FormerSlot>,
    /// Leaves in the audit log.
    pub log_size: u64,
    /// Bytes of live files of the store.
    pub store_bytes: u64,
    /// Free bytes of its volume.
    pub free_bytes: u64,
    /// Below this many, nothing new is taken.
    pub free_bytes_min: u64,
    /// How far the purge of the live files is; none in the first moments of a new vault.
    pub purge: Option<Progress>,
    /// Since when something unreadable may be in live files.
    pub unpurged_since: Option<Timestamp>,
    /// Whether that is past the date on receipts.
    pub purge_overdue: bool,
    /// When it started.
    pub started: Timestamp,
    /// The release.
    pub version: &'static str,
}

/// Reports the state, and records that it was asked for.
pub async fn report(vault: &Vault, call: &Call) -> Result<VaultStatus, Refusal> {
    vault.record_done(call).await?;
    Ok(vault.status())
}

impl Vault {
    /// The state now.
    pub fn status(&self) -> VaultStatus {
        let slots = self.slots.views().into_iter();
        let slots: Vec<SlotStatus> = slots
            .map(|view| SlotStatus {
                slot: view.slot,
                name: view.name,
                grade: view.grade,
                epoch: view.epoch,
                state: view.state,
            })
            .collect();
        let former = self.slots.former();
        let degraded =
            slots.iter().any(|slot| slot.state != SlotState::Current) || former.iter().any(FormerSlot::is_lost);
        let state = match (self.check(), self.room.level()) {
            (Err(_), _) | (_, Level::Full) => VaultState::Failed,
            (_, Level::ReadOnly | Level::DutiesOnly) => VaultState::ReadOnly,
            (_, Level::Open) if degraded => VaultState::Degraded,
            (_, Level::Open) => VaultState::Serving,
        };
        // What does not read is told by the purge itself.
        let purge = self.read(purge::progress).ok().flatten();
        let unpurged_since = purge.as_ref().and_then(|purge| purge.unpurged_since(self.epoch()));
        VaultStatus {
            purge_overdue: purge.as_ref().is_some_and(|purge| purge.is_overdue(self.epoch(), self.now())),
            unpurged_since,
            purge,
            vault: self.id,
            format: FORMAT,
            state,
            epoch: self.epoch(),
            pending: self.epochs.pending(),
            phase: self.epochs.phase(),
            waiting: self.epochs.waiting(),
            slots,
            former,
            log_size: self.committer.log_size(),
            store_bytes: (self.store_bytes)(),
            free_bytes: self.room.free_bytes(),
            free_bytes_min: self.room.marks().data,
            started: self.started,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}
