//! What a caller is told of an act of forgetting: that it is pending, done, or that some of it is kept.

use crate::base::id::ReceiptId;
use crate::base::limits::KEEP_REASONS_TOLD_MAX;
use crate::gate::call::Call;
use crate::gate::receipts;
use crate::gate::refusal::Refusal;
use crate::gate::vault::{Awaited, Vault};
use crate::keep::history;
use crate::keep::kept::{self, Under};
use crate::keep::{Reason, reason_for};
use crate::policy::action::Action;
use crate::policy::question::{Resource, Standing};

use super::model::{Erasure, ErasureState};

/// As [`told`], of what an earlier call asked for.
///
/// # Errors
/// Also that the store is damaged, where it would be called erased and there is no statement of that.
pub fn told_again(vault: &Vault, call: &Call, awaited: Awaited, receipt: ReceiptId) -> Result<Erasure, Refusal> {
    must_be_stated(vault, &awaited, &receipt)?;
    told(vault, call, awaited, receipt)
}

/// Checks that what would be called erased has a statement of that.
///
/// # Errors
/// That the store is damaged.
pub fn must_be_stated(vault: &Vault, awaited: &Awaited, receipt: &ReceiptId) -> Result<(), Refusal> {
    if let Awaited::Done { .. } = awaited {
        let record = vault.read(|reads| receipts::look_up(reads, receipt))?;
        vault.must_be_stated(receipt, record.as_ref())?;
    }
    Ok(())
}

/// The outcome, as it is now. Why something is kept is told to whoever may ask why a person's data is kept.
///
/// # Errors
/// What is kept cannot be read; what was asked for stands all the same.
pub fn told(vault: &Vault, call: &Call, awaited: Awaited, receipt: ReceiptId) -> Result<Erasure, Refusal> {
    let mut erasure = Erasure::of(awaited, receipt);
    if erasure.state != ErasureState::Erased {
        return Ok(erasure);
    }
    let may_know = || call.permit_to(Action::ListKeepReasons, Resource::Subject(Standing::default())).is_ok();
    let limit = if may_know() { KEEP_REASONS_TOLD_MAX } else { 1 };
    let kept_for = vault.read(|reads| {
        let mut reasons: Vec<Reason> = Vec::new();
        for version in kept::list(reads, Under::Receipt(receipt), None, limit)? {
            for copy in kept::copies(reads, &version)? {
                let reason = reason_for(reads, &copy)?;
                if !reasons.contains(&reason) {
                    reasons.push(reason);
                }
            }
        }
        for copy in history::copies(reads, &receipt)? {
            let reason = reason_for(reads, &copy)?;
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        Ok(reasons)
    })?;
    if !kept_for.is_empty() {
        erasure.state = ErasureState::Kept;
        erasure.kept_for = if may_know() { kept_for } else { Vec::new() };
    }
    Ok(erasure)
}
