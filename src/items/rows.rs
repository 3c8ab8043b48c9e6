//! Which rows belong to what: the one place that knows, for those who store and for those who forget.
//!
//! A version of an item has its own blind index rows, under every index key in use, so that they can go with the
//! version although the next one holds the same identifiers. A day of events has its segments, and the row that leads
//! from the day to it.

use crate::base::id::{ItemId, SubjectId};
use crate::catalog::class::{ClassId, Form, Identifier};
use crate::catalog::classes::{CanonicalValue, class_of};
use crate::gate::index;
use crate::gate::intents::DoomedRow;
use crate::gate::refusal::Refusal;
use crate::gate::txn::{Fault, Reads, Txn};
use crate::gate::uploads::{self, UploadPlace};
use crate::keep::kept::{self, Under};
use crate::keys::page::Tree;
use crate::store::keyspace::Space;

use super::content::document_of;
use super::record::day::{day_key, segment_prefix};
use super::record::{Content, OpenSubject, Owner, StoredItem, UploadRow, decode_upload, item_key};

/// The rows of an item, by what becomes of them when its newest version goes.
#[derive(Default)]
pub struct ItemRows {
    /// Those that go in any case: its own, and those by which it is found.
    pub own: Vec<DoomedRow>,
    /// What the version holds besides, such as the events of a day: it goes with the version's last keep reason.
    pub content: Vec<DoomedRow>,
    /// What unfinished uploads have brought.
    pub unfinished: Vec<DoomedRow>,
    /// Whether rows of the index may lead to the item that are not among its own: what it holds does not read.
    pub is_unsearched: bool,
}

impl ItemRows {
    /// All rows of an item. With `apart`, those of earlier versions that are still kept are left out.
    ///
    /// An item that is damaged can be forgotten all the same; of its index rows only a rotation of the index keys rids us.
    pub fn of(txn: &Txn<'_>, owner: Owner, item: &StoredItem, apart: bool) -> Result<Self, Fault> {
        let mut rows = Self { own: vec![whole(Space::Item, item_key(&owner.id, &item.id))], ..Self::default() };
        match content_of_version(txn, owner, item) {
            Ok(content) => rows.own.extend(doomed_rows_of_version(txn, item, content.as_ref())?),
            Err(Fault::Torn) => {
                tracing::warn!("a damaged item is forgotten without the rows that lead to it");
                rows.is_unsearched = true;
            }
            Err(refused) => return Err(refused),
        }
        if let Some(state) = &item.head.day {
            rows.own.push(whole(Space::EventDay, day_key(&owner.id, item.head.class, state.day, &item.id)));
            rows.content.push(below(Space::EventSegment, segment_prefix(&owner.id, &item.id)));
        }
        if is_document(item) && apart {
            rows.unfinished = unfinished(txn, &item_key(&owner.id, &item.id))?;
            rows.content.extend(content_key(txn, owner, item)?.map(|key| below(Space::Chunk, key)));
        } else if is_document(item) {
            rows.content.push(below(Space::Chunk, item_key(&owner.id, &item.id)));
        }
        Ok(rows)
    }

    /// Those of an item whose row is not what was stored, as far as the item's id leads to them. With `apart`, earlier
    /// versions are kept, and what the item holds in rows of its own may be theirs.
    pub fn of_damaged(owner: Owner, item: &ItemId, apart: bool) -> Self {
        let own = vec![whole(Space::Item, item_key(&owner.id, item))];
        let segments = below(Space::EventSegment, segment_prefix(&owner.id, item));
        let chunks = below(Space::Chunk, item_key(&owner.id, item));
        let content = if apart { Vec::new() } else { vec![segments, chunks] };
        Self { own, content, unfinished: Vec::new(), is_unsearched: true }
    }

    /// All of them.
    pub fn all(self) -> Vec<DoomedRow> {
        [self.own, self.content, self.unfinished].concat()
    }
}

/// What unfinished uploads of a subject, or of one of its items, have brought.
pub fn unfinished(reads: &dyn Reads, below_key: &[u8]) -> Result<Vec<DoomedRow>, Fault> {
    let mut rows = Vec::new();
    for (key, row) in reads.rows(Space::Upload, below_key, &[], usize::MAX)? {
        if let UploadRow::Pending(_) = decode_upload(UploadPlace::of_key(&key)?, &row)? {
            rows.push(below(Space::Chunk, key));
        }
    }
    Ok(rows)
}

/// The start of the keys of a document's content. Of a damaged one it cannot be told: then all that there is of the item,
/// unless some of it is kept, which must not go with it.
fn content_key(reads: &dyn Reads, owner: Owner, item: &StoredItem) -> Result<Option<Vec<u8>>, Fault> {
    let described = item.open(reads, reads.index().vault(), owner.tree()).and_then(|content| {
        document_of(CanonicalValue::decode(item.head.class, content.value.expose()).map_err(|_| Fault::Torn)?)
    });
    match described {
        Ok(described) => {
            let upload = described.content.upload();
            Ok(Some(UploadPlace { subject: owner.id, item: item.id, upload }.key()))
        }
        Err(Fault::Torn) if kept::exists(reads, Under::Item(item.id))? => Ok(None),
        Err(Fault::Torn) => Ok(Some(item_key(&owner.id, &item.id))),
        Err(refused) => Err(refused),
    }
}

