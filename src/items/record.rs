//! The rows of subjects and items, and the keys that open them.
//!
//! A row's clear part holds random ids, registry codes, flags and times, and is authenticated under the key that dies
//! with what it describes, together with a counter that the page keeps beside that key: an older row is refused.

use crate::audit::detail::DetailKeys;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, ReceiptId, SubjectId, VaultId};
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::catalog::purpose::PurposeId;
use crate::catalog::text::Text;
use crate::crypto::{aead, kdf, label, mac};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Reads};
use crate::keys::envelope::{Envelope, Kind, Part, Place};
use crate::keys::page::{Entry, Tree};
use crate::policy::question::{Resource, Standing};
use crate::store::keyspace::Space;

use super::model::{Notes, Recipient, SubjectRef};

/// The subject's own keys, at fixed positions of its tree.
pub const AUDIT_POSITION: u64 = 0;
/// See [`AUDIT_POSITION`].
pub const RECORD_POSITION: u64 = 1;

const VERSION: u8 = 1;

/// A purpose to which a person objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The purpose.
    pub purpose: String,
    /// For this class only; none for all.
    pub class: Option<ClassId>,
}

/// The row of a subject.
pub struct SubjectRow {
    /// Its position among the subjects.
    pub position: u64,
    /// When it was created.
    pub created: Timestamp,
    /// What access rules may know of it: labels, and whether its processing is restricted. In clear.
    pub standing: Standing,
    /// Purposes to which the person objects: for one class, or for all. In clear.
    pub objections: Vec<Objection>,
    /// The caller's id, sealed.
    pub external: Vec<u8>,
}

impl SubjectRow {
    /// The row, authenticated under the record key.
    pub fn encode(&self, vault: &VaultId, id: &SubjectId, record: &Entry) -> Vec<u8> {
        let clear = self.clear(record.extra);
        let envelope = Envelope::derive(Kind::Subject, &record.key);
        let code = envelope.authenticate(subject_place(vault, id, record), &clear);
        Writer::new().bytes(&clear).raw(&code).raw(envelope.commitment()).finish()
    }

    fn clear(&self, counter: u64) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .u64(self.position)
            .u64(counter)
            .i64(self.created.as_millis())
            .list(self.standing.labels.iter(), |w, (name, value)| w.text(name).text(value))
            .u8(self.standing.restricted.into())
            .list(self.objections.iter(), |w, objection| {
                w.text(&objection.purpose).option(objection.class, |w, class| w.text(class.as_str()))
            })
            .bytes(&self.external)
            .finish()
    }

    fn decode(clear: &[u8]) -> Result<(Self, u64), Malformed> {
        let mut r = Reader::new(clear);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let (position, counter) = (r.u64()?, r.u64()?);
        let row = Self {
            position,
            created: Timestamp::from_millis(r.i64()?),
            standing: Standing {
                labels: r.list(|r| Ok((r.text()?.to_owned(), r.text()?.to_owned())))?.into(),
                restricted: r.u8()? == 1,
            },
            objections: r.list(|r| {
                let purpose = r.text()?.to_owned();
                Ok(Objection { purpose, class: r.option(|r| class_of(r.text()?).map(|c| c.id).ok_or(Malformed))? })
            })?,
            external: r.bytes()?.to_vec(),
        };
        r.finish()?;
        Ok((row, counter))
    }
}

/// A subject whose row and keys fit together.
pub struct OpenSubject {
    /// Its id.
    pub id: SubjectId,
    /// Its row.
    pub row: SubjectRow,
    /// The key of its record, and the counter.
    pub record: Entry,
    commitment: [u8; 32],
}

impl OpenSubject {
    /// The tree of its keys.
    pub fn tree(&self) -> Tree {
        Tree::Subject(self.id, self.row.position)
    }

    /// Items of a class of it, as access rules see them.
    pub fn data(&self, purpose: &PurposeId, class: ClassId) -> Resource {
        let objects = |objection: &Objection| {
            objection.purpose == purpose.as_str() && objection.class.is_none_or(|only| only == class)
        };
        let objected = self.row.objections.iter().any(objects);
        Resource::Data { class, standing: self.row.standing.clone(), objected, kept: false }
    }

    /// The keys of its entries in the log.
    pub fn detail_keys(&self, reads: &dyn Reads) -> Result<DetailKeys, Fault> {
        let audit = reads.entry(self.tree(), AUDIT_POSITION)?.ok_or(Fault::Torn)?;
        Ok(DetailKeys::derive(&audit.key))
    }

