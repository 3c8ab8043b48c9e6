//! ReleaseHold: what no other reason keeps is unreadable at once, and its keys go with the next epoch.

use crate::base::id::{HoldId, ReceiptId};
use crate::gate::approvals::Approved;
use crate::gate::call::Call;
use crate::gate::receipts::{self, Progress, Record};
use crate::gate::record::{Ended, Whom};
use crate::gate::refusal::{Access, Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Txn};
use crate::gate::vault::{Awaited, Vault};
use crate::items::ending::{Cut, Ending, Lodged, owner_of};
use crate::items::model::{Erasure, ErasureState, Wait};
use crate::items::outcome::must_be_stated;
use crate::items::parting;
use crate::keep::history;
use crate::keep::hold::{self, Hold};
use crate::keep::kept::{self, Under};
use crate::keep::matter::Matter;
use crate::keep::reason_of;
use crate::policy::question::Resource;

use super::model::{Released, Releasing};
use super::repeat::{self, Earlier};
use super::view;

/// Releases a hold, with another person's word.
///
/// # Durability
/// On `Ok` the release survives power loss and no call reads what only the hold kept; the erasure says whether its keys
/// are gone.
///
/// # Errors
/// [`State::NotFound`]; [`State::NotFromHere`] if it is released already; [`State::Parting`] for the moments in which the
/// erasure of its person goes through what is kept; [`crate::gate::refusal::Approving`].
pub async fn release(vault: &Vault, call: &Call, releasing: Releasing) -> Result<Released, Refusal> {
    let Releasing { hold: id, wait } = releasing;
    if let Err(denied) = call.permit(Resource::Vault).map_err(Access::openly) {
        return Err(vault.refuse(call, denied.into()).await);
    }
    let now = vault.now();
    match vault.read(|reads| repeat::of_matter(reads, call, now)) {
        Ok(None) => {}
        Ok(Some(earlier)) => return again(vault, call, earlier, wait == Wait::Erased).await,
        Err(refusal) => return Err(vault.refuse(call, refusal).await),
    }
    let caller = call.clone();
    let check = move |txn: &mut Txn<'_>| find_active(txn, id).map(drop);
    let work = move |txn: &mut Txn<'_>, approved: Approved| lodge(txn, &caller, &approved, id);
    let released = vault.with_approval(call, vec![id.to_string()], check, work).await?;
    let outcome = released.outcome(vault, call, wait == Wait::Erased).await;
    let hold = vault.read(|reads| {
        let (hold, _) = hold::find(reads, id)?.ok_or(Fault::Torn)?;
        view::of_hold(reads, &hold)
    })?;
    Ok(Released { hold, erasure: outcome, supplements: released.lodged.supplements })
}

/// What an earlier call with the same key came to, as it is now.
async fn again(vault: &Vault, call: &Call, earlier: Earlier, wait: bool) -> Result<Released, Refusal> {
    let id = HoldId::from_bytes(earlier.id);
    vault.record_done(call).await?;
    let acts = vault.read(|reads| {
        let (hold, _) = hold::find(reads, id)?.ok_or(Fault::Torn)?;
        let acts = hold.release.map(|release| release.acts).unwrap_or_default().into_iter();
        acts.map(|act| Ok((act, receipts::look_up(reads, &act)?.ok_or(Fault::Torn)?)))
            .collect::<Result<Vec<_>, Fault>>()
    })?;
    let mut last = None;
    for (act, record) in &acts {
        let awaited = vault.await_progress(call, (record.progress, false), wait).await;
        must_be_done(vault, &awaited, (act, record))?;
        last = Some((awaited, *act));
    }
    let has_statement = |(_, record): &&(ReceiptId, Record)| record.matter.is_some();
    let supplements: Vec<ReceiptId> = acts.iter().filter(has_statement).map(|(act, _)| *act).collect();
    let erasure = last.map(|(awaited, act)| stated(awaited, (&supplements, act), earlier.count > 0));
    let hold = vault.read(|reads| {
        let (hold, _) = hold::find(reads, id)?.ok_or(Fault::Torn)?;
        view::of_hold(reads, &hold)
    })?;
    Ok(Released { hold, erasure, supplements })
}

