//! Replacements of index keys as they are told: those under way, those that have ended, and pausing one.
//!
//! Row, beside the field's own (`index`): the field's code and the number of the key that was replaced; how many people
//! were gone through and when, the act by which an epoch forgets the key, and, once it has, when and which epoch it was.

use super::index::{PAST_KEY_LEN, Progress, key_id, past_key, progress, put_progress};
use super::intents::{Intent, What};
use super::receipts;
use super::refusal::{Refusal, State};
use super::service_keys::{self, Name};
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{KeyId, ReceiptId, RotationId};
use crate::base::time::Timestamp;
use crate::catalog::class::IdentifierField;
use crate::keys::index::IndexKey;
use crate::store::keyspace::Space;

const VERSION: u8 = 1;

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Rows are written under the next key, or those of the old one go.
    Running,
    /// The same, but nothing happens until somebody says so.
    Paused,
    /// No row is left under the old key, which is still to be forgotten by an epoch.
    Forgetting,
    /// The old key is forgotten.
    Done {
        /// When that was seen.
        at: Timestamp,
        /// By which epoch; 0 where that is not known.
        epoch: u64,
    },
}

/// The replacement of an index key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Names it.
    pub id: RotationId,
    /// The key that is replaced.
    pub old: KeyId,
    /// The key that replaces it.
    pub new: KeyId,
    /// How far it is.
    pub stage: Stage,
    /// People gone through.
    pub done: u64,
    /// When it began, and when it last got further.
    pub times: (Timestamp, Timestamp),
}

/// How an index key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Rows are written under it; searches do not use it yet.
    Coming,
    /// Searches use it.
    Current,
    /// Another has replaced it, at that time if it is known.
    Retired(Option<Timestamp>),
    /// An epoch has forgotten it.
    Destroyed {
        /// When it was replaced.
        retired: Timestamp,
        /// When it was seen to be forgotten.
        at: Timestamp,
        /// The epoch.
        epoch: u64,
    },
}

/// An index key, as it is listed.
pub struct ListedKey {
    /// Names it.
    pub id: KeyId,
    /// Its field.
    pub field: IdentifierField,
    /// When it was made.
    pub made: Timestamp,
    /// How it stands.
    pub standing: Standing,
}

/// A rotation under whose old key no row is left.
struct Past {
    receipt: Option<ReceiptId>,
    made: Timestamp,
    done: u64,
    times: (Timestamp, Timestamp),
    ended: Option<(Timestamp, u64)>,
}

impl Past {
    fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .option(self.receipt, |w, id| w.raw(id.as_bytes()))
            .i64(self.made.as_millis())
            .u64(self.done)
            .i64(self.times.0.as_millis())
            .i64(self.times.1.as_millis())
            .option(self.ended, |w, (at, epoch)| w.i64(at.as_millis()).u64(epoch))
            .finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let past = Self {
            receipt: r.option(|r| r.array().map(ReceiptId::from_bytes))?,
            made: Timestamp::from_millis(r.i64()?),
            done: r.u64()?,
            times: (Timestamp::from_millis(r.i64()?), Timestamp::from_millis(r.i64()?)),
            ended: r.option(|r| Ok((Timestamp::from_millis(r.i64()?), r.u64()?)))?,
        };
        r.finish()?;
        Ok(past)
    }
}

/// Every index key that is there, and those that are not any more, by field and then by age; and every rotation, by
/// field and then by age.
pub fn list(reads: &dyn Reads) -> Result<(Vec<ListedKey>, Vec<Rotation>), Fault> {
    let (mut keys, mut rotations) = (Vec::new(), Vec::new());
    let vault = reads.index().vault();
    for field in IdentifierField::ALL.iter().copied() {
        let now = progress(reads, field)?;
        let mut key =
            |number, made, standing| keys.push(ListedKey { id: key_id(vault, field, number), field, made, standing });
        let made = |number| service_keys::made(reads, Name::Index(field, number))?.ok_or(Fault::Torn);
        for (old, past) in past(reads, field)? {
            let retired = past.times.1;
            let standing = match past.ended {
                Some((at, epoch)) => Standing::Destroyed { retired, at, epoch },
                None => Standing::Retired(Some(retired)),
            };
            key(old, past.made, standing);
            let stage = past.ended.map_or(Stage::Forgetting, |(at, epoch)| Stage::Done { at, epoch });
            rotations.push(rotation(reads, field, old, (stage, past.done, past.times)));
        }
        if let Some(old) = now.retiring {
            key(old, made(old)?, Standing::Retired(None));
        }
        key(now.current, made(now.current)?, Standing::Current);
        if let Some(next) = now.next {
            key(next, made(next)?, Standing::Coming);
        }
        rotations.extend(under_way(reads, field, &now));
    }
    Ok((keys, rotations))
}

/// The rotation that a field's key is in: while rows are written it is the old one, while the old one's rows go it is the
/// new one.
pub fn under_way(reads: &dyn Reads, field: IdentifierField, now: &Progress) -> Option<Rotation> {
    let old = now.retiring.or(now.next.map(|_| now.current))?;
    let stage = if now.paused { Stage::Paused } else { Stage::Running };
    Some(rotation(reads, field, old, (stage, now.done, now.times)))
}

/// The rotation of that name; none if there is none.
pub fn find(reads: &dyn Reads, id: RotationId) -> Result<Option<Rotation>, Fault> {
    Ok(list(reads)?.1.into_iter().find(|rotation| rotation.id == id))
}

