//! The vault's state.

use super::super::proto;
use super::time;
use crate::gate::status::{Phase, SlotState, SlotStatus, VaultState, VaultStatus};

/// How the vault is. What it does not state is absent.
pub fn status(status: VaultStatus) -> proto::GetStatusResponse {
    let state = match status.state {
        VaultState::Serving => proto::VaultState::Serving,
        VaultState::Degraded => proto::VaultState::Degraded,
        VaultState::Failed => proto::VaultState::Unavailable,
    };
    proto::GetStatusResponse {
        vault_id: status.vault.to_string(),
        format_version: status.format,
        software_version: status.version.to_owned(),
        state: state.into(),
        causes: causes(&status),
        start_time: Some(time(status.started)),
        current_epoch: status.epoch,
        pending_epochs: pending_epoch(&status).into_iter().collect(),
        pending_erasure_count: status.pending,
        log: Some(proto::LogStatus { entry_count: status.log_size, ..Default::default() }),
        store: Some(proto::StoreStatus { size_bytes: status.store_bytes, ..Default::default() }),
        slots: status.slots.into_iter().map(slot).collect(),
        ..Default::default()
    }
}

fn causes(status: &VaultStatus) -> Vec<String> {
    let mut causes = Vec::new();
    if matches!(status.state, VaultState::Failed) {
        causes.push("the store or the log failed; restart the vault".to_owned());
    }
    for slot in &status.slots {
        match slot.state {
            SlotState::Current => {}
            SlotState::Unreachable => causes.push(format!("slot {} does not answer", slot.slot)),
            SlotState::Stale => causes.push(format!("slot {} is at an epoch it should have left", slot.slot)),
        }
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
    // Grades print as the contract names them.
    let grade = proto::SlotGrade::from_str_name(&format!("SLOT_GRADE_{}", slot.grade)).unwrap_or_default();
    proto::Slot {
        slot_id: slot.slot.to_string(),
        name: slot.name,
        grade: grade.into(),
        state: state.into(),
        epoch: slot.epoch,
        ..Default::default()
    }
}
