//! Matters and holds as they are shown.

use crate::base::id::VaultId;
use crate::base::limits::HOLD_RECEIPTS_MAX;
use crate::gate::receipts::{self, Progress};
use crate::gate::refusal::{Refusal, State};
use crate::gate::txn::{Fault, Reads};
use crate::items::record::open_subject_to_tell;
use crate::keep::hold::{Hold, Scope};
use crate::keep::kept;
use crate::keep::matter::Matter;

use super::model::{HoldState, HoldView, MatterView, ScopeView};

/// A matter.
pub fn of_matter(vault: &VaultId, matter: &Matter) -> Result<MatterView, Fault> {
    Ok(MatterView {
        id: matter.id,
        texts: matter.texts(vault)?,
        review: matter.review,
        opened: matter.opened,
        closed: matter.closed,
        holds: matter.holds,
        kept: matter.kept,
        etag: matter.etag(),
    })
}

/// A hold.
pub fn of_hold(reads: &dyn Reads, hold: &Hold) -> Result<HoldView, Fault> {
    let subject = match open_subject_to_tell(reads, reads.index().vault(), hold.subject) {
        Ok(_) => Some(hold.subject),
        Err(Fault::Refused(Refusal::State(State::Erased(_)))) => None,
        Err(fault) => return Err(fault),
    };
    let scope = match &hold.scope {
        Scope::Subject { classes, future } => ScopeView::Subject { classes: classes.clone(), future: *future },
        Scope::Items => ScopeView::Items(hold.listed(reads)?),
    };
    Ok(HoldView {
        id: hold.id,
        matter: hold.matter,
        subject,
        scope,
        history: hold.history,
        state: state(reads, hold)?,
        kept: hold.kept,
        placed: hold.placed,
        released: hold.release.as_ref().map(|release| release.time),
        receipts: kept::receipts_of_hold(reads, &hold.id, HOLD_RECEIPTS_MAX)?,
    })
}

/// Where a hold stands: released once every act that forgets what it kept is done.
pub fn state(reads: &dyn Reads, hold: &Hold) -> Result<HoldState, Fault> {
    let Some(release) = &hold.release else { return Ok(HoldState::Active) };
    for act in &release.acts {
        match receipts::find(reads, act)? {
            Some(Progress::Done { .. }) => {}
            Some(Progress::Pending { .. } | Progress::Parting) => return Ok(HoldState::Releasing),
            None => return Err(Fault::Torn),
        }
    }
    Ok(HoldState::Released)
}
