//! UpdateItem: a correction is a new version under a new key; the old key is forgotten.

use crate::audit::detail::DetailKeys;
use crate::audit::event::{About, Event};
use crate::base::id::ReceiptId;
use crate::base::log_safe::SafeText;
use crate::catalog::view::View;
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::intents::Intent;
use crate::gate::refusal::{Access, Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

use super::draft::{Checked, Details, Version, check_value, store_version};
use super::model::{Erasure, Stamp, Update};
use super::record::{ItemHead, ItemRow, decode_item, item_key, open_subject, resolve};

/// Corrects an item.
///
/// # Durability
/// On `Ok` the new version is durable and the old one unreadable by any call; the erasure says whether its key is gone.
pub async fn update(vault: &Vault, call: &Call, update: Update) -> Result<(Stamp, Option<Erasure>), Refusal> {
    match try_update(vault, call, update).await {
        Ok(done) => Ok(done),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

async fn try_update(vault: &Vault, call: &Call, update: Update) -> Result<(Stamp, Option<Erasure>), Refusal> {
    let Some(value) = update.value else {
        return Err(Fault::new("value", FaultReason::Required).into());
    };
    let class = value.class().id;
    call.permit(class).filter(|permit| permit.view() == View::Plain).ok_or(Access::Denied { rule: None })?;
    let checked = check_value(value, "value")?;
    let details = match update.metadata {
        Some(metadata) => Some(Details::complete(call.registry(), class, metadata, vault.now(), "")?),
        None => None,
    };
    let (id, keys) = vault.read(|reads| {
        let subject = resolve(reads, vault.id(), vault.index_key(), &update.subject)?;
        Ok((subject.id, DetailKeys::derive(&subject.audit_key(reads)?)))
    })?;
    let event = Event {
        class: SafeText::of(&class),
        about: About::Subject(keys.token(vault.now())),
        detail: Some(call.detail(vault, &keys, vec![update.item])?),
        ..call.event(vault.epoch())
    };
    let receipt = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let (vault_id, item_id, etag) = (*vault.id(), update.item, update.etag);
    let work = move |txn: &mut Txn<'_>| {
        let subject = open_subject(txn, &vault_id, id)?;
        let row = txn.row(Space::Item, &item_key(&id, &item_id))?.ok_or(State::NotFound)?;
        let ItemRow::Live(old) = decode_item(item_id, &row)? else { return Err(State::NotFound.into()) };
        if !etag.is_empty() && etag != old.head.etag() {
            return Err(State::EtagMismatch.into());
        }
        if old.head.class != class {
            return Err(Fault::new("value", FaultReason::ClassMismatch).into());
        }
        let content = old.open(txn, &vault_id, subject.tree())?;
        let version = next_version(&old.head, checked, details, content.notes, txn.now());
        let stamp = store_version(txn, &vault_id, &id, subject.tree(), Version { id: item_id, ..version })?;
        let intent = Intent {
            receipt,
            what: "old version".into(),
            class: class.as_str().into(),
            subject: Some(id),
            targets: vec![(subject.tree(), old.head.position)],
            rows: Vec::new(),
        };
        let number = intent.lodge(txn)?;
        txn.record(event);
        Ok((stamp, number))
    };
    let (stamp, number) = vault.committer().commit(work).await?;
    let erasure = vault.await_erasure(call, number, update.wait == super::model::Wait::Erased).await;
    Ok((stamp, Some(super::delete::answer(erasure, receipt))))
}

fn next_version(
    old: &ItemHead,
    checked: Checked,
    details: Option<Details>,
    old_notes: crate::base::secret::PlainValue,
    now: crate::base::time::Timestamp,
) -> Version {
    let number = old.version + 1;
    let (head, notes) = match details {
        Some(details) => details.into_head(checked.class, number, 1, old.created, now),
        None => (ItemHead { version: number, counter: 1, updated: now, ..old.clone() }, old_notes),
    };
    Version { id: crate::base::id::ItemId::from_bytes([0; 16]), head, value: checked.value, notes }
}
