//! What became of each act of forgetting, by the random id that its entries in the log carry.

use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{AttestationId, ReceiptId};
use crate::store::keyspace::Space;

/// Where an act of forgetting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its intent waits for an epoch, or it is carried out and waits for a lost slot.
    Pending {
        /// The intent.
        intent: u64,
    },
    /// Carried out.
    Done {
        /// By this epoch.
        epoch: u64,
    },
}

const VERSION: u8 = 1;

/// Where the act with this receipt stands; none if there never was one.
pub fn find(reads: &dyn Reads, receipt: &ReceiptId) -> Result<Option<Progress>, Fault> {
    let row = reads.row(Space::Receipt, receipt.as_bytes())?;
    row.map(|row| decode(&row).map_err(|_| Fault::Torn)).transpose()
}

/// Notes that its intent waits for an epoch.
pub(super) fn put_pending(txn: &mut Txn<'_>, receipt: &ReceiptId, intent: u64) {
    txn.put(Space::Receipt, *receipt.as_bytes(), Writer::new().u8(VERSION).u8(1).u64(intent).finish());
}

/// Notes that it is carried out, and the attestations that this relies on: they cap what a receipt can say.
pub(super) fn put_done(txn: &mut Txn<'_>, receipt: &ReceiptId, epoch: u64, attested: &[AttestationId]) {
    let writer = Writer::new().u8(VERSION);
    let row = match attested {
        [] => writer.u8(2).u64(epoch),
        _ => writer.u8(3).u64(epoch).list(attested.iter(), |w, id| w.raw(id.as_bytes())),
    };
    txn.put(Space::Receipt, *receipt.as_bytes(), row.finish());
}

fn decode(row: &[u8]) -> Result<Progress, Malformed> {
    let mut r = Reader::new(row);
    let (version, state, number) = (r.u8()?, r.u8()?, r.u64()?);
    if state == 3 {
        r.list(|r| r.array().map(AttestationId::from_bytes))?;
    }
    r.finish()?;
    match (version, state) {
        (VERSION, 1) => Ok(Progress::Pending { intent: number }),
        (VERSION, 2 | 3) => Ok(Progress::Done { epoch: number }),
        _ => Err(Malformed),
    }
}
