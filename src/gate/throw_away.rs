//! The mark of a throw-away vault: one that `lacuna dev` made, with keys that are not kept as keys must be.

use super::open::OpenError;
use super::refusal::Refusal;
use super::vault::Vault;
use crate::store::Engine;
use crate::store::format::{self, Found};
use crate::store::keyspace::Space;

const ROW: &[u8] = b"throw_away";

/// Whether the store holds no vault yet.
///
/// # Errors
/// It is of another release, or does not read.
pub fn is_new(engine: &dyn Engine) -> Result<bool, OpenError> {
    Ok(matches!(format::check(engine)?, Found::New))
}

/// Whether the store's vault is a throw-away one.
///
/// # Errors
/// The store does not read.
pub fn is_marked(engine: &dyn Engine) -> Result<bool, OpenError> {
    Ok(engine.get(Space::Meta, ROW)?.is_some())
}

impl Vault {
    /// Marks the vault, for good. To be called from a plain thread.
    ///
    /// # Durability
    /// On `Ok` the mark survives power loss.
    ///
    /// # Errors
    /// It could not be written.
    pub fn mark_throw_away(&self) -> Result<(), Refusal> {
        let mark = |txn: &mut super::txn::Txn<'_>| {
            txn.put(Space::Meta, ROW, []);
            Ok(())
        };
        self.committer.commit_blocking(mark, false)
    }
}
