//! What an act of forgetting takes with it: the one place that decides, on the writer's thread, for deletion, correction
//! and erasure alike. Which rows belong to an item is for `rows` to say; the kinds of rows whose
//! keys begin with the subject are listed here.
//!
//! Which reasons keep an item version is asked here too, version by version, when the intent is lodged: its key is copied
//! to each of them and its row is put aside in the same batch. The receipt lists it as kept, and not among the keys that go.
//! What a version holds in rows of its own, such as a document's content, is not moved: those rows are left out of what goes.

use std::collections::HashSet;

use crate::base::id::ReceiptId;
use crate::catalog::registry::Registry;
use crate::gate::index::NewestKeys;
use crate::gate::intents::{DoomedRow, Intent, What};
use crate::gate::receipts::{Case, ForgottenKeys, Ground, History, Scope};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads as _, Txn};
use crate::keep::keeping::{Keeping, Leaving};
use crate::keep::kept::{self, Under};
use crate::keys::page::{Entry, KeyName, Tree};
use crate::store::keyspace::Space;

use super::expiry;
use super::parting::{Deciding, Decision, Portion, leaving};
use super::record::{AUDIT_POSITION, OpenSubject, Owner, StoredItem};
use super::rows::{ItemRows, below, doomed_rows_of_subject, forget_ends_of_uploads};

/// What goes with an item that is deleted.
pub fn with_item(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    item: &StoredItem,
    (receipt, registry): (ReceiptId, &Registry),
) -> Result<Intent, Refusal> {
    let keeping = Keeping::of(txn, (subject.id, subject.row.holds), registry)?;
    match item.entry(txn, txn.index().vault(), subject.tree()) {
        // Where its row is not what was stored, its class and its key may be another's, which a hold keeps.
        Err(Fault::Torn) if keeping.has_holds() => return Err(Unavailable::Damaged.into()),
        Err(Fault::Refused(refusal)) => return Err(refusal),
        Ok(_) | Err(Fault::Torn) => {}
    }
    let entry = txn.entry(subject.tree(), item.head.position)?.ok_or(Unavailable::Damaged)?;
    let apart = keeping.covers(txn, &leaving(item, &entry, None))? || kept::exists(txn, Under::Item(item.id))?;
    let rows = ItemRows::of(txn, subject.owner(), item, apart)?;
    expiry::take_back(txn, &subject.id, item)?;
    version(txn, (subject, keeping), item, receipt, (What::Item, Scope::Item), rows)
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
    let keeping = Keeping::of(txn, (subject.id, subject.row.holds), registry)?;
    let (own, content) = rows.into_iter().partition(|row| row.space == Space::Index);
    let rows = ItemRows { own, content, ..ItemRows::default() };
    version(txn, (subject, keeping), item, receipt, (What::Version, Scope::Version), rows)
}

/// What goes with a subject: its page, and so every key of it; and the rows of it and of its items, whatever is in them.
/// None, and nothing is changed, where its items are too many for one batch.
pub fn with_subject(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    (receipt, registry): (ReceiptId, &Registry),
    ground: Ground,
) -> Result<Option<Intent>, Refusal> {
    let portion = Portion::after(txn, &subject.id, None)?;
    if portion.more {
        return Ok(None);
    }
    let mut keeping = Keeping::of(txn, (subject.id, subject.row.holds), registry)?;
    let any_kept = kept::exists(txn, Under::Subject(subject.id))?;
    let nothing_keeps = keeping.is_empty();
    let deciding = Deciding { owner: subject.owner(), closed: txn.now(), any_kept, nothing_keeps };
    let decision = Decision::about(txn, &deciding, &keeping, portion)?;
    if decision.more {
        return Ok(None);
    }
    let mut case = Case::new(Scope::Subject, ground, txn.now(), Vec::new())?;
    let mut names = txn.key_names(subject.tree())?;
    let parted = decision.carry_out(txn, &deciding, &mut keeping, (receipt, &case))?;
    let mut kept_names: HashSet<_> = parted.names.into_iter().collect();
    if let Some(name) = with_history(txn, subject, &mut keeping, receipt, &mut case)? {
        kept_names.insert(name);
    }
    keeping.finish(txn, &receipt, 0)?;
    let brought = forget_ends_of_uploads(txn, &subject.id)?;
    names.retain(|name| !kept_names.contains(name));
    case.keys = ForgottenKeys::of(names);
    let index = [index_rows(txn, subject)?, parted.index].concat();
    let mut index_keys = keys_of(&index);
    index_keys.add_all(&parted.index_keys);
    case = case.indexed_under(index_keys.ids(txn.index().vault()));
    case.kept = parted.kept;
    let contents = [parted.contents, brought].concat();
    // Most people have no documents and no events: then there is nothing to remove.
    let is_all = case.kept.is_empty() && !any_kept && !contents.is_empty();
    let rest = if is_all { Rest::All } else { Rest::But(contents) };
    let mut intent = of_subject(subject.owner(), (receipt, case), rest);
    intent.rows.extend(index);
    Ok(Some(intent))
}

