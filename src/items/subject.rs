//! GetSubject: what is known about a subject itself.

use crate::audit::detail::DetailKeys;
use crate::audit::event::{About, Event};
use crate::base::id::ItemId;
use crate::catalog::class::ClassId;
use crate::gate::call::Call;
use crate::gate::refusal::Refusal;
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

use super::model::{SubjectRef, SubjectState, SubjectView};
use super::record::{ItemRow, StoredItem, decode_item, resolve};

/// Describes a subject.
pub async fn describe(vault: &Vault, call: &Call, named: SubjectRef) -> Result<SubjectView, Refusal> {
    let read = vault.read(|reads| {
        let subject = resolve(reads, vault.id(), vault.index_key(), &named)?;
        let mut counts: Vec<(ClassId, u64)> = Vec::new();
        for item in items_of(reads, &subject.id)? {
            match counts.iter_mut().find(|(class, _)| *class == item.head.class) {
                Some((_, count)) => *count += 1,
                None => counts.push((item.head.class, 1)),
            }
        }
        counts.retain(|(class, _)| call.permit(*class).is_some());
        let view = SubjectView {
            subject: subject.id,
            external_id: subject.external_id(vault.id())?,
            labels: subject.row.labels.clone(),
            state: SubjectState::Active,
            created: subject.row.created,
            item_counts: counts,
        };
        Ok((view, DetailKeys::derive(&subject.audit_key(reads)?)))
    });
    let (mut view, keys) = match read {
        Ok(read) => read,
        Err(refusal) => return Err(vault.refuse(call, refusal).await),
    };
    if !call.may_know_existence() {
        view.external_id = crate::catalog::text::Text::default();
    }
    let about = About::Subject(keys.token(vault.now()));
    let event =
        Event { about, view: 1, detail: Some(call.detail(vault, &keys, Vec::new())?), ..call.event(vault.epoch()) };
    vault
        .committer()
        .commit(move |txn| {
            txn.record(event);
            Ok(())
        })
        .await?;
    Ok(view)
}

/// A subject's live items, in the order of their ids.
pub fn items_of(reads: &dyn Reads, subject: &crate::base::id::SubjectId) -> Result<Vec<StoredItem>, Fault> {
    let mut items = Vec::new();
    for (key, row) in reads.rows(Space::Item, subject.as_bytes(), &[], usize::MAX)? {
        let id: [u8; 16] = key[16..].try_into().map_err(|_| Fault::Torn)?;
        if let ItemRow::Live(item) = decode_item(ItemId::from_bytes(id), &row)? {
            items.push(*item);
        }
    }
    Ok(items)
}
