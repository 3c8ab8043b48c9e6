//! Keys and their replacement.

use super::audit::checkpoint;
use super::{At, Faults, time};
use crate::api::proto;
use crate::audit::tree::leaf_hash;
use crate::base::id::{KeyId, RotationId, SlotId};
use crate::base::limits::{INDEX_ROTATION_DAYS, NAMES_MAX};
use crate::base::time::Timestamp;
use crate::gate::refusal::{FaultReason, Refusal};
use crate::gate::rotations::{ListedKey, Rotation, Stage, Standing};
use crate::gate::signing::{Proven, Replaced, SigningKey, Signs};

/// Which keys are wanted.
pub struct Wanted {
    kinds: Vec<i32>,
    destroyed: bool,
}

/// The keys to list. All fit on one page.
pub fn wanted(request: proto::GetKeyStatusRequest) -> Result<Wanted, Refusal> {
    let mut faults = Faults::default();
    let at = At::field("kinds");
    if request.kinds.len() > NAMES_MAX {
        faults.add(at, FaultReason::TooMany);
    }
    for (index, kind) in request.kinds.iter().enumerate().take(NAMES_MAX) {
        faults.choice(at.index(index), *kind, |kind| proto::KeyKind::try_from(i32::from(kind)).ok());
    }
    if !request.page_token.is_empty() {
        faults.add(At::field("page_token"), FaultReason::PageToken);
    }
    faults.finish(Wanted { kinds: request.kinds, destroyed: request.include_destroyed })
}

/// Which key to replace.
pub fn start(request: proto::StartRotationRequest) -> Result<KeyId, Refusal> {
    let mut faults = Faults::default();
    if !request.outer_key_name.is_empty() {
        faults.add(At::field("outer_key_name"), FaultReason::Conflict);
    }
    match faults.id(At::field("key_id"), &request.key_id) {
        Some(id) => faults.finish(id),
        None => Err(faults.into_refusal()),
    }
}

/// Which rotation is to be followed.
pub fn watch(request: proto::WatchRotationRequest) -> Result<RotationId, Refusal> {
    rotation_id(Faults::default(), &request.rotation_id)
}

/// Which rotation is to be paused.
pub fn pause(request: proto::PauseRotationRequest) -> Result<RotationId, Refusal> {
    rotation_id(Faults::default(), &request.rotation_id)
}

/// Which rotation is to go on. None of those that there are waits for a backup.
pub fn resume(request: proto::ResumeRotationRequest) -> Result<RotationId, Refusal> {
    let mut faults = Faults::default();
    if request.waive_backup {
        faults.add(At::field("waive_backup"), FaultReason::Conflict);
    }
    rotation_id(faults, &request.rotation_id)
}

fn rotation_id(mut faults: Faults, text: &str) -> Result<RotationId, Refusal> {
    match faults.id(At::field("rotation_id"), text) {
        Some(id) => faults.finish(id),
        None => Err(faults.into_refusal()),
    }
}

fn kind(signs: Signs) -> proto::KeyKind {
    match signs {
        Signs::Log => proto::KeyKind::LogSigning,
        Signs::Receipts => proto::KeyKind::ReceiptSigning,
    }
}

/// The keys that were asked for.
pub fn listed(
    keys: Vec<SigningKey>,
    (index, rotations): (Vec<ListedKey>, Vec<Rotation>),
    wanted: &Wanted,
) -> proto::GetKeyStatusResponse {
    let any = [proto::KeyKind::Unspecified, proto::KeyKind::Index].map(i32::from);
    let of_index = wanted.kinds.is_empty() || wanted.kinds.iter().any(|kind| any.contains(kind));
    let is_listed =
        |key: &ListedKey| of_index && (wanted.destroyed || !matches!(key.standing, Standing::Destroyed { .. }));
    let index = index.into_iter().filter(is_listed).map(index_key);
    let is_open = |rotation: &Rotation| of_index && !matches!(rotation.stage, Stage::Done { .. });
    let rotations = rotations.into_iter().filter(is_open).map(|it| rotation(it, &[])).collect();
    let is_wanted = |key: &SigningKey| {
        let any = [proto::KeyKind::Unspecified, kind(key.signs)].map(i32::from);
        let of_kind = wanted.kinds.is_empty() || wanted.kinds.iter().any(|kind| any.contains(kind));
        of_kind && (wanted.destroyed || key.replaced.is_none())
    };
    let keys = keys.into_iter().filter(is_wanted).map(|key| {
        let state = if key.replaced.is_some() { proto::KeyState::Destroyed } else { proto::KeyState::Active };
        proto::Key {
            key_id: key.id.to_string(),
            kind: kind(key.signs).into(),
            state: state.into(),
            create_time: key.made.map(time),
            activate_time: key.made.map(time),
            retire_time: key.replaced.map(time),
            destroy_time: key.replaced.map(time),
            verifier_key: key.verifier,
            ..Default::default()
        }
    });
    proto::GetKeyStatusResponse { keys: keys.chain(index).collect(), rotations, ..Default::default() }
}

