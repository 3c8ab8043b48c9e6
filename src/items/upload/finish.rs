//! The end of an upload: one batch makes the item, its last chunk, and the end of the version before.

use crate::base::fault;
use crate::base::id::{ReceiptId, UploadId};
use crate::base::log_safe::SafeText;
use crate::catalog::classes::{CanonicalValue, Document, ItemValue};
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::intents::DoomedRow;
use crate::gate::once;
use crate::gate::receipts;
use crate::gate::record::{Ended as How, Touched, Whom};
use crate::gate::refusal::{self, Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::uploads::UploadPlace;
use crate::gate::vault::Vault;
use crate::items::content::{chunk_key, document_of};
use crate::items::draft::{Details, check_value, permit_to_write};
use crate::items::expiry;
use crate::items::going;
use crate::items::model::{Erasure, Stamp, Uploaded, WholeContent};
use crate::items::outcome::must_be_stated;
use crate::items::record::{
    Announced, Content, ItemHead, ItemRow, OpenSubject, StoredItem, decode_item, encode_finished, encode_item,
    encode_notes, item_key,
};
use crate::items::repeat::{Answer, remember};
use crate::keys::chunks::ChunkNumber;
use crate::keys::page::Entry;
use crate::policy::action::Draw;
use crate::store::keyspace::Space;

use super::step::still_ours;
use super::{Ended, Uploading};

impl Uploading {
    pub(super) async fn finish(mut self, whole: WholeContent) -> Result<Uploaded, Refusal> {
        let finished = match self.try_finish(whole).await {
            Ok(finished) => finished,
            Err(refusal) => return Err(self.refuse(refusal).await),
        };
        fault::point("upload_finished");
        let Finished { stamp, receipt } = finished;
        let erasure = match receipt {
            None => None,
            Some((receipt, intent)) => {
                let awaited = self.vault.await_erasure(&self.call, intent, false).await;
                Some(Erasure::of(awaited, receipt))
            }
        };
        Ok(Uploaded { stamp, erasure })
    }

    async fn try_finish(&mut self, whole: WholeContent) -> Result<Finished, Refusal> {
        self.vault.room().admit(Draw::Data)?;
        if !self.fits {
            self.check_head().await?;
        }
        let sha256 = std::mem::take(&mut self.hasher).finish();
        let mut faults = Vec::new();
        for (field, holds) in
            [("finish.size_bytes", whole.size == self.total), ("finish.sha256", whole.sha256 == sha256)]
        {
            if !holds {
                faults.push(Fault::new(field, FaultReason::ContentMismatch));
            }
        }
        if !faults.is_empty() {
            // What is durable cannot be changed, so it will never be what was announced.
            self.give_up().await?;
            return Err(Refusal::Invalid(faults));
        }
        let reading = self.vault.readings().begin(self.place.subject, Some(self.place.item));
        let number = ChunkNumber { index: self.chunks, last: true };
        let last = self.content().and_then(|content| self.seal(&content, number))?;
        drop(reading);
        let receipt = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        let ending = Ending { place: self.place, chunks: self.chunks, last, whole, receipt };
        let turn = self.vault.buffers().turn(1).await?;
        let call = self.call.clone();
        let finished = self.vault.committer().commit(move |txn| ending.store(txn, &call)).await;
        drop(turn);
        finished
    }
}

/// A version that is durable, and the erasure of the one before with its intent.
struct Finished {
    stamp: Stamp,
    receipt: Option<(ReceiptId, u64)>,
}

/// The end of an upload, ready for the writer.
struct Ending {
    place: UploadPlace,
    chunks: u32,
    last: Vec<u8>,
    whole: WholeContent,
    receipt: ReceiptId,
}

impl Ending {
    fn store(self, txn: &mut Txn<'_>, call: &Call) -> Result<Finished, Refusal> {
        let vault = call.recorder().vault();
        let (subject, stored) = still_ours(txn, call, &self.place, self.chunks)?;
        let announced = stored.open(txn, vault, subject.tree())?;
        let rule = permit_to_write(call, subject.data(call.purpose(), announced.class))?;
        let before =
            if announced.renews { Some(Before::find(txn, call, &subject, &self.place, &announced)?) } else { None };
        let (head, notes) = described(txn, &announced, before.as_ref(), stored.position)?;
        let document = Document {
            media_type: announced.media.as_str().into(),
            file_name: announced.file_name,
            size_bytes: self.whole.size,
            sha256: self.whole.sha256,
            related_item: announced.related,
            content: Some(announced.content.handle()),
        };
        let checked = check_value(ItemValue::Document(document), "open")?;
        let entry = txn.entry(subject.tree(), stored.position)?.ok_or(Unavailable::Damaged)?;
        let entry = Entry { extra: head.counter, ..entry };
        let row = encode_item(vault, &self.place.item, &head, &entry, &checked.value, &notes)?;
        txn.set(subject.tree(), stored.position, &entry)?;
        txn.put(Space::Item, item_key(&subject.id, &self.place.item), row);
        if let Some(before) = &before {
            expiry::take_back(txn, &subject.id, &before.item)?;
        }
        expiry::note(txn, &subject.id, &self.place.item, &head)?;
        txn.put(Space::Chunk, chunk_key(&self.place, self.chunks), self.last);
        let stamp = Stamp { item: self.place.item, version: head.version, etag: head.etag(), expires: head.expires };
        let receipt = match before {
            None => None,
            Some(before) => Some((self.receipt, before.forget(txn, call, &subject, self.receipt)?)),
        };
        let became = (stamp.version, receipt.map(|(receipt, _)| receipt));
        let ended = encode_finished(&self.place, became, stored.expires, &subject.companion());
        txn.put(Space::Upload, self.place.key(), ended);
        record(txn, call, &subject, (head, rule), &stamp)?;
        let receipt_id = receipt.map(|(receipt, _)| receipt);
        let answer = Answer {
            subject: subject.id,
            created: false,
            time: txn.now(),
            items: vec![stamp.clone()],
            receipt: receipt_id,
        };
        remember(txn, vault, call.once(), &answer)?;
        Ok(Finished { stamp, receipt })
    }
}

/// The clear part of the new version, and its free text.
fn described(
    txn: &Txn<'_>,
    announced: &Announced,
    before: Option<&Before>,
    position: u64,
) -> Result<(ItemHead, crate::base::secret::PlainValue), Refusal> {
    let head = match before {
        None => ItemHead::first(announced.class, txn.now(), 0),
        Some(Before { item, .. }) => {
            let (version, counter) = (item.head.version + 1, item.head.counter + 1);
            ItemHead { version, counter, updated: txn.now(), ..item.head.clone() }
        }
    };
    let head = ItemHead { position, ..head };
    let details = announced.details.as_ref().map(Details::decode).transpose().map_err(|_| Unavailable::Damaged)?;
    Ok(match (details, before) {
        (Some(details), _) => (details.head(head), details.into_notes()),
        (None, Some(before)) => (head, crate::base::secret::PlainValue::new(before.content.notes.expose().to_vec())),
        (None, None) => (head, encode_notes(&Default::default())),
    })
}

fn record(
    txn: &mut Txn<'_>,
    call: &Call,
    subject: &OpenSubject,
    (head, rule): (ItemHead, SafeText),
    stamp: &Stamp,
) -> Result<(), Refusal> {
    let touched = Touched {
        class: Some(head.class),
        rule: Some(rule),
        count: 1,
        items: vec![(stamp.item, stamp.version)],
        ..Touched::default()
    };
    let keys = subject.detail_keys(txn)?;
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Subject(&keys), touched, How::Done, at)?);
    Ok(())
}

