//! What an operator does next when a vault does not open; each text continues the error's own.
//!
//! No advice here loses anything: where a file is to make room it is moved, and nothing is ever to be removed but
//! what an interrupted creation left in an empty vault.

use super::slots::Unfit;
use crate::keys::outer::OuterError;
use crate::keys::slot::SlotError;
use crate::store;
use crate::store::format::FormatError;

/// For a store that is damaged.
pub const RESTORE: &str = ": remove nothing, and put back the newest copy of the store that was made after the last \
                           erasure. See docs/operators.md, \"Restoring\"";

/// For a store that is older than what was published of its log.
pub const OVERTAKEN: &str = ": it is an old copy, perhaps with old copies of the slots that are in reach. Put the slot back \
                             that is not, and the newest copy of the store. See docs/operators.md, \"Restoring\"";

/// For a store that cannot be used.
pub fn on_store(error: store::Error) -> &'static str {
    match error {
        store::Error::Locked => ": stop the vault that runs on it first",
        store::Error::Missing => ": check [store] dir in the configuration and that its medium is mounted",
        store::Error::Full => ": make room on the volume of [store] dir",
        store::Error::Corrupt => RESTORE,
        store::Error::Failed => ": check the medium of [store] dir and that the vault's user may write there",
        store::Error::Precondition => ": something else changed the store meanwhile; start again",
    }
}

/// For a store in a format of another release.
pub fn on_format(error: &FormatError) -> &'static str {
    match error {
        FormatError::Older { .. } => ": open it with the release that wrote it",
        FormatError::Newer { .. } => ": install that release",
        FormatError::Unknown => {
            ": check [store] dir in the configuration; if it is right, see docs/operators.md, \
                                 \"Restoring\""
        }
        FormatError::Store(error) => on_store(*error),
    }
}

/// For an outer key that cannot be had.
pub fn on_outer(error: OuterError) -> &'static str {
    match error {
        OuterError::NeedsPassphrase | OuterError::NeedsKeyFile => " in the configuration",
        OuterError::NotPrivate => ": run chmod 600 on it",
        OuterError::BadCost => RESTORE,
        OuterError::Random => "",
        OuterError::Missing
        | OuterError::Exists
        | OuterError::NotAKey
        | OuterError::NotAPassphrase
        | OuterError::Io => ": check [outer_key] in the configuration",
    }
}

/// For a slot that cannot be used.
pub fn on_slot(unfit: &Unfit) -> &'static str {
    match unfit {
        Unfit::Slot(error) => on_slot_file(*error),
        Unfit::Stale => ": put the current one back, or move this copy away to start without the slot",
        Unfit::Ahead => "",
        Unfit::Damaged => MOVE_AWAY,
        Unfit::Unknown => ": name this vault's slots in [slots], in the order in which they were created",
        Unfit::LowGrade => ": use another medium, or accept the grade by name: [slots] accept_grades = [\"E0\"]",
        Unfit::DoesNotOpen => RESTORE,
    }
}

fn on_slot_file(error: SlotError) -> &'static str {
    match error {
        SlotError::Exists => {
            ", but the store is empty: if this vault is not new, its store is elsewhere or not mounted, so check [store] \
             dir; only if creating it was cut short, remove the slot files and start again"
        }
        SlotError::NotPrivate => ": name a plain file in [slots] and run chmod 600 on it",
        SlotError::InUse => ": stop the vault or the command that uses it",
        SlotError::NotOurs { .. } => {
            ": if that installation is gone for good, run lacuna slot take-over --config FILE; if it may still run, stop \
             here"
        }
        SlotError::WrongVault => ": check [slots] and [store] dir in the configuration",
        SlotError::UnknownFormat => ": use the release that wrote it",
        SlotError::Damaged => MOVE_AWAY,
        SlotError::Missing | SlotError::Io => ": check its medium and [slots] in the configuration",
        SlotError::NoSuchEpoch | SlotError::NotNewer | SlotError::StillThere => "",
    }
}

const MOVE_AWAY: &str = ": keep the file but move it away to start without the slot; erasures then stay pending";
