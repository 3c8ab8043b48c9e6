//! The row that says of all pages of the key tree how they are: written by the one writer, with every batch that changes a
//! page or the log.
//!
//! Where it is missing, or is not the newest, the writer does not begin another: that would hide what was done to the pages
//! before. A check of the pages finds it so, and an operator has them counted anew.

use super::refusal::{Refusal, Unavailable};
use crate::audit::sequence::Head;
use crate::base::id::VaultId;
use crate::base::secret::Key;
use crate::crypto::rng::RandomFailed;
use crate::crypto::{kdf, label};
use crate::keys::tally::{Tally, Version};
use crate::keys::tree::{Root, Sealed, SealedPages};
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::{self, Engine, Record};

const ROW: &[u8] = b"page_tally";

/// As the store has it for a log that ends there; none if the row is missing or not the newest.
pub(super) fn load(
    engine: &dyn Engine,
    vault: &VaultId,
    root: &Root,
    head: Head,
) -> Result<Option<Tally>, store::Error> {
    let row = engine.get(Space::Meta, ROW)?;
    Ok(row.and_then(|row| Tally::open(&key(root, head), vault, head.size(), &row).ok()))
}

/// The row of a new vault, which has one page.
pub(super) fn first(vault: &VaultId, root: &Root, page: &Sealed) -> Result<Record, RandomFailed> {
    let mut tally = Tally::new()?;
    tally.add(&page.version());
    Ok((ROW.to_vec(), seal(&tally, vault, root, Head::EMPTY)?))
}

/// What becomes of it with pages that are sealed, and with others to which nothing leads any more.
pub(super) fn after(before: &Tally, left: &[Version], sealed: &SealedPages) -> Tally {
    let mut tally = before.duplicate();
    left.iter().chain(&sealed.obsolete).for_each(|page| tally.remove(page));
    sealed.pages.iter().for_each(|page| tally.replace(&page.version()));
    tally
}

/// Puts it into the batch that makes it true: under the root that comes into force with that, for the log's new end.
pub(super) fn put(
    batch: &mut Batch,
    tally: &Tally,
    vault: &VaultId,
    (root, head): (&Root, Head),
) -> Result<(), Refusal> {
    batch.put(Space::Meta, ROW, seal(tally, vault, root, head).map_err(|_| Unavailable::Internal)?);
    Ok(())
}

fn seal(tally: &Tally, vault: &VaultId, root: &Root, head: Head) -> Result<Vec<u8>, RandomFailed> {
    tally.seal(&key(root, head), vault, head.size())
}

/// Of the root and of the size of the log: it seals a few rows at the most.
fn key(root: &Root, head: Head) -> Key {
    kdf::derive_key(b"", &root.key, label::TALLY_SEAL, &[&head.size().to_be_bytes()])
}
