//! DeleteItem: unreadable at once, and unreadable for ever when its epoch is done.

use crate::audit::detail::{Detail, DetailKeys};
use crate::audit::event::{About, Event, Outcome};
use crate::base::id::ReceiptId;
use crate::base::log_safe::SafeText;
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::intents::{DoomedRow, Intent};
use crate::gate::refusal::{Access, Refusal, State, Unavailable};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::vault::{Awaited, Vault};
use crate::store::keyspace::Space;

use super::model::{Delete, Erasure, ErasureState, Wait};
use super::record::{ItemRow, decode_item, item_key, open_subject, resolve, tombstone};

/// Deletes an item.
///
/// # Durability
/// On `Ok` the deletion survives power loss and no call reads the item again; the erasure says whether its key is gone.
pub async fn delete(vault: &Vault, call: &Call, delete: Delete) -> Result<Erasure, Refusal> {
    match try_delete(vault, call, delete).await {
        Ok(erasure) => Ok(erasure),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

/// What a caller is told of an erasure.
pub fn answer(awaited: Awaited, receipt: ReceiptId) -> Erasure {
    match awaited {
        Awaited::Done { epoch } => Erasure { state: ErasureState::Erased, epoch, receipt, waiting: Vec::new() },
        Awaited::Pending { waiting } => Erasure { state: ErasureState::Pending, epoch: 0, receipt, waiting },
    }
}

async fn try_delete(vault: &Vault, call: &Call, delete: Delete) -> Result<Erasure, Refusal> {
    let (id, keys) = vault.read(|reads| {
        let subject = resolve(reads, vault.id(), vault.index_key(), &delete.subject)?;
        Ok((subject.id, DetailKeys::derive(&subject.audit_key(reads)?)))
    })?;
    let receipt = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let detail = Detail { subject: Some(id), items: vec![delete.item], ..Detail::default() };
    let detail = detail.seal(&keys, vault.id(), &call.request()).map_err(|_| Unavailable::Internal)?;
    let asked = Event {
        about: About::Erasure(receipt),
        outcome: Outcome::Pending,
        detail: Some(detail),
        ..call.event(vault.epoch())
    };
    let permitted: Vec<_> = call.registry().classes().map(|rule| rule.class.id).collect();
    let permitted: Vec<_> = permitted.into_iter().filter(|class| call.permit(*class).is_some()).collect();
    let may_know = call.may_know_existence();
    let (vault_id, item_id, etag) = (*vault.id(), delete.item, delete.etag);
    let work = move |txn: &mut Txn<'_>| {
        let subject = open_subject(txn, &vault_id, id)?;
        let key = item_key(&id, &item_id);
        let row = txn.row(Space::Item, &key)?.ok_or(State::NotFound)?;
        let ItemRow::Live(item) = decode_item(item_id, &row)? else { return Err(State::NotFound.into()) };
        let class = item.head.class;
        if !permitted.contains(&class) {
            return Err(if may_know { Access::Denied { rule: None }.into() } else { State::NotFound.into() });
        }
        if !etag.is_empty() && etag != item.head.etag() {
            return Err(State::EtagMismatch.into());
        }
        txn.put(Space::Item, &key[..], tombstone(&receipt));
        let intent = Intent {
            receipt,
            what: "item".into(),
            class: class.as_str().into(),
            subject: Some(id),
            targets: vec![(subject.tree(), item.head.position)],
            rows: vec![DoomedRow { space: Space::Item, key, prefix: false }],
        };
        let number = intent.lodge(txn)?;
        txn.record(Event { class: SafeText::of(&class), ..asked });
        Ok(number)
    };
    let number = vault.committer().commit(work).await?;
    Ok(answer(vault.await_erasure(call, number, delete.wait == Wait::Erased).await, receipt))
}