    /// The caller's id for it.
    pub fn external_id(&self, vault: &VaultId) -> Result<Text, Fault> {
        if self.row.external.is_empty() {
            return Ok(Text::default());
        }
        let envelope = Envelope::derive(Kind::Subject, &self.record.key);
        let place = subject_place(vault, &self.id, &self.record);
        let plain = envelope.open(place, Part::Value, &self.commitment, &self.row.external).map_err(|_| Fault::Torn)?;
        std::str::from_utf8(plain.expose()).map(Text::from).map_err(|_| Fault::Torn)
    }
}

/// Seals a caller's id for a subject's row.
pub fn seal_external(vault: &VaultId, id: &SubjectId, record: &Entry, external: &Text) -> Result<Vec<u8>, Refusal> {
    if external.is_empty() {
        return Ok(Vec::new());
    }
    let envelope = Envelope::derive(Kind::Subject, &record.key);
    let sealed = envelope.seal(subject_place(vault, id, record), Part::Value, external.expose().as_bytes());
    Ok(sealed.map_err(|_| Unavailable::Internal)?)
}

/// Reads a subject and checks that its row is the newest and its own.
pub fn open_subject(reads: &dyn Reads, vault: &VaultId, id: SubjectId) -> Result<OpenSubject, Fault> {
    let row = reads.row(Space::Subject, id.as_bytes())?.ok_or(Fault::Refused(State::NotFound.into()))?;
    let torn = |_| Fault::Torn;
    let mut r = Reader::new(&row);
    let clear = r.bytes().map_err(torn)?;
    let code: [u8; 32] = r.array().map_err(torn)?;
    let commitment: [u8; 32] = r.array().map_err(torn)?;
    r.finish().map_err(torn)?;
    let (row, counter) = SubjectRow::decode(clear).map_err(torn)?;
    let record = reads.entry(Tree::Subject(id, row.position), RECORD_POSITION)?.ok_or(Fault::Torn)?;
    let envelope = Envelope::derive(Kind::Subject, &record.key);
    let place = subject_place(vault, &id, &record);
    if counter != record.extra || envelope.check(place, clear, &code).is_err() {
        return Err(Fault::Torn);
    }
    Ok(OpenSubject { id, row, record, commitment })
}

/// Whom a request names, ready to be looked up: owned, so that it can travel to the writer's thread.
pub enum Target {
    /// By the vault's id.
    Id(SubjectId),
    /// By the caller's, through the blind index.
    Indexed(IndexRow, Text),
}

impl Target {
    /// From a reference.
    pub fn of(vault: &VaultId, index_key: &Key, named: &SubjectRef) -> Self {
        match named {
            SubjectRef::Id(id) => Self::Id(*id),
            SubjectRef::External(id) => Self::Indexed(IndexRow::of(vault, index_key, id), id.duplicate()),
        }
    }

    /// The subject's id; what is not there is found out when it is opened.
    pub fn id(&self, reads: &dyn Reads) -> Result<SubjectId, Fault> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Indexed(index, _) => {
                let sealed = reads.row(Space::Index, &index.key)?.ok_or(Fault::Refused(State::NotFound.into()))?;
                index.open(&sealed)
            }
        }
    }

    /// The subject.
    pub fn open(&self, reads: &dyn Reads, vault: &VaultId) -> Result<OpenSubject, Fault> {
        let subject = open_subject(reads, vault, self.id(reads)?)?;
        match self {
            Self::Id(_) => Ok(subject),
            Self::Indexed(_, named) => {
                // A token is truncated: the subject's own record decides.
                let own = subject.external_id(vault)?;
                let same = mac::equal(own.expose().as_bytes(), named.expose().as_bytes());
                if same { Ok(subject) } else { Err(Fault::Refused(State::NotFound.into())) }
            }
        }
    }
}

/// The blind index row of a caller's id: a truncated keyed token leads to a sealed subject id.
pub struct IndexRow {
    /// The row's key.
    pub key: Vec<u8>,
    seal: Key,
    aad: Vec<u8>,
}

impl IndexRow {
    /// The row for an id.
    pub fn of(vault: &VaultId, index_key: &Key, external: &Text) -> Self {
        let field = b"external_id";
        let token = kdf::derive_key(b"", index_key, label::INDEX_TOKEN, &[field]);
        let token = mac::mac(&token, label::INDEX_TOKEN, &[field, external.expose().as_bytes()]);
        let key = Writer::new().u8(1).raw(&token[..16]).finish();
        let seal = kdf::derive_key(b"", index_key, label::INDEX_SEAL, &[field]);
        let aad = Writer::new().bytes(label::INDEX_ROW.as_bytes()).bytes(vault.as_bytes()).bytes(&key).finish();
        Self { key, seal, aad }
    }

