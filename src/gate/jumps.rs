//! Jumps of the clock: a commit that comes too long after the last entry of the log leaves a note, in the same batch.
//!
//! Whatever is decided by the date and cannot be undone waits until somebody has looked at the note. A running vault writes
//! entries often enough that only a clock that jumped, or a vault that stood still, leaves one.

use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::limits::CLOCK_JUMP_MAX;
use crate::base::time::Timestamp;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::{self, Engine};

const ROW: &[u8] = b"clock_jump";
const VERSION: u8 = 1;

/// A jump of the clock that nobody has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The time of the last entry before it.
    pub before: Timestamp,
    /// The time of the first one after it; of the newest such jump, if there were several.
    pub after: Timestamp,
}

impl Jump {
    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let jump = Self { before: Timestamp::from_millis(r.i64()?), after: Timestamp::from_millis(r.i64()?) };
        r.finish().map(|()| jump)
    }
}

/// Whether a moment comes implausibly long after the last entry of the log.
pub fn is_implausible(last: Option<Timestamp>, now: Timestamp) -> bool {
    let max = CLOCK_JUMP_MAX.as_millis() as i64;
    last.is_some_and(|last| now.as_millis().saturating_sub(last.as_millis()) > max)
}

/// Notes a jump in the batch whose entries come after it.
pub(super) fn note(
    engine: &dyn Engine,
    batch: &mut Batch,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), store::Error> {
    let Some(last) = last.filter(|last| is_implausible(Some(*last), now)) else { return Ok(()) };
    let earlier = engine.get(Space::Meta, ROW)?.and_then(|row| Jump::decode(&row).ok());
    let before = earlier.map_or(last, |jump| jump.before);
    batch.put(Space::Meta, ROW, Writer::new().u8(VERSION).i64(before.as_millis()).i64(now.as_millis()).finish());
    Ok(())
}

/// The jump that nobody has looked at.
pub fn find(reads: &dyn Reads) -> Result<Option<Jump>, Fault> {
    let row = reads.row(Space::Meta, ROW)?;
    row.map(|row| Jump::decode(&row).map_err(|_| Fault::Torn)).transpose()
}

/// Notes that somebody has looked at it.
pub fn settle(txn: &mut Txn<'_>) {
    txn.delete(Space::Meta, ROW);
}
