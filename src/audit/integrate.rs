//! Committed leaves into tiles, index rows and a checkpoint, as batches. Every leaf is hashed once.
//!
//! Between two checkpoints only what is final is written: full tiles, full bundles, index rows. A crash there costs the
//! work since the last checkpoint, done again with the same result.

use super::bundle::Bundle;
use super::checkpoint::Checkpoint;
use super::edge::{Edge, FullTile};
use super::event::About;
use super::leaf;
use super::note::VerifierKey;
use super::sequence::{Error, Head};
use super::stored::{CHECKPOINT, Rows, SignedCheckpoint, StoredLog, subject_key, tile_key};
use super::tile::{ENTRY_BYTES_MAX, TILE_WIDTH, encode_tile, partial_tiles};
use super::tree::leaf_hash;
use crate::crypto::hash::Digest;
use crate::crypto::sign::Signer;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;

/// How far the log is integrated, and what it takes to go on.
#[derive(Clone)]
pub struct Integrator {
    edge: Edge,
    /// The bundle that is not full, if there is one.
    bundle: Option<Bundle>,
}

impl Integrator {
    /// Goes on from the last checkpoint, once it is found to be signed by `key` and to fit the tiles, the entries
    /// before it and the entries after it, up to `head`.
    ///
    /// # Errors
    /// [`Error::Damaged`], which says what does not fit.
    pub fn resume(log: StoredLog<'_>, key: &VerifierKey, head: Head) -> Result<Self, Error> {
        let edge = match log.checkpoint()? {
            None => Edge::default(),
            Some(signed) => edge_at(log, key, &signed)?,
        };
        let size = edge.size();
        if size > head.size() {
            return Err(Error::Damaged("its checkpoint covers more than there is"));
        }
        let bundle = if size % TILE_WIDTH == 0 { None } else { Some(open_bundle(log, &edge)?) };
        for row in Rows::new(log, size) {
            let (first, entries) = row?;
            entries.iter().zip(first..).try_for_each(|((leaf, _), index)| check_place(leaf, index).map(drop))?;
        }
        Ok(Self { edge, bundle })
    }

    /// How many leaves are integrated.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root over what is integrated.
    pub fn root(&self) -> Digest {
        self.edge.root()
    }

    /// Takes in whole rows, at least `leaves` leaves or up to `until`, and returns what becomes final by that.
    ///
    /// # Errors
    /// [`Error`]; then this integrator is of no use any more.
    pub fn step(&mut self, log: StoredLog<'_>, until: u64, leaves: u64) -> Result<Batch, Error> {
        let (mut batch, mut full) = (Batch::new(), Vec::new());
        let until = until.min(self.size() + leaves);
        let mut rows = Rows::new(log, self.size());
        while self.size() < until {
            let (first, entries) = rows.next().ok_or(Error::Damaged("a row is missing"))??;
            for (leaf, _) in entries {
                self.take(first, &leaf, &mut batch, &mut full)?;
            }
        }
        for (id, hashes) in full {
            batch.put(Space::LogTile, tile_key(id), encode_tile(&hashes));
        }
        Ok(batch)
    }

