//! Slots that leave the vault: removed by two people, and attested to be destroyed by two people.
//!
//! INVARIANT: a slot leaves in one batch - out of the vault's list, lost, its sealed root gone, an epoch asked for, the
//! approval used up, the entry in the log - and only then is anything done to it. Everything after that batch may be cut
//! short: the slot counts as lost until it is seen to be destroyed.

use std::path::Path;

use super::approvals::{Approved, Dual};
use super::call::Call;
use super::epoch::{STATE, Work};
use super::former::{self, Attestation, End, FormerSlot, Method};
use super::held;
use super::intents::{Intent, What};
use super::open::{Identity, VAULT};
use super::receipts::ReceiptSigner;
use super::record::{Ended, Touched, Whom, own_event};
use super::refusal::{Approving, Fault, FaultReason, Refusal, Slots, State as Missing, Unavailable};
use super::service_keys::{self, Name};
use super::slots::{Made, SlotView, Unfit};
use super::txn::{Reads as _, Txn};
use super::vault::Vault;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::fault;
use crate::base::id::{ApprovalId, AttestationId, SlotId, VaultId};
use crate::base::limits::{SLOTS_FORMER_MAX, SLOTS_MIN};
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::crypto::{aead, label, rng};
use crate::keys::epoch::State;
use crate::keys::slot::file::Place;
use crate::keys::slot::grade::Grade;
use crate::keys::tree::Root;
use crate::store::keyspace::Space;

/// The row that names a slot that is being made, and where.
const MAKING: &[u8] = b"slot_making";

/// What two people say about a slot that was not seen to be destroyed.
pub struct Testimony {
    /// The slot.
    pub slot: SlotId,
    /// How it was destroyed.
    pub method: Method,
    /// When.
    pub destroyed: Timestamp,
    /// Where the evidence is.
    pub evidence: Text,
}

impl Vault {
    /// Takes a slot out of the vault for good. It is destroyed if it answers, and lost if not; as it is then.
    ///
    /// # Durability
    /// On `Ok` the slot is out of the vault whatever happens next, in one batch with the use of the approval.
    ///
    /// # Errors
    /// [`Missing::NotFound`]; [`Slots::TooFew`]; [`Slots::NoOther`] if no other slot is in reach; [`Approving`].
    pub async fn remove_slot(&self, call: &Call, slot: SlotId) -> Result<FormerSlot, Refusal> {
        let (dual, caller) = (self.dual(call, vec![slot.to_string()]), call.clone());
        let removed = self.epochs.between(move |work| remove(work, &dual, &caller, slot), Result::is_ok).await;
        self.approved(call, removed).await
    }

    /// Puts a new slot in the place of another, at a configured place of that name. The new one, and what became of the
    /// other.
    ///
    /// # Durability
    /// On `Ok` the new slot is the vault's and the other is not, whatever happens next. Cut short before that, a file may
    /// be left at the new place, which the next attempt removes.
    ///
    /// # Errors
    /// [`Missing::NotFound`]; a fault of `new_slot_name`; [`Slots`].
    pub async fn replace_slot(
        &self,
        call: &Call,
        slot: SlotId,
        new_name: String,
    ) -> Result<(SlotView, FormerSlot), Refusal> {
        let (root, caller) = (self.root.clone(), call.clone());
        let replace = move |work: &Work| replace(work, &root.load(), &caller, slot, &new_name);
        match self.epochs.between(replace, |_| true).await {
            Ok(replaced) => Ok(replaced),
            Err(refusal) => Err(self.refuse(call, refusal).await),
        }
    }

    /// States that a lost slot is destroyed. How many erasures waited for it, and it as it is then.
    ///
    /// # Durability
    /// On `Ok` the attestation survives power loss; what waited for nothing else is erased.
    ///
    /// # Errors
    /// [`Missing::NotFound`]; [`Slots::NotReplaced`] for a slot of the vault's; [`Slots::NotLost`]; [`Approving`].
    pub async fn attest_slot(&self, call: &Call, said: Testimony) -> Result<(FormerSlot, u64), Refusal> {
        if said.destroyed > self.now() {
            let refusal = Fault::new("destroy_time", FaultReason::InFuture).into();
            return Err(self.refuse(call, refusal).await);
        }
        let (vault, slot, caller) = (self.id, said.slot, call.clone());
        let check = move |txn: &mut Txn<'_>| attestable(txn, slot).map(drop);
        let signer = self.receipts.clone();
        let work =
            move |txn: &mut Txn<'_>, approved: Approved| attest(txn, (&vault, &signer), &caller, &approved, said);
        let (former, released) = self.with_approval(call, vec![slot.to_string()], check, work).await?;
        fault::point("slot_attested");
        self.slots.reload_former(&*self.engine)?;
        self.epochs.released(released);
        let waited = former.waiting;
        Ok((former, waited))
    }
}

