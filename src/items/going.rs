//! What an act of forgetting takes with it: the one place that decides, on the writer's thread, for deletion, correction
//! and erasure alike. Which rows belong to an item is for `rows` to say; the kinds of rows whose
//! keys begin with the subject are listed here.
//!
//! Which reasons keep an item version is asked here too, version by version, when the intent is lodged: its key is copied
//! to each of them and its row is put aside in the same batch. The receipt lists it as kept, and not among the keys that go.

use crate::base::id::{KeyId, ReceiptId, SubjectId};
use crate::catalog::registry::Registry;
use crate::catalog::statutory::Times;
use crate::gate::index::newest_keys;
use crate::gate::intents::{DoomedRow, Intent, What};
use crate::gate::receipts::{Case, ForgottenKeys, Ground, KeptVersion, Scope};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Reads as _, Txn};
use crate::keep::keeping::{Keeping, Leaving};
use crate::keep::kept::VersionId;
use crate::keys::page::{Entry, Tree};
use crate::store::keyspace::Space;

use super::expiry;
use super::record::{OpenSubject, StoredItem};
use super::rows::{doomed_rows, doomed_rows_of_subject, forget_ends_of_uploads};
use super::subject::items_of;

/// What goes with an item that is deleted.
pub fn with_item(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    item: &StoredItem,
    (receipt, registry): (ReceiptId, &Registry),
) -> Result<Intent, Refusal> {
    let rows = doomed_rows(txn, subject, item)?;
    expiry::take_back(txn, &subject.id, item)?;
    version(txn, subject, item, (receipt, registry), (What::Item, Scope::Item), rows)
}

/// What goes with the version that a correction replaced: the item's row holds the next one already. `rows` are those of
/// that version.
pub fn with_version(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    item: &StoredItem,
    (receipt, registry): (ReceiptId, &Registry),
    rows: Vec<DoomedRow>,
) -> Result<Intent, Refusal> {
    version(txn, subject, item, (receipt, registry), (What::Version, Scope::Version), rows)
}

/// What goes with a subject: its page, and so every key of it; and the rows of it and of its items, whatever is in them.
pub fn with_subject(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    (receipt, registry): (ReceiptId, &Registry),
    ground: Ground,
) -> Result<Intent, Refusal> {
    let mut case = Case::new(Scope::Subject, ground, txn.now(), Vec::new())?;
    let mut names = txn.key_names(subject.tree())?;
    let mut index = index_rows(txn, subject)?;
    let mut keeping = Keeping::of(txn, subject.id, registry)?;
    for item in items_of(txn, &subject.id)? {
        let rows = doomed_rows(txn, subject, &item)?;
        expiry::take_back(txn, &subject.id, &item)?;
        if !keeping.is_empty() {
            let entry = txn.entry(subject.tree(), item.head.position)?.ok_or(Unavailable::Damaged)?;
            let mut leaving = leaving(&item, &entry, &rows);
            leaving.times.closed = Some(txn.now());
            refuse_to_part(txn, &keeping, &leaving)?;
            if let Some(kept) = keeping.keep(txn, leaving, receipt, case.pseudonym)? {
                names.retain(|name| *name != entry.name());
                case.kept.push(kept);
            }
        }
        index.extend(rows.into_iter().filter(|row| row.space == Space::Index));
    }
    keeping.finish(txn, &receipt)?;
    forget_ends_of_uploads(txn, &subject.id)?;
    case.keys = ForgottenKeys::of(names);
    case = case.indexed_under(keys_of(txn, &index));
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

/// The index keys that these rows are under, as far as they are rows of the index.
fn keys_of(txn: &Txn<'_>, rows: &[DoomedRow]) -> Vec<KeyId> {
    let index = rows.iter().filter(|row| row.space == Space::Index);
    newest_keys(txn.index().vault(), index.map(|row| &row.key[..]))
}

fn below_subject(subject: &SubjectId) -> Vec<DoomedRow> {
    let below = |space: Space| DoomedRow { space, key: subject.as_bytes().to_vec(), prefix: true };
    BELOW_SUBJECT.into_iter().map(below).collect()
}

fn version(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    item: &StoredItem,
    (receipt, registry): (ReceiptId, &Registry),
    (what, scope): (What, Scope),
    mut rows: Vec<DoomedRow>,
) -> Result<Intent, Refusal> {
    let entry = txn.entry(subject.tree(), item.head.position)?.ok_or(Unavailable::Damaged)?;
    let mut case = Case::new(scope, Ground::Unstated, txn.now(), Vec::new())?;
    case = case.indexed_under(keys_of(txn, &rows));
    match keep(txn, Keeping::of(txn, subject.id, registry)?, leaving(item, &entry, &rows), receipt, &case)? {
        Some(kept) => {
            case.kept.push(kept);
            rows.retain(goes_now);
        }
        None => case.keys = ForgottenKeys::of(vec![entry.name()]),
    }
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

/// Keeps a version, if some reason does.
fn keep(
    txn: &mut Txn<'_>,
    mut keeping: Keeping<'_>,
    leaving: Leaving<'_>,
    receipt: ReceiptId,
    case: &Case,
) -> Result<Option<KeptVersion>, Refusal> {
    refuse_to_part(txn, &keeping, &leaving)?;
    let kept = keeping.keep(txn, leaving, receipt, case.pseudonym)?;
    keeping.finish(txn, &receipt)?;
    Ok(kept)
}

/// What an item holds in rows of its own, such as the events of a day, is not put aside in this release: as long as a
/// reason covers it, the account keeps it, and what would end it is refused.
fn refuse_to_part(txn: &Txn<'_>, keeping: &Keeping<'_>, leaving: &Leaving<'_>) -> Result<(), Refusal> {
    let is_whole = leaving.rows.is_empty();
    if !is_whole && keeping.covers(txn, leaving)? { Err(State::NotFromHere.into()) } else { Ok(()) }
}

fn leaving<'e>(item: &StoredItem, entry: &'e Entry, rows: &[DoomedRow]) -> Leaving<'e> {
    let id = VersionId { item: item.id, version: item.head.version, counter: item.head.counter };
    let rows = rows.iter().filter(|row| !goes_now(row)).cloned().collect();
    let times = Times { created: item.head.created, updated: item.head.updated, closed: None };
    Leaving { id, class: item.head.class, times, entry, row: item.row(), rows }
}

/// Rows that go although the version is kept: its own, a copy of which is put aside, and those by which it is found.
fn goes_now(row: &DoomedRow) -> bool {
    matches!(row.space, Space::Item | Space::Index)
}