    /// Adds what is not final yet, and a checkpoint over all that was taken in.
    pub fn seal(&self, batch: &mut Batch, origin: &str, signer: &Signer) -> Result<SignedCheckpoint, Error> {
        for (id, hashes) in self.edge.partial() {
            batch.put(Space::LogTile, tile_key(id), encode_tile(hashes));
        }
        if let Some(bundle) = &self.bundle {
            batch.put(Space::LogBundle, (self.size() / TILE_WIDTH).to_be_bytes(), bundle.encode());
        }
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: self.size(), root: self.edge.root() };
        let note = checkpoint.sign(signer).map_err(|_| Error::Damaged("its name cannot be signed for"))?;
        let signed = SignedCheckpoint { checkpoint, note };
        batch.put(Space::Meta, CHECKPOINT, signed.encode());
        Ok(signed)
    }

    fn take(&mut self, row: u64, leaf: &[u8], batch: &mut Batch, full: &mut Vec<FullTile>) -> Result<(), Error> {
        let index = self.size();
        let read = check_place(leaf, index)?;
        let bundle = self.bundle.get_or_insert_with(|| Bundle::starting(row));
        bundle.note(&read);
        // A receipt's entries are found as a person's are: by 16 bytes that say nothing else.
        let whose = match &read.about {
            About::Nobody => None,
            About::Subject(token) => Some(token),
            About::Erasure(receipt) => Some(receipt.as_bytes()),
        };
        if let Some(token) = whose {
            batch.put(Space::LogSubject, subject_key(token, index), []);
        }
        self.edge.push(leaf_hash(leaf), full);
        if self.edge.size().is_multiple_of(TILE_WIDTH) {
            batch.put(Space::LogBundle, (index / TILE_WIDTH).to_be_bytes(), bundle.encode());
            self.bundle = None;
        }
        Ok(())
    }
}

/// The edge that a checkpoint was signed over.
fn edge_at(log: StoredLog<'_>, key: &VerifierKey, signed: &SignedCheckpoint) -> Result<Edge, Error> {
    match Checkpoint::open(signed.note.as_bytes(), std::slice::from_ref(key)) {
        Ok(checkpoint) if checkpoint == signed.checkpoint => {}
        Ok(_) | Err(_) => return Err(Error::Damaged("its checkpoint is not signed by this vault")),
    }
    let mut partial = Vec::new();
    for (id, width) in partial_tiles(signed.checkpoint.size) {
        let mut hashes = log.tile(id)?.unwrap_or_default();
        hashes.truncate(width as usize); // wider if a step after the checkpoint made it full
        partial.push((id, hashes));
    }
    let edge = Edge::resume(signed.checkpoint.size, &partial).map_err(|_| Error::Damaged("a tile is missing"))?;
    if edge.root() == signed.checkpoint.root { Ok(edge) } else { Err(Error::Damaged("its tiles are not those signed")) }
}

/// The bundle that is not full, checked against its tile.
fn open_bundle(log: StoredLog<'_>, edge: &Edge) -> Result<Bundle, Error> {
    let first = edge.size() - edge.size() % TILE_WIDTH;
    let (_, hashes) = edge.partial().next().ok_or(Error::Damaged("a tile is missing"))?;
    let (row, mut bundle) = (log.row_of(first)?, None::<Bundle>);
    let stored = log.bundle(first / TILE_WIDTH)?.ok_or(Error::Damaged("a bundle's row is missing"))?;
    let mut entries = log.entries(first)?;
    for (index, hash) in (first..).zip(hashes) {
        let (_, (leaf, _)) = entries.next().ok_or(Error::Damaged("a row is missing"))??;
        if leaf_hash(&leaf) != *hash {
            return Err(Error::Damaged("an entry is not the one signed"));
        }
        bundle.get_or_insert_with(|| Bundle::starting(row)).note(&check_place(&leaf, index)?);
    }
    let bundle = bundle.ok_or(Error::Damaged("a tile is missing"))?;
    // It has more in it if a step after the checkpoint made it full.
    if stored.covers(&bundle) { Ok(bundle) } else { Err(Error::Damaged("a bundle's row is not what its entries give")) }
}

/// The leaf, if it is one and says that it is in this place.
fn check_place(bytes: &[u8], index: u64) -> Result<leaf::Leaf, Error> {
    match leaf::decode(bytes) {
        Ok(leaf) if leaf.sequence == index && bytes.len() <= ENTRY_BYTES_MAX => Ok(leaf),
        Ok(_) | Err(_) => Err(Error::Damaged("an entry is not in its place")),
    }
}

#[cfg(test)]
#[path = "tests/integrating.rs"]
mod tests;
