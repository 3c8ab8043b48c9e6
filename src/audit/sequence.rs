//! Gives events their places in the log and packs a commit group's leaves into one row.
//!
//! The row's key is the first sequence number; its value is a version, then each leaf and its sealed detail. The head
//! row holds the next number. The batch requires the head to be what this writer left, so that a second writer can
//! never commit.

use super::event::Event;
use super::leaf;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::time::Timestamp;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::{self, Engine};

const HEAD: &[u8] = b"log_head";
const VERSION: u8 = 1;
const UNFIT: &str = "its last rows do not fit together";

/// The end of the log: where the next leaf goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head(u64);

/// Why the log cannot be read, or its end not be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What is stored does not fit together.
    #[error("the audit log is damaged: {0}")]
    Damaged(&'static str),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Head {
    /// The start of an empty log.
    pub const EMPTY: Head = Head(0);

    /// Number of leaves in the log.
    pub const fn size(self) -> u64 {
        self.0
    }

    /// Reads the head and checks that the last row ends where it says.
    pub fn load(engine: &dyn Engine) -> Result<Self, Error> {
        let Some(row) = engine.get(Space::Meta, HEAD)? else { return Ok(Self::EMPTY) };
        let next = u64::from_be_bytes(row.try_into().map_err(|_| Error::Damaged(UNFIT))?);
        if !engine.scan(Space::Log, &[], &next.to_be_bytes(), 1)?.is_empty() {
            return Err(Error::Damaged(UNFIT)); // leaves past the head
        }
        // Each group is at most a few thousand leaves, so the last row starts close to the head.
        let from = next.saturating_sub(crate::base::limits::LOG_GROUP_LEAVES_MAX);
        let rows = engine.scan(Space::Log, &[], &from.to_be_bytes(), usize::MAX)?;
        let (key, value) = rows.last().ok_or(Error::Damaged(UNFIT))?;
        let first = u64::from_be_bytes(key[..].try_into().map_err(|_| Error::Damaged(UNFIT))?);
        let entries = unpack(value).map_err(|_| Error::Damaged(UNFIT))?;
        let fits = first + entries.len() as u64 == next
            && entries.iter().zip(first..).all(|((leaf, _), n)| leaf::decode(leaf).is_ok_and(|l| l.sequence == n));
        if fits { Ok(Self(next)) } else { Err(Error::Damaged(UNFIT)) }
    }

    /// Writes the head as it is, which changes nothing; where there is none yet, nothing is written.
    pub fn write_again(self, batch: &mut Batch) {
        if self != Self::EMPTY {
            batch.expect(Space::Meta, HEAD, Some(self.0.to_be_bytes().to_vec()));
            batch.put(Space::Meta, HEAD, self.0.to_be_bytes());
        }
    }

    /// Appends events to the caller's batch. The head after them.
    pub fn append(self, batch: &mut Batch, time: Timestamp, events: &[Event]) -> Self {
        if events.is_empty() {
            return self;
        }
        let next = Self(self.0 + events.len() as u64);
        let packed = events
            .iter()
            .zip(self.0..)
            .fold(Writer::with_capacity(events.len() * 400).u8(VERSION).u32(events.len() as u32), |w, (event, n)| {
                w.bytes(&leaf::encode(event, n, time)).option(event.detail.as_deref(), Writer::bytes)
            })
            .finish();
        batch.expect(Space::Meta, HEAD, (self != Self::EMPTY).then(|| self.0.to_be_bytes().to_vec()));
        batch.put(Space::Meta, HEAD, next.0.to_be_bytes());
        batch.put(Space::Log, self.0.to_be_bytes(), packed);
        next
    }
}

/// A leaf's canonical bytes and its sealed detail.
pub type Entry = (Vec<u8>, Option<Vec<u8>>);

/// Splits a packed row.
pub fn unpack(row: &[u8]) -> Result<Vec<Entry>, Malformed> {
    let mut r = Reader::new(row);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let entries = r.list(|r| {
        let leaf = r.bytes()?.to_vec();
        Ok((leaf, r.option(|r| r.bytes().map(<[u8]>::to_vec))?))
    })?;
    r.finish()?;
    Ok(entries)
}
