//! Erasures of persons, receipts, and what an erasure has come to.

use super::super::proto;
use super::item::whole;
use super::keys::proven;
use super::privacy::answered;
use super::{At, Faults, subject, time};
use crate::base::limits::PAGE_SIZE_MAX;
use crate::erasure::evidence::{Later, Receipt, Wanted};
use crate::erasure::subject::EraseSubject;
use crate::erasure::verify::{Finding, Verdict, Which};
use crate::gate::receipts::{Ground, KeptVersion, Signed};
use crate::gate::refusal::{FaultReason, Refusal};
use crate::items::model::Wait;
use crate::keep::kept::Opening;

/// Whom to erase.
///
/// # Errors
/// Every fault of the request's form; a person's request, which this vault does not keep yet.
pub fn erase(request: proto::EraseSubjectRequest) -> Result<EraseSubject, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let ground = faults.choice(At::field("ground"), request.ground, Ground::from_number);
    let wait = faults.wait(At::field("wait"), request.wait, Wait::Erased);
    let answers = answered(&mut faults, &request.request_id);
    let (subject, ground) = whole(faults, subject.zip(ground))?;
    answers?;
    Ok(EraseSubject { subject, ground, wait })
}

/// Which receipt to show, and how much of what it keeps.
///
/// # Errors
/// That the id is missing or none, or the page too large.
pub fn get(request: proto::GetReceiptRequest) -> Result<Wanted, Refusal> {
    let mut faults = Faults::default();
    let receipt = faults.id(At::field("receipt_id"), &request.receipt_id);
    let kept = request.kept_page_size as usize;
    if kept > PAGE_SIZE_MAX {
        faults.add(At::field("kept_page_size"), FaultReason::Malformed);
    }
    whole(faults, receipt.map(|receipt| Wanted { receipt, kept, token: request.kept_page_token }))
}

/// Which erasure to look at.
///
/// # Errors
/// That none is named, or the id is none.
pub fn verify(request: proto::VerifyErasureRequest) -> Result<Which, Refusal> {
    use proto::verify_erasure_request::Target;
    let mut faults = Faults::default();
    let which = match request.target {
        Some(Target::ReceiptId(id)) => faults.id(At::field("receipt_id"), &id).map(Which::Receipt),
        Some(Target::SubjectId(id)) => faults.id(At::field("subject_id"), &id).map(Which::Subject),
        None => {
            faults.add(At::field("receipt_id"), FaultReason::Required);
            None
        }
    };
    whole(faults, which)
}

/// A receipt.
pub fn receipt(receipt: Receipt) -> proto::Receipt {
    let Signed { body, key_name, key_hash, signature } = receipt.signed;
    let signature = proto::Signature { key_name, key_hash: key_hash.to_vec(), signature: signature.to_vec() };
    let Later { purged, mut rotated, awaits_rotation } = receipt.later;
    let last = if awaits_rotation { None } else { rotated.pop() };
    let (requested, erased) = receipt.proofs.map(|proofs| (proofs.requested, proofs.erased)).unzip();
    proto::Receipt {
        receipt_id: receipt.id.to_string(),
        body,
        signature: Some(signature),
        requested: requested.map(proven),
        erased: erased.map(proven),
        keep_reason_openings: receipt.openings.into_iter().map(opening).collect(),
        supplementary: receipt.supplements.into_iter().map(self::receipt).collect(),
        purged: purged.map(proven),
        index_rotated: last.map(proven),
        index_rotated_before: rotated.into_iter().map(proven).collect(),
        kept_items: receipt.kept.into_iter().map(kept).collect(),
    }
}

fn kept(version: KeptVersion) -> proto::ReceiptKeptItem {
    let KeptVersion { item, version, class, reasons } = version;
    let reason_commitments = reasons.iter().map(|reason| reason.to_vec()).collect();
    proto::ReceiptKeptItem { item_id: item.to_string(), version, class, reason_commitments }
}

fn opening(opening: Opening) -> proto::KeepReasonOpening {
    proto::KeepReasonOpening { salt: opening.salt.to_vec(), reason: opening.reason }
}

/// What an erasure has come to.
pub fn finding(found: Finding) -> proto::VerifyErasureResponse {
    let verdict = match found.verdict {
        Verdict::Erased => proto::ErasureVerdict::Erased,
        Verdict::Pending => proto::ErasureVerdict::Pending,
        Verdict::PartlyKept => proto::ErasureVerdict::PartlyKept,
        Verdict::NotErased => proto::ErasureVerdict::NotErased,
        Verdict::Unknown => proto::ErasureVerdict::Unknown,
    };
    proto::VerifyErasureResponse {
        verdict: verdict.into(),
        receipt_id: found.receipt.map(|id| id.to_string()).unwrap_or_default(),
        epoch: found.epoch,
        current_epoch: found.current,
        waiting_slot_ids: found.waiting.iter().map(ToString::to_string).collect(),
        kept_item_count: found.kept,
        verify_time: Some(time(found.at)),
        purged: found.purged,
        index_rotated: found.rotated,
    }
}
