//! Item versions that a reason other than the account keeps: their rows, and where each reason has their keys.
//!
//! ```text
//! 1 | version                -> what is said of it, its code, the item's row as it was
//! 2 | version | reason       -> the reason's place, the key's place in its tree, and the holds
//! 3 | reason | version       -> nothing
//! 4 | hold | version         -> the receipt that it outlived
//! 5 | receipt | version      -> nothing
//! 6 | subject | version      -> nothing
//! 7 | receipt | number       -> the opening of a commitment to a reason
//! 8 | receipt | receipt      -> nothing: the second supplements the first
//! 9, 10                      -> see `history`
//! 11                         -> see `list`
//! ```
//! A version is item, number, and the count of its row: free text can change and be kept under the same number. What is
//! said of a version is authenticated under a key derived from the version's own, so that rows cannot be swapped.

use super::{VERSION, reason_of};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{HoldId, ItemId, MatterId, PseudonymId, ReasonId, ReceiptId, SubjectId};
use crate::gate::intents::{DoomedRow, read_rows, write_rows};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::envelope::{Envelope, Kind, Place};
use crate::keys::page::{Entry, Tree};
use crate::store::keyspace::Space;

/// Which version: item, number, and the count of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionId {
    /// The item.
    pub item: ItemId,
    /// Its version.
    pub version: u64,
    /// The count of its row under that version's key.
    pub counter: u64,
}

/// What is kept of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is.
    pub subject: SubjectId,
    /// The act of forgetting that it outlived.
    pub receipt: ReceiptId,
    /// The person's pseudonym on that receipt.
    pub pseudonym: PseudonymId,
    /// Rows that belong to it and go when it goes.
    pub rows: Vec<DoomedRow>,
    /// The item's row as it was.
    pub row: Vec<u8>,
}

/// What one reason has of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The reason.
    pub reason: ReasonId,
    /// Its place among the reasons.
    pub at: u64,
    /// Where the version's key is in its tree.
    pub position: u64,
    /// The holds for which it is kept; none where the reason is a period.
    pub holds: Vec<HoldId>,
}

/// The opening of a commitment to a reason: see `KeepReasonOpening` in the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// 32 random bytes.
    pub salt: [u8; 32],
    /// A serialized `KeepReason`.
    pub reason: Vec<u8>,
}

const RECORD: u8 = 1;
const COPY: u8 = 2;
const BY_REASON: u8 = 3;
const BY_HOLD: u8 = 4;
const BY_RECEIPT: u8 = 5;
const BY_SUBJECT: u8 = 6;
const OPENING: u8 = 7;
const SUPPLEMENT: u8 = 8;

/// By what kept versions are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Under {
    /// The item.
    Item(ItemId),
    /// One version number of an item.
    Version(ItemId, u64),
    /// The subject.
    Subject(SubjectId),
    /// The reason.
    Reason(ReasonId),
    /// The hold.
    Hold(HoldId),
    /// The receipt of what they outlived.
    Receipt(ReceiptId),
}

impl Copy {
    /// The tree that has the version's key.
    pub fn tree(&self) -> Tree {
        Tree::Reason(self.reason, self.at)
    }
}

/// Stores what is kept of a version. `entry` is its key's.
pub fn put(txn: &mut Txn<'_>, id: &VersionId, class: &str, entry: &Entry, kept: &Kept) {
    let clear = kept.clear();
    let code = Envelope::derive(Kind::Kept, &entry.key)
        .authenticate(Place { class, ..place(txn.index().vault(), id, entry) }, &clear);
    let row = Writer::with_capacity(kept.row.len() + clear.len() + 64).bytes(&clear).raw(&code).bytes(&kept.row);
    txn.put(Space::Kept, key(RECORD, &[], id, &[]), row.finish());
    txn.put(Space::Kept, key(BY_RECEIPT, kept.receipt.as_bytes(), id, &[]), []);
    txn.put(Space::Kept, key(BY_SUBJECT, kept.subject.as_bytes(), id, &[]), []);
}