/// Ends the unfinished uploads that would make new versions of an item, so that none does. Their keys, to be forgotten
/// with the item's.
pub fn end_uploads(txn: &mut Txn<'_>, subject: &OpenSubject, item: &StoredItem) -> Result<Vec<(Tree, u64)>, Fault> {
    let mut targets = Vec::new();
    if !is_document(item) {
        return Ok(targets);
    }
    for (key, row) in txn.rows(Space::Upload, &item_key(&subject.id, &item.id), &[], usize::MAX)? {
        if let UploadRow::Pending(upload) = unnote(txn, &key, &row)? {
            targets.push((subject.tree(), upload.position));
        }
        txn.delete(Space::Upload, key);
    }
    Ok(targets)
}

/// Deletes the rows that say when uploads of a subject end: their keys name the subject, and they would outlive it. What
/// else there is of its uploads goes with its other rows. What the unfinished ones have brought.
pub fn forget_ends_of_uploads(txn: &mut Txn<'_>, subject: &SubjectId) -> Result<Vec<DoomedRow>, Fault> {
    let mut brought = Vec::new();
    for (key, row) in txn.rows(Space::Upload, subject.as_bytes(), &[], usize::MAX)? {
        match unnote(txn, &key, &row) {
            Ok(UploadRow::Pending(_)) => brought.push(below(Space::Chunk, key)),
            Ok(_) => {}
            Err(_) => tracing::warn!("a damaged upload is forgotten; when it ends is forgotten when it does"),
        }
    }
    Ok(brought)
}

fn unnote(txn: &mut Txn<'_>, key: &[u8], row: &[u8]) -> Result<UploadRow, Fault> {
    let place = UploadPlace::of_key(key)?;
    let upload = decode_upload(place, row)?;
    if let Some(expires) = upload.expires() {
        uploads::unnote(txn, &place, expires);
    }
    Ok(upload)
}

/// The rows of the version that an item has now, but for the item's own row. `content` is what it holds; it is needed
/// only of a class with identifiers.
pub fn doomed_rows_of_version(
    reads: &dyn Reads,
    item: &StoredItem,
    content: Option<&Content>,
) -> Result<Vec<DoomedRow>, Fault> {
    let mut rows = Vec::new();
    if let Some(content) = content {
        for identifier in identifiers(item.head.class, content)? {
            let keys = index::rows(reads, &identifier, Some((&item.id, item.head.version)));
            rows.extend(keys.into_iter().map(|key| whole(Space::Index, key)));
        }
    }
    Ok(rows)
}

/// The rows of a subject itself: its own, and that of the caller's id.
pub fn doomed_rows_of_subject(reads: &dyn Reads, subject: &OpenSubject) -> Result<Vec<DoomedRow>, Fault> {
    let mut rows = vec![whole(Space::Subject, subject.id.as_bytes().to_vec())];
    let external_id = subject.external_id(reads.index().vault())?;
    if !external_id.is_empty() {
        let keys = index::rows(reads, &Identifier::external_id(&external_id), None);
        rows.extend(keys.into_iter().map(|key| whole(Space::Index, key)));
    }
    Ok(rows)
}

/// Writes the index rows of a version.
pub fn put_index(
    txn: &mut Txn<'_>,
    subject: &SubjectId,
    (item, version): (&ItemId, u64),
    identifiers: &[Identifier],
) -> Result<(), Refusal> {
    identifiers.iter().try_for_each(|identifier| index::put(txn, identifier, *subject, Some((item, version))))
}

/// The identifiers in what an item holds.
pub fn identifiers(class: ClassId, content: &Content) -> Result<Vec<Identifier>, Fault> {
    let value = CanonicalValue::decode(class, content.value.expose()).map_err(|_| Fault::Torn)?;
    Ok(value.identifiers())
}

/// What an item holds, if its class has identifiers.
fn content_of_version(reads: &dyn Reads, owner: Owner, item: &StoredItem) -> Result<Option<Content>, Fault> {
    let class = class_of(item.head.class.as_str()).ok_or(Fault::Torn)?;
    if class.identifiers.is_empty() {
        return Ok(None);
    }
    item.open(reads, reads.index().vault(), owner.tree()).map(Some)
}

fn is_document(item: &StoredItem) -> bool {
    class_of(item.head.class.as_str()).is_some_and(|class| class.form == Form::Document)
}

fn whole(space: Space, key: Vec<u8>) -> DoomedRow {
    DoomedRow { space, key, prefix: false }
}

/// All rows whose keys begin so.
pub fn below(space: Space, key: Vec<u8>) -> DoomedRow {
    DoomedRow { space, key, prefix: true }
}
