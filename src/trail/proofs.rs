//! Checkpoints and proofs: what makes the log checkable by others.

use std::sync::Arc;

use crate::audit::proof::{MakeError, make_consistency, make_inclusion};
use crate::audit::sequence::Error;
use crate::audit::stored::{SignedCheckpoint, StoredLog};
use crate::audit::tile::TileHashes;
use crate::audit::tree::{Hashes as _, Node};
use crate::crypto::hash::Digest;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::vault::Vault;
use crate::policy::question::Resource;

/// That a leaf is in a tree.
pub struct Inclusion {
    /// The leaf's index.
    pub index: u64,
    /// The tree's size.
    pub size: u64,
    /// The leaf's hash.
    pub leaf: Digest,
    /// From the leaf up.
    pub path: Vec<Digest>,
    /// Covers the tree; of exactly its size if none was asked for.
    pub checkpoint: Arc<SignedCheckpoint>,
}

/// That one tree begins another.
pub struct Consistency {
    /// The smaller size.
    pub old: u64,
    /// The larger size.
    pub new: u64,
    /// In the order of the RFC.
    pub path: Vec<Digest>,
    /// Covers the larger tree; of exactly its size if none was asked for.
    pub checkpoint: Arc<SignedCheckpoint>,
}

/// The newest checkpoint, once it covers `size_min` entries.
///
/// # Errors
/// [`State::IndexOutOfRange`] if the log is not that long; [`Unavailable`].
pub async fn checkpoint(vault: &Vault, call: &Call, size_min: u64) -> Result<Arc<SignedCheckpoint>, Refusal> {
    record(vault, call, (size_min <= vault.committer().log_size()).then_some(())).await?;
    vault.log().checkpoint(size_min).await
}

/// Proves that an entry is in the tree of a size; without one, of the newest checkpoint that has the entry.
///
/// # Errors
/// [`State::IndexOutOfRange`] if there is no such entry or no such size; [`Unavailable`].
pub async fn inclusion(vault: &Vault, call: &Call, index: u64, size: Option<u64>) -> Result<Inclusion, Refusal> {
    let log_size = vault.committer().log_size();
    let fits = index < size.unwrap_or(log_size) && size.unwrap_or(0) <= log_size;
    record(vault, call, fits.then_some(())).await?;
    let checkpoint = vault.log().checkpoint(size.unwrap_or(index + 1)).await?;
    let size = size.unwrap_or(checkpoint.checkpoint.size);
    let hashes = Stored(vault.log().stored());
    let path = make_inclusion(&hashes.all(), index, size).map_err(refusal)?;
    let leaf = hashes.all().hash(Node { level: 0, index }).map_err(|error| refusal(MakeError::Read(error)))?;
    Ok(Inclusion { index, size, leaf, path, checkpoint })
}

/// Proves that the tree of one size begins that of another; without one, that of the newest checkpoint that is not
/// smaller.
///
/// # Errors
/// [`State::IndexOutOfRange`] if the sizes are not in order, are 0, or the log is not that long; [`Unavailable`].
pub async fn consistency(vault: &Vault, call: &Call, old: u64, new: Option<u64>) -> Result<Consistency, Refusal> {
    let log_size = vault.committer().log_size();
    let fits = old > 0 && old <= new.unwrap_or(log_size) && new.unwrap_or(0) <= log_size;
    record(vault, call, fits.then_some(())).await?;
    let checkpoint = vault.log().checkpoint(new.unwrap_or(old)).await?;
    let new = new.unwrap_or(checkpoint.checkpoint.size);
    let path = make_consistency(&Stored(vault.log().stored()).all(), old, new).map_err(refusal)?;
    Ok(Consistency { old, new, path, checkpoint })
}

/// Records the call, or that it was refused for its arguments.
async fn record(vault: &Vault, call: &Call, fits: Option<()>) -> Result<(), Refusal> {
    let permit = match call.permit(Resource::Vault) {
        Ok(permit) => permit,
        Err(denied) => return Err(vault.refuse(call, denied.openly().into()).await),
    };
    if fits.is_none() {
        return Err(vault.refuse(call, State::IndexOutOfRange.into()).await);
    }
    let touched = Touched { rule: Some(permit.rule().clone()), ..Touched::default() };
    let at = (vault.now(), vault.epoch());
    vault.record(vec![call.recorder().entry(Whom::Nobody, touched, Ended::Done, at)?]).await
}

/// The hashes of the stored tree; a proof reads a few dozen tiles at the most.
struct Stored<'e>(StoredLog<'e>);

impl<'e> Stored<'e> {
    fn all(&self) -> TileHashes<'_, StoredLog<'e>> {
        TileHashes::new(&self.0)
    }
}

fn refusal(error: MakeError<Error>) -> Refusal {
    match error {
        MakeError::OutOfRange => State::IndexOutOfRange.into(),
        MakeError::Read(error) => unreadable(error),
    }
}

/// The log itself does not read.
pub(super) fn unreadable(error: Error) -> Refusal {
    match error {
        Error::Damaged(_) => Unavailable::Damaged.into(),
        Error::Store(error) => error.into(),
    }
}
