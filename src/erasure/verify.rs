//! VerifyErasure: what an erasure has come to, looked up now in the store, the slots and the log.

use crate::base::id::{ReceiptId, SlotId, SubjectId};
use crate::base::time::Timestamp;
use crate::gate::call::Call;
use crate::gate::intents;
use crate::gate::receipts::{self, Progress, Record, Scope};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::items::record::open_subject_to_tell;
use crate::items::{gone, parting};
use crate::keep::kept::{self, Under};
use crate::policy::question::{Resource, Standing};

use super::evidence;

/// Which erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// By its receipt.
    Receipt(ReceiptId),
    /// By the person's id.
    Subject(SubjectId),
}

/// What an erasure has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything in scope is erased.
    Erased,
    /// Unreadable, and awaiting its epoch or a slot.
    Pending,
    /// Erased but for what another reason keeps.
    PartlyKept,
    /// The person is there and no erasure was asked for.
    NotErased,
    /// There is no trace of such an id, or none for this caller.
    Unknown,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it comes to.
    pub verdict: Verdict,
    /// The receipt.
    pub receipt: Option<ReceiptId>,
    /// The epoch that forgot it; 0 before.
    pub epoch: u64,
    /// The epoch in force.
    pub current: u64,
    /// The slots that did not answer, or still hold an older secret.
    pub waiting: Vec<SlotId>,
    /// Item versions that are still kept.
    pub kept: u64,
    /// Whether its unreadable ciphertext has left the live files, with an entry of the log.
    pub purged: bool,
    /// Whether the index keys that it names are gone, each with an entry of the log; false if it names none.
    pub rotated: bool,
    /// When this was looked up.
    pub at: Timestamp,
}

/// Looks, and records that.
///
/// # Errors
/// What the call may not; [`Unavailable`], also when what the store, the slots and the log say does not fit together.
pub async fn verify(vault: &Vault, call: &Call, which: Which) -> Result<Finding, Refusal> {
    let permit = match call.permit(Resource::Vault).map_err(Access::openly) {
        Ok(permit) => permit,
        Err(denied) => return Err(vault.refuse(call, denied.into()).await),
    };
    let found = match look(vault, call, which).await {
        Ok(found) => found,
        Err(refusal) => return Err(vault.refuse(call, refusal).await),
    };
    let touched = Touched { rule: Some(permit.rule().clone()), count: 1, ..Touched::default() };
    let whom = found.receipt.map_or(Whom::Nobody, Whom::Evidence);
    let entry = call.recorder().entry(whom, touched, Ended::Done, (vault.now(), vault.epoch()))?;
    vault.record(vec![entry]).await?;
    Ok(found)
}

async fn look(vault: &Vault, call: &Call, which: Which) -> Result<Finding, Refusal> {
    let nothing = |verdict| Finding {
        verdict,
        receipt: None,
        epoch: 0,
        current: vault.epoch(),
        waiting: Vec::new(),
        kept: 0,
        purged: false,
        rotated: false,
        at: vault.now(),
    };
    let receipt = match which {
        Which::Receipt(receipt) => receipt,
        Which::Subject(subject) => match vault.read(|reads| open_subject_to_tell(reads, vault.id(), subject)) {
            Ok(there) => {
                let may_know = call.may_know_existence() && call.permit(Resource::Subject(there.row.standing)).is_ok();
                return Ok(nothing(if may_know { Verdict::NotErased } else { Verdict::Unknown }));
            }
            Err(Refusal::State(State::Erased(Some(receipt)))) => receipt,
            Err(Refusal::State(_)) => return Ok(nothing(Verdict::Unknown)),
            Err(refusal) => return Err(refusal),
        },
    };
    // By the person's id, only those may know who may know that there was such a person.
    if let Which::Subject(_) = which
        && (!call.may_know_existence() || call.permit(Resource::Subject(Standing::default())).is_err())
    {
        return Ok(nothing(Verdict::Unknown));
    }
    let record = vault.read(|reads| {
        let record = receipts::look_up(reads, &receipt)?;
        match &record {
            Some(record) if !is_under_way(reads, record)? => Err(Fault::Torn),
            _ => Ok(record),
        }
    })?;
    let later = evidence::later_of(vault, record.as_ref()).await?;
    let Some(Record { progress, matter: Some(matter), signed, .. }) = record else {
        return Ok(nothing(Verdict::Unknown));
    };
    let kept = vault.read(|reads| kept::list(reads, Under::Receipt(receipt), None, usize::MAX))?.len() as u64;
    let (verdict, epoch, waiting) = match (progress, signed) {
        (Progress::Pending { .. } | Progress::Parting, _) => (Verdict::Pending, 0, vault.epochs().waiting()),
        (Progress::Done { .. }, None) => return Err(Unavailable::Damaged.into()),
        (Progress::Done { epoch }, Some(signed)) => {
            if let (Scope::Subject, Some(subject)) = (matter.scope, matter.subject) {
                vault.read(|reads| gone::nothing_is_left(reads, subject, receipt))?;
            }
            evidence::agree(&evidence::proofs(vault, receipt).await?, &signed)?;
            let behind = slots_behind(vault, epoch);
            let verdict = match (behind.is_empty(), vault.read(|reads| kept::remains(reads, &receipt))?) {
                (false, _) => Verdict::Pending,
                (true, false) => Verdict::Erased,
                (true, true) => Verdict::PartlyKept,
            };
            (verdict, epoch, behind)
        }
    };
    let (purged, rotated) = (later.purged.is_some(), !later.rotated.is_empty() && !later.awaits_rotation);
    let receipt = Some(receipt);
    Ok(Finding { verdict, receipt, epoch, waiting, kept, purged, rotated, ..nothing(Verdict::Unknown) })
}

/// Whether what is still to be done about an act is there: otherwise it would be pending for ever.
fn is_under_way(reads: &dyn Reads, record: &Record) -> Result<bool, Fault> {
    let subject = record.matter.and_then(|matter| matter.subject);
    match (record.progress, subject) {
        (Progress::Pending { intent }, _) => intents::is_there(reads, intent),
        (Progress::Parting, Some(subject)) => Ok(parting::find(reads, &subject)?.is_some()),
        (Progress::Parting, None) => Ok(false),
        (Progress::Done { .. }, _) => Ok(true),
    }
}

/// Slots in reach that hold the secret of an epoch before this one: an old copy was put back.
fn slots_behind(vault: &Vault, epoch: u64) -> Vec<SlotId> {
    let held = vault.epochs_held().into_iter();
    held.filter(|(_, epochs)| epochs.iter().any(|held| *held < epoch)).map(|(slot, _)| slot).collect()
}
