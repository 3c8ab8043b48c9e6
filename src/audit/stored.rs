//! The log as it is stored: leaves in packed rows, tiles, bundles and the last checkpoint. Reads only.
//!
//! Keys: a tile is at its level (1 byte) and index (8); a bundle at its index; a subject's entry at the token (16) and
//! the entry's index (8), with an empty value. A tile that is not full yet is overwritten by wider ones; what a narrower
//! one held is its beginning.

use super::bundle::Bundle;
use super::checkpoint::Checkpoint;
use super::event::SubjectToken;
use super::sequence::{Entry, Error, unpack};
use super::tile::{TileId, Tiles, decode_tile};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::limits::LOG_SCAN_ROWS;
use crate::crypto::hash::Digest;
use crate::store::keyspace::Space;
use crate::store::{self, Engine, Record};

/// The row of the last checkpoint, in [`Space::Meta`].
pub(super) const CHECKPOINT: &[u8] = b"log_checkpoint";
const VERSION: u8 = 1;

/// A checkpoint and the note that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note, to be shown as it is.
    pub note: String,
}

impl SignedCheckpoint {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Checkpoint { origin, size, root } = &self.checkpoint;
        Writer::new().u8(VERSION).text(origin).u64(*size).raw(root).text(&self.note).finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let checkpoint = Checkpoint { origin: r.text()?.to_owned(), size: r.u64()?, root: r.array()? };
        let signed = Self { checkpoint, note: r.text()?.to_owned() };
        r.finish()?;
        Ok(signed)
    }
}

/// Reads the log out of an engine. Cheap to copy.
#[derive(Clone, Copy)]
pub struct StoredLog<'e>(pub &'e dyn Engine);

impl<'e> StoredLog<'e> {
    /// The last checkpoint; none before the first.
    pub fn checkpoint(self) -> Result<Option<SignedCheckpoint>, Error> {
        let row = self.0.get(Space::Meta, CHECKPOINT)?;
        row.map(|row| SignedCheckpoint::decode(&row).map_err(|_| Error::Damaged("its checkpoint does not read")))
            .transpose()
    }

    /// The size of the last checkpoint: up to there the log is integrated. Always between two packed rows.
    pub fn integrated(self) -> Result<u64, Error> {
        Ok(self.checkpoint()?.map_or(0, |signed| signed.checkpoint.size))
    }

    /// A tile as far as it is there.
    pub fn tile(self, id: TileId) -> Result<Option<Vec<Digest>>, Error> {
        let Some(row) = self.0.get(Space::LogTile, &tile_key(id))? else { return Ok(None) };
        let width = row.len() as u64 / 32;
        decode_tile(&row, width).map(Some).map_err(|_| Error::Damaged("a tile does not read"))
    }

    /// What a bundle holds, as far as it is integrated.
    pub fn bundle(self, index: u64) -> Result<Option<Bundle>, Error> {
        self.0.get(Space::LogBundle, &index.to_be_bytes())?.map(|row| decode_bundle(&row)).transpose()
    }

    /// Bundles in order, from one on.
    pub fn bundles(self, from: u64, limit: usize) -> Result<Vec<(u64, Bundle)>, Error> {
        let rows = self.0.scan(Space::LogBundle, &[], &from.to_be_bytes(), limit)?;
        rows.into_iter().map(|(key, row)| Ok((number(&key)?, decode_bundle(&row)?))).collect()
    }

    /// The indices of entries with a token, from one on.
    pub fn with_token(self, token: &SubjectToken, from: u64, limit: usize) -> Result<Vec<u64>, Error> {
        let rows = self.0.scan(Space::LogSubject, token, &subject_key(token, from), limit)?;
        rows.iter().map(|(key, _)| number(&key[token.len()..])).collect()
    }