fn remove(work: &Work, dual: &Dual, call: &Call, slot: SlotId) -> Result<Result<FormerSlot, ApprovalId>, Refusal> {
    let (place, grade) = work.slots.seat_of(slot).ok_or(Missing::NotFound)?;
    // R_e must stay in reach of somebody when this one is gone.
    if !work.slots.has_another(slot) {
        return Err(Slots::NoOther.into());
    }
    let (dual, call) = (dual.clone(), call.clone());
    let leaves = move |txn: &mut Txn<'_>| {
        check_count(txn)?;
        dual.carry_out(txn, |txn, approved| {
            let former = leave(txn, slot, None, place, grade)?;
            let at = (txn.now(), txn.epoch());
            txn.record(call.recorder().entry(Whom::Nobody, approved.touched(), Ended::Done, at)?);
            Ok(former)
        })
    };
    let former = match work.committer.commit_blocking(leaves, true)? {
        Ok(former) => former,
        Err(asked) => return Ok(Err(asked)),
    };
    fault::point("slot_left");
    work.slots.drop_seat(slot);
    // Whether its end could be recorded or not: it is out, and will be tried again.
    let end = if destroy(work, &former).unwrap_or(false) { End::Destroyed } else { End::Lost };
    Ok(Ok(FormerSlot { end, ..former }))
}

fn replace(
    work: &Work,
    root: &Root,
    call: &Call,
    slot: SlotId,
    new_name: &str,
) -> Result<(SlotView, FormerSlot), Refusal> {
    let (place, grade) = work.slots.seat_of(slot).ok_or(Missing::NotFound)?;
    let spare = work.slots.spare(new_name, slot).ok_or(Fault::new("new_slot_name", FaultReason::NoSuchPlace))?;
    if !work.slots.has_another(slot) {
        return Err(Slots::NoOther.into());
    }
    let id = SlotId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    clear_leftover(work, &spare)?;
    let making = Writer::new().raw(id.as_bytes()).text(&spare.path.to_string_lossy()).finish();
    work.committer.commit_blocking(
        move |txn| {
            txn.put(Space::Meta, MAKING, making);
            Ok(())
        },
        true,
    )?;
    fault::point("slot_making");
    let made = work.slots.make(&spare, id, root).map_err(|error| match error.error {
        Unfit::LowGrade => {
            let _ = std::fs::remove_file(&spare.path); // ours, and just made: nothing was ever sealed for it
            Slots::GradeTooLow
        }
        _ => Slots::NotMade,
    })?;
    fault::point("slot_made");
    let Made { record: (key, row), seat } = made;
    let call = call.clone();
    let former = work.committer.commit_blocking(
        move |txn| {
            let former = leave(txn, slot, Some(id), place, grade)?;
            txn.put(Space::Root, key, row);
            txn.delete(Space::Meta, MAKING);
            let touched = Touched { count: 1, fields: vec![slot.to_string(), id.to_string()], ..Touched::default() };
            let at = (txn.now(), txn.epoch());
            txn.record(call.recorder().entry(Whom::Nobody, touched, Ended::Done, at)?);
            Ok(former)
        },
        true,
    )?;
    fault::point("slot_left");
    work.slots.replace_seat(slot, seat);
    let end = if destroy(work, &former).unwrap_or(false) { End::Destroyed } else { End::Lost };
    let view = work.slots.views().into_iter().find(|view| view.slot == id).ok_or(Unavailable::Internal)?;
    Ok((view, FormerSlot { end, ..former }))
}

/// Removes the file of an attempt that was cut short. It is of a slot that never was the vault's.
fn clear_leftover(work: &Work, spare: &Place) -> Result<(), Refusal> {
    let Some(row) = work.engine.get(Space::Meta, MAKING)? else { return Ok(()) };
    let mut r = Reader::new(&row);
    let read = (|| Ok::<_, Malformed>((r.array()?, r.text()?.to_owned())))();
    let (id, path) = read.map_err(|_| Unavailable::Damaged)?;
    let is_it = Path::new(&path) == spare.path && work.slots.is_at(spare, SlotId::from_bytes(id));
    if is_it && std::fs::remove_file(&spare.path).is_err() {
        return Err(Slots::NotMade.into());
    }
    Ok(())
}

