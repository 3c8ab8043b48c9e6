//! The vault's state.

use super::super::proto;
use super::{At, Faults, time};
use crate::base::id::SlotId;
use crate::base::limits::{EVIDENCE_BYTES_MAX, NAME_BYTES_MAX};
use crate::gate::former::{Attestation, Method};
use crate::gate::purge::Progress;
use crate::gate::refusal::{FaultReason, Refusal};
use crate::gate::slot_changes::Testimony;
use crate::gate::slots::SlotView;
use crate::gate::status::{End, FormerSlot, Phase, SlotState, SlotStatus, VaultState, VaultStatus};
use crate::keys::slot::grade::Grade;
use crate::retention::state::Sweep;

/// How the vault is. What it does not state is absent.
pub fn status(status: VaultStatus, halted: Option<Sweep>) -> proto::GetStatusResponse {
    let state = match status.state {
        VaultState::Serving => proto::VaultState::Serving,
        VaultState::Degraded => proto::VaultState::Degraded,
        VaultState::ReadOnly => proto::VaultState::ReadOnly,
        VaultState::Failed => proto::VaultState::Unavailable,
    };
    proto::GetStatusResponse {
        vault_id: status.vault.to_string(),
        format_version: status.format,
        software_version: status.version.to_owned(),
        state: state.into(),
        causes: causes(&status, halted.as_ref()),
        start_time: Some(time(status.started)),
        current_epoch: status.epoch,
        pending_epochs: pending_epoch(&status).into_iter().collect(),
        pending_erasure_count: status.pending,
        log: Some(proto::LogStatus { entry_count: status.log_size, ..Default::default() }),
        store: Some(proto::StoreStatus {
            size_bytes: status.store_bytes,
            free_bytes: status.free_bytes,
            free_bytes_min: status.free_bytes_min,
            unpurged_since_time: status.unpurged_since.map(time),
            purge: status.purge.as_ref().map(purge),
            ..Default::default()
        }),
        halted_sweep: halted.as_ref().map(super::due::sweep),
        slots: status.slots.into_iter().map(slot).chain(status.former.iter().map(former_slot)).collect(),
        ..Default::default()
    }
}

/// How far the purge of the live files is.
pub fn purge(progress: &Progress) -> proto::Purge {
    let bytes = progress.running.as_ref().map(|running| running.purge.bytes());
    let (done_bytes, total_bytes) = bytes.unwrap_or_default();
    proto::Purge {
        through_epoch: progress.through,
        running: progress.running.is_some(),
        running_through_epoch: progress.running.as_ref().map_or(0, |running| running.through),
        start_time: progress.running.as_ref().map(|running| time(running.began)),
        done_bytes,
        total_bytes,
    }
}

fn causes(status: &VaultStatus, halted: Option<&Sweep>) -> Vec<String> {
    let mut causes = Vec::new();
    match status.state {
        VaultState::Serving | VaultState::Degraded => {}
        VaultState::ReadOnly => causes.push("the store's volume is filling up: make room on it".to_owned()),
        VaultState::Failed => causes.push("the store or the log failed; restart the vault".to_owned()),
    }
    for slot in &status.slots {
        match slot.state {
            SlotState::Current => {}
            SlotState::Unreachable => causes.push(format!("slot {} does not answer", slot.slot)),
            SlotState::Stale => causes.push(format!("slot {} is at an epoch it should have left", slot.slot)),
        }
    }
    if status.purge_overdue {
        causes.push("unreadable ciphertext is in live files past the date on its receipts".to_owned());
    }
    for slot in status.former.iter().filter(|slot| slot.is_lost()) {
        let id = slot.slot;
        causes.push(format!("slot {id} is lost: erasures stay pending until its destruction is seen or attested"));
    }
    if halted.is_some() {
        causes.push("the sweep of what is due has stopped: look at `lacuna due`, and confirm it if it is right".into());
    }
    causes
}

fn pending_epoch(status: &VaultStatus) -> Option<proto::PendingEpoch> {
    let phase = match &status.phase {
        None if status.pending == 0 => return None,
        None => proto::EpochPhase::Intent,
        Some(Phase::Draining) => proto::EpochPhase::Draining,
        Some(Phase::Staging) => proto::EpochPhase::Staging,
        Some(Phase::Committed) => proto::EpochPhase::Committed,
        Some(Phase::Destroying) => proto::EpochPhase::Destroying,
    };
    Some(proto::PendingEpoch {
        epoch: if status.phase.is_some() { status.epoch + 1 } else { 0 },
        phase: phase.into(),
        erasure_count: status.pending,
        waiting_slot_ids: status.waiting.iter().map(ToString::to_string).collect(),
        ..Default::default()
    })
}

