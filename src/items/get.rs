//! GetItem and BatchGetItems.

use crate::audit::detail::DetailKeys;
use crate::audit::event::{About, Event};
use crate::base::log_safe::SafeText;
use crate::gate::call::{Call, view_number};
use crate::gate::readings::Reading;
use crate::gate::refusal::{Refusal, State};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

use super::model::{ItemQuery, ItemView};
use super::record::{ItemRow, OpenSubject, StoredItem, decode_item, item_key, resolve};
use super::show::{permit, show};

/// Reads one item. The value is returned only after the event that records it is durable.
pub async fn get(vault: &Vault, call: &Call, query: ItemQuery) -> Result<ItemView, Refusal> {
    match look(vault, call, &query) {
        Err(refusal) => Err(vault.refuse(call, refusal).await),
        Ok(seen) => {
            let event = seen.event;
            let recorded = vault.committer().commit(move |txn| {
                txn.record(event);
                Ok(())
            });
            match seen.reading.unless_cut(recorded).await {
                None => Err(State::SubjectErased.into()),
                Some(Err(refusal)) => Err(refusal),
                Some(Ok(())) => Ok(seen.view),
            }
        }
    }
}

/// Reads several items with a shared sync; each succeeds or fails by itself.
pub async fn get_batch(vault: &Vault, call: &Call, queries: Vec<ItemQuery>) -> Vec<Result<ItemView, Refusal>> {
    let mut seen = Vec::with_capacity(queries.len());
    let mut events = Vec::with_capacity(queries.len());
    for query in &queries {
        let looked = look(vault, call, query);
        events.push(match &looked {
            Ok(seen) => seen.event.clone(),
            Err(_) => Event { outcome: crate::audit::event::Outcome::Refused, ..call.event(vault.epoch()) },
        });
        seen.push(looked);
    }
    let recorded = vault.committer().commit(move |txn| {
        events.into_iter().for_each(|event| txn.record(event));
        Ok(())
    });
    let outcome = recorded.await;
    seen.into_iter().map(|seen| outcome.clone().and_then(|()| seen.map(|seen| seen.view))).collect()
}

struct Seen {
    view: ItemView,
    event: Event,
    reading: Reading,
}

fn look(vault: &Vault, call: &Call, query: &ItemQuery) -> Result<Seen, Refusal> {
    let id = vault.read(|reads| Ok(resolve(reads, vault.id(), vault.index_key(), &query.subject)?.id))?;
    // Registered before any row that decides is read; see `gate::readings`.
    let reading = vault.readings().begin(id);
    let (view, rule, keys) = vault.read(|reads| {
        let subject = super::record::open_subject(reads, vault.id(), id)?;
        let item = find_item(reads, &subject, query)?;
        let (permit, view) = permit(call, &item, query.view)?;
        let keys = DetailKeys::derive(&subject.audit_key(reads)?);
        let mut shown = show(reads, vault, &subject, &item, view, &query.fields)?;
        shown.rule = call.may_know_existence().then(|| permit.rule().clone());
        Ok((shown, permit.rule().clone(), keys))
    })?;
    let event = Event {
        class: SafeText::of(&view.class),
        view: view_number(view.view),
        rule,
        about: About::Subject(keys.token(vault.now())),
        detail: Some(call.detail(vault, &keys, vec![view.item])?),
        ..call.event(vault.epoch())
    };
    Ok(Seen { view, event, reading })
}

fn find_item(reads: &dyn Reads, subject: &OpenSubject, query: &ItemQuery) -> Result<StoredItem, Fault> {
    let absent = || Fault::Refused(State::NotFound.into());
    let row = reads.row(Space::Item, &item_key(&subject.id, &query.item))?.ok_or_else(absent)?;
    match decode_item(query.item, &row)? {
        ItemRow::Live(item) if query.version == 0 || query.version == item.head.version => Ok(*item),
        ItemRow::Live(_) | ItemRow::Deleted(_) => Err(absent()),
    }
}