/// What goes of what a subject's items hold in rows of their own.
pub enum Rest {
    /// Everything.
    All,
    /// These: some of it is kept, or there is nothing.
    But(Vec<DoomedRow>),
}

/// The intent that forgets a subject, once it is decided about all its items.
pub fn of_subject(owner: Owner, (receipt, case): (ReceiptId, Case), rest: Rest) -> Intent {
    let of_it = |space| below(space, owner.id.as_bytes().to_vec());
    let mut rows: Vec<DoomedRow> = BELOW_SUBJECT.map(of_it).into();
    match rest {
        Rest::All => rows.extend(CONTENT_BELOW_SUBJECT.map(of_it)),
        Rest::But(contents) => rows.extend(contents),
    }
    Intent {
        receipt,
        what: What::Subject,
        class: String::new(),
        subject: Some(owner.id),
        item: None,
        targets: vec![(Tree::Subjects, owner.position)],
        rows,
        case: Some(case),
    }
}

/// Keeps the key by which entries of the log can be linked to a subject, where a hold demands it. Its name.
pub fn with_history(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    keeping: &mut Keeping<'_>,
    receipt: ReceiptId,
    case: &mut Case,
) -> Result<Option<KeyName>, Refusal> {
    let audit = txn.entry(subject.tree(), AUDIT_POSITION)?.ok_or(Unavailable::Damaged)?;
    if !keeping.keep_history(txn, &audit, &receipt, case.pseudonym)? {
        return Ok(None);
    }
    case.history = History::Kept;
    Ok(Some(audit.name()))
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

/// The kinds of rows whose keys begin with the subject, and that go with it whatever is kept.
pub const BELOW_SUBJECT: [Space; 3] = [Space::Item, Space::EventDay, Space::Upload];

/// The same, of what items hold in rows of their own: it stays where it is as long as the item's key is kept.
pub const CONTENT_BELOW_SUBJECT: [Space; 2] = [Space::EventSegment, Space::Chunk];

/// The index keys that these rows are under, as far as they are rows of the index.
fn keys_of(rows: &[DoomedRow]) -> NewestKeys {
    let index = rows.iter().filter(|row| row.space == Space::Index);
    let mut keys = NewestKeys::default();
    keys.add(index.map(|row| &row.key[..]));
    keys
}

fn version(
    txn: &mut Txn<'_>,
    (subject, mut keeping): (&OpenSubject, Keeping<'_>),
    item: &StoredItem,
    receipt: ReceiptId,
    (what, scope): (What, Scope),
    rows: ItemRows,
) -> Result<Intent, Refusal> {
    let entry = txn.entry(subject.tree(), item.head.position)?.ok_or(Unavailable::Damaged)?;
    let mut case = Case::new(scope, Ground::Unstated, txn.now(), Vec::new())?;
    let mut index_keys = keys_of(&rows.own);
    if rows.is_unsearched {
        index_keys.add_live(txn.index());
    }
    case = case.indexed_under(index_keys.ids(txn.index().vault()));
    let leaving = Leaving { rows: rows.content.clone(), ..leaving(item, &entry, None) };
    let rows = match keeping.keep(txn, leaving, receipt, case.pseudonym)? {
        Some(kept) => {
            case.kept.push(kept);
            [rows.own, rows.unfinished].concat()
        }
        None => {
            case.keys = ForgottenKeys::of(vec![entry.name()]);
            rows.all()
        }
    };
    keeping.finish(txn, &receipt, 0)?;
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
