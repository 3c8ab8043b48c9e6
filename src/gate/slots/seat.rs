//! One configured slot: whether it is in reach, whether it may be used, and what was last seen of it.

use crate::base::id::{InstanceId, SlotId, VaultId};
use crate::keys::epoch::{self, Standing, State};
use crate::keys::slot::file::{FileSlot, Place};
use crate::keys::slot::grade::Grade;
use crate::keys::slot::{Description, RootSlot, SlotError};

/// One configured slot.
pub struct SlotSeat {
    /// The slot's id, as the vault knows it.
    pub slot: SlotId,
    /// Where it is.
    pub place: Place,
    pub(super) claimed: Option<FileSlot>,
    pub(super) last: SlotView,
}

/// What was last seen of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotView {
    /// The slot.
    pub slot: SlotId,
    /// The name of its file, without the folder.
    pub name: String,
    /// How strongly it destroys.
    pub grade: Grade,
    /// Why it has that grade.
    pub grade_reason: &'static str,
    /// The newest epoch it held.
    pub epoch: u64,
    /// How it stands.
    pub state: SlotState,
}

/// How a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// In reach and up to date.
    Current,
    /// Not in reach.
    Unreachable,
    /// In reach, but an old copy: refused.
    Stale,
}

/// Why a slot cannot be used, with the slot it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slot {name}: {error}")]
pub struct SeatError {
    /// The name of the slot's file.
    pub name: String,
    /// What went wrong.
    pub error: Unfit,
}

/// What makes a slot unfit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The slot refused.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// It is an old copy.
    #[error("it is stale: it holds only epochs before the vault's; an old copy was put back")]
    Stale,
    /// The store is older than the slot.
    #[error("the store is older than its slots: it is an old copy. See docs/operators.md, \"Restoring\"")]
    Ahead,
    /// It does not hold the vault's epoch and is damaged.
    #[error("the slot is damaged and does not hold the vault's epoch")]
    Damaged,
    /// It is not the slot that the vault knows.
    #[error("the slot is not one of this vault's")]
    Unknown,
    /// Its medium promises nothing, and the configuration does not accept that.
    #[error("the slot's medium is of grade E0")]
    LowGrade,
    /// What it opens is not the root.
    #[error("the vault's root does not open through the slot")]
    DoesNotOpen,
}

impl SlotSeat {
    pub(super) fn new(slot: SlotId, place: Place) -> Self {
        let last = SlotView {
            slot,
            name: name(&place),
            grade: Grade::E0,
            grade_reason: "not looked at yet",
            epoch: 0,
            state: SlotState::Unreachable,
        };
        Self { slot, place, claimed: None, last }
    }

    pub(super) fn claim(&mut self, vault: VaultId, owner: InstanceId, state: &State) -> Result<(), SeatError> {
        if self.claimed.is_some() {
            return Ok(());
        }
        let slot = match FileSlot::claim(&self.place, vault, owner) {
            Ok(slot) => slot,
            Err(SlotError::Missing | SlotError::Io) => return Ok(()),
            Err(error) => return Err(self.error(error)),
        };
        let seen = slot.describe().map_err(|error| self.error(error))?;
        self.judge(&seen, state)?;
        self.claimed = Some(slot);
        Ok(())
    }

    /// Lets go of a slot that does not answer as it must. What the look at it gave besides, if it is kept.
    pub(super) fn check<T>(
        &mut self,
        state: &State,
        look: impl FnOnce(&FileSlot) -> Result<(Description, T), SlotError>,
    ) -> Option<T> {
        let slot = self.claimed.take()?;
        let seen = look(&slot).map_err(|error| self.error(error));
        match seen.and_then(|(seen, more)| self.judge(&seen, state).map(|()| more)) {
            Ok(more) => {
                self.claimed = Some(slot);
                return Some(more);
            }
            Err(_) if self.last.state == SlotState::Stale => {}
            Err(_) => self.last.state = SlotState::Unreachable,
        }
        None
    }

    fn judge(&mut self, seen: &Description, state: &State) -> Result<(), SeatError> {
        if seen.slot != self.slot {
            return Err(self.error(Unfit::Unknown));
        }
        self.last.grade = seen.grade;
        self.last.grade_reason = seen.grade_reason;
        match epoch::judge(state, &seen.epochs, seen.damaged) {
            Standing::Current => {
                self.last.state = SlotState::Current;
                self.last.epoch = state.needed();
                Ok(())
            }
            Standing::Stale => {
                self.last.state = SlotState::Stale;
                Err(self.error(Unfit::Stale))
            }
            Standing::Ahead => Err(self.error(Unfit::Ahead)),
            Standing::Damaged => Err(self.error(Unfit::Damaged)),
        }
    }

    pub(super) fn error(&self, error: impl Into<Unfit>) -> SeatError {
        SeatError { name: name(&self.place), error: error.into() }
    }
}

/// The name of a slot's file, without the folder.
pub(in crate::gate) fn name(place: &Place) -> String {
    place.path.file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy().into_owned())
}