fn check_count(txn: &Txn<'_>) -> Result<(), Refusal> {
    if identity(txn)?.slots.len() <= SLOTS_MIN { Err(Slots::TooFew.into()) } else { Ok(()) }
}

/// Takes a slot out of the vault's list, as lost, and asks for an epoch in which nothing hangs on it.
fn leave(
    txn: &mut Txn<'_>,
    slot: SlotId,
    successor: Option<SlotId>,
    place: Place,
    grade: Grade,
) -> Result<FormerSlot, Refusal> {
    let mut identity = identity(txn)?;
    let at = identity.slots.iter().position(|known| *known == slot).ok_or(Missing::NotFound)?;
    identity.slots.splice(at..=at, successor);
    txn.put(Space::Meta, VAULT, identity.encode());
    let state = txn.row(Space::Meta, STATE)?.and_then(|row| State::decode(&row).ok()).ok_or(Unavailable::Damaged)?;
    for (key, _) in txn.rows(Space::Root, &[], &[], usize::MAX)? {
        if key.ends_with(slot.as_bytes()) {
            txn.delete(Space::Root, key);
        }
    }
    if former::all(txn)?.len() >= SLOTS_FORMER_MAX {
        return Err(Unavailable::Overloaded.into());
    }
    let (last_epoch, left) = (state.needed(), txn.now());
    let former = FormerSlot { slot, path: place.path, grade, last_epoch, left, waiting: 0, end: End::Lost };
    former.put(txn);
    Intent::of_own(What::Slots)?.lodge(txn)?;
    Ok(former)
}

/// Destroys a former slot if it is in reach, and records that. Whether it did.
pub(super) fn destroy(work: &Work, former: &FormerSlot) -> Result<bool, Refusal> {
    if !work.slots.destroy_former(former) {
        return Ok(false);
    }
    fault::point("slot_destroyed");
    let slot = former.slot;
    let seen = move |txn: &mut Txn<'_>| {
        let former = former::find(txn, slot)?.filter(FormerSlot::is_lost).ok_or(Missing::NotFound)?;
        FormerSlot { end: End::Destroyed, ..former }.put(txn);
        txn.record(own_event(SafeText::constant("SlotDestroyed"), txn.epoch())?);
        Ok(())
    };
    work.committer.commit_blocking(seen, true)?;
    Ok(true)
}

fn attest(
    txn: &mut Txn<'_>,
    (vault, signer): (&VaultId, &ReceiptSigner),
    call: &Call,
    approved: &Approved,
    said: Testimony,
) -> Result<(FormerSlot, u64), Refusal> {
    let former = attestable(txn, said.slot)?;
    let id = AttestationId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let approver = *approved.approvers().first().ok_or(Approving::Invalid)?;
    let end = End::Attested(Attestation {
        id,
        method: said.method,
        destroyed: said.destroyed,
        made: txn.now(),
        actor: approved.requester(),
        approver,
        evidence: seal_evidence(txn, vault, id, &said.evidence)?,
    });
    let former = FormerSlot { end, ..former };
    former.put(txn);
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Nobody, approved.touched(), Ended::Done, at)?);
    // What is many is released in further steps, by the epochs' thread.
    let released = held::release(txn, &[], signer)?.count;
    Ok((former, released))
}

fn attestable(txn: &Txn<'_>, slot: SlotId) -> Result<FormerSlot, Refusal> {
    if identity(txn)?.slots.contains(&slot) {
        return Err(Slots::NotReplaced(slot).into());
    }
    let former = former::find(txn, slot)?.ok_or(Missing::NotFound)?;
    if former.is_lost() { Ok(former) } else { Err(Slots::NotLost(slot).into()) }
}

fn seal_evidence(txn: &mut Txn<'_>, vault: &VaultId, id: AttestationId, evidence: &Text) -> Result<Vec<u8>, Refusal> {
    let key = service_keys::find_or_make(txn, Name::Evidence)?;
    let aad = Writer::new().bytes(label::EVIDENCE.as_bytes()).bytes(vault.as_bytes()).bytes(id.as_bytes()).finish();
    Ok(aead::seal(&key, &aad, evidence.expose().as_bytes()).map_err(|_| Unavailable::Internal)?)
}

fn identity(txn: &Txn<'_>) -> Result<Identity, Refusal> {
    let row = txn.row(Space::Meta, VAULT)?.ok_or(Unavailable::Damaged)?;
    Ok(Identity::decode(&row).map_err(|_| Unavailable::Damaged)?)
}
