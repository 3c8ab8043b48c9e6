//! StartRotation of an index key, PauseRotation, ResumeRotation and WatchRotation. What a rotation does is told in
//! `reindex`.

use std::sync::Arc;

use tokio::time::Instant;

use crate::base::id::{RotationId, SlotId};
use crate::base::limits::ROTATION_WATCH_PERIOD;
use crate::gate::call::Call;
use crate::gate::index::{self, KnownKey};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::rotations::{self, Rotation, Stage};
use crate::gate::vault::Vault;

/// Starts the rotation of an index key.
///
/// # Durability
/// On `Ok` the start and the call's entry survive power loss, and the rotation finishes by itself.
///
/// # Errors
/// [`State::NotFound`] for a key that was replaced meanwhile; [`State::RotationRunning`].
pub async fn start(vault: &Vault, call: &Call, known: KnownKey) -> Result<Rotation, Refusal> {
    let (field, number, recorder) = (known.field, known.number, call.recorder().clone());
    let begun = vault.committer().commit(move |txn| {
        let progress = index::begin(txn, field, Some(number))?;
        let touched = Touched { count: 1, fields: vec![format!("index.{field}")], ..Touched::default() };
        txn.record(recorder.entry(Whom::Nobody, touched, Ended::Done, (txn.now(), txn.epoch()))?);
        rotations::under_way(txn, field, &progress).ok_or_else(|| Unavailable::Internal.into())
    });
    match begun.await {
        Ok(rotation) => {
            vault.reload_index().await?;
            Ok(rotation)
        }
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

/// Pauses a rotation, or lets it go on; as it is already, if it is.
///
/// # Durability
/// On `Ok` it is so until somebody changes it, whatever happens to the vault. A step that had begun is finished.
///
/// # Errors
/// [`State::NotFound`]; [`State::RotationNotRunning`] for one that has ended, or that ends at once.
pub async fn pause(vault: &Vault, call: &Call, id: RotationId, paused: bool) -> Result<Rotation, Refusal> {
    if vault.log().keys().all().iter().skip(1).any(|key| key.rotation() == id) {
        return Err(vault.refuse(call, State::RotationNotRunning.into()).await);
    }
    let recorder = call.recorder().clone();
    let done = vault.committer().commit(move |txn| {
        let rotation = rotations::pause(txn, id, paused)?;
        let touched = Touched { count: 1, fields: vec![format!("rotation={id}")], ..Touched::default() };
        txn.record(recorder.entry(Whom::Nobody, touched, Ended::Done, (txn.now(), txn.epoch()))?);
        Ok(rotation)
    });
    match done.await {
        Ok(rotation) => Ok(rotation),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

/// A rotation that somebody follows.
pub struct Watch {
    vault: Arc<Vault>,
    call: Call,
    id: RotationId,
    /// What was told last.
    told: Option<Seen>,
    /// When to look next.
    look: Instant,
}

/// What is seen of a rotation.
#[derive(Clone, PartialEq, Eq)]
pub struct Seen {
    /// The rotation.
    pub rotation: Rotation,
    /// The slots that the forgetting of its old key waits for.
    pub waiting: Vec<SlotId>,
}

/// Begins to follow a rotation.
///
/// # Durability
/// The entry that says so is durable when this returns.
///
/// # Errors
/// [`State::NotFound`].
pub async fn watch(vault: Arc<Vault>, call: Call, id: RotationId) -> Result<Watch, Refusal> {
    match vault.read(|reads| rotations::find(reads, id)) {
        Ok(Some(_)) => vault.record_done(&call).await?,
        Ok(None) => return Err(vault.refuse(&call, State::NotFound.into()).await),
        Err(refusal) => return Err(vault.refuse(&call, refusal).await),
    }
    Ok(Watch { vault, call, id, told: None, look: Instant::now() })
}

impl Watch {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// How the rotation is: at once the first time, then when that has changed; none after its end.
    ///
    /// # Errors
    /// [`Unavailable`], also when the vault stops.
    pub async fn next(&mut self) -> Result<Option<Seen>, Refusal> {
        let is_done = |seen: &Seen| matches!(seen.rotation.stage, Stage::Done { .. });
        if self.told.as_ref().is_some_and(is_done) {
            return Ok(None);
        }
        loop {
            tokio::time::sleep_until(self.look).await;
            if self.vault.is_closing() {
                return Err(Unavailable::Stopping.into());
            }
            let rotation = self.vault.read(|reads| rotations::find(reads, self.id))?.ok_or(State::NotFound)?;
            let is_waiting = rotation.stage == Stage::Forgetting;
            let waiting = if is_waiting { self.vault.epochs().waiting() } else { Vec::new() };
            let seen = Seen { rotation, waiting };
            self.look = Instant::now() + ROTATION_WATCH_PERIOD;
            if self.told.as_ref() != Some(&seen) {
                self.told = Some(seen.clone());
                return Ok(Some(seen));
            }
        }
    }
}