    /// The row's value.
    pub fn seal(&self, subject: &SubjectId) -> Result<Vec<u8>, Refusal> {
        Ok(aead::seal(&self.seal, &self.aad, subject.as_bytes()).map_err(|_| Unavailable::Internal)?)
    }

    fn open(&self, sealed: &[u8]) -> Result<SubjectId, Fault> {
        let plain = aead::open(&self.seal, &self.aad, sealed).map_err(|_| Fault::Torn)?;
        plain.expose().try_into().map(SubjectId::from_bytes).map_err(|_| Fault::Torn)
    }
}

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
        }
    }

    /// What a caller compares to see whether the item changed.
    pub fn etag(&self) -> String {
        format!("v{}.{}", self.version, self.counter)
    }
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
        LIVE => {
            let clear = r.bytes()?.to_vec();
            let item = StoredItem {
                id,
                head: read_head(&clear)?,
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
    Writer::new()
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
        .u8(head.automated_decision.into())
        .finish()
}

fn read_head(clear: &[u8]) -> Result<ItemHead, Malformed> {
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
    };
    r.finish()?;
    Ok(head)
}

/// Seals an item and encodes its row. `entry.extra` must be the head's counter.
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
    let value = envelope.seal(place, Part::Value, value.expose()).map_err(|_| Unavailable::Internal)?;
    let notes = envelope.seal(place, Part::Notes, notes.expose()).map_err(|_| Unavailable::Internal)?;
    let clear = write_head(head);
    let code = envelope.authenticate(place, &authenticated(&clear, &notes));
    Ok(encode_row(&clear, &code, envelope.commitment(), &value, &notes))
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
        let envelope = Envelope::derive(Kind::Item, &entry.key);
        let place = item_place(vault, &self.id, &self.head, &entry);
        let torn = |_| Fault::Torn;
        if entry.extra != self.head.counter {
            return Err(Fault::Torn);
        }
        envelope.check(place, &authenticated(&self.clear, &self.notes), &self.code).map_err(torn)?;
        Ok(Content {
            value: envelope.open(place, Part::Value, &self.commitment, &self.value).map_err(torn)?,
            notes: envelope.open(place, Part::Notes, &self.commitment, &self.notes).map_err(torn)?,
        })
    }
}

impl StoredItem {
    /// The row with another clear part under the same key; value and free text stay as they were sealed.
    pub fn with_head(&self, vault: &VaultId, head: &ItemHead, entry: &Entry) -> Vec<u8> {
        let envelope = Envelope::derive(Kind::Item, &entry.key);
        let clear = write_head(head);
        let code = envelope.authenticate(item_place(vault, &self.id, head, entry), &authenticated(&clear, &self.notes));
        encode_row(&clear, &code, envelope.commitment(), &self.value, &self.notes)
    }

    /// The length of its sealed parts: about that of what they hold.
    pub fn sealed_len(&self) -> usize {
        self.value.len() + self.notes.len()
    }
}

fn encode_row(clear: &[u8], code: &[u8; 32], commitment: &[u8; 32], value: &[u8], notes: &[u8]) -> Vec<u8> {
    Writer::with_capacity(value.len() + notes.len() + clear.len() + 128)
        .u8(VERSION)
        .u8(LIVE)
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

fn subject_place<'a>(vault: &'a VaultId, id: &'a SubjectId, record: &Entry) -> Place<'a> {
    Place { vault, owner: id.as_bytes(), class: "", version: 1, generation: record.generation }
}

/// Encodes the free text of metadata.
pub fn encode_notes(notes: &Notes) -> PlainValue {
    PlainValue::new(
        Writer::with_capacity(1024)
            .u8(VERSION)
            .text(notes.source.expose())
            .list(notes.recipients.iter(), |w, recipient| {
                w.text(recipient.name.expose()).text(recipient.country_code.expose()).text(recipient.safeguard.expose())
            })
            .text(notes.automated_decision_logic.expose())
            .finish(),
    )
}

/// Decodes the free text of metadata.
pub fn decode_notes(bytes: &PlainValue) -> Result<Notes, Fault> {
    let read = || {
        let mut r = Reader::new(bytes.expose());
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let notes = Notes {
            source: Text::from(r.text()?),
            recipients: r.list(|r| {
                Ok(Recipient {
                    name: Text::from(r.text()?),
                    country_code: Text::from(r.text()?),
                    safeguard: Text::from(r.text()?),
                })
            })?,
            automated_decision_logic: Text::from(r.text()?),
        };
        r.finish()?;
        Ok(notes)
    };
    read().map_err(|_: Malformed| Fault::Torn)
}
