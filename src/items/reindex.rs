//! Replacing an index key: every row is made anew under the next key while calls go on, then the old key is forgotten.
//!
//! Everything is in the store, so a rotation goes on after a restart where it was. A step is one change on the writer's
//! thread: it reads people and items as they are then, so that nobody who is being erased gets a row. The order is
//! 1. the next key is made and put into use: whoever writes rows, writes them under both;
//! 2. people are gone through in the order of their ids, and their rows written under the next key;
//! 3. the next key becomes the current one: searches use it, and nothing is written under the old one;
//! 4. the old key's rows go, until none is left; then an intent has the old key forgotten by an epoch.

use std::sync::Arc;

use crate::base::fault;
use crate::base::id::{ItemId, SubjectId};
use crate::base::limits::{INDEX_ROTATION_DAYS, REINDEX_LOOK, REINDEX_PAUSE, REINDEX_SUBJECTS, SWEEP_ROWS_MAX};
use crate::catalog::class::{Identifier, IdentifierField};
use crate::catalog::classes::class_of;
use crate::gate::chore::{self, Chore};
use crate::gate::index::{self, Progress};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::rotations;
use crate::gate::txn::{Fault, Reads as _, Txn};
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

use super::record::{ItemRow, OpenSubject, decode_item, open_subject};
use super::rows;

/// Starts the thread that carries rotations out, and begins those that are due.
pub fn look_after(vault: &Arc<Vault>) -> std::io::Result<Chore> {
    Chore::start("reindex", vault, |vault| chore::rest(work(vault), (REINDEX_PAUSE, REINDEX_LOOK), "index keys"))
}

/// One step of a rotation that is under way and not paused; else begins one that is due. Whether there is more to do. For a
/// plain thread.
///
/// # Errors
/// Why the step could not be made; it is made again.
pub fn work(vault: &Vault) -> Result<bool, Refusal> {
    for key in vault.read(rotations::forgotten)? {
        vault.committer().commit_blocking(move |txn| rotations::note_forgotten(txn, key), false)?;
    }
    for field in IdentifierField::ALL {
        let progress = vault.read(|reads| index::progress(reads, *field))?;
        match progress {
            Progress { paused: true, .. } => {}
            Progress { retiring: Some(_), .. } => return forget(vault, *field),
            Progress { next: Some(_), .. } => return build(vault, *field),
            Progress { .. } => {}
        }
    }
    for key in vault.read(index::keys)? {
        let age_days = i64::from(vault.now().day()) - i64::from(key.made.day());
        if age_days >= INDEX_ROTATION_DAYS && !key.progress.is_rotating() {
            vault.committer().commit_blocking(move |txn| index::begin(txn, key.field, None), false)?;
            vault.reload_index_blocking()?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Steps 2 and 3.
fn build(vault: &Vault, field: IdentifierField) -> Result<bool, Refusal> {
    keep_up(vault, field)?;
    fault::point("rotation_begin");
    let is_built = vault.committer().commit_blocking(move |txn| build_some(txn, field), false)?;
    fault::point("rotation_step");
    if is_built {
        fault::point("rotation_turned");
        vault.reload_index_blocking()?;
    }
    Ok(true)
}

/// Writes rows of some people under the next key. Whether all have theirs; then the next key is the current one.
fn build_some(txn: &mut Txn<'_>, field: IdentifierField) -> Result<bool, Refusal> {
    let progress = index::progress(txn, field)?;
    if !txn.index().live().is_as(field, &progress) || progress.paused {
        return Err(Unavailable::Overloaded.into()); // changed meanwhile: the next look sees it
    }
    let from = progress.cursor.map_or(Vec::new(), |last| [&last.as_bytes()[..], &[0]].concat());
    let people = txn.rows(Space::Subject, &[], &from, REINDEX_SUBJECTS)?;
    let mut last = None;
    for (key, _) in &people {
        let id = SubjectId::from_bytes(key.as_slice().try_into().map_err(|_| Fault::Torn)?);
        match build_one(txn, field, id) {
            // Gone, or going; or damaged: then nothing leads to it any more.
            Ok(()) | Err(Fault::Refused(Refusal::State(_))) => {}
            Err(Fault::Torn) => tracing::warn!("a damaged record has no row under the new index key"),
            Err(Fault::Refused(refusal)) => return Err(refusal),
        }
        last = Some(id);
    }
    let is_built = people.len() < REINDEX_SUBJECTS;
    index::advance(txn, field, last, people.len() as u64, is_built)?;
    Ok(is_built)
}

fn build_one(txn: &mut Txn<'_>, field: IdentifierField, id: SubjectId) -> Result<(), Fault> {
    let vault = *txn.index().vault();
    let subject = open_subject(txn, &vault, id)?;
    if field == IdentifierField::ExternalId {
        let external_id = subject.external_id(&vault)?;
        if !external_id.is_empty() {
            index::put_next(txn, &Identifier::external_id(&external_id), id, None)?;
        }
        return Ok(());
    }
    for (key, row) in txn.rows(Space::Item, id.as_bytes(), &[], usize::MAX)? {
        let item = key.get(16..).and_then(|item| item.try_into().ok()).map(ItemId::from_bytes);
        let item = item.ok_or(Fault::Torn)?;
        match build_item(txn, field, &subject, decode_item(item, &row)?) {
            Err(Fault::Torn) => tracing::warn!("a damaged item has no row under the new index key"),
            built => built?,
        }
    }
    Ok(())
}

fn build_item(txn: &mut Txn<'_>, field: IdentifierField, subject: &OpenSubject, row: ItemRow) -> Result<(), Fault> {
    let ItemRow::Live(item) = row else { return Ok(()) };
    let has_field = class_of(item.head.class.as_str()).is_some_and(|class| class.confirmed_by(field).is_some());
    if !has_field {
        return Ok(());
    }
    let vault = *txn.index().vault();
    let content = item.open(txn, &vault, subject.tree())?;
    for identifier in rows::identifiers(item.head.class, &content)?.iter().filter(|held| held.field == field) {
        index::put_next(txn, identifier, subject.id, Some((&item.id, item.head.version)))?;
    }
    Ok(())
}

/// INVARIANT: rows are written and deleted only while the keys in use are those of the field's row. They may be behind it
/// where the thread that changed it has not come to put them into use.
fn keep_up(vault: &Vault, field: IdentifierField) -> Result<(), Refusal> {
    let progress = vault.read(|reads| index::progress(reads, field))?;
    if vault.index().live().is_as(field, &progress) { Ok(()) } else { vault.reload_index_blocking() }
}

/// Step 4.
fn forget(vault: &Vault, field: IdentifierField) -> Result<bool, Refusal> {
    keep_up(vault, field)?;
    fault::point("rotation_retired");
    let is_lodged =
        vault.committer().commit_blocking(move |txn| rotations::retire(txn, field, SWEEP_ROWS_MAX), false)?;
    if is_lodged {
        fault::point("rotation_lodged");
        vault.forget_soon();
        tracing::info!(field = field.as_str(), "an index key is replaced; the old one is being forgotten");
    }
    Ok(true)
}
