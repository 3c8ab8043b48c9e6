//! Dual control: what needs another person's word, and how that word is asked for, given and used up.
//!
//! What lives here: the closed list of such operations, approvals as records, and the one maker of [`Approved`]. What
//! may not: what an operation does with it.
//!
//! INVARIANT: an [`Approved`] exists only inside the transaction that uses its approval up, so an operation and the use
//! of its approval are durable together or not at all. INVARIANT: who agreed is another person than who asked, whatever
//! certificates they hold, judged when they agree and again when it is used.

mod decide;
mod list;
mod record;
mod require;
mod rows;

use crate::policy::action::Action;

pub use decide::Decision;
pub use list::{ListQuery, Page};
pub use record::{Approval, Decided, Party, Standing};
pub use require::Approved;
pub(super) use require::Dual;
pub(super) use rows::sweep;

/// What needs the word of another person. An operation joins here, and then takes an [`Approved`].
pub const NEEDED: &[Action] = &[Action::RemoveSlot, Action::AttestSlotDestroyed, Action::ReleaseHold];

/// Whether a method needs another person's word.
pub fn is_needed(action: Action) -> bool {
    NEEDED.contains(&action)
}

#[cfg(test)]
mod tests;
