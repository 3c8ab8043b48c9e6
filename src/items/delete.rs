//! DeleteItem: unreadable at once, and unreadable for ever when its epoch is done.

use crate::base::id::{ReceiptId, SubjectId};
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::epoch::Expectation;
use crate::gate::once;
use crate::gate::receipts::{self, Progress};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

use super::going;
use super::model::{Delete, Erasure, Wait};
use super::outcome::{told, told_again};
use super::record::{ItemRow, Target, decode_item, item_key, tombstone};
use super::recorded::refuse;
use super::repeat::{Repeated, record_repeat, repeated};
use super::rows::end_uploads;

/// Deletes an item.
///
/// # Durability
/// On `Ok` the deletion survives power loss and no call reads the item again; the erasure says whether its key is gone.
pub async fn delete(vault: &Vault, call: &Call, delete: Delete) -> Result<Erasure, Refusal> {
    let touched = Touched { count: 1, items: vec![(delete.item, 0)], ..Touched::default() };
    let (named, wait) = (delete.subject.duplicate(), delete.wait == Wait::Erased);
    match lodge(vault, call, delete).await {
        Ok(Lodged { receipt, progress, new }) => {
            let awaited = vault.await_lodged(call, (progress, new), wait).await?;
            if new { told(vault, call, awaited, receipt) } else { told_again(vault, call, awaited, receipt) }
        }
        Err(refusal) => Err(refuse(vault, call, Some(&named), touched, refusal).await),
    }
}

/// A deletion that no read passes any more.
struct Lodged {
    receipt: ReceiptId,
    progress: Progress,
    new: bool,
}

async fn lodge(vault: &Vault, call: &Call, delete: Delete) -> Result<Lodged, Refusal> {
    let receipt = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let target = Target::of(&delete.subject);
    let (call, wait) = (call.clone(), delete.wait == Wait::Erased);
    let expectation = wait.then(|| vault.epochs().expectation());
    let work = move |txn: &mut Txn<'_>| match repeated(txn, call.recorder().vault(), call.once(), txn.now())? {
        Some(Repeated::Gone { subject, receipt }) => repeat(txn, &call, subject, receipt),
        Some(Repeated::Answer(_)) => Err(State::IdempotencyKeyReused.into()),
        None => {
            let intent = remove(txn, &call, &target, &delete, receipt)?;
            expectation.inspect(Expectation::tell);
            Ok(Lodged { receipt, progress: Progress::Pending { intent }, new: true })
        }
    };
    vault.lodge(work, wait).await
}

fn repeat(txn: &mut Txn<'_>, call: &Call, subject: SubjectId, receipt: ReceiptId) -> Result<Lodged, Refusal> {
    let progress = receipts::find(txn, &receipt)?.ok_or(Unavailable::Damaged)?;
    record_repeat(txn, call, subject)?;
    Ok(Lodged { receipt, progress, new: false })
}

fn remove(
    txn: &mut Txn<'_>,
    call: &Call,
    target: &Target,
    delete: &Delete,
    receipt: ReceiptId,
) -> Result<u64, Refusal> {
    let subject = target.open(txn, call)?;
    let key = item_key(&subject.id, &delete.item);
    let row = txn.row(Space::Item, &key)?.ok_or(State::NotFound)?;
    let ItemRow::Live(item) = decode_item(delete.item, &row)? else { return Err(State::NotFound.into()) };
    let class = item.head.class;
    let permit = call.permit(subject.data(call.purpose(), class))?;
    if !delete.etag.is_empty() && delete.etag != item.head.etag() {
        return Err(State::EtagMismatch.into());
    }
    let mut intent = going::with_item(txn, &subject, &item, (receipt, call.registry()))?;
    intent.targets.extend(end_uploads(txn, &subject, &item)?);
    going::outdate(txn, subject.tree(), item.head.position)?;
    txn.put(Space::Item, key, tombstone(&receipt));
    once::forget(txn, delete.item.as_bytes(), subject.id, receipt)?;
    let number = intent.lodge(txn)?;
    if let Some(once) = call.once() {
        once.remember_forgetting(txn, subject.id, receipt)?;
    }
    let touched = Touched {
        class: Some(class),
        rule: Some(permit.rule().clone()),
        count: 1,
        items: vec![(delete.item, item.head.version)],
        ..Touched::default()
    };
    let keys = subject.detail_keys(txn)?;
    let whom = Whom::Erasure { keys: &keys, subject: subject.id, receipt };
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(whom, touched, Ended::Started, at)?);
    Ok(number)
}
