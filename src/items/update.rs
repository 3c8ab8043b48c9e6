//! UpdateItem: a correction is a new version under a new key; the old key is forgotten.
//!
//! Where only metadata changes, the version stays. If its free text changes, the item is sealed again under a fresh
//! key all the same, so that the old text dies with the old key; codes, flags and times alone are rewritten in place,
//! under the same key and with the next count.

use crate::base::id::{ItemId, ReceiptId};
use crate::crypto::{mac, rng};
use crate::gate::call::Call;
use crate::gate::intents::DoomedRow;
use crate::gate::once;
use crate::gate::receipts::{self, Progress};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::vault::Vault;
use crate::keys::page::Entry;
use crate::store::keyspace::Space;

use super::draft::{Checked, Details, Version, check_value, must_take_items, permit_to_write, store_version};
use super::expiry;
use super::going;
use super::model::{Erasure, NewMetadata, Stamp, Update, Wait};
use super::outcome::{told, told_again};
use super::record::{ItemHead, ItemRow, OpenSubject, StoredItem, Target, decode_item, item_key};
use super::recorded::refuse;
use super::repeat::{Answer, record_repeat, remember, repeated};
use super::rows::{doomed_rows_of_version, put_index};

/// Corrects an item.
///
/// # Durability
/// On `Ok` the new state is durable and what it replaced unreadable by any call; the erasure says whether its key is
/// gone. No erasure: nothing that was sealed changed.
pub async fn update(vault: &Vault, call: &Call, update: Update) -> Result<(Stamp, Option<Erasure>), Refusal> {
    let touched = Touched { count: 1, items: vec![(update.item, 0)], ..Touched::default() };
    let (named, wait) = (update.subject.duplicate(), update.wait == Wait::Erased);
    let stored = match Correction::check(call, update) {
        Ok(correction) => correction.harden_and_commit(vault, call).await,
        Err(refusal) => Err(refusal),
    };
    match stored {
        Ok(stored) => finish(vault, call, stored, wait).await,
        Err(refusal) => Err(refuse(vault, call, Some(&named), touched, refusal).await),
    }
}

/// A correction that is durable.
struct Stored {
    answer: Answer,
    progress: Option<Progress>,
    new: bool,
}

async fn finish(vault: &Vault, call: &Call, stored: Stored, wait: bool) -> Result<(Stamp, Option<Erasure>), Refusal> {
    let Stored { answer, progress, new } = stored;
    let stamp = answer.items.into_iter().next().ok_or(State::IdempotencyKeyReused)?;
    let (Some(receipt), Some(progress)) = (answer.receipt, progress) else { return Ok((stamp, None)) };
    let awaited = vault.await_progress(call, (progress, new), wait).await;
    let erasure = if new { told(vault, call, awaited, receipt) } else { told_again(vault, call, awaited, receipt) };
    Ok((stamp, Some(erasure?)))
}

/// A correction, ready for the writer.
struct Correction {
    target: Target,
    item: ItemId,
    etag: String,
    checked: Option<Checked>,
    metadata: Option<NewMetadata>,
    receipt: ReceiptId,
}

impl Correction {
    fn check(call: &Call, update: Update) -> Result<Self, Refusal> {
        let Update { subject, item, etag, value, metadata, wait: _ } = update;
        if value.is_none() && metadata.is_none() {
            return Err(Fault::new("value", FaultReason::Required).into());
        }
        let checked = match value {
            None => None,
            Some(value) => {
                call.may_touch(value.class().id)?;
                must_take_items(value.class(), "value")?;
                Some(check_value(value, "value")?)
            }
        };
        let target = Target::of(&subject);
        let receipt = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        Ok(Self { target, item, etag, checked, metadata, receipt })
    }

    async fn harden_and_commit(mut self, vault: &Vault, call: &Call) -> Result<Stored, Refusal> {
        let once = call.once().cloned();
        let once = match &mut self.checked {
            Some(checked) => checked.harden(vault, once).await?,
            None => once,
        };
        self.commit(vault, call.repeating(once)).await
    }

