//! The keys that sign: listing them, and replacing the one that signs the log.

use std::sync::Arc;

use super::call::Call;
use super::log::keys::{LogKey, key_id};
use super::record::{Ended, Touched, Whom};
use super::refusal::{Refusal, State, Unavailable};
use super::vault::Vault;
use crate::audit::proof::make_inclusion;
use crate::audit::stored::{SignedCheckpoint, StoredLog};
use crate::audit::tile::TileHashes;
use crate::base::id::{KeyId, RotationId};
use crate::base::time::Timestamp;
use crate::crypto::hash::Digest;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// Checkpoints of the log.
    Log,
    /// Receipts.
    Receipts,
}

/// A key that signs, or has signed.
pub struct SigningKey {
    /// Names it.
    pub id: KeyId,
    /// What it signs.
    pub signs: Signs,
    /// What verifies its signatures.
    pub verifier: String,
    /// When it was made; none where that was not kept.
    pub made: Option<Timestamp>,
    /// When the next took over, at which its private half was destroyed.
    pub replaced: Option<Timestamp>,
}

/// A key that was replaced, and the evidence of it.
pub struct Replaced {
    /// The replacement.
    pub rotation: RotationId,
    /// The key that was replaced.
    pub old: KeyId,
    /// The key that signs now.
    pub new: KeyId,
    /// When.
    pub at: Timestamp,
    /// The entry by which both keys sign each other's place.
    pub handover: Proven,
}

/// An entry with its inclusion.
pub struct Proven {
    /// Its place.
    pub index: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// From it up to the checkpoint's root.
    pub path: Vec<Digest>,
    /// A checkpoint that covers it.
    pub checkpoint: Arc<SignedCheckpoint>,
}

/// Every key that signs or has signed, and records that it was asked for.
///
/// # Errors
/// [`Unavailable`] if that cannot be recorded.
pub async fn list(vault: &Vault, call: &Call) -> Result<Vec<SigningKey>, Refusal> {
    vault.record_done(call).await?;
    let log = vault.log().keys();
    let log = log.all().iter().map(|key| SigningKey {
        id: key.id(),
        signs: Signs::Log,
        verifier: vault.log().verifier(&key.public).to_string(),
        made: Some(key.made),
        replaced: key.retired,
    });
    let receipts = SigningKey {
        id: key_id(vault.receipts().key().public()),
        signs: Signs::Receipts,
        verifier: vault.receipts().key().to_string(),
        made: None,
        replaced: None,
    };
    Ok(log.chain([receipts]).collect())
}

/// Replaces the key that signs the log, if it is the one named. None if the key named is one that this release does not
/// replace; nothing is recorded then.
///
/// # Durability
/// On return the log is signed by the new key only, and the evidence of that is durable. See also
/// [`Log::rotate`](super::log::Log).
///
/// # Errors
/// [`State::NotFound`] for a key that is none, or that was replaced; [`Unavailable`].
pub async fn replace(vault: &Vault, call: &Call, key: KeyId) -> Result<Option<Replaced>, Refusal> {
    if key == key_id(vault.receipts().key().public()) {
        return Ok(None);
    }
    let old = vault.log().keys().current().clone();
    if key != old.id() {
        return Err(vault.refuse(call, State::NotFound.into()).await);
    }
    let touched = Touched { count: 1, ..Touched::default() };
    let entry = call.recorder().entry(Whom::Nobody, touched, Ended::Done, (vault.now(), vault.epoch()))?;
    let Some(index) = vault.log().rotate(old.public, entry).await? else {
        return Err(vault.refuse(call, State::NotFound.into()).await); // another call was faster
    };
    let checkpoint = vault.log().checkpoint(index + 1).await?;
    let new: LogKey = vault.log().keys().at_entry(index).clone();
    let handover = prove(vault, index, checkpoint)?;
    Ok(Some(Replaced { rotation: new.rotation(), old: old.id(), new: new.id(), at: new.made, handover }))
}

/// An entry with its inclusion under a checkpoint that covers it.
///
/// # Errors
/// [`Unavailable`] if the log does not read.
pub fn prove(vault: &Vault, index: u64, checkpoint: Arc<SignedCheckpoint>) -> Result<Proven, Refusal> {
    let log = vault.log().stored();
    let (leaf, _) = log.entry(index)?;
    prove_leaf(&TileHashes::new(&log), (index, leaf), checkpoint)
}

/// The same of an entry that was read before, with hashes that several proofs share.
///
/// # Errors
/// [`Unavailable`] if the log does not read.
pub fn prove_leaf(
    hashes: &TileHashes<'_, StoredLog<'_>>,
    (index, leaf): (u64, Vec<u8>),
    checkpoint: Arc<SignedCheckpoint>,
) -> Result<Proven, Refusal> {
    let path = make_inclusion(hashes, index, checkpoint.checkpoint.size).map_err(|_| Unavailable::Damaged)?;
    Ok(Proven { index, leaf, path, checkpoint })
}
