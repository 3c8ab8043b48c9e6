//! What an act of forgetting takes with it: the one place that decides, on the writer's thread, for deletion, correction
//! and erasure alike. Which rows belong to an item is for `rows` to say; the kinds of rows whose
//! keys begin with the subject are listed here.
//!
//! Which reasons keep an item version is asked here too, version by version, when the intent is lodged. In this release
//! nothing but the account keeps anything, so what is asked for goes whole; what another reason keeps is to be listed in
//! the case's `kept` and left out of the keys.

use crate::base::id::{ReceiptId, SubjectId};
use crate::gate::intents::{DoomedRow, Intent, What};
use crate::gate::receipts::{Case, Ground, Scope};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads as _, Txn};
use crate::keys::page::{Entry, Tree};
use crate::store::keyspace::Space;

use super::record::{OpenSubject, StoredItem};
use super::rows::{doomed_rows, doomed_rows_of_subject};
use super::subject::items_of;

/// What goes with an item that is deleted.
pub fn with_item(
    txn: &Txn<'_>,
    subject: &OpenSubject,
    item: &StoredItem,
    receipt: ReceiptId,
) -> Result<Intent, Refusal> {
    let rows = doomed_rows(txn, subject, item)?;
    version(txn, subject, item, receipt, (What::Item, Scope::Item), rows)
}

/// What goes with the version that a correction replaced: the item's row holds the next one already. `rows` are those of
/// that version.
pub fn with_version(
    txn: &Txn<'_>,
    subject: &OpenSubject,
    item: &StoredItem,
    receipt: ReceiptId,
    rows: Vec<DoomedRow>,
) -> Result<Intent, Refusal> {
    version(txn, subject, item, receipt, (What::Version, Scope::Version), rows)
}

/// What goes with a subject: its page, and so every key of it; and the rows of it and of its items, whatever is in them.
pub fn with_subject(
    txn: &Txn<'_>,
    subject: &OpenSubject,
    receipt: ReceiptId,
    ground: Ground,
) -> Result<Intent, Refusal> {
    let mut index = index_rows(txn, subject)?;
    for item in items_of(txn, &subject.id)? {
        index.extend(doomed_rows(txn, subject, &item)?.into_iter().filter(|row| row.space == Space::Index));
    }
    let mut case = Case::new(Scope::Subject, ground, txn.now(), txn.key_names(subject.tree())?)?;
    case.indexed = !index.is_empty();
    let mut rows = below_subject(&subject.id);
    rows.extend(index);
    Ok(Intent {
        receipt,
        what: What::Subject,
        class: String::new(),
        subject: Some(subject.id),
        item: None,
        targets: vec![(Tree::Subjects, subject.row.position)],
        rows,
        case: Some(case),
    })
}

/// Makes the row that a tombstone replaces one that no longer fits the page: should somebody put it back while the epoch
/// is awaited, it is refused.
pub fn outdate(txn: &mut Txn<'_>, tree: Tree, position: u64) -> Result<(), Refusal> {
    let entry = txn.entry(tree, position)?.ok_or(Unavailable::Damaged)?;
    Ok(txn.set(tree, position, &Entry { extra: entry.extra + 1, ..entry })?)
}

/// The rows that lead from the caller's id to a subject.
pub fn index_rows(txn: &Txn<'_>, subject: &OpenSubject) -> Result<Vec<DoomedRow>, Fault> {
    let rows = doomed_rows_of_subject(txn, subject)?;
    Ok(rows.into_iter().filter(|row| row.space == Space::Index).collect())
}

/// The kinds of rows whose keys begin with the subject.
pub const BELOW_SUBJECT: [Space; 5] = [Space::Item, Space::EventDay, Space::EventSegment, Space::Chunk, Space::Upload];

fn below_subject(subject: &SubjectId) -> Vec<DoomedRow> {
    let below = |space: Space| DoomedRow { space, key: subject.as_bytes().to_vec(), prefix: true };
    BELOW_SUBJECT.into_iter().map(below).collect()
}

fn version(
    txn: &Txn<'_>,
    subject: &OpenSubject,
    item: &StoredItem,
    receipt: ReceiptId,
    (what, scope): (What, Scope),
    rows: Vec<DoomedRow>,
) -> Result<Intent, Refusal> {
    let entry = txn.entry(subject.tree(), item.head.position)?.ok_or(Unavailable::Damaged)?;
    let mut case = Case::new(scope, Ground::Unstated, txn.now(), vec![entry.name()])?;
    case.indexed = rows.iter().any(|row| row.space == Space::Index);
    Ok(Intent {
        receipt,
        what,
        class: item.head.class.as_str().into(),
        subject: Some(subject.id),
        item: Some(item.id),
        targets: vec![(subject.tree(), item.head.position)],
        rows,
        case: Some(case),
    })
}
