//! Compares everything that is stored of a log with what its leaves give: tiles, bundles, index, checkpoint.
//!
//! What start-up checks is the end of the log. This reads all of it, beside the calls, so that a row that was changed
//! behind the vault's back is noticed before somebody is given a wrong answer for long. Strangers need not believe it:
//! they have `verify`.

use super::bundle::Bundle;
use super::checkpoint::Checkpoint;
use super::edge::{Edge, FullTile};
use super::event::About;
use super::leaf;
use super::sequence::Error;
use super::stored::{Rows, StoredLog, subject_key};
use super::tile::TILE_WIDTH;
use super::tree::leaf_hash;
use crate::base::limits::LOG_INDEX_ROWS;
use crate::crypto::hash::sha256;
use crate::store::keyspace::Space;

/// Reads the log from its first entry to the end of a checkpoint. `goes_on` is asked after every packed row; whether
/// it was let to the end.
///
/// # Errors
/// [`Error::Damaged`], which says what does not fit.
pub fn whole(log: StoredLog<'_>, signed: &Checkpoint, mut goes_on: impl FnMut() -> bool) -> Result<bool, Error> {
    let mut pass = Pass { log, edge: Edge::default(), bundle: None, indexed: 0 };
    let mut rows = Rows::new(log, 0);
    while pass.edge.size() < signed.size {
        if !goes_on() {
            return Ok(false);
        }
        let (first, entries) = rows.next().ok_or(Error::Damaged("a row is missing"))??;
        for (leaf, detail) in entries {
            pass.take(first, &leaf, detail.as_deref())?;
        }
    }
    if pass.edge.size() != signed.size || pass.edge.root() != signed.root {
        return Err(Error::Damaged("its entries are not those signed"));
    }
    if index_rows_below(log, signed.size)? != pass.indexed {
        return Err(Error::Damaged("its index names entries that are not there"));
    }
    Ok(true)
}

struct Pass<'e> {
    log: StoredLog<'e>,
    edge: Edge,
    bundle: Option<Bundle>,
    /// Rows of the index that must be there.
    indexed: u64,
}

impl Pass<'_> {
    fn take(&mut self, row: u64, bytes: &[u8], detail: Option<&[u8]>) -> Result<(), Error> {
        let index = self.edge.size();
        let leaf = leaf::decode(bytes).ok().filter(|leaf| leaf.sequence == index);
        let leaf = leaf.ok_or(Error::Damaged("an entry is not in its place"))?;
        if detail.map(|detail| sha256(&[detail])) != leaf.detail_hash {
            return Err(Error::Damaged("a detail is not the one of its entry"));
        }
        if let About::Subject(token) = &leaf.about {
            if self.log.0.get(Space::LogSubject, &subject_key(token, index))?.is_none() {
                return Err(Error::Damaged("its index does not name an entry"));
            }
            self.indexed += 1;
        }
        if let About::Erasure(receipt) = &leaf.about {
            // Logs of earlier releases have no such rows.
            let row = self.log.0.get(Space::LogSubject, &subject_key(receipt.as_bytes(), index))?;
            self.indexed += u64::from(row.is_some());
        }
        self.bundle.get_or_insert_with(|| Bundle::starting(row)).note(&leaf);
        let mut full = Vec::new();
        self.edge.push(leaf_hash(bytes), &mut full);
        full.iter().try_for_each(|tile| self.check_tile(tile))?;
        if self.edge.size().is_multiple_of(TILE_WIDTH) && self.log.bundle(index / TILE_WIDTH)? != self.bundle.take() {
            return Err(Error::Damaged("a bundle's row is not what its entries give"));
        }
        Ok(())
    }

    fn check_tile(&self, (id, hashes): &FullTile) -> Result<(), Error> {
        if self.log.tile(*id)?.as_ref() == Some(hashes) {
            Ok(())
        } else {
            Err(Error::Damaged("a tile is not what its entries give"))
        }
    }
}

/// How many rows of the index name entries before one.
fn index_rows_below(log: StoredLog<'_>, size: u64) -> Result<u64, Error> {
    let (mut count, mut from) = (0, Vec::new());
    loop {
        let rows = log.0.scan(Space::LogSubject, &[], &from, LOG_INDEX_ROWS)?;
        let indices = rows.iter().filter_map(|(key, _)| key.last_chunk()).map(|index| u64::from_be_bytes(*index));
        count += indices.filter(|index| *index < size).count() as u64;
        let Some((last, _)) = rows.last().filter(|_| rows.len() == LOG_INDEX_ROWS) else { return Ok(count) };
        from = [&last[..], &[0]].concat();
    }
}
