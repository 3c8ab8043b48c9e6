//! The vault's own keys, each under a name: where it is in its tree, and making it.
//!
//! A row per name holds the position; the entry holds the name again, so that swapped rows are refused.

use super::intents::{self, DoomedRow};
use super::refusal::{Refusal, Unavailable};
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::catalog::class::IdentifierField;
use crate::crypto::rng;
use crate::keys::page::{Entry, Tree};
use crate::store::keyspace::Space;

/// A key of the vault's own. The tags are on disk and permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Tokenises the identifiers of one field; counts its rotations.
    Index(IdentifierField, u32),
    /// Names idempotency records and seals page tokens of one day.
    Lookup(i32),
    /// Seals the details of one day's entries that concern no subject.
    Detail(i32),
    /// Finds and seals the names of operators who last acted in one period.
    OperatorNames(u32),
    /// Seals the approvals of one period and makes their digests.
    Approvals(u32),
    /// Seals where the evidence of slots' destruction is.
    Evidence,
}

const VERSION: u8 = 1;

impl Name {
    fn parts(self) -> (u8, u32) {
        match self {
            Name::Index(IdentifierField::ExternalId, number) => (1, number),
            Name::Index(IdentifierField::Email, number) => (7, number),
            Name::Index(IdentifierField::Phone, number) => (8, number),
            Name::Index(IdentifierField::DocumentNumber, number) => (9, number),
            Name::Lookup(day) => (2, day as u32),
            Name::Detail(day) => (3, day as u32),
            Name::OperatorNames(period) => (4, period),
            Name::Approvals(period) => (5, period),
            Name::Evidence => (6, 0),
        }
    }

    fn row(self) -> Vec<u8> {
        let (tag, number) = self.parts();
        Writer::new().u8(tag).u32(number).finish()
    }

    fn in_entry(self) -> u64 {
        let (tag, number) = self.parts();
        u64::from(tag) << 32 | u64::from(number)
    }
}

/// Where a key is, and since when.
struct Seat {
    position: u64,
    made: Timestamp,
}

impl Seat {
    fn encode(&self) -> Vec<u8> {
        Writer::new().u8(VERSION).u64(self.position).i64(self.made.as_millis()).finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let seat = Self { position: r.u64()?, made: Timestamp::from_millis(r.i64()?) };
        r.finish()?;
        Ok(seat)
    }
}

/// The key of a name, if there is one.
pub fn find(reads: &dyn Reads, name: Name) -> Result<Option<Key>, Fault> {
    let Some(seat) = seat(reads, name)? else { return Ok(None) };
    match reads.entry(Tree::Service, seat.position)? {
        Some(entry) if entry.extra == name.in_entry() => Ok(Some(entry.key)),
        // An epoch that has forgotten the key and has not ended yet: the row goes with its end.
        None if intents::is_named(reads, (Tree::Service, seat.position))? => Ok(None),
        Some(_) | None => Err(Fault::Torn),
    }
}

/// The key of a name; made if there is none.
pub fn find_or_make(txn: &mut Txn<'_>, name: Name) -> Result<Key, Refusal> {
    if let Some(key) = find(txn, name)? {
        return Ok(key);
    }
    if seat(txn, name)?.is_some() {
        // The end of an epoch deletes that row by its name: a new key's place must not be in it.
        return Err(Unavailable::Internal.into());
    }
    let key: Key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
    let position = txn.claim_position(Tree::Service)?;
    txn.set(Tree::Service, position, &Entry { generation: 1, extra: name.in_entry(), key: key.duplicate() })?;
    txn.put(Space::ServiceKey, name.row(), Seat { position, made: txn.now() }.encode());
    Ok(key)
}

/// When the key of a name was made; none if there is none.
pub fn made(reads: &dyn Reads, name: Name) -> Result<Option<Timestamp>, Fault> {
    Ok(seat(reads, name)?.map(|seat| seat.made))
}

/// What an intent must name so that a key is forgotten.
pub struct Doomed {
    /// The key's entry.
    pub target: (Tree, u64),
    /// The row that leads to it.
    pub row: DoomedRow,
}

/// What an intent must name so that the key of a name is forgotten; none if there is none, or if an intent that is not
/// carried out yet names it already.
///
/// INVARIANT: no key is named by two intents. The second would free a position that is free or, worse, forget the key
/// that was put there in between.
pub fn doomed(reads: &dyn Reads, name: Name) -> Result<Option<Doomed>, Fault> {
    let Some(Seat { position, .. }) = seat(reads, name)? else { return Ok(None) };
    let row = DoomedRow { space: Space::ServiceKey, key: name.row(), prefix: false };
    let target = (Tree::Service, position);
    Ok(if intents::is_named(reads, target)? { None } else { Some(Doomed { target, row }) })
}

/// The days that have a lookup key, in no order.
pub fn lookup_days(reads: &dyn Reads) -> Result<Vec<i32>, Fault> {
    Ok(numbers(reads, Name::Lookup(0))?.into_iter().map(|number| number as i32).collect())
}

/// The numbers, such as days or periods, for which there is a key of the same kind.
pub fn numbers(reads: &dyn Reads, kind: Name) -> Result<Vec<u32>, Fault> {
    let rows = reads.rows(Space::ServiceKey, &[kind.parts().0], &[], usize::MAX)?;
    let number = |key: &[u8]| key[1..].try_into().map(u32::from_be_bytes).map_err(|_| Fault::Torn);
    rows.iter().map(|(key, _)| number(key)).collect()
}

fn seat(reads: &dyn Reads, name: Name) -> Result<Option<Seat>, Fault> {
    let row = reads.row(Space::ServiceKey, &name.row())?;
    row.map(|row| Seat::decode(&row).map_err(|_| Fault::Torn)).transpose()
}
