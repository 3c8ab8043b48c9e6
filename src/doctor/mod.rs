//! The store, looked through: whether the pages of the key tree are those that were written last, whether every row opens
//! under its newest key, and whether a row leads to every key.
//!
//! Calls refuse what was changed when they meet it. What they cannot meet is what somebody hid: rows that are taken away, or
//! pages that are put back as they were, together with the rows of then. This finds that. What lives here: the walk and what
//! it found. What may not: repairing anything but the count of the pages, and that only where an operator says so.

mod findings;
mod walk;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use self::findings::{Count, Findings, Pages};
use self::walk::Walk;
use crate::base::id::VaultId;
use crate::base::log_safe::SafeText;
use crate::gate::committer::Committer;
use crate::gate::record::own_event;
use crate::gate::refusal::Refusal;
use crate::gate::txn::Txn;

/// The entry that says that an operator took the pages as they are.
const ACCEPTED: SafeText = SafeText::constant("PagesAccepted");

/// Looks through the whole store. With `accept`, pages that are not those written last, or of which that is not known, are
/// taken as they are from now on, which the log says. `people` counts those that were looked at, meanwhile.
///
/// On the writer's thread, from the first row to the last: nothing else is written meanwhile. For a vault that stands still.
///
/// # Durability
/// On `Ok`, what was accepted survives power loss.
///
/// # Errors
/// The store failed. What is found damaged is no error.
pub fn look_through(
    committer: &Committer,
    vault: VaultId,
    accept: bool,
    people: Arc<AtomicU64>,
) -> Result<Findings, Refusal> {
    let work = move |txn: &mut Txn<'_>| {
        let (findings, counted) = Walk::new(txn, vault, &people)?.through()?;
        if accept && findings.pages != Pages::Newest {
            let event = own_event(ACCEPTED, txn.epoch())?;
            txn.record(event);
            txn.accept_count(counted);
        }
        Ok(findings)
    };
    committer.commit_blocking(work, true)
}

#[cfg(test)]
mod tests;
