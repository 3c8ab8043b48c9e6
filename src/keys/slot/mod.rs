//! Root slots: small erasable secrets at the top of the key tree.
//!
//! What lives here: the [`RootSlot`] contract, its errors, and one folder per backend. What may not: the key tree,
//! the store, the outer key, and any decision about when an epoch starts or ends.
//!
//! A slot holds one secret `S_e` per epoch: the current one and, for the epoch that comes next, a staged one beside it.
//! The vault's root is sealed under a key derived from [`RootSlot::read`]; destroying `S_e` is what makes everything
//! forgotten at epoch `e + 1` unreadable. A slot file is never part of a backup.
//!
//! INVARIANT: a slot's secret never leaves its backend; what leaves is a keyed function of it. INVARIANT: no call
//! overwrites the secret of the epoch that its caller names as the one in force; for a slot that left the vault there is
//! none.

pub mod file;
pub mod grade;

use crate::base::id::{InstanceId, SlotId, VaultId};
use crate::base::secret::Secret;
use grade::Grade;

/// One root slot, claimed by this instance for as long as the value lives.
///
/// How a slot is claimed depends on its medium, so claiming is the backend's constructor; every other duty is here.
/// After a failed write the value refuses everything with [`SlotError::Io`]: whether the bytes reached the medium is
/// then unknown, and a later sync must not be believed. Claiming the slot again starts from what the medium holds.
pub trait RootSlot: Send {
    /// What the slot holds, read from the medium now.
    ///
    /// # Errors
    /// Also when the medium now names another owner or vault than the one that was claimed.
    fn describe(&self) -> Result<Description, SlotError>;

    /// PRF(S_e; `context`) under [`crate::crypto::label::SLOT_PRF`], with `S_e` read from the medium now.
    ///
    /// # Errors
    /// [`SlotError::NoSuchEpoch`] when the slot does not hold the secret of `epoch`; [`SlotError::Damaged`] when it
    /// does not and a block that may have held it is damaged. So it is for `current` and `keep` below.
    fn read(&self, epoch: u64, context: &[&[u8]]) -> Result<Secret<32>, SlotError>;

    /// Makes a random secret for the epoch `next` beside the one of `current`, which is in force and is not touched.
    ///
    /// A secret already staged for `next` is kept. A torn one, or one staged for an abandoned epoch between the two,
    /// is replaced.
    ///
    /// # Durability
    /// On return the secret of `next` survives power loss. If the call is cut short, that of `current` is whole.
    ///
    /// # Errors
    /// [`SlotError::NoSuchEpoch`] when the slot does not hold `current`; [`SlotError::NotNewer`] when `next` is not
    /// newer than everything the slot holds; [`SlotError::StillThere`] when a secret older than `current` has not
    /// been destroyed. Nothing is written in these cases.
    fn stage(&mut self, current: u64, next: u64) -> Result<(), SlotError>;

    /// Destroys whatever the slot holds beside the secret of `keep`: older, abandoned or torn.
    ///
    /// Irreversible for everything that only the destroyed secret opens. It may be repeated, and is complete only
    /// once it returned `Ok`.
    ///
    /// # Durability
    /// On return the medium was overwritten and synced, and read back without a trace of the other secret, to the
    /// extent that the slot's [`Grade`] states.
    ///
    /// # Errors
    /// [`SlotError::NoSuchEpoch`] when the slot holds no valid secret of `keep`: nothing is destroyed.
    /// [`SlotError::StillThere`] when the read-back found something.
    fn destroy_except(&mut self, keep: u64) -> Result<(), SlotError>;

    /// Destroys everything the slot holds, for one that is no longer the vault's.
    ///
    /// Irreversible. It may be repeated, and is complete only once it returned `Ok`.
    ///
    /// # Durability
    /// As for [`RootSlot::destroy_except`].
    ///
    /// # Errors
    /// [`SlotError::StillThere`] when the read-back found something.
    fn destroy_all(&mut self) -> Result<(), SlotError>;
}

/// What a slot holds. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The slot's own id.
    pub slot: SlotId,
    /// The vault it belongs to.
    pub vault: VaultId,
    /// The instance that may claim it.
    pub owner: InstanceId,
    /// The epochs with a valid secret, ascending, at most two.
    pub epochs: Vec<u64>,
    /// Whether some block is neither valid nor empty, or the copies of the header differ.
    pub damaged: bool,
    /// How strongly the medium destroys what it overwrites.
    pub grade: Grade,
    /// Why the slot has that grade.
    pub grade_reason: &'static str,
}

/// Why a slot refused.
///
/// INVARIANT: carries no secret and no inner error text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// There is no slot at this place, or it was replaced by another while claimed.
    #[error("the slot is missing")]
    Missing,
    /// A slot was to be created where something already is.
    #[error("something already exists where the slot is to be created")]
    Exists,
    /// The place is a link, a folder or a device, or its mode gives others access.
    #[error("the slot must be a plain file that only its owner may access")]
    NotPrivate,
    /// Another process, or another value in this one, has claimed the slot.
    #[error("the slot is in use")]
    InUse,
    /// The slot belongs to another instance, and only an explicit take-over changes that.
    #[error("the slot belongs to another instance and needs an explicit take-over")]
    NotOurs {
        /// The instance that owns it.
        owner: InstanceId,
    },
    /// The slot belongs to another vault. Nothing changes that.
    #[error("the slot belongs to another vault")]
    WrongVault,
    /// The slot was written in a format that this release does not know.
    #[error("the slot has an unknown format version")]
    UnknownFormat,
    /// No copy of the header is whole, or the size is not a slot's, or the epoch asked for may have been in a block
    /// that is damaged.
    #[error("the slot is damaged")]
    Damaged,
    /// The slot holds no valid secret of this epoch.
    #[error("the slot does not hold this epoch")]
    NoSuchEpoch,
    /// The epoch to stage is not newer than what the slot holds.
    #[error("the epoch is not newer than what the slot holds")]
    NotNewer,
    /// A secret that should be gone is still there.
    #[error("a secret that should have been destroyed is still in the slot")]
    StillThere,
    /// The medium failed, or the system's random source did. Nothing was acknowledged.
    #[error("the slot could not be read or written")]
    Io,
}
