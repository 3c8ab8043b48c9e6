//! A sweep that has stopped: one row, from when it stops until it is carried out or withdrawn.
//!
//! What it says does not change while it waits: what is confirmed is what was shown. INVARIANT: a confirmed sweep deletes
//! nothing that was not due at its moment, and no more than it counted.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::SweepId;
use crate::base::time::Timestamp;
use crate::crypto::rng;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

/// Why a sweep stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Halt {
    /// The clock is too far past the last log entry.
    Clock = 1,
    /// A larger share of all items is due than is plausible.
    Share = 2,
}

/// A sweep that has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Its id.
    pub id: SweepId,
    /// Why it stopped.
    pub halt: Halt,
    /// Everything that was due then is in it.
    pub as_of: Timestamp,
    /// How many items and kept versions that was.
    pub due: u64,
    /// How many of them are on their way.
    pub done: u64,
    /// The time of the last log entry before it.
    pub last_entry: Option<Timestamp>,
    /// Whether somebody has confirmed it.
    pub confirmed: bool,
    count: u64,
}

const ROW: &[u8] = b"sweep";
const VERSION: u8 = 1;

impl Sweep {
    /// One that stops now.
    pub fn stopped(halt: Halt, as_of: Timestamp, due: u64, last_entry: Option<Timestamp>) -> Result<Self, Refusal> {
        let id = SweepId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        Ok(Self { id, halt, as_of, due, done: 0, last_entry, confirmed: false, count: 0 })
    }

    /// What changes with every change.
    pub fn etag(&self) -> String {
        format!("s{}", self.count)
    }

    /// How many more it may let go.
    pub fn left(&self) -> u64 {
        self.due.saturating_sub(self.done)
    }

    /// Stores it as it is now, with the next count.
    pub fn store(&mut self, txn: &mut Txn<'_>) {
        self.count += 1;
        let row = Writer::new()
            .u8(VERSION)
            .raw(self.id.as_bytes())
            .u8(self.halt as u8)
            .i64(self.as_of.as_millis())
            .u64(self.due)
            .u64(self.done)
            .option(self.last_entry, |w, time| w.i64(time.as_millis()))
            .u8(self.confirmed.into())
            .u64(self.count);
        txn.put(Space::Meta, ROW, row.finish());
    }

    /// Ends it.
    pub fn end(&self, txn: &mut Txn<'_>) {
        txn.delete(Space::Meta, ROW);
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let sweep = Self {
            id: SweepId::from_bytes(r.array()?),
            halt: match r.u8()? {
                1 => Halt::Clock,
                2 => Halt::Share,
                _ => return Err(Malformed),
            },
            as_of: Timestamp::from_millis(r.i64()?),
            due: r.u64()?,
            done: r.u64()?,
            last_entry: r.option(|r| r.i64().map(Timestamp::from_millis))?,
            confirmed: r.u8()? == 1,
            count: r.u64()?,
        };
        r.finish().map(|()| sweep)
    }
}

/// The sweep that has stopped, if one has.
pub fn find(reads: &dyn Reads) -> Result<Option<Sweep>, Fault> {
    let row = reads.row(Space::Meta, ROW)?;
    row.map(|row| Sweep::decode(&row).map_err(|_| Fault::Torn)).transpose()
}

/// The sweep that waits to be confirmed, if one does.
pub fn halted(vault: &Vault) -> Result<Option<Sweep>, Refusal> {
    Ok(vault.read(find)?.filter(|sweep| !sweep.confirmed))
}