    async fn commit(self, vault: &Vault, call: Call) -> Result<Stored, Refusal> {
        let work = move |txn: &mut Txn<'_>| {
            let vault = call.recorder().vault();
            let (answer, new) = match repeated(txn, vault, call.once(), txn.now())? {
                Some(repeated) => {
                    let answer = repeated.standing()?;
                    record_repeat(txn, &call, answer.subject)?;
                    (answer, false)
                }
                None => (self.store(txn, &call)?, true),
            };
            let progress = match &answer.receipt {
                Some(receipt) => receipts::find(txn, receipt)?,
                None => None,
            };
            Ok(Stored { answer, progress, new })
        };
        vault.committer().commit(work).await
    }

    fn store(self, txn: &mut Txn<'_>, call: &Call) -> Result<Answer, Refusal> {
        let vault = call.recorder().vault();
        let subject = self.target.open(txn, call)?;
        let row = txn.row(Space::Item, &item_key(&subject.id, &self.item))?.ok_or(State::NotFound)?;
        let ItemRow::Live(old) = decode_item(self.item, &row)? else { return Err(State::NotFound.into()) };
        let class = old.head.class;
        let rule = permit_to_write(call, subject.data(call.purpose(), class))?;
        if old.head.day.is_some() {
            return Err(Fault::new("item_id", FaultReason::KeptAsEvents).into());
        }
        if !self.etag.is_empty() && self.etag != old.head.etag() {
            return Err(State::EtagMismatch.into());
        }
        if self.checked.as_ref().is_some_and(|checked| checked.class != class) {
            return Err(Fault::new("value", FaultReason::ClassMismatch).into());
        }
        let details = match self.metadata {
            None => None,
            Some(stated) => Some(Details::complete(call.registry(), class, stated, txn.now(), "metadata")?),
        };
        let change = Change { checked: self.checked, details, receipt: self.receipt };
        let (stamp, receipt) = change.apply(txn, call, &subject, &old)?;
        let touched = Touched {
            class: Some(class),
            rule: Some(rule),
            count: 1,
            items: vec![(self.item, stamp.version)],
            ..Touched::default()
        };
        let answer = Answer { subject: subject.id, created: false, time: txn.now(), items: vec![stamp], receipt };
        remember(txn, vault, call.once(), &answer)?;
        let keys = subject.detail_keys(txn)?;
        let at = (txn.now(), txn.epoch());
        txn.record(call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, at)?);
        Ok(answer)
    }
}

/// What changes, once it is known what is there.
struct Change {
    checked: Option<Checked>,
    details: Option<Details>,
    receipt: ReceiptId,
}

impl Change {
    /// The item as it is then, and the receipt of what it replaced.
    fn apply(
        self,
        txn: &mut Txn<'_>,
        call: &Call,
        subject: &OpenSubject,
        old: &StoredItem,
    ) -> Result<(Stamp, Option<ReceiptId>), Refusal> {
        let vault = call.recorder().vault();
        let content = old.open(txn, vault, subject.tree())?;
        let version = old.head.version + u64::from(self.checked.is_some());
        let counter = old.head.counter + 1;
        let head = ItemHead { version, counter, updated: txn.now(), ..old.head.clone() };
        let same_notes = |details: &Details| mac::equal(details.notes().expose(), content.notes.expose());
        if self.checked.is_none()
            && let Some(details) = self.details.as_ref().filter(|details| same_notes(details))
        {
            return Ok((rewrite(txn, call, subject, old, details.head(head))?, None));
        }
        let mut rows = Vec::new();
        // Where only free text changes, the version stays, and its rows with it.
        if let Some(checked) = &self.checked {
            rows = doomed_rows_of_version(txn, old, Some(&content))?;
            put_index(txn, &subject.id, (&old.id, version), &checked.identifiers)?;
        }
        let (new, notes) = match self.details {
            Some(details) => (details.head(head), details.into_notes()),
            None => (head, content.notes),
        };
        let value = self.checked.map_or(content.value, |checked| checked.value);
        expiry::take_back(txn, &subject.id, old)?;
        let stamp =
            store_version(txn, vault, &subject.id, subject.tree(), Version { id: old.id, head: new, value, notes })?;
        once::forget(txn, old.id.as_bytes(), subject.id, self.receipt)?;
        forget_version(txn, call, subject, old, self.receipt, rows)?;
        Ok((stamp, Some(self.receipt)))
    }
}

/// The clear part anew, under the same key.
fn rewrite(
    txn: &mut Txn<'_>,
    call: &Call,
    subject: &OpenSubject,
    old: &StoredItem,
    new: ItemHead,
) -> Result<Stamp, Refusal> {
    let entry = txn.entry(subject.tree(), new.position)?.ok_or(Unavailable::Damaged)?;
    let entry = Entry { extra: new.counter, ..entry };
    txn.set(subject.tree(), new.position, &entry)?;
    let row = old.with_head(call.recorder().vault(), &new, &entry);
    txn.put(Space::Item, item_key(&subject.id, &old.id), row);
    expiry::take_back(txn, &subject.id, old)?;
    expiry::note(txn, &subject.id, &old.id, &new)?;
    Ok(Stamp { item: old.id, version: new.version, etag: new.etag(), expires: new.expires })
}

/// Lodges the forgetting of what was replaced. Its entry is one of its own, since the correction's own names the person's
/// pseudonym, to which an erasure must not be linked.
fn forget_version(
    txn: &mut Txn<'_>,
    call: &Call,
    subject: &OpenSubject,
    old: &StoredItem,
    receipt: ReceiptId,
    rows: Vec<DoomedRow>,
) -> Result<(), Refusal> {
    going::with_version(txn, subject, old, (receipt, call.registry()), rows)?.lodge(txn)?;
    let keys = subject.detail_keys(txn)?;
    let whom = Whom::Erasure { keys: &keys, subject: subject.id, receipt };
    let items = vec![(old.id, old.head.version)];
    let touched = Touched { class: Some(old.head.class), count: 1, items, ..Touched::default() };
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().apart()?.entry(whom, touched, Ended::Started, at)?);
    Ok(())
}