/// The version that the new one takes the place of.
struct Before {
    item: Box<StoredItem>,
    content: Content,
    upload: UploadId,
}

impl Before {
    fn find(
        txn: &Txn<'_>,
        call: &Call,
        subject: &OpenSubject,
        place: &UploadPlace,
        announced: &Announced,
    ) -> Result<Self, Refusal> {
        let row = txn.row(Space::Item, &item_key(&subject.id, &place.item))?.ok_or(State::ItemErased)?;
        let ItemRow::Live(item) = decode_item(place.item, &row)? else { return Err(State::ItemErased.into()) };
        if item.head.class != announced.class {
            return Err(refusal::Document::IsNone.into());
        }
        if !announced.etag.is_empty() && announced.etag != item.head.etag() {
            return Err(State::EtagMismatch.into());
        }
        let content = item.open(txn, call.recorder().vault(), subject.tree())?;
        let value = CanonicalValue::decode(item.head.class, content.value.expose());
        let upload = document_of(value.map_err(|_| Unavailable::Damaged)?)?.content.upload();
        Ok(Self { item, content, upload })
    }

    /// Gives its key and its content to the next epoch. The intent.
    fn forget(
        &self,
        txn: &mut Txn<'_>,
        call: &Call,
        subject: &OpenSubject,
        receipt: ReceiptId,
    ) -> Result<u64, Refusal> {
        once::forget(txn, self.item.id.as_bytes(), subject.id, receipt)?;
        let place = UploadPlace { subject: subject.id, item: self.item.id, upload: self.upload };
        let rows = vec![DoomedRow { space: Space::Chunk, key: place.key(), prefix: true }];
        let intent = going::with_version(txn, subject, &self.item, (receipt, call.registry()), rows)?;
        intent.lodge(txn)
    }
}

impl Ended {
    pub(super) async fn finish(self, whole: WholeContent) -> Result<Uploaded, Refusal> {
        if whole.size != self.size || whole.sha256 != self.sha256 {
            let refusal = Fault::new("finish.sha256", FaultReason::ContentMismatch).into();
            return Err(self.refuse(refusal).await);
        }
        let erasure = match self.receipt {
            None => None,
            Some(receipt) => Some(became(&self.vault, &self.call, receipt).await?),
        };
        Ok(Uploaded { stamp: self.stamp, erasure })
    }
}

/// What became of the version before.
async fn became(vault: &Vault, call: &Call, receipt: ReceiptId) -> Result<Erasure, Refusal> {
    let progress = vault.read(|reads| receipts::find(reads, &receipt))?.ok_or(Unavailable::Damaged)?;
    let awaited = vault.await_progress(call, (progress, false), false).await;
    must_be_stated(vault, &awaited, &receipt)?;
    Ok(Erasure::of(awaited, receipt))
}
