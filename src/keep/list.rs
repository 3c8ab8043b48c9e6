//! Lists of the versions that outlived an erasure, where they are too many for the receipt to list: in the space of kept
//! versions, as long as there is the receipt.
//!
//! ```text
//! 11 | receipt | number   -> the number of the first's first opening; versions, this one first
//! ```

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::ReceiptId;
use crate::crypto::hash::Chain;
use crate::gate::receipts::KeptVersion;
use crate::gate::txn::{Fault, Reads, Txn};
use crate::store::Record;
use crate::store::keyspace::Space;

const LIST: u8 = 11;

/// Versions of a list that were decided about together.
pub struct Part {
    /// The number of the first.
    pub number: u64,
    /// The number of the first opening of the first's commitments.
    pub opening: u32,
    /// They.
    pub versions: Vec<KeptVersion>,
}

/// Adds versions to a receipt's list, and to the running hash over its rows. `first` is the number of the first, and that of
/// the opening of its first commitment.
pub fn put(
    txn: &mut Txn<'_>,
    receipt: &ReceiptId,
    (number, opening): (u64, u32),
    versions: &[KeptVersion],
    rows: &mut Chain,
) {
    if !versions.is_empty() {
        let row = Writer::new().u32(opening).list(versions.iter(), |w, kept| kept.write(w)).finish();
        rows.add(&row);
        txn.put(Space::Kept, key(receipt, number), row);
    }
}

/// Parts of a receipt's list, from the one that begins with a number on.
pub fn parts(reads: &dyn Reads, receipt: &ReceiptId, from: u64, limit: usize) -> Result<Vec<Part>, Fault> {
    let rows = reads.rows(Space::Kept, &prefix(receipt), &key(receipt, from), limit)?;
    rows.iter().map(|row| read(row).map_err(|_: Malformed| Fault::Torn)).collect()
}

/// Shows every version of a receipt's list, part by part.
///
/// # Errors
/// [`Fault::Torn`] if its rows are not those of the running hash.
pub fn each(
    reads: &dyn Reads,
    receipt: &ReceiptId,
    expected: &Chain,
    mut show: impl FnMut(&KeptVersion),
) -> Result<(), Fault> {
    let (mut from, mut rows) = (0, Chain::default());
    while let Some(stored) = reads.rows(Space::Kept, &prefix(receipt), &key(receipt, from), 1)?.pop() {
        rows.add(&stored.1);
        let part = read(&stored).map_err(|_| Fault::Torn)?;
        part.versions.iter().for_each(&mut show);
        from = part.number + 1;
    }
    if rows == *expected { Ok(()) } else { Err(Fault::Torn) }
}

/// Takes a list away: the receipt lists all of it.
///
/// # Errors
/// As for [`each`].
pub fn take(txn: &mut Txn<'_>, receipt: &ReceiptId, expected: &Chain) -> Result<Vec<KeptVersion>, Fault> {
    let mut versions = Vec::new();
    each(txn, receipt, expected, |kept| versions.push(kept.clone()))?;
    for (key, _) in txn.rows(Space::Kept, &prefix(receipt), &[], usize::MAX)? {
        txn.delete(Space::Kept, key);
    }
    Ok(versions)
}

fn read((key, row): &Record) -> Result<Part, Malformed> {
    let number = key[key.len() - 8..].try_into().map(u64::from_be_bytes).map_err(|_| Malformed)?;
    let mut r = Reader::new(row);
    let (opening, versions) = (r.u32()?, r.list(KeptVersion::read)?);
    r.finish().map(|()| Part { number, opening, versions })
}

fn prefix(receipt: &ReceiptId) -> Vec<u8> {
    Writer::new().u8(LIST).raw(receipt.as_bytes()).finish()
}

fn key(receipt: &ReceiptId, number: u64) -> Vec<u8> {
    Writer::new().u8(LIST).raw(receipt.as_bytes()).u64(number).finish()
}
