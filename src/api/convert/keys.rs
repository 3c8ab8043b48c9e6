//! Keys and their replacement.

use super::audit::checkpoint;
use super::{At, Faults, time};
use crate::api::proto;
use crate::audit::tree::leaf_hash;
use crate::base::id::{KeyId, VaultId};
use crate::base::limits::{INDEX_ROTATION_DAYS, NAMES_MAX};
use crate::base::time::Timestamp;
use crate::gate::index::{KnownKey, Progress, key_id};
use crate::gate::refusal::{FaultReason, Refusal};
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

fn kind(signs: Signs) -> proto::KeyKind {
    match signs {
        Signs::Log => proto::KeyKind::LogSigning,
        Signs::Receipts => proto::KeyKind::ReceiptSigning,
    }
}

/// The keys that were asked for.
pub fn listed(
    vault: &VaultId,
    keys: Vec<SigningKey>,
    index: Vec<KnownKey>,
    wanted: &Wanted,
) -> proto::GetKeyStatusResponse {
    let any = [proto::KeyKind::Unspecified, proto::KeyKind::Index].map(i32::from);
    let of_index = wanted.kinds.is_empty() || wanted.kinds.iter().any(|kind| any.contains(kind));
    let index: Vec<KnownKey> = if of_index { index } else { Vec::new() };
    let rotations = index.iter().filter_map(|known| rotation(vault, known)).collect();
    let index = index.into_iter().map(index_key);
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

fn index_key(known: KnownKey) -> proto::Key {
    let due = Timestamp::from_millis(known.made.as_millis() + INDEX_ROTATION_DAYS * 24 * 3600 * 1000);
    proto::Key {
        key_id: known.id.to_string(),
        kind: proto::KeyKind::Index.into(),
        scope: known.field.as_str().to_owned(),
        state: proto::KeyState::Active.into(),
        create_time: Some(time(known.made)),
        activate_time: Some(time(known.made)),
        rotation_due_time: Some(time(due)),
        ..Default::default()
    }
}

/// The rotation of an index key that is under way: while rows are written it is the old one, while the old one's rows
/// go it is the new one.
pub fn rotation(vault: &VaultId, known: &KnownKey) -> Option<proto::Rotation> {
    let progress = &known.progress;
    let (old, new) = match (progress.retiring, progress.next) {
        (Some(old), _) => (old, progress.current),
        (None, Some(next)) => (progress.current, next),
        (None, None) => return None,
    };
    Some(proto::Rotation {
        rotation_id: Progress::rotation(vault, known.field, old).to_string(),
        kind: proto::KeyKind::Index.into(),
        old_key_id: key_id(vault, known.field, old).to_string(),
        new_key_id: key_id(vault, known.field, new).to_string(),
        state: proto::RotationState::Running.into(),
        done_count: progress.done,
        start_time: Some(time(progress.times.0)),
        update_time: Some(time(progress.times.1)),
        ..Default::default()
    })
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
pub(super) fn proven(proven: Proven) -> proto::ProvenLeaf {
    let signed = &proven.checkpoint;
    let inclusion = proto::InclusionProof {
        leaf_index: proven.index,
        tree_size: signed.checkpoint.size,
        leaf_hash: leaf_hash(&proven.leaf).to_vec(),
        path: proven.path.iter().map(|hash| hash.to_vec()).collect(),
    };
    proto::ProvenLeaf { leaf: proven.leaf, inclusion: Some(inclusion), checkpoint: Some(checkpoint(signed)) }
}