    /// Every entry from an index to the end, in order.
    ///
    /// # Errors
    /// Of each step: a gap, or a row that does not read.
    pub fn entries(self, from: u64) -> Result<Entries<'e>, Error> {
        Ok(Entries { rows: Rows::new(self, self.row_of(from)?), from, next: Vec::new().into_iter() })
    }

    /// One entry.
    ///
    /// # Errors
    /// There is none with this index, or its row does not read.
    pub fn entry(self, index: u64) -> Result<Entry, Error> {
        let missing = Error::Damaged("a row is missing");
        let Some((key, row)) = self.0.floor(Space::Log, &index.to_be_bytes())? else { return Err(missing) };
        let entries = unpack(&row).map_err(|_| Error::Damaged("a row does not read"))?;
        entries.into_iter().nth((index - number(&key)?) as usize).ok_or(missing)
    }

    /// The key of the packed row that holds an entry, or, past the end, of the last one.
    pub fn row_of(self, index: u64) -> Result<u64, Error> {
        let row = self.0.floor(Space::Log, &index.to_be_bytes())?;
        row.map_or(Ok(0), |(key, _)| number(&key))
    }
}

impl Tiles for StoredLog<'_> {
    type Error = Error;

    fn tile(&self, id: TileId) -> Result<Vec<Digest>, Error> {
        StoredLog::tile(*self, id)?.ok_or_else(|| self.short())
    }

    fn short(&self) -> Error {
        Error::Damaged("a tile is missing")
    }
}

/// Packed rows in order: the index of the first entry and the entries.
pub struct Rows<'e> {
    log: StoredLog<'e>,
    next: u64,
    /// How many rows the next scan reads: more each time, so that a look at one row reads no others.
    reach: usize,
    fetched: std::vec::IntoIter<Record>,
}

impl<'e> Rows<'e> {
    /// From the row with this key, or from the end of the log.
    pub fn new(log: StoredLog<'e>, first: u64) -> Self {
        Self { log, next: first, reach: LOG_SCAN_ROWS, fetched: Vec::new().into_iter() }
    }

    /// The same for a reader that will soon have enough.
    pub fn briefly(log: StoredLog<'e>, first: u64) -> Self {
        Self { reach: 1, ..Self::new(log, first) }
    }

    fn step(&mut self) -> Result<Option<(u64, Vec<Entry>)>, Error> {
        let record = match self.fetched.next() {
            Some(record) => Some(record),
            None => {
                let rows = self.log.0.scan(Space::Log, &[], &self.next.to_be_bytes(), self.reach)?;
                self.reach = (self.reach * 2).min(LOG_SCAN_ROWS);
                self.fetched = rows.into_iter();
                self.fetched.next()
            }
        };
        let Some((key, row)) = record else { return Ok(None) };
        let first = number(&key)?;
        let entries = unpack(&row).map_err(|_| Error::Damaged("a row does not read"))?;
        if first != self.next || entries.is_empty() {
            return Err(Error::Damaged("a row is missing"));
        }
        self.next += entries.len() as u64;
        Ok(Some((first, entries)))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<(u64, Vec<Entry>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Single entries in order, each with its index.
pub struct Entries<'e> {
    rows: Rows<'e>,
    from: u64,
    next: std::vec::IntoIter<(u64, Entry)>,
}

impl Iterator for Entries<'_> {
    type Item = Result<(u64, Entry), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((index, entry)) = self.next.next() {
                if index >= self.from {
                    return Some(Ok((index, entry)));
                }
                continue;
            }
            match self.rows.next()? {
                Err(error) => return Some(Err(error)),
                Ok((first, entries)) => self.next = (first..).zip(entries).collect::<Vec<_>>().into_iter(),
            }
        }
    }
}

pub(super) fn tile_key(id: TileId) -> Vec<u8> {
    Writer::new().u8(id.level).u64(id.index).finish()
}

pub(super) fn subject_key(token: &SubjectToken, index: u64) -> Vec<u8> {
    Writer::new().raw(token).u64(index).finish()
}

fn decode_bundle(row: &[u8]) -> Result<Bundle, Error> {
    Bundle::decode(row).map_err(|_| Error::Damaged("a bundle's row does not read"))
}

fn number(key: &[u8]) -> Result<u64, Error> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| store::Error::Corrupt.into())
}
