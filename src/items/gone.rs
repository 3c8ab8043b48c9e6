//! What must be true of a person who is erased: nothing of them is in the store.

use super::going::{BELOW_SUBJECT, CONTENT_BELOW_SUBJECT};
use super::record::subject_tombstone;
use crate::base::id::{ItemId, ReceiptId, SubjectId};
use crate::gate::intents::{self, DoomedRow};
use crate::gate::txn::{Fault, Reads};
use crate::keep::kept::{self, Under};
use crate::keys::page::Tree;
use crate::store::keyspace::Space;

/// Nothing of an erased person is in the store but the tombstone, and what else keeps some content.
///
/// # Errors
/// [`Fault::Torn`] if there is more.
pub fn nothing_is_left(reads: &dyn Reads, subject: SubjectId, receipt: ReceiptId) -> Result<(), Fault> {
    let tree = Tree::Subject(subject, 0);
    let below = BELOW_SUBJECT.map(|space| (space, subject.as_bytes().to_vec()));
    for (space, prefix) in below.into_iter().chain([(Space::Page, tree.row_prefix())]) {
        if !reads.rows(space, &prefix, &[], 1)?.is_empty() {
            return Err(Fault::Torn);
        }
    }
    for space in CONTENT_BELOW_SUBJECT {
        rest_is_kept(reads, space, subject)?;
    }
    let row = reads.row(Space::Subject, subject.as_bytes())?;
    if row == Some(subject_tombstone(&receipt)) { Ok(()) } else { Err(Fault::Torn) }
}

/// What there is of the contents of a person's items belongs to versions that are kept.
fn rest_is_kept(reads: &dyn Reads, space: Space, subject: SubjectId) -> Result<(), Fault> {
    let mut from = Vec::new();
    // Row by row from one content to the next: each may be large.
    while let Some((key, _)) = reads.rows(space, subject.as_bytes(), &from, 1)?.pop() {
        let item = key.get(16..32).and_then(|id| id.try_into().ok()).map(ItemId::from_bytes).ok_or(Fault::Torn)?;
        let mut content = None;
        for id in kept::list(reads, Under::Item(item), None, usize::MAX)? {
            let kept = kept::find(reads, &id)?.ok_or(Fault::Torn)?;
            let rows = kept.stated().rows.iter().filter(|row| row.space == space && key.starts_with(&row.key));
            content = content.or(rows.map(|row| row.key.clone()).next());
        }
        // A version whose last reason has ended goes with an epoch: until then its content is named by what waits for that.
        if content.is_none() {
            let is_going = |row: &DoomedRow| row.space == space && row.prefix && key.starts_with(&row.key);
            let pending = intents::pending(reads)?;
            content =
                pending.iter().flat_map(|intent| &intent.rows).find(|row| is_going(row)).map(|row| row.key.clone());
        }
        // No key of such a row is as long.
        from = [content.ok_or(Fault::Torn)?, vec![u8::MAX; 32]].concat();
    }
    Ok(())
}
