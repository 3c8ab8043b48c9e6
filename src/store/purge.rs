//! How far an engine is with removing from its files what is deleted already.
//!
//! Engines append: what a batch deleted or wrote over stays in older files until these are rewritten, which may be
//! never. A purge rewrites them. It is made of short steps, so that callers are not held up, and how far it is can be
//! stored and taken up again after a crash. What its positions mean is the engine's own business.

use super::keyspace::Space;
use crate::base::codec::{Malformed, Reader, Writer};

/// A purge, as far as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// What comes next.
    pub(super) stage: Stage,
    /// The newest of the tables that have to go.
    pub(super) tables_through: u64,
    /// The newest of the logs of writes that have to go.
    pub(super) logs_through: u64,
    /// Bytes that were rewritten.
    pub(super) done_bytes: u64,
    /// Bytes to be rewritten, as known at the beginning.
    pub(super) total_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    /// What is only in memory and in logs of writes goes into tables.
    Begin,
    /// Tables of one kind of records are rewritten, from a key on.
    Rewrite(Space, Vec<u8>),
    /// Files that are no longer in use have to be gone.
    Settle,
    /// Nothing of what was deleted before the beginning is in any file.
    Done,
}

const VERSION: u8 = 1;

impl Purge {
    /// One that has not begun. What is deleted before its first step is what it removes.
    pub fn new() -> Self {
        Self { stage: Stage::Begin, tables_through: 0, logs_through: 0, done_bytes: 0, total_bytes: 0 }
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Bytes rewritten, and bytes to be rewritten as known at the beginning.
    pub fn bytes(&self) -> (u64, u64) {
        (self.done_bytes.min(self.total_bytes), self.total_bytes)
    }

    /// The same at another stage.
    pub(super) fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }

    /// As part of a row.
    pub fn encode(&self) -> Vec<u8> {
        let writer = Writer::new()
            .u8(VERSION)
            .u64(self.tables_through)
            .u64(self.logs_through)
            .u64(self.done_bytes)
            .u64(self.total_bytes);
        match &self.stage {
            Stage::Begin => writer.u8(0),
            Stage::Rewrite(space, from) => writer.u8(1).u8(*space as u8).bytes(from),
            Stage::Settle => writer.u8(2),
            Stage::Done => writer.u8(3),
        }
        .finish()
    }

    /// Reads it back.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let [tables_through, logs_through, done_bytes, total_bytes] = [r.u64()?, r.u64()?, r.u64()?, r.u64()?];
        let stage = match r.u8()? {
            0 => Stage::Begin,
            1 => {
                let tag = r.u8()?;
                let space = Space::ALL.iter().copied().find(|space| *space as u8 == tag).ok_or(Malformed)?;
                Stage::Rewrite(space, r.bytes()?.to_vec())
            }
            2 => Stage::Settle,
            3 => Stage::Done,
            _ => return Err(Malformed),
        };
        r.finish()?;
        Ok(Self { stage, tables_through, logs_through, done_bytes, total_bytes })
    }
}

impl Default for Purge {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_reads_back_at_every_stage() {
        let begun = Purge { tables_through: 7, logs_through: 8, done_bytes: 9, total_bytes: 10, ..Purge::new() };
        for stage in [Stage::Begin, Stage::Rewrite(Space::Chunk, vec![1, 2]), Stage::Settle, Stage::Done] {
            let purge = begun.at(stage);
            assert_eq!(Purge::decode(&purge.encode()), Ok(purge));
        }
        assert_eq!(Purge::decode(&[1; 34]), Err(Malformed));
    }
}