/// Checks what would be called erased against the record as it is now, with its statement if it is to have one.
fn must_be_done(vault: &Vault, awaited: &Awaited, (act, known): (&ReceiptId, &Record)) -> Result<(), Refusal> {
    if known.matter.is_some() {
        return must_be_stated(vault, awaited, act);
    }
    let is_done = || Ok::<_, Refusal>(vault.read(|reads| receipts::find(reads, act))?.is_some_and(Progress::is_done));
    if matches!(awaited, Awaited::Done { .. }) && !is_done()? { Err(Unavailable::Damaged.into()) } else { Ok(()) }
}

/// What became of what a hold kept, once the last of its acts is awaited.
fn stated(awaited: Awaited, (supplements, act): (&[ReceiptId], ReceiptId), kept_elsewhere: bool) -> Erasure {
    let mut erasure = Erasure::of(awaited, supplements.first().copied().unwrap_or(act));
    if kept_elsewhere && erasure.state == ErasureState::Erased {
        erasure.state = ErasureState::Kept;
    }
    erasure
}

fn find_active(txn: &Txn<'_>, id: HoldId) -> Result<(Hold, Matter), Refusal> {
    let (hold, matter) = hold::find(txn, id)?.ok_or(State::NotFound)?;
    if hold.release.is_some() {
        return Err(State::NotFromHere.into());
    }
    // What the hold keeps of a person who is being erased is decided by the holds in force when that was asked for.
    if parting::find(txn, &hold.subject)?.is_some() {
        return Err(State::Parting.into());
    }
    Ok((hold, matter))
}

/// A release that is durable.
struct Let {
    lodged: Lodged,
    kept_elsewhere: bool,
}

impl Let {
    /// What became of what the hold kept; none if that was nothing.
    async fn outcome(&self, vault: &Vault, call: &Call, wait: bool) -> Option<Erasure> {
        let (last, before) = self.lodged.intents.split_last()?;
        for (intent, _) in before {
            vault.await_erasure(call, *intent, false).await;
        }
        let awaited = vault.await_erasure(call, last.0, wait).await;
        Some(stated(awaited, (&self.lodged.supplements, last.1), self.kept_elsewhere))
    }
}

fn lodge(txn: &mut Txn<'_>, call: &Call, approved: &Approved, id: HoldId) -> Result<Let, Refusal> {
    let (mut hold, mut matter) = find_active(txn, id)?;
    let mut ending = Ending::default();
    let versions = kept::list(txn, Under::Hold(hold.id), None, usize::MAX)?;
    if versions.len() as u64 != hold.kept {
        return Err(Unavailable::Damaged.into()); // some of what it kept would stay for ever
    }
    for version in versions {
        if ending.take(txn, &version, (reason_of(matter.id), Some(hold.id)))? {
            matter.kept = matter.kept.checked_sub(1).ok_or(Unavailable::Damaged)?;
        }
    }
    for receipt in history::of_hold(txn, &hold.id, usize::MAX)? {
        ending.take_history(txn, &receipt, (reason_of(matter.id), hold.id))?;
    }
    let kept_elsewhere = ending.kept_elsewhere;
    let lodged = ending.lodge(txn, call.recorder(), Cut::Each)?;
    matter.holds = matter.holds.checked_sub(1).ok_or(Unavailable::Damaged)?;
    hold.end(txn, &matter, lodged.intents.iter().map(|(_, receipt)| *receipt).collect())?;
    matter.store(txn)?;
    let count = u64::from(kept_elsewhere);
    repeat::remember_matter(txn, call, &matter, Earlier { id: *id.as_bytes(), count })?;
    let mut owner = owner_of(txn, call.recorder(), hold.subject)?;
    if let Some(subject) = &mut owner {
        subject.row.holds = match subject.row.holds {
            None => None,
            Some(holds) => Some(holds.checked_sub(1).ok_or(Unavailable::Damaged)?),
        };
        subject.store(txn, call.recorder().vault())?;
    }
    let keys = owner.map(|subject| subject.detail_keys(txn)).transpose()?;
    let whom = keys.as_ref().map_or(Whom::Nobody, Whom::Subject);
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(whom, approved.touched(), Ended::Done, at)?);
    Ok(Let { lodged, kept_elsewhere })
}
