//! What became of each act of forgetting, by the random id that its entries in the log carry.

use super::refusal::Refusal;
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::ReceiptId;
use crate::store::keyspace::Space;

/// Where an act of forgetting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Its intent waits for an epoch.
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

/// Notes where it stands.
pub(super) fn put(txn: &mut Txn<'_>, receipt: &ReceiptId, progress: Progress) -> Result<(), Refusal> {
    let (state, number) = match progress {
        Progress::Pending { intent } => (1, intent),
        Progress::Done { epoch } => (2, epoch),
    };
    txn.put(Space::Receipt, *receipt.as_bytes(), Writer::new().u8(VERSION).u8(state).u64(number).finish());
    Ok(())
}

fn decode(row: &[u8]) -> Result<Progress, Malformed> {
    let mut r = Reader::new(row);
    let (version, state, number) = (r.u8()?, r.u8()?, r.u64()?);
    r.finish()?;
    match (version, state) {
        (VERSION, 1) => Ok(Progress::Pending { intent: number }),
        (VERSION, 2) => Ok(Progress::Done { epoch: number }),
        _ => Err(Malformed),
    }
}
