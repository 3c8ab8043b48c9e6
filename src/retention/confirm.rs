//! ConfirmSweep: what had stopped goes on, exactly as it was seen.

use crate::base::id::SweepId;
use crate::gate::call::Call;
use crate::gate::jumps;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal, State};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;
use crate::policy::question::Resource;

use super::state::{self, Sweep};

/// Confirms a sweep that has stopped.
///
/// # Durability
/// On `Ok` it survives power loss, and what was due at the sweep's moment goes, no more than was counted.
///
/// # Errors
/// [`State::NotFound`] if no such sweep waits; [`State::NotFromHere`] if it is confirmed already; [`State::EtagMismatch`]
/// if it is not as it was seen; [`State::ClockImplausible`] if the clock is behind it, or has jumped since.
pub async fn confirm(vault: &Vault, call: &Call, (id, etag): (SweepId, String)) -> Result<Sweep, Refusal> {
    let caller = call.clone();
    let work = move |txn: &mut Txn<'_>| store(txn, &caller, id, &etag);
    match vault.committer().commit(work).await {
        Ok(sweep) => Ok(sweep),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

fn store(txn: &mut Txn<'_>, call: &Call, id: SweepId, etag: &str) -> Result<Sweep, Refusal> {
    let permit = call.permit(Resource::Vault).map_err(Access::openly)?;
    let mut sweep = state::find(txn)?.filter(|sweep| sweep.id == id).ok_or(State::NotFound)?;
    if sweep.confirmed {
        return Err(State::NotFromHere.into());
    }
    if sweep.etag() != etag {
        return Err(State::EtagMismatch.into());
    }
    let has_jumped_since = jumps::find(txn)?.is_some_and(|jump| jump.after > sweep.as_of);
    if txn.now() < sweep.as_of || has_jumped_since || jumps::is_implausible(txn.last_entry(), txn.now()) {
        return Err(State::ClockImplausible.into());
    }
    jumps::settle(txn);
    sweep.confirmed = true;
    sweep.store(txn);
    let touched = Touched {
        rule: Some(permit.rule().clone()),
        count: u32::try_from(sweep.due).unwrap_or(u32::MAX),
        fields: vec![sweep.id.to_string()],
        ..Touched::default()
    };
    txn.record(call.recorder().entry(Whom::Nobody, touched, Ended::Done, (txn.now(), txn.epoch()))?);
    Ok(sweep)
}