/// Pauses a rotation, or lets it go on.
///
/// # Errors
/// [`State::NotFound`]; [`State::RotationNotRunning`] if no row is left under the old key.
pub fn pause(txn: &mut Txn<'_>, id: RotationId, paused: bool) -> Result<Rotation, Refusal> {
    for field in IdentifierField::ALL.iter().copied() {
        let now = progress(txn, field)?;
        if under_way(txn, field, &now).is_some_and(|rotation| rotation.id == id) {
            let now = if now.paused == paused { now } else { Progress { paused, ..now } };
            put_progress(txn, field, &now);
            return under_way(txn, field, &now).ok_or(State::NotFound.into());
        }
    }
    let known = find(txn, id)?;
    Err(known.map_or(State::NotFound, |_| State::RotationNotRunning).into())
}

/// Deletes rows of the key that was replaced; once none is left, has the key forgotten. Whether that is lodged.
pub fn retire(txn: &mut Txn<'_>, field: IdentifierField, rows_max: usize) -> Result<bool, Refusal> {
    let known = progress(txn, field)?;
    let Some(old) = known.retiring.filter(|_| !known.paused) else { return Ok(false) };
    let rows = txn.rows(Space::Index, &IndexKey::prefix(field, old), &[], rows_max)?;
    let is_last = rows.is_empty();
    for (row, _) in rows {
        txn.delete(Space::Index, row);
    }
    if !is_last {
        return Ok(false);
    }
    let made = service_keys::made(txn, Name::Index(field, old))?.unwrap_or(known.times.0);
    let mut receipt = None;
    if let Some(doomed) = service_keys::doomed(txn, Name::Index(field, old))? {
        // By the key's id: receipts of who was indexed under it name it.
        let named = ReceiptId::from_bytes(*key_id(txn.index().vault(), field, old).as_bytes());
        let mut intent = Intent { receipt: named, ..Intent::of_own(What::IndexKey)? };
        intent.targets.push(doomed.target);
        intent.rows.push(doomed.row);
        intent.lodge(txn)?;
        receipt = Some(intent.receipt);
    }
    let times = (known.times.0, txn.now());
    let past = Past { receipt, made, done: known.done, times, ended: None };
    txn.put(Space::IndexState, past_key(field, old), past.encode());
    put_progress(txn, field, &Progress { retiring: None, times, ..known });
    Ok(true)
}

/// The keys that an epoch has forgotten without that being noted yet.
pub fn forgotten(reads: &dyn Reads) -> Result<Vec<(IdentifierField, u32)>, Fault> {
    let mut forgotten = Vec::new();
    for field in IdentifierField::ALL.iter().copied() {
        for (old, past) in past(reads, field)? {
            if past.ended.is_none() && epoch(reads, &past)?.is_some() {
                forgotten.push((field, old));
            }
        }
    }
    Ok(forgotten)
}

/// Notes that an epoch has forgotten a key.
pub fn note_forgotten(txn: &mut Txn<'_>, (field, old): (IdentifierField, u32)) -> Result<(), Refusal> {
    let key = past_key(field, old);
    let Some(row) = txn.row(Space::IndexState, &key)? else { return Ok(()) };
    let past = Past::decode(&row).map_err(|_| Fault::Torn)?;
    if let Some(epoch) = epoch(txn, &past)? {
        let ended = past.ended.or(Some((txn.now(), epoch)));
        txn.put(Space::IndexState, key, Past { ended, ..past }.encode());
    }
    Ok(())
}

/// The epoch that carried the act out; none while it is pending.
fn epoch(reads: &dyn Reads, past: &Past) -> Result<Option<u64>, Fault> {
    let Some(receipt) = past.receipt else { return Ok(Some(0)) };
    Ok(match receipts::find(reads, &receipt)? {
        Some(receipts::Progress::Done { epoch }) => Some(epoch),
        Some(receipts::Progress::Pending { .. } | receipts::Progress::Parting) | None => None,
    })
}

/// What is known of a field's earlier keys, by their numbers.
fn past(reads: &dyn Reads, field: IdentifierField) -> Result<Vec<(u32, Past)>, Fault> {
    let rows = reads.rows(Space::IndexState, &[field.code()], &[], usize::MAX)?;
    let rows = rows.iter().filter(|(key, _)| key.len() == PAST_KEY_LEN);
    let read = |(key, row): &(Vec<u8>, Vec<u8>)| {
        let number = key[1..].try_into().map(u32::from_be_bytes).map_err(|_| Fault::Torn)?;
        Ok((number, Past::decode(row).map_err(|_| Fault::Torn)?))
    };
    rows.map(read).collect()
}

fn rotation(
    reads: &dyn Reads,
    field: IdentifierField,
    old: u32,
    (stage, done, times): (Stage, u64, (Timestamp, Timestamp)),
) -> Rotation {
    let vault = reads.index().vault();
    let id = Progress::rotation(vault, field, old);
    Rotation { id, old: key_id(vault, field, old), new: key_id(vault, field, old + 1), stage, done, times }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_of_the_past_reads_back() {
        let at = Timestamp::from_millis;
        let past = Past {
            receipt: Some(ReceiptId::from_bytes([3; 16])),
            made: at(1),
            done: 7,
            times: (at(2), at(3)),
            ended: None,
        };
        for ended in [None, Some((at(4), 9))] {
            let row = Past { receipt: past.receipt, ended, ..past }.encode();
            let read = Past::decode(&row).expect("reads");
            assert_eq!((read.receipt, read.made, read.done), (past.receipt, past.made, 7));
            assert_eq!((read.times, read.ended), (past.times, ended));
            assert!(Past::decode(&row[..row.len() - 1]).is_err());
        }
    }
}
