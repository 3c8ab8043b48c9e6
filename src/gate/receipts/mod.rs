//! Receipts: what became of each act of forgetting, by the random id that its entries in the log carry, and the signed
//! statement of it once it is final.
//!
//! INVARIANT: a statement is written once, in the batch that ends its act, together with the entry that has its hash.
//!
//! Row, after its version: 1 with the intent while it is pending; 2 with the epoch, or 3 with the epoch and attestations,
//! for acts without a statement, such as those of earlier releases. Version 2 has the scope, and of a person's erasure
//! the person's id, before the same; then, once it is done, the statement, the signing key's name and id, and the
//! signature; or 4 while a person's items are still gone through, before there is an intent. Version 3 is version 2 of what is done, and after it the index keys that the statement names.

mod body;
mod case;
mod sign;

pub use body::{BACKEND, Carried, SlotProof};
pub use case::{Case, ForgottenKeys, Ground, History, KeptHasher, KeptList, KeptVersion, Scope};
pub use sign::{ReceiptSigner, Signed};

#[cfg(test)]
pub(in crate::gate) use case::tests::sample as sample_case;

use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{AttestationId, KeyId, ReceiptId, SubjectId};
use crate::store::keyspace::Space;

/// Where an act of forgetting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The person is unreadable, and what keeps their items is decided step by step; then an intent is lodged.
    Parting,
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

impl Progress {
    /// Whether it is carried out.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Done { .. })
    }
}

/// What an act is about, as far as that may be known without its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matter {
    /// What sort of thing.
    pub scope: Scope,
    /// The person, if it is a person's erasure.
    pub subject: Option<SubjectId>,
}

/// What is known of an act of forgetting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub progress: Progress,
    /// What it is about; none for the vault's own, and for acts of earlier releases.
    pub matter: Option<Matter>,
    /// The statement, once it is final.
    pub signed: Option<Signed>,
    /// The index keys that the statement names.
    pub index_keys: Vec<KeyId>,
}

impl Record {
    /// Whether the act is carried out, and this is its statement. Anybody who can write the store can write that it is, and
    /// which intent it waits for; nobody else can sign.
    pub(super) fn is_stated(&self, receipt: &ReceiptId, signer: &ReceiptSigner) -> bool {
        self.progress.is_done() && self.signed.as_ref().is_some_and(|signed| signer.has_signed(receipt, signed))
    }
}

const VERSION_1: u8 = 1;
const VERSION_2: u8 = 2;
const VERSION_3: u8 = 3;
const PENDING: u8 = 1;
const DONE: u8 = 2;
const DONE_ATTESTED: u8 = 3;
const PARTING: u8 = 4;

/// Where the act with this receipt stands; none if there never was one.
pub fn find(reads: &dyn Reads, receipt: &ReceiptId) -> Result<Option<Progress>, Fault> {
    Ok(look_up(reads, receipt)?.map(|record| record.progress))
}

/// What is known of the act with this receipt; none if there never was one.
pub fn look_up(reads: &dyn Reads, receipt: &ReceiptId) -> Result<Option<Record>, Fault> {
    let row = reads.row(Space::Receipt, receipt.as_bytes())?;
    row.map(|row| decode(&row).map_err(|_| Fault::Torn)).transpose()
}

/// Notes that a person's items are gone through; the intent comes later.
pub fn put_parting(txn: &mut Txn<'_>, receipt: &ReceiptId, subject: SubjectId) {
    let matter = Matter { scope: Scope::Subject, subject: Some(subject) };
    let row = write_matter(Writer::new().u8(VERSION_2).u8(PARTING), matter).u64(0);
    txn.put(Space::Receipt, *receipt.as_bytes(), row.finish());
}

/// Notes that its intent waits for an epoch.
pub(super) fn put_pending(txn: &mut Txn<'_>, receipt: &ReceiptId, intent: u64, matter: Option<Matter>) {
    let row = match matter {
        None => Writer::new().u8(VERSION_1).u8(PENDING).u64(intent),
        Some(matter) => write_matter(Writer::new().u8(VERSION_2).u8(PENDING), matter).u64(intent),
    };
    txn.put(Space::Receipt, *receipt.as_bytes(), row.finish());
}