/// Removes what is kept of a version that no reason keeps any more.
pub fn delete(txn: &mut Txn<'_>, id: &VersionId, kept: &Kept) {
    txn.delete(Space::Kept, key(RECORD, &[], id, &[]));
    txn.delete(Space::Kept, key(BY_RECEIPT, kept.receipt.as_bytes(), id, &[]));
    txn.delete(Space::Kept, key(BY_SUBJECT, kept.subject.as_bytes(), id, &[]));
}

/// Stores what a reason has of a version.
pub fn put_copy(txn: &mut Txn<'_>, id: &VersionId, copy: &Copy, receipt: &ReceiptId) {
    let row = Writer::new().u64(copy.at).u64(copy.position);
    let row = row.list(copy.holds.iter(), |w, hold| w.raw(hold.as_bytes())).finish();
    txn.put(Space::Kept, key(COPY, &[], id, copy.reason.as_bytes()), row);
    txn.put(Space::Kept, key(BY_REASON, copy.reason.as_bytes(), id, &[]), []);
    for hold in &copy.holds {
        txn.put(Space::Kept, key(BY_HOLD, hold.as_bytes(), id, &[]), *receipt.as_bytes());
    }
}

/// Removes what a reason had of a version.
pub fn delete_copy(txn: &mut Txn<'_>, id: &VersionId, copy: &Copy) {
    txn.delete(Space::Kept, key(COPY, &[], id, copy.reason.as_bytes()));
    txn.delete(Space::Kept, key(BY_REASON, copy.reason.as_bytes(), id, &[]));
}

/// Forgets that a hold was among those for which a version is kept.
pub fn unlink_hold(txn: &mut Txn<'_>, id: &VersionId, hold: &HoldId) {
    txn.delete(Space::Kept, key(BY_HOLD, hold.as_bytes(), id, &[]));
}

/// What is kept of a version, not yet checked.
pub fn find(reads: &dyn Reads, id: &VersionId) -> Result<Option<Unchecked>, Fault> {
    let Some(row) = reads.row(Space::Kept, &key(RECORD, &[], id, &[]))? else { return Ok(None) };
    let mut r = Reader::new(&row);
    let read = || {
        let clear = r.bytes()?.to_vec();
        let code = r.array()?;
        let row = r.bytes()?.to_vec();
        r.finish()?;
        Ok(Unchecked { kept: Kept::read(&clear, row)?, clear, code })
    };
    read_once(read).map(Some)
}

fn read_once<T>(read: impl FnOnce() -> Result<T, Malformed>) -> Result<T, Fault> {
    read().map_err(|_: Malformed| Fault::Torn)
}

/// What is kept of a version, before it is known whether the row is the version's own.
pub struct Unchecked {
    kept: Kept,
    clear: Vec<u8>,
    code: [u8; 32],
}

impl Unchecked {
    /// What it says, to find the class and the keys with which to check it.
    pub fn stated(&self) -> &Kept {
        &self.kept
    }

    /// Checks it with the version's key.
    pub fn check(self, reads: &dyn Reads, id: &VersionId, class: &str, entry: &Entry) -> Result<Kept, Fault> {
        let place = Place { class, ..place(reads.index().vault(), id, entry) };
        let checked = Envelope::check_only(Kind::Kept, &entry.key, place, &self.clear, &self.code);
        if entry.extra == id.counter && checked.is_ok() { Ok(self.kept) } else { Err(Fault::Torn) }
    }
}

/// What each reason has of a version.
pub fn copies(reads: &dyn Reads, id: &VersionId) -> Result<Vec<Copy>, Fault> {
    let prefix = key(COPY, &[], id, &[]);
    let read = |(key, row): &(Vec<u8>, Vec<u8>)| {
        let reason = key[prefix.len()..].try_into().map(ReasonId::from_bytes).map_err(|_| Malformed)?;
        let mut r = Reader::new(row);
        let (at, position) = (r.u64()?, r.u64()?);
        let holds = r.list(|r| r.array().map(HoldId::from_bytes))?;
        r.finish().map(|()| Copy { reason, at, position, holds })
    };
    let rows = reads.rows(Space::Kept, &prefix, &[], usize::MAX)?;
    rows.iter().map(|row| read(row).map_err(|_: Malformed| Fault::Torn)).collect()
}