fn slot(slot: SlotStatus) -> proto::Slot {
    let state = match slot.state {
        SlotState::Current => proto::SlotState::Current,
        SlotState::Unreachable => proto::SlotState::Unreachable,
        SlotState::Stale => proto::SlotState::Stale,
    };
    proto::Slot {
        slot_id: slot.slot.to_string(),
        name: slot.name,
        backend: BACKEND.to_owned(),
        grade: grade(slot.grade).into(),
        state: state.into(),
        epoch: slot.epoch,
        ..Default::default()
    }
}

/// The one kind of slot there is.
const BACKEND: &str = "file";

/// A slot that is no longer the vault's.
pub fn former_slot(slot: &FormerSlot) -> proto::Slot {
    let (state, attestation) = match &slot.end {
        End::Lost => (proto::SlotState::Lost, None),
        End::Destroyed => (proto::SlotState::Destroyed, None),
        End::Attested(said) => (proto::SlotState::Attested, Some(attestation(slot, said))),
    };
    proto::Slot {
        slot_id: slot.slot.to_string(),
        name: slot.name(),
        backend: BACKEND.to_owned(),
        grade: grade(slot.grade).into(),
        state: state.into(),
        epoch: slot.last_epoch,
        waiting_erasure_count: if slot.is_lost() { slot.waiting } else { 0 },
        attestation,
        ..Default::default()
    }
}

fn attestation(slot: &FormerSlot, said: &Attestation) -> proto::SlotAttestation {
    proto::SlotAttestation {
        attestation_id: said.id.to_string(),
        slot_id: slot.slot.to_string(),
        last_epoch: slot.last_epoch,
        method: i32::from(said.method as u8),
        destroy_time: Some(time(said.destroyed)),
        actor: said.actor.to_string(),
        approver: said.approver.to_string(),
        grade_max: grade(said.method.grade_max()).into(),
        ..Default::default()
    }
}

/// Grades print as the contract names them.
fn grade(grade: Grade) -> proto::SlotGrade {
    proto::SlotGrade::from_str_name(&format!("SLOT_GRADE_{grade}")).unwrap_or_default()
}

/// A slot that was just made.
pub fn new_slot(view: SlotView) -> proto::Slot {
    slot(SlotStatus { slot: view.slot, name: view.name, grade: view.grade, epoch: view.epoch, state: view.state })
}

/// Which slot to replace, and the name of the new one.
pub fn replace_slot(request: proto::ReplaceSlotRequest) -> Result<(SlotId, String), Refusal> {
    let mut faults = Faults::default();
    let slot = faults.id(At::field("slot_id"), &request.slot_id);
    let at = At::field("new_slot_name");
    if request.new_slot_name.is_empty() {
        faults.add(at, FaultReason::Required);
    }
    let new_name = faults.plain(at, request.new_slot_name, NAME_BYTES_MAX);
    match slot {
        Some(slot) => faults.finish((slot, new_name)),
        None => Err(faults.into_refusal()),
    }
}

/// Which slot to take out.
pub fn remove_slot(request: proto::RemoveSlotRequest) -> Result<SlotId, Refusal> {
    let mut faults = Faults::default();
    let slot = faults.id(At::field("slot_id"), &request.slot_id);
    slot.ok_or_else(|| faults.into_refusal())
}

/// What is said about a slot's end. Whether the time is past is for the vault's clock to say.
pub fn attest_slot(request: proto::AttestSlotDestroyedRequest) -> Result<Testimony, Refusal> {
    let mut faults = Faults::default();
    let slot = faults.id(At::field("slot_id"), &request.slot_id);
    let at = At::field("method");
    let method = match request.method {
        0 => {
            faults.add(at, FaultReason::Required);
            None
        }
        number => faults.choice(at, number, |tag| Method::ALL.into_iter().find(|method| *method as u8 == tag)),
    };
    let at = At::field("destroy_time");
    if request.destroy_time.is_none() {
        faults.add(at, FaultReason::Required);
    }
    let destroyed = faults.time(at, request.destroy_time);
    let at = At::field("evidence");
    if request.evidence.is_empty() {
        faults.add(at, FaultReason::Required);
    }
    let evidence = faults.text(at, request.evidence, EVIDENCE_BYTES_MAX);
    match (slot, method, destroyed) {
        (Some(slot), Some(method), Some(destroyed)) => faults.finish(Testimony { slot, method, destroyed, evidence }),
        _ => Err(faults.into_refusal()),
    }
}
