//! The audit keys of persons who were erased, where a matter keeps them: with one, the entries of the log can still be
//! linked to the person whose erasure a receipt is of.
//!
//! ```text
//! 9  | receipt | reason      -> the reason's place, the key's place in its tree, the holds; whose it was, with a code
//! 10 | hold | receipt        -> nothing
//! ```
//! In the same space as kept versions. Whose it was is authenticated under a key derived from the audit key.

use super::VERSION;
use super::kept::Copy;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{HoldId, PseudonymId, ReasonId, ReceiptId, SubjectId, VaultId};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::envelope::{Envelope, Kind, Place};
use crate::keys::page::Entry;
use crate::store::keyspace::Space;

/// Whose access history it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whose {
    /// The person.
    pub subject: SubjectId,
    /// The person's pseudonym on the receipt.
    pub pseudonym: PseudonymId,
}

const COPY: u8 = 9;
const BY_HOLD: u8 = 10;

/// Stores what a reason has of an audit key. `entry` is the key's.
pub fn put_copy(txn: &mut Txn<'_>, receipt: &ReceiptId, copy: &Copy, entry: &Entry, whose: &Whose) {
    let clear = Writer::new().u8(VERSION).raw(whose.subject.as_bytes()).raw(whose.pseudonym.as_bytes()).finish();
    let code =
        Envelope::derive(Kind::Kept, &entry.key).authenticate(place(txn.index().vault(), receipt, entry), &clear);
    let row = Writer::new().u64(copy.at).u64(copy.position).list(copy.holds.iter(), |w, hold| w.raw(hold.as_bytes()));
    txn.put(Space::Kept, copy_key(receipt, &copy.reason), row.bytes(&clear).raw(&code).finish());
    for hold in &copy.holds {
        txn.put(Space::Kept, hold_key(hold, receipt), []);
    }
}

/// Removes what a reason had of an audit key.
pub fn delete_copy(txn: &mut Txn<'_>, receipt: &ReceiptId, copy: &Copy) {
    txn.delete(Space::Kept, copy_key(receipt, &copy.reason));
}

/// Forgets that a hold was among those for which an audit key is kept.
pub fn unlink_hold(txn: &mut Txn<'_>, receipt: &ReceiptId, hold: &HoldId) {
    txn.delete(Space::Kept, hold_key(hold, receipt));
}

/// What each reason has of the audit key of whom a receipt is about.
pub fn copies(reads: &dyn Reads, receipt: &ReceiptId) -> Result<Vec<Copy>, Fault> {
    let prefix = Writer::new().u8(COPY).raw(receipt.as_bytes()).finish();
    let rows = reads.rows(Space::Kept, &prefix, &[], usize::MAX)?;
    rows.iter().map(|(key, row)| read_copy(&key[prefix.len()..], row).map(|(copy, ..)| copy).map_err(torn)).collect()
}

/// The audit key of whom a receipt is about, and whose it was; none if no reason keeps it.
pub fn find(reads: &dyn Reads, receipt: &ReceiptId) -> Result<Option<(Entry, Whose)>, Fault> {
    let prefix = Writer::new().u8(COPY).raw(receipt.as_bytes()).finish();
    let Some((key, row)) = reads.rows(Space::Kept, &prefix, &[], 1)?.pop() else { return Ok(None) };
    let (copy, clear, code) = read_copy(&key[prefix.len()..], &row).map_err(torn)?;
    let entry = reads.entry(copy.tree(), copy.position)?.ok_or(Fault::Torn)?;
    let place = place(reads.index().vault(), receipt, &entry);
    Envelope::check_only(Kind::Kept, &entry.key, place, &clear, &code).map_err(|_| Fault::Torn)?;
    Ok(Some((entry, read_whose(&clear).map_err(torn)?)))
}

/// The receipts of the erasures after which a hold keeps the audit key.
pub fn of_hold(reads: &dyn Reads, hold: &HoldId, limit: usize) -> Result<Vec<ReceiptId>, Fault> {
    let prefix = Writer::new().u8(BY_HOLD).raw(hold.as_bytes()).finish();
    let rows = reads.rows(Space::Kept, &prefix, &[], limit)?;
    let read = |key: &[u8]| key[prefix.len()..].try_into().map(ReceiptId::from_bytes).map_err(|_| Fault::Torn);
    rows.iter().map(|(key, _)| read(key)).collect()
}

fn torn(_: Malformed) -> Fault {
    Fault::Torn
}

fn read_copy(reason: &[u8], row: &[u8]) -> Result<(Copy, Vec<u8>, [u8; 32]), Malformed> {
    let reason = reason.try_into().map(ReasonId::from_bytes).map_err(|_| Malformed)?;
    let mut r = Reader::new(row);
    let (at, position) = (r.u64()?, r.u64()?);
    let holds = r.list(|r| r.array().map(HoldId::from_bytes))?;
    let (clear, code) = (r.bytes()?.to_vec(), r.array()?);
    r.finish().map(|()| (Copy { reason, at, position, holds }, clear, code))
}

fn read_whose(clear: &[u8]) -> Result<Whose, Malformed> {
    let mut r = Reader::new(clear);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let whose = Whose { subject: SubjectId::from_bytes(r.array()?), pseudonym: PseudonymId::from_bytes(r.array()?) };
    r.finish().map(|()| whose)
}

fn place<'a>(vault: &'a VaultId, receipt: &'a ReceiptId, entry: &Entry) -> Place<'a> {
    Place { vault, owner: receipt.as_bytes(), class: "", version: 1, generation: entry.generation }
}

fn copy_key(receipt: &ReceiptId, reason: &ReasonId) -> Vec<u8> {
    Writer::new().u8(COPY).raw(receipt.as_bytes()).raw(reason.as_bytes()).finish()
}

fn hold_key(hold: &HoldId, receipt: &ReceiptId) -> Vec<u8> {
    Writer::new().u8(BY_HOLD).raw(hold.as_bytes()).raw(receipt.as_bytes()).finish()
}