fn index_key(key: ListedKey) -> proto::Key {
    let due = Timestamp::from_millis(key.made.as_millis() + INDEX_ROTATION_DAYS * 24 * 3600 * 1000);
    let listed = proto::Key {
        key_id: key.id.to_string(),
        kind: proto::KeyKind::Index.into(),
        scope: key.field.as_str().to_owned(),
        create_time: Some(time(key.made)),
        ..Default::default()
    };
    match key.standing {
        Standing::Coming => proto::Key { state: proto::KeyState::Pending.into(), ..listed },
        Standing::Current => {
            let activate_time = Some(time(key.made));
            let rotation_due_time = Some(time(due));
            proto::Key { state: proto::KeyState::Active.into(), activate_time, rotation_due_time, ..listed }
        }
        Standing::Retired(at) => {
            proto::Key { state: proto::KeyState::Retired.into(), retire_time: at.map(time), ..listed }
        }
        Standing::Destroyed { retired, at, epoch } => proto::Key {
            state: proto::KeyState::Destroyed.into(),
            retire_time: Some(time(retired)),
            destroy_time: Some(time(at)),
            destroy_epoch: epoch,
            ..listed
        },
    }
}

/// The rotation of an index key, and the slots that the end of its old key waits for.
pub fn rotation(it: Rotation, waiting: &[SlotId]) -> proto::Rotation {
    let state = match it.stage {
        Stage::Running => proto::RotationState::Running,
        Stage::Paused => proto::RotationState::Paused,
        Stage::Forgetting if waiting.is_empty() => proto::RotationState::Verifying,
        Stage::Forgetting => proto::RotationState::WaitingForSlot,
        Stage::Done { .. } => proto::RotationState::Done,
    };
    let ended = match it.stage {
        Stage::Done { at, epoch } => Some((at, epoch)),
        Stage::Running | Stage::Paused | Stage::Forgetting => None,
    };
    // When no row was left is when the rotation last got further.
    let proof = ended.map(|(_, epoch)| proto::RotationProof {
        check_time: Some(time(it.times.1)),
        epoch,
        old_key_destroyed: true,
        ..Default::default()
    });
    proto::Rotation {
        rotation_id: it.id.to_string(),
        kind: proto::KeyKind::Index.into(),
        old_key_id: it.old.to_string(),
        new_key_id: it.new.to_string(),
        state: state.into(),
        done_count: it.done,
        start_time: Some(time(it.times.0)),
        update_time: Some(time(it.times.1)),
        end_time: ended.map(|(at, _)| time(at)),
        waiting_slot_ids: waiting.iter().map(SlotId::to_string).collect(),
        proof,
        ..Default::default()
    }
}

/// A replacement that is done.
pub fn replaced(done: Replaced) -> proto::StartRotationResponse {
    let at = Some(time(done.at));
    let proof = proto::RotationProof {
        check_time: at,
        old_key_destroyed: true,
        handover: Some(proven(done.handover)),
        ..Default::default()
    };
    let rotation = proto::Rotation {
        rotation_id: done.rotation.to_string(),
        kind: proto::KeyKind::LogSigning.into(),
        old_key_id: done.old.to_string(),
        new_key_id: done.new.to_string(),
        state: proto::RotationState::Done.into(),
        start_time: at,
        update_time: at,
        end_time: at,
        proof: Some(proof),
        ..Default::default()
    };
    proto::StartRotationResponse { rotation: Some(rotation) }
}

/// An entry with its inclusion.
pub fn proven(proven: Proven) -> proto::ProvenLeaf {
    let signed = &proven.checkpoint;
    let inclusion = proto::InclusionProof {
        leaf_index: proven.index,
        tree_size: signed.checkpoint.size,
        leaf_hash: leaf_hash(&proven.leaf).to_vec(),
        path: proven.path.iter().map(|hash| hash.to_vec()).collect(),
    };
    proto::ProvenLeaf { leaf: proven.leaf, inclusion: Some(inclusion), checkpoint: Some(checkpoint(signed)) }
}