/// Kept versions, in their order, after one.
pub fn list(reads: &dyn Reads, under: Under, after: Option<&VersionId>, limit: usize) -> Result<Vec<VersionId>, Fault> {
    let prefix = under.prefix();
    let skipped = under.skipped();
    let from = after.map_or(prefix.clone(), |after| {
        let mut from = prefix[..prefix.len() - skipped].to_vec();
        from.extend(version_bytes(after));
        from.push(0);
        from.max(prefix.clone())
    });
    let rows = reads.rows(Space::Kept, &prefix, &from, limit)?;
    let start = prefix.len() - skipped;
    rows.iter().map(|(key, _)| read_version(&key[start..]).ok_or(Fault::Torn)).collect()
}

/// Whether anything is kept there.
pub fn exists(reads: &dyn Reads, under: Under) -> Result<bool, Fault> {
    Ok(!list(reads, under, None, 1)?.is_empty())
}

/// Whether anything is still kept of what a receipt is about, if only the person's audit key.
pub fn remains(reads: &dyn Reads, receipt: &ReceiptId) -> Result<bool, Fault> {
    Ok(exists(reads, Under::Receipt(*receipt))? || !super::history::copies(reads, receipt)?.is_empty())
}

/// The receipts that the versions kept for a hold outlived, each once, at most so many. The rows under the hold must agree
/// with what is said of the versions: they could have been exchanged.
pub fn receipts_of_hold(reads: &dyn Reads, hold: &HoldId, limit: usize) -> Result<Vec<ReceiptId>, Fault> {
    let prefix = Under::Hold(*hold).prefix();
    let mut receipts = Vec::new();
    for (key, value) in reads.rows(Space::Kept, &prefix, &[], usize::MAX)? {
        let id = read_version(&key[prefix.len()..]).ok_or(Fault::Torn)?;
        let receipt = value.try_into().map(ReceiptId::from_bytes).map_err(|_| Fault::Torn)?;
        if find(reads, &id)?.is_none_or(|kept| kept.stated().receipt != receipt) {
            return Err(Fault::Torn);
        }
        if !receipts.contains(&receipt) && receipts.len() < limit {
            receipts.push(receipt);
        }
    }
    for receipt in super::history::of_hold(reads, hold, limit)? {
        if !receipts.contains(&receipt) && receipts.len() < limit {
            receipts.push(receipt);
        }
    }
    Ok(receipts)
}

/// Notes openings of the commitments on a receipt, after those that it has. How many it has then.
pub fn put_openings(txn: &mut Txn<'_>, receipt: &ReceiptId, before: u32, openings: &[Opening]) -> u32 {
    let mut number = before;
    for opening in openings {
        let key = Writer::new().u8(OPENING).raw(receipt.as_bytes()).u32(number).finish();
        txn.put(Space::Kept, key, Writer::new().raw(&opening.salt).bytes(&opening.reason).finish());
        number += 1;
    }
    number
}

/// The openings of the commitments on a receipt.
pub fn openings(reads: &dyn Reads, receipt: &ReceiptId) -> Result<Vec<Opening>, Fault> {
    openings_from(reads, receipt, 0, usize::MAX)
}

/// So many openings of the commitments on a receipt, from a number on.
pub fn openings_from(reads: &dyn Reads, receipt: &ReceiptId, from: u32, count: usize) -> Result<Vec<Opening>, Fault> {
    let prefix = Writer::new().u8(OPENING).raw(receipt.as_bytes()).finish();
    let first = [&prefix[..], &from.to_be_bytes()].concat();
    let rows = reads.rows(Space::Kept, &prefix, &first, count)?;
    rows.iter().map(|(_, row)| read_opening(row).map_err(|_: Malformed| Fault::Torn)).collect()
}