/// Notes that an act without a statement is carried out, and the attestations that this relies on.
pub(super) fn put_done(txn: &mut Txn<'_>, receipt: &ReceiptId, epoch: u64, attested: &[AttestationId]) {
    let writer = Writer::new().u8(VERSION_1);
    let row = match attested {
        [] => writer.u8(DONE).u64(epoch),
        _ => writer.u8(DONE_ATTESTED).u64(epoch).list(attested.iter(), |w, id| w.raw(id.as_bytes())),
    };
    txn.put(Space::Receipt, *receipt.as_bytes(), row.finish());
}

/// Notes that an act is carried out, with its statement.
pub(super) fn put_signed(
    txn: &mut Txn<'_>,
    receipt: &ReceiptId,
    epoch: u64,
    matter: Matter,
    (signed, index_keys): (&Signed, &[KeyId]),
) {
    let row = write_matter(Writer::with_capacity(256 + signed.body.len()).u8(VERSION_3).u8(DONE), matter)
        .u64(epoch)
        .bytes(&signed.body)
        .text(&signed.key_name)
        .raw(&signed.key_hash)
        .raw(&signed.signature)
        .list(index_keys.iter(), |w, key| w.raw(key.as_bytes()));
    txn.put(Space::Receipt, *receipt.as_bytes(), row.finish());
}

fn write_matter(w: Writer, matter: Matter) -> Writer {
    w.u8(matter.scope as u8).option(matter.subject, |w, id| w.raw(id.as_bytes()))
}

fn decode(row: &[u8]) -> Result<Record, Malformed> {
    let mut r = Reader::new(row);
    let (version, state) = (r.u8()?, r.u8()?);
    let matter = match version {
        VERSION_1 => None,
        VERSION_2 | VERSION_3 => {
            Some(Matter { scope: Scope::read(r.u8()?)?, subject: r.option(|r| r.array().map(SubjectId::from_bytes))? })
        }
        _ => return Err(Malformed),
    };
    let number = r.u64()?;
    let (progress, signed) = match (version, state) {
        (VERSION_2, PARTING) => (Progress::Parting, None),
        (_, PENDING) => (Progress::Pending { intent: number }, None),
        (VERSION_1, DONE) => (Progress::Done { epoch: number }, None),
        (VERSION_1, DONE_ATTESTED) => {
            r.list(|r| r.array().map(AttestationId::from_bytes))?;
            (Progress::Done { epoch: number }, None)
        }
        (VERSION_2 | VERSION_3, DONE) => {
            let (body, key_name) = (r.bytes()?.to_vec(), r.text()?.to_owned());
            let signed = Signed { body, key_name, key_hash: r.array()?, signature: r.array()? };
            (Progress::Done { epoch: number }, Some(signed))
        }
        _ => return Err(Malformed),
    };
    let index_keys = if version < VERSION_3 { Vec::new() } else { r.list(|r| r.array().map(KeyId::from_bytes))? };
    r.finish()?;
    Ok(Record { progress, matter, signed, index_keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_earlier_releases_read() {
        let v1 = |state: u8| Writer::new().u8(1).u8(state).u64(7);
        let done = Progress::Done { epoch: 7 };
        let progress = |row: Writer| decode(&row.finish()).map(|record| (record.progress, record.signed));
        assert_eq!(progress(v1(1)), Ok((Progress::Pending { intent: 7 }, None)));
        assert_eq!(progress(v1(2)), Ok((done, None)));
        assert_eq!(progress(v1(3).u32(1).raw(&[5; 16])), Ok((done, None)));
        assert_eq!(progress(v1(4)), Err(Malformed));
        assert_eq!(progress(Writer::new().u8(2).u8(4).u8(1).u8(0).u64(0)), Ok((Progress::Parting, None)));
    }
}
