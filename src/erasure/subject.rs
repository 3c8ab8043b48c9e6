//! EraseSubject: from the moment it is durable no call reads the person; when its epoch is done, nothing can.

use std::time::Instant;

use crate::base::id::ReceiptId;
use crate::base::limits::{DEADLINE_MARGIN, PARTING_LOOK};
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::epoch::Expectation;
use crate::gate::once;
use crate::gate::receipts::{self, Ground, Progress, Record, Scope};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Txn};
use crate::gate::vault::{Awaited, Vault};
use crate::items::going;
use crate::items::gone::nothing_is_left;
use crate::items::model::{Erasure, SubjectRef, Wait};
use crate::items::outcome::told;
use crate::items::record::{OpenSubject, RECORD_POSITION, Target, subject_tombstone};
use crate::items::recorded::refuse;
use crate::items::repeat::{Repeated, repeated};
use crate::policy::question::{Resource, Standing};
use crate::store::keyspace::Space;

use super::evidence::{self, Receipt};
use super::parting;

/// What is asked for.
pub struct EraseSubject {
    /// The person.
    pub subject: SubjectRef,
    /// On which ground.
    pub ground: Ground,
    /// When to answer.
    pub wait: Wait,
}

/// Erases a person. A repeat answers the present state and the same receipt.
///
/// # Durability
/// On `Ok` the erasure survives power loss and no call reads the person again; the state says whether the keys are gone,
/// and there is a receipt once they are.
///
/// # Errors
/// [`State::NotFound`]; what the call may not; [`Unavailable`].
pub async fn erase(vault: &Vault, call: &Call, wanted: EraseSubject) -> Result<(Erasure, Option<Receipt>), Refusal> {
    let (named, wait) = (wanted.subject.duplicate(), wanted.wait == Wait::Erased);
    let Lodged { receipt, progress, new } = match lodge(vault, call, wanted).await {
        Ok(lodged) => lodged,
        Err(refusal) => return Err(refuse(vault, call, Some(&named), Touched::default(), refusal).await),
    };
    if let (SubjectRef::Id(subject), false, true) = (&named, new, progress.is_done()) {
        vault.read(|reads| nothing_is_left(reads, *subject, receipt))?;
    }
    if progress == Progress::Parting && new {
        vault.epochs().parting_begins();
    }
    let (progress, new) = match progress {
        Progress::Parting if wait => (parted(vault, call, &receipt).await?, false),
        progress => (progress, new),
    };
    let awaited = vault.await_lodged(call, (progress, new), wait).await?;
    let shown = match awaited {
        Awaited::Pending { .. } => None,
        Awaited::Done { .. } => Some(evidence::of_call(vault, call, receipt, new).await?),
    };
    Ok((told(vault, call, awaited, receipt)?, shown))
}

/// Waits until it is decided about all items of the person, at most until the call's deadline.
async fn parted(vault: &Vault, call: &Call, receipt: &ReceiptId) -> Result<Progress, Refusal> {
    let deadline = call.deadline().and_then(|deadline| deadline.checked_sub(DEADLINE_MARGIN));
    loop {
        let progress = vault.read(|reads| receipts::find(reads, receipt))?.ok_or(Unavailable::Damaged)?;
        let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if progress != Progress::Parting || is_late || vault.is_closing() {
            return Ok(progress);
        }
        tokio::time::sleep(PARTING_LOOK).await;
    }
}

/// An erasure that no read passes any more.
struct Lodged {
    receipt: ReceiptId,
    progress: Progress,
    new: bool,
}

async fn lodge(vault: &Vault, call: &Call, wanted: EraseSubject) -> Result<Lodged, Refusal> {
    let receipt = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let target = Target::of(&wanted.subject);
    let (call, ground) = (call.clone(), wanted.ground);
    let wait = wanted.wait == Wait::Erased;
    let expectation = wait.then(|| vault.epochs().expectation());
    let work = move |txn: &mut Txn<'_>| match repeated(txn, call.recorder().vault(), call.once(), txn.now())? {
        Some(Repeated::Gone { receipt, .. }) => again(txn, &call, receipt),
        Some(Repeated::Answer(_)) => Err(State::IdempotencyKeyReused.into()),
        None => match target.open(txn, &call) {
            Ok(subject) => {
                let progress = remove(txn, &call, &subject, receipt, ground)?;
                if progress != Progress::Parting {
                    expectation.inspect(Expectation::tell);
                }
                Ok(Lodged { receipt, progress, new: true })
            }
            Err(Fault::Refused(Refusal::State(State::Erased(Some(receipt))))) => {
                // Nothing is left of the person for rules to read.
                call.permit(Resource::Subject(Standing::default()))?;
                again(txn, &call, receipt)
            }
            Err(fault) => Err(fault.into()),
        },
    };
    vault.lodge(work, wait).await
}

/// What became of an earlier one.
fn again(txn: &mut Txn<'_>, call: &Call, receipt: ReceiptId) -> Result<Lodged, Refusal> {
    let Record { progress, matter, .. } = receipts::look_up(txn, &receipt)?.ok_or(Unavailable::Damaged)?;
    if matter.is_none_or(|matter| matter.scope != Scope::Subject) {
        return Err(State::IdempotencyKeyReused.into()); // of the end of something else
    }
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Evidence(receipt), Touched::default(), Ended::Done, at)?);
    Ok(Lodged { receipt, progress, new: false })
}

/// One batch: the tombstone, the rows that lead to the person, the intent, and the entry. Where there are too many items
/// for one, the intent comes later.
fn remove(
    txn: &mut Txn<'_>,
    call: &Call,
    subject: &OpenSubject,
    receipt: ReceiptId,
    ground: Ground,
) -> Result<Progress, Refusal> {
    let permit = call.permit(Resource::Subject(subject.row.standing.clone()))?;
    going::outdate(txn, subject.tree(), RECORD_POSITION)?;
    let intent = going::with_subject(txn, subject, (receipt, call.registry()), ground)?;
    let progress = match intent {
        Some(intent) => Progress::Pending { intent: intent.lodge(txn)? },
        None => {
            parting::begin(txn, subject, call.registry(), (receipt, ground))?;
            Progress::Parting
        }
    };
    for row in going::index_rows(txn, subject)? {
        // The person may come back under the same id at once, as somebody new.
        txn.delete(row.space, row.key);
    }
    txn.put(Space::Subject, *subject.id.as_bytes(), subject_tombstone(&receipt));
    once::forget(txn, subject.id.as_bytes(), subject.id, receipt)?;
    if let Some(once) = call.once() {
        once.remember_forgetting(txn, subject.id, receipt)?;
    }
    let fields = match ground {
        Ground::Unstated => Vec::new(),
        stated => vec![format!("ground={}", stated.as_str())],
    };
    let touched = Touched { rule: Some(permit.rule().clone()), count: 1, fields, ..Touched::default() };
    let keys = subject.detail_keys(txn)?;
    let whom = Whom::Erasure { keys: &keys, subject: subject.id, receipt };
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(whom, touched, Ended::Started, at)?);
    Ok(progress)
}