fn read_opening(row: &[u8]) -> Result<Opening, Malformed> {
    let mut r = Reader::new(row);
    let opening = Opening { salt: r.array()?, reason: r.bytes()?.to_vec() };
    r.finish().map(|()| opening)
}

/// Notes that a receipt supplements another.
pub fn put_supplement(txn: &mut Txn<'_>, first: &ReceiptId, supplement: &ReceiptId) {
    let key = Writer::new().u8(SUPPLEMENT).raw(first.as_bytes()).i64(txn.now().as_millis()).raw(supplement.as_bytes());
    txn.put(Space::Kept, key.finish(), []);
}

/// The receipts that supplement one, oldest first.
pub fn supplements(reads: &dyn Reads, first: &ReceiptId) -> Result<Vec<ReceiptId>, Fault> {
    let prefix = Writer::new().u8(SUPPLEMENT).raw(first.as_bytes()).finish();
    let rows = reads.rows(Space::Kept, &prefix, &[], usize::MAX)?;
    let read = |key: &[u8]| key[prefix.len() + 8..].try_into().map(ReceiptId::from_bytes).map_err(|_| Fault::Torn);
    rows.iter().map(|(key, _)| read(key)).collect()
}

impl Under {
    fn prefix(self) -> Vec<u8> {
        let of = |tag: u8, id: &[u8; 16]| Writer::new().u8(tag).raw(id).finish();
        match self {
            Self::Item(item) => of(RECORD, item.as_bytes()),
            Self::Version(item, version) => Writer::new().u8(RECORD).raw(item.as_bytes()).u64(version).finish(),
            Self::Subject(subject) => of(BY_SUBJECT, subject.as_bytes()),
            Self::Reason(reason) => of(BY_REASON, reason.as_bytes()),
            Self::Hold(hold) => of(BY_HOLD, hold.as_bytes()),
            Self::Receipt(receipt) => of(BY_RECEIPT, receipt.as_bytes()),
        }
    }

    /// Bytes of the prefix that are part of the version.
    fn skipped(self) -> usize {
        match self {
            Self::Item(_) => 16,
            Self::Version(..) => 24,
            Self::Subject(_) | Self::Reason(_) | Self::Hold(_) | Self::Receipt(_) => 0,
        }
    }

    /// Everything that a matter keeps.
    pub fn matter(matter: MatterId) -> Self {
        Self::Reason(reason_of(matter))
    }
}

impl Kept {
    fn clear(&self) -> Vec<u8> {
        let w = Writer::new().u8(VERSION).raw(self.subject.as_bytes()).raw(self.receipt.as_bytes());
        write_rows(w.raw(self.pseudonym.as_bytes()), &self.rows).finish()
    }

    fn read(clear: &[u8], row: Vec<u8>) -> Result<Self, Malformed> {
        let mut r = Reader::new(clear);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let kept = Self {
            subject: SubjectId::from_bytes(r.array()?),
            receipt: ReceiptId::from_bytes(r.array()?),
            pseudonym: PseudonymId::from_bytes(r.array()?),
            rows: read_rows(&mut r)?,
            row,
        };
        r.finish()?;
        Ok(kept)
    }
}

fn place<'a>(vault: &'a crate::base::id::VaultId, id: &'a VersionId, entry: &Entry) -> Place<'a> {
    Place { vault, owner: id.item.as_bytes(), class: "", version: id.version, generation: entry.generation }
}

fn version_bytes(id: &VersionId) -> Vec<u8> {
    Writer::new().raw(id.item.as_bytes()).u64(id.version).u64(id.counter).finish()
}

fn read_version(bytes: &[u8]) -> Option<VersionId> {
    let mut r = Reader::new(bytes);
    let (item, version, counter) = (ItemId::from_bytes(r.array().ok()?), r.u64().ok()?, r.u64().ok()?);
    r.finish().ok().map(|()| VersionId { item, version, counter })
}

fn key(tag: u8, before: &[u8], id: &VersionId, after: &[u8]) -> Vec<u8> {
    Writer::new().u8(tag).raw(before).raw(&version_bytes(id)).raw(after).finish()
}
