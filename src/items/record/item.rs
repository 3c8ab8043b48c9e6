//! The row of an item: its current version, or the tombstone of one that is being erased.

use super::VERSION;
use super::day::DayState;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, ReceiptId, SubjectId, VaultId};
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads};
use crate::keys::envelope::{Envelope, Kind, Part, Place};
use crate::keys::page::{Entry, Tree};

/// The clear part of an item's row.
#[derive(Clone)]
pub struct ItemHead {
    /// The class.
    pub class: ClassId,
    /// The version of the value, from 1.
    pub version: u64,
    /// Where its key is in the subject's tree.
    pub position: u64,
    /// Counts changes of the row under one key.
    pub counter: u64,
    /// When the item was created.
    pub created: Timestamp,
    /// Its place among the items that were created by one change.
    pub order: u32,
    /// When value or metadata last changed.
    pub updated: Timestamp,
    /// When the item ends at the latest.
    pub expires: Option<Timestamp>,
    /// Purposes.
    pub purposes: Vec<String>,
    /// Legal basis.
    pub legal_basis: String,
    /// Whether decisions are taken from it without a human.
    pub automated_decision: bool,
    /// What a day of events has come to; none for an item that has a value.
    pub day: Option<DayState>,
}

impl ItemHead {
    /// Of a first version without details; its position is filled in when it is stored.
    pub fn first(class: ClassId, now: Timestamp, order: u32) -> Self {
        Self {
            class,
            version: 1,
            position: 0,
            counter: 1,
            created: now,
            order,
            updated: now,
            expires: None,
            purposes: Vec::new(),
            legal_basis: String::new(),
            automated_decision: false,
            day: None,
        }
    }

    /// What a caller compares to see whether the item changed.
    pub fn etag(&self) -> String {
        etag_of(self.version, self.counter)
    }
}

/// What tells a version of an item from every other: its number, and the count of its row.
pub fn etag_of(version: u64, counter: u64) -> String {
    format!("v{version}.{counter}")
}

/// A stored item: its row as read, not yet opened.
pub struct StoredItem {
    /// Its id.
    pub id: ItemId,
    /// The clear part.
    pub head: ItemHead,
    clear: Vec<u8>,
    code: [u8; 32],
    commitment: [u8; 32],
    value: Vec<u8>,
    notes: Vec<u8>,
}

/// What is at an item's key.
pub enum ItemRow {
    /// A live item.
    Live(Box<StoredItem>),
    /// It was deleted, and its epoch is pending.
    Deleted(ReceiptId),
}

impl ItemRow {
    /// The class of a live item.
    pub fn class(&self) -> Option<ClassId> {
        match self {
            Self::Live(item) => Some(item.head.class),
            Self::Deleted(_) => None,
        }
    }
}

const LIVE: u8 = 1;
const DELETED: u8 = 2;
/// A live item that is a day of events: its clear part says what the day has come to, and it has no value of its own.
const DAY: u8 = 3;

/// The key of an item's row.
pub fn item_key(subject: &SubjectId, item: &ItemId) -> Vec<u8> {
    [&subject.as_bytes()[..], &item.as_bytes()[..]].concat()
}

/// The row that stands in for a deleted item until its epoch is done.
pub fn tombstone(receipt: &ReceiptId) -> Vec<u8> {
    Writer::new().u8(VERSION).u8(DELETED).raw(receipt.as_bytes()).finish()
}

/// Reads the row of an item.
pub fn decode_item(id: ItemId, row: &[u8]) -> Result<ItemRow, Fault> {
    read_item(id, row).map_err(|_| Fault::Torn)
}

/// The class and the version of a live item, as its row says, of which nothing else is read; none of a deleted one. For those
/// who go through very many.
pub fn class_and_version(row: &[u8]) -> Result<Option<(ClassId, u64)>, Fault> {
    let read = || {
        let mut r = Reader::new(row);
        match (r.u8()?, r.u8()?) {
            (VERSION, DELETED) => Ok(None),
            (VERSION, LIVE | DAY) => {
                let mut head = Reader::new(r.bytes()?);
                Ok(Some((class_of(head.text()?).ok_or(Malformed)?.id, head.u64()?)))
            }
            _ => Err(Malformed),
        }
    };
    read().map_err(|_| Fault::Torn)
}

fn read_item(id: ItemId, row: &[u8]) -> Result<ItemRow, Malformed> {
    let mut r = Reader::new(row);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    match r.u8()? {
        DELETED => {
            let receipt = ReceiptId::from_bytes(r.array()?);
            r.finish()?;
            Ok(ItemRow::Deleted(receipt))
        }
        kind @ (LIVE | DAY) => {
            let clear = r.bytes()?.to_vec();
            let item = StoredItem {
                id,
                head: read_head(&clear, kind == DAY)?,
                clear,
                code: r.array()?,
                commitment: r.array()?,
                value: r.bytes()?.to_vec(),
                notes: r.bytes()?.to_vec(),
            };
            r.finish()?;
            Ok(ItemRow::Live(Box::new(item)))
        }
        _ => Err(Malformed),
    }
}

fn write_head(head: &ItemHead) -> Vec<u8> {
    let writer = Writer::new()
        .text(head.class.as_str())
        .u64(head.version)
        .u64(head.position)
        .u64(head.counter)
        .i64(head.created.as_millis())
        .u32(head.order)
        .i64(head.updated.as_millis())
        .option(head.expires, |w, time| w.i64(time.as_millis()))
        .list(head.purposes.iter(), |w, purpose| w.text(purpose))
        .text(&head.legal_basis)
        .u8(head.automated_decision.into());
    match &head.day {
        None => writer.finish(),
        Some(day) => day.write(writer).finish(),
    }
}

