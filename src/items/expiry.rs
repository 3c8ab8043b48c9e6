//! When items expire: a row per item by that moment, and how many there are per day and class.
//!
//! ```text
//! 1 | moment | subject | item   -> the class
//! 2 | day | class               -> how many
//! ```
//! Rows go with their item, in the batch that makes it unreadable. They lead to an item and prove nothing: what the item's
//! own row says, which its key authenticates, decides whether it is due.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, SubjectId};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::gate::txn::{Fault, Reads, Txn};
use crate::store::keyspace::Space;

use super::record::{ItemHead, StoredItem};

const BY_MOMENT: u8 = 1;
const COUNT: u8 = 2;

/// An item and when it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiring {
    /// When.
    pub at: Timestamp,
    /// Whose it is.
    pub subject: SubjectId,
    /// The item.
    pub item: ItemId,
    /// Its class.
    pub class: ClassId,
}

/// How many items of a class expire on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The UTC day.
    pub day: i32,
    /// The class.
    pub class: ClassId,
    /// How many.
    pub items: u64,
}

impl Expiring {
    /// The key of its row.
    pub fn key(&self) -> Vec<u8> {
        key(self.at, &self.subject, &self.item)
    }
}

/// Notes when an item expires.
pub fn note(txn: &mut Txn<'_>, subject: &SubjectId, item: &ItemId, head: &ItemHead) -> Result<(), Fault> {
    let Some(at) = head.expires else { return Ok(()) };
    let key = key(at, subject, item);
    if txn.row(Space::Expiry, &key)?.is_none() {
        txn.put(Space::Expiry, key, head.class.as_str().as_bytes());
        count(txn, at.day(), head.class, |items| items + 1)?;
    }
    Ok(())
}

/// Takes back when an item expires, before it goes or expires at another time.
pub fn take_back(txn: &mut Txn<'_>, subject: &SubjectId, item: &StoredItem) -> Result<(), Fault> {
    let Some(at) = item.head.expires else { return Ok(()) };
    drop_row(txn, key(at, subject, &item.id), at, item.head.class)
}

/// Removes a row that leads to nothing.
pub fn remove(txn: &mut Txn<'_>, row: &Expiring) -> Result<(), Fault> {
    drop_row(txn, row.key(), row.at, row.class)
}

fn drop_row(txn: &mut Txn<'_>, key: Vec<u8>, at: Timestamp, class: ClassId) -> Result<(), Fault> {
    if txn.row(Space::Expiry, &key)?.is_some() {
        txn.delete(Space::Expiry, key);
        count(txn, at.day(), class, |items| items.saturating_sub(1))?;
    }
    Ok(())
}

/// Items by when they expire, the earliest first, from a key on.
pub fn list(reads: &dyn Reads, from: &[u8], limit: usize) -> Result<Vec<Expiring>, Fault> {
    let rows = reads.rows(Space::Expiry, &[BY_MOMENT], from, limit)?;
    rows.iter().map(|(key, class)| read(key, class).map_err(|_| Fault::Torn)).collect()
}

/// The key from which the items of a day and of later ones are listed.
pub fn first_of(day: i32) -> Vec<u8> {
    Writer::new().u8(BY_MOMENT).u64(sortable(i64::from(day) * 86_400_000)).finish()
}

/// How many items expire, by day and class, the earliest first.
pub fn counts(reads: &dyn Reads, from: &[u8], limit: usize) -> Result<Vec<Count>, Fault> {
    let rows = reads.rows(Space::Expiry, &[COUNT], from, limit)?;
    rows.iter().map(|(key, row)| read_count(key, row).map_err(|_| Fault::Torn)).collect()
}

/// The key from which the counts after one are listed.
pub fn after(count: &Count) -> Vec<u8> {
    [count_key(count.day, count.class), vec![0]].concat()
}

fn count(txn: &mut Txn<'_>, day: i32, class: ClassId, change: impl FnOnce(u64) -> u64) -> Result<(), Fault> {
    let key = count_key(day, class);
    let before = match txn.row(Space::Expiry, &key)? {
        None => 0,
        Some(row) => u64::from_be_bytes(row.try_into().map_err(|_| Fault::Torn)?),
    };
    match change(before) {
        0 => txn.delete(Space::Expiry, key),
        items => txn.put(Space::Expiry, key, items.to_be_bytes()),
    }
    Ok(())
}

fn read(key: &[u8], class: &[u8]) -> Result<Expiring, Malformed> {
    let mut r = Reader::new(key);
    r.u8()?;
    let at = Timestamp::from_millis((r.u64()? ^ SIGN) as i64);
    let (subject, item) = (SubjectId::from_bytes(r.array()?), ItemId::from_bytes(r.array()?));
    r.finish()?;
    Ok(Expiring { at, subject, item, class: named(class)? })
}

fn read_count(key: &[u8], row: &[u8]) -> Result<Count, Malformed> {
    let mut r = Reader::new(key);
    r.u8()?;
    let day = (r.u32()? ^ (1 << 31)) as i32;
    let class = named(r.rest())?;
    Ok(Count { day, class, items: u64::from_be_bytes(row.try_into().map_err(|_| Malformed)?) })
}

fn named(class: &[u8]) -> Result<ClassId, Malformed> {
    let class = std::str::from_utf8(class).ok().and_then(class_of);
    class.map(|class| class.id).ok_or(Malformed)
}

const SIGN: u64 = 1 << 63;

/// A moment as a number that sorts as moments do, those before 1970 included.
fn sortable(millis: i64) -> u64 {
    millis as u64 ^ SIGN
}

fn key(at: Timestamp, subject: &SubjectId, item: &ItemId) -> Vec<u8> {
    let w = Writer::new().u8(BY_MOMENT).u64(sortable(at.as_millis()));
    w.raw(subject.as_bytes()).raw(item.as_bytes()).finish()
}

fn count_key(day: i32, class: ClassId) -> Vec<u8> {
    Writer::new().u8(COUNT).u32(day as u32 ^ (1 << 31)).raw(class.as_str().as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_and_sort_by_their_moment() {
        let class = class_of("payment").expect("a class").id;
        let row = |at| Expiring {
            at: Timestamp::from_millis(at),
            subject: SubjectId::from_bytes([1; 16]),
            item: ItemId::from_bytes([2; 16]),
            class,
        };
        let moments = [i64::MIN, -1, 0, 1, 1_780_000_000_000, i64::MAX];
        assert!(moments.windows(2).all(|pair| row(pair[0]).key() < row(pair[1]).key()));
        for at in moments {
            assert_eq!(read(&row(at).key(), class.as_str().as_bytes()), Ok(row(at)));
        }
        assert!(row(-1).key() < first_of(0) && first_of(0) < row(0).key());
        let count = Count { day: -3, class, items: 7 };
        assert_eq!(read_count(&count_key(-3, class), &7u64.to_be_bytes()), Ok(count));
        assert!(count_key(-1, class) < count_key(0, class) && after(&count) > count_key(-3, class));
    }
}
