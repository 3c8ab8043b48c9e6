//! Uploads that run out of time: their keys are forgotten in an epoch, and their rows go with them.
//!
//! A row per upload, by the time at which it expires, says where its key is and under which key its own rows are; what
//! these hold is for the verbs to know. It goes with the upload, or with the item or subject that takes the upload along.

use super::intents::{DoomedRow, Intent, What, read_tree, write_tree};
use super::refusal::{Refusal, Unavailable};
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, SubjectId, UploadId};
use crate::base::limits::EXPIRED_UPLOADS_STEP;
use crate::base::time::Timestamp;
use crate::keys::page::Tree;
use crate::store::keyspace::Space;

const VERSION: u8 = 1;

/// Which upload, of which item of whom. Where it makes a new item, the id is that item's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadPlace {
    /// The subject.
    pub subject: SubjectId,
    /// The item.
    pub item: ItemId,
    /// The upload.
    pub upload: UploadId,
}

impl UploadPlace {
    /// The key of the upload's row, and the start of the keys of its chunks.
    pub fn key(&self) -> Vec<u8> {
        [&self.subject.as_bytes()[..], self.item.as_bytes(), self.upload.as_bytes()].concat()
    }

    /// The upload of a key.
    pub fn of_key(key: &[u8]) -> Result<Self, Fault> {
        let mut r = Reader::new(key);
        let mut read = || {
            let place = Self {
                subject: SubjectId::from_bytes(r.array()?),
                item: ItemId::from_bytes(r.array()?),
                upload: UploadId::from_bytes(r.array()?),
            };
            Ok(place)
        };
        let place = read().map_err(|_: Malformed| Fault::Torn)?;
        r.finish().map_err(|_| Fault::Torn)?;
        Ok(place)
    }
}

/// Notes when an upload expires, and where its key is.
pub fn note(txn: &mut Txn<'_>, place: &UploadPlace, expires: Timestamp, (tree, position): (Tree, u64), class: &str) {
    let row = write_tree(Writer::new().u8(VERSION), tree).u64(position).text(class).finish();
    txn.put(Space::UploadDue, due_key(place, expires), row);
}

/// Takes the note back: its key names the subject, and so it goes with the upload or the subject.
pub fn unnote(txn: &mut Txn<'_>, place: &UploadPlace, expires: Timestamp) {
    txn.delete(Space::UploadDue, due_key(place, expires));
}

/// Gives an upload up: its rows go at once, so that nothing is added or finished any more, and an epoch is asked to
/// forget its key. The epochs must be told.
///
/// # Durability
/// With the transaction.
pub fn give_up(
    txn: &mut Txn<'_>,
    place: &UploadPlace,
    expires: Timestamp,
    (tree, position): (Tree, u64),
    class: &str,
) -> Result<(), Refusal> {
    unnote(txn, place, expires);
    txn.delete(Space::Upload, place.key());
    let intent = Intent {
        class: class.to_owned(),
        subject: Some(place.subject),
        item: Some(place.item),
        targets: vec![(tree, position)],
        rows: vec![DoomedRow { space: Space::Chunk, key: place.key(), prefix: true }],
        ..Intent::of_own(What::Upload)?
    };
    intent.lodge(txn)?;
    Ok(())
}

/// Gives up uploads whose time is over, some at a time.
pub(super) fn expire(txn: &mut Txn<'_>) -> Result<Expired, Refusal> {
    let due = txn.rows(Space::UploadDue, &[], &[], EXPIRED_UPLOADS_STEP)?;
    let mut expired = Expired { given_up: 0, more: due.len() == EXPIRED_UPLOADS_STEP };
    for (key, row) in due {
        let (expires, place) = read_due_key(&key).map_err(|_| Unavailable::Damaged)?;
        if expires > txn.now() {
            expired.more = false;
            break;
        }
        unnote(txn, &place, expires);
        let Some(upload) = txn.row(Space::Upload, &place.key())? else { continue };
        if upload.first() == Some(&FINISHED) {
            txn.delete(Space::Upload, place.key());
            continue;
        }
        let (tree, position, class) = read_due(&row).map_err(|_| Unavailable::Damaged)?;
        give_up(txn, &place, expires, (tree, position), &class)?;
        expired.given_up += 1;
    }
    Ok(expired)
}

/// What [`expire`] did.
pub(super) struct Expired {
    pub given_up: u64,
    pub more: bool,
}

/// The first byte of the row of an upload that is not finished.
pub const PENDING: u8 = 1;
/// The first byte of the row of one that is: its key is the item's now.
pub const FINISHED: u8 = 2;

fn due_key(place: &UploadPlace, expires: Timestamp) -> Vec<u8> {
    // Times before 1970 do not occur, so that keys are in the order of time.
    Writer::new().i64(expires.as_millis()).raw(&place.key()).finish()
}

fn read_due_key(key: &[u8]) -> Result<(Timestamp, UploadPlace), Fault> {
    let (time, place) = key.split_first_chunk().ok_or(Fault::Torn)?;
    Ok((Timestamp::from_millis(i64::from_be_bytes(*time)), UploadPlace::of_key(place)?))
}

fn read_due(row: &[u8]) -> Result<(Tree, u64, String), Malformed> {
    let mut r = Reader::new(row);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let due = (read_tree(&mut r)?, r.u64()?, r.text()?.to_owned());
    r.finish()?;
    Ok(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_and_its_time_read_back() {
        let place = UploadPlace {
            subject: SubjectId::from_bytes([1; 16]),
            item: ItemId::from_bytes([2; 16]),
            upload: UploadId::from_bytes([3; 16]),
        };
        let time = Timestamp::from_millis(1_780_000_000_000);
        assert_eq!(read_due_key(&due_key(&place, time)), Ok((time, place)));
        assert!(UploadPlace::of_key(&place.key()[1..]).is_err());
        let later = Timestamp::from_millis(1_780_000_000_001);
        assert!(due_key(&place, time) < due_key(&place, later));
    }
}