fn read_head(clear: &[u8], is_day: bool) -> Result<ItemHead, Malformed> {
    let mut r = Reader::new(clear);
    let head = ItemHead {
        class: class_of(r.text()?).ok_or(Malformed)?.id,
        version: r.u64()?,
        position: r.u64()?,
        counter: r.u64()?,
        created: Timestamp::from_millis(r.i64()?),
        order: r.u32()?,
        updated: Timestamp::from_millis(r.i64()?),
        expires: r.option(|r| r.i64().map(Timestamp::from_millis))?,
        purposes: r.list(|r| r.text().map(str::to_owned))?,
        legal_basis: r.text()?.to_owned(),
        automated_decision: r.u8()? == 1,
        day: if is_day { Some(DayState::read(&mut r)?) } else { None },
    };
    r.finish()?;
    Ok(head)
}

/// Seals an item and encodes its row. `entry.extra` must be the head's counter. Of a day of events the value is empty,
/// and not stored.
pub fn encode_item(
    vault: &VaultId,
    id: &ItemId,
    head: &ItemHead,
    entry: &Entry,
    value: &PlainValue,
    notes: &PlainValue,
) -> Result<Vec<u8>, Refusal> {
    let envelope = Envelope::derive(Kind::Item, &entry.key);
    let place = item_place(vault, id, head, entry);
    let value = match head.day {
        None => envelope.seal(place, Part::Value, value.expose()).map_err(|_| Unavailable::Internal)?,
        Some(_) => Vec::new(),
    };
    let notes = envelope.seal(place, Part::Notes, notes.expose()).map_err(|_| Unavailable::Internal)?;
    let clear = write_head(head);
    let code = envelope.authenticate(place, &authenticated(&clear, &notes));
    Ok(encode_row(head, &clear, [&code, envelope.commitment()], &value, &notes))
}

/// What an item holds, in the clear.
pub struct Content {
    /// The encoded value.
    pub value: PlainValue,
    /// The encoded free text of its metadata.
    pub notes: PlainValue,
}

impl StoredItem {
    /// Checks that the row is the newest under its key, and opens it.
    pub fn open(&self, reads: &dyn Reads, vault: &VaultId, tree: Tree) -> Result<Content, Fault> {
        let entry = reads.entry(tree, self.head.position)?.ok_or(Fault::Torn)?;
        self.open_with(vault, &entry)
    }

    /// The same where its key is somewhere else than where its row says: with a keep reason.
    pub fn open_with(&self, vault: &VaultId, entry: &Entry) -> Result<Content, Fault> {
        let envelope = self.check(vault, entry)?;
        let place = item_place(vault, &self.id, &self.head, entry);
        let open = |part, sealed: &[u8]| envelope.open(place, part, &self.commitment, sealed).map_err(|_| Fault::Torn);
        let value = match self.head.day {
            None => open(Part::Value, &self.value)?,
            Some(_) => PlainValue::new(Vec::new()),
        };
        Ok(Content { value, notes: open(Part::Notes, &self.notes)? })
    }

    /// Checks that the row is the newest under its key. The key's entry.
    pub fn entry(&self, reads: &dyn Reads, vault: &VaultId, tree: Tree) -> Result<Entry, Fault> {
        let entry = reads.entry(tree, self.head.position)?.ok_or(Fault::Torn)?;
        self.check(vault, &entry)?;
        Ok(entry)
    }

    fn check(&self, vault: &VaultId, entry: &Entry) -> Result<Envelope, Fault> {
        if entry.extra != self.head.counter {
            return Err(Fault::Torn);
        }
        let envelope = Envelope::derive(Kind::Item, &entry.key);
        let place = item_place(vault, &self.id, &self.head, entry);
        let code = envelope.check(place, &authenticated(&self.clear, &self.notes), &self.code);
        code.map_err(|_| Fault::Torn)?;
        Ok(envelope)
    }
}

impl StoredItem {
    /// The row with another clear part under the same key; value and free text stay as they were sealed.
    pub fn with_head(&self, vault: &VaultId, head: &ItemHead, entry: &Entry) -> Vec<u8> {
        let envelope = Envelope::derive(Kind::Item, &entry.key);
        let clear = write_head(head);
        let code = envelope.authenticate(item_place(vault, &self.id, head, entry), &authenticated(&clear, &self.notes));
        encode_row(head, &clear, [&code, envelope.commitment()], &self.value, &self.notes)
    }

    /// The row, as it was read.
    pub fn row(&self) -> Vec<u8> {
        encode_row(&self.head, &self.clear, [&self.code, &self.commitment], &self.value, &self.notes)
    }

    /// The length of its sealed parts: about that of what they hold.
    pub fn sealed_len(&self) -> usize {
        self.value.len() + self.notes.len()
    }
}

fn encode_row(
    head: &ItemHead,
    clear: &[u8],
    [code, commitment]: [&[u8; 32]; 2],
    value: &[u8],
    notes: &[u8],
) -> Vec<u8> {
    Writer::with_capacity(value.len() + notes.len() + clear.len() + 128)
        .u8(VERSION)
        .u8(if head.day.is_some() { DAY } else { LIVE })
        .bytes(clear)
        .raw(code)
        .raw(commitment)
        .bytes(value)
        .bytes(notes)
        .finish()
}

fn authenticated(clear: &[u8], notes: &[u8]) -> Vec<u8> {
    Writer::new().bytes(clear).bytes(notes).finish()
}

fn item_place<'a>(vault: &'a VaultId, id: &'a ItemId, head: &'a ItemHead, entry: &Entry) -> Place<'a> {
    let class = head.class.as_str();
    Place { vault, owner: id.as_bytes(), class, version: head.version, generation: entry.generation }
}
