//! Opening an upload, and going on with one.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::base::id::{ItemId, ReceiptId, SubjectId, UploadId};
use crate::base::limits::{
    CHUNK_BYTES, ITEMS_PER_SUBJECT_MAX, UPLOAD_BUFFER_BYTES, UPLOAD_TIME_MAX, UPLOADS_KEPT_MAX, UPLOADS_PER_SUBJECT_MAX,
};
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId, Form};
use crate::catalog::classes::{CanonicalValue, Document, ItemValue};
use crate::catalog::media::MediaType;
use crate::catalog::text::Text;
use crate::crypto::hash::Hasher;
use crate::crypto::{mac, rng};
use crate::gate::buffers::Reserved;
use crate::gate::call::Call;
use crate::gate::readings::Reading;
use crate::gate::record::{Ended as How, Touched, Whom};
use crate::gate::refusal::{self, Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::txn::{self, Reads, Txn};
use crate::gate::uploads::{self, UploadPlace};
use crate::gate::vault::Vault;
use crate::items::content::{Chunks, document_of};
use crate::items::draft::{Details, permit_to_write};
use crate::items::model::{Stamp, SubjectRef, UploadOpening};
use crate::items::record::{
    Announced, ItemRow, OpenSubject, StoredUpload, Target, UploadRow, decode_item, decode_upload, encode_upload,
    item_key,
};
use crate::items::recorded::refuse;
use crate::items::repeat::{Repeated, repeated};
use crate::items::show::find;
use crate::keys::chunks::ContentKey;
use crate::keys::page::Entry;
use crate::store::keyspace::Space;

use super::step::still_there;
use super::{Ended, Upload, Uploading, no_upload, touched};

/// Opens a new upload, or goes on with one.
///
/// # Durability
/// The entry that records it is durable; so is what a new upload is to become, and when it is given up.
///
/// # Errors
/// What is wrong with the request; a denial; that there is no such upload any more; [`Unavailable`].
pub async fn open(vault: Arc<Vault>, call: Call, opening: UploadOpening) -> Result<Upload, Refusal> {
    let named = opening.subject.duplicate();
    let items = opening.item.iter().map(|item| (*item, 0)).collect();
    match try_open(&vault, &call, opening).await {
        Ok(upload) => Ok(upload),
        Err(refusal) => {
            let touched = Touched { count: 1, items, ..Touched::default() };
            Err(refuse(&vault, &call, Some(&named), touched, refusal).await)
        }
    }
}

async fn try_open(vault: &Arc<Vault>, call: &Call, opening: UploadOpening) -> Result<Upload, Refusal> {
    let room = vault.buffers().reserve(call.caller(), UPLOAD_BUFFER_BYTES)?;
    match opening.upload {
        None => begin(vault, call, room, Opening::check(vault, call, opening)?).await,
        Some(upload) => go_on(vault, call, room, &opening.subject, upload).await,
    }
}

/// A new upload, checked.
struct Opening {
    target: Target,
    class: &'static ClassDef,
    media: MediaType,
    file_name: Text,
    related: Option<ItemId>,
    item: Option<ItemId>,
    etag: String,
    details: Option<Details>,
}

impl Opening {
    fn check(vault: &Vault, call: &Call, opening: UploadOpening) -> Result<Self, Refusal> {
        let name = if opening.class.is_empty() { "document" } else { &opening.class };
        let class = call.registry().class(name).map(|rule| rule.class);
        let class = class.ok_or_else(|| Fault::new("open.class", FaultReason::ClassUnknown))?;
        call.may_touch(class.id)?;
        if class.form != Form::Document {
            return Err(Fault::new("open.class", FaultReason::ClassMismatch).into());
        }
        if opening.media_type.is_empty() {
            return Err(Fault::new("open.media_type", FaultReason::Required).into());
        }
        let media = MediaType::parse(&opening.media_type);
        let media = media.ok_or_else(|| Fault::new("open.media_type", FaultReason::MediaType))?;
        let file_name = canonical_name(media, opening.file_name)?;
        let stated = match (opening.item, opening.metadata) {
            (Some(_), None) => None,
            (_, stated) => Some(stated.unwrap_or_default()),
        };
        let complete = |stated| Details::complete(call.registry(), class.id, stated, vault.now(), "open.metadata");
        Ok(Self {
            target: Target::of(&opening.subject),
            class,
            media,
            file_name,
            related: opening.related,
            item: opening.item,
            etag: opening.etag,
            details: stated.map(complete).transpose()?,
        })
    }
}

/// The name as its class has it.
fn canonical_name(media: MediaType, file_name: Text) -> Result<Text, Refusal> {
    let described = Document { media_type: media.as_str().into(), file_name, ..Document::default() };
    let canonical = ItemValue::Document(described).validate().map_err(|violations| {
        let fault = |v: &crate::catalog::validate::Violation| {
            Fault::new(format!("open.{}", v.path), FaultReason::Value(v.reason))
        };
        Refusal::Invalid(violations.iter().map(fault).collect())
    })?;
    match canonical.into_value() {
        ItemValue::Document(document) => Ok(document.file_name),
        _ => Err(Unavailable::Internal.into()),
    }
}

impl Uploading {
    /// Of which nothing has come yet.
    fn new(
        vault: &Arc<Vault>,
        call: &Call,
        (place, class, media, expires): (UploadPlace, ClassId, MediaType, Timestamp),
        presence: Reading,
        room: Reserved,
    ) -> Self {
        Self {
            vault: vault.clone(),
            call: call.clone(),
            place,
            class,
            media,
            expires,
            chunks: 0,
            tail: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES)),
            fits: false,
            hasher: Hasher::default(),
            total: 0,
            presence,
            _room: room,
        }
    }
}

/// A new upload that is durable, or what an earlier call with the same key made.
enum Begun {
    New(UploadPlace, Timestamp),
    Before(SubjectId, Stamp, Option<ReceiptId>),
}

async fn begin(vault: &Arc<Vault>, call: &Call, room: Reserved, opening: Opening) -> Result<Upload, Refusal> {
    let internal = |_| Refusal::from(Unavailable::Internal);
    let upload = UploadId::from_bytes(rng::make_bytes().map_err(internal)?);
    let item = match opening.item {
        Some(item) => item,
        None => ItemId::from_bytes(rng::make_bytes().map_err(internal)?),
    };
    let (class, media, travelling) = (opening.class.id, opening.media, call.clone());
    let work = move |txn: &mut Txn<'_>| store(txn, &travelling, opening, item, upload);
    match vault.committer().commit(work).await? {
        Begun::New(place, expires) => {
            let presence = vault.readings().begin_presence(place.subject);
            // What ended before the stream was there to be cut.
            vault.read(|reads| still_there(reads, call, &place).map(|_| ()))?;
            let terms = (place, class, media, expires);
            Ok(Upload::Open(Box::new(Uploading::new(vault, call, terms, presence, room))))
        }
        Begun::Before(subject, stamp, receipt) => {
            let expires = after(vault.now());
            let ended = ended(vault, call, subject, (stamp.item, stamp.version), receipt, expires)?;
            Ok(Upload::Ended(Box::new(ended)))
        }
    }
}

fn store(txn: &mut Txn<'_>, call: &Call, opening: Opening, item: ItemId, upload: UploadId) -> Result<Begun, Refusal> {
    let vault = call.recorder().vault();
    match repeated(txn, vault, call.once(), txn.now())? {
        None => {}
        Some(Repeated::Gone { receipt, .. }) => return Err(State::Erased(Some(receipt)).into()),
        Some(Repeated::Answer(answer)) => {
            let stamp = answer.items.into_iter().next().ok_or(State::IdempotencyKeyReused)?;
            return Ok(Begun::Before(answer.subject, stamp, answer.receipt));
        }
    }
    let subject = opening.target.open(txn, call)?;
    let rule = permit_to_write(call, subject.data(call.purpose(), opening.class.id))?;
    check_others(txn, &subject, &opening)?;
    let place = UploadPlace { subject: subject.id, item, upload };
    let expires = after(txn.now());
    let announced = Announced {
        opener: Text::from(call.caller()),
        class: opening.class.id,
        media: opening.media,
        file_name: opening.file_name,
        related: opening.related,
        renews: opening.item.is_some(),
        etag: opening.etag,
        details: opening.details.as_ref().map(Details::encode),
        content: ContentKey::make(upload).map_err(|_| Unavailable::Internal)?,
    };
    let tree = subject.tree();
    let position = txn.claim_position(tree)?;
    if position >= ITEMS_PER_SUBJECT_MAX {
        return Err(State::SubjectFull.into());
    }
    let key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
    let entry = Entry { generation: 1, extra: 0, key };
    let row = encode_upload(vault, &place, (position, expires), &entry, &announced)?;
    txn.set(tree, position, &entry)?;
    txn.put(Space::Upload, place.key(), row);
    uploads::note(txn, &place, expires, (tree, position), opening.class.id.as_str());
    record(txn, call, &subject, &place, (opening.class, rule))?;
    Ok(Begun::New(place, expires))
}

/// What else of the subject's the upload depends on.
fn check_others(txn: &Txn<'_>, subject: &OpenSubject, opening: &Opening) -> Result<(), Refusal> {
    let kept = txn.rows(Space::Upload, subject.id.as_bytes(), &[], UPLOADS_KEPT_MAX)?;
    let pending = kept.iter().filter(|(_, row)| row.first() == Some(&uploads::PENDING)).count();
    if pending >= UPLOADS_PER_SUBJECT_MAX || kept.len() >= UPLOADS_KEPT_MAX {
        return Err(refusal::Document::TooManyUploads.into());
    }
    if let Some(related) = opening.related {
        find(txn, subject, related, 0)?;
    }
    if let Some(item) = opening.item {
        let item = find(txn, subject, item, 0)?;
        if item.head.class != opening.class.id {
            return Err(refusal::Document::IsNone.into());
        }
        if !opening.etag.is_empty() && opening.etag != item.head.etag() {
            return Err(State::EtagMismatch.into());
        }
    }
    Ok(())
}

fn record(
    txn: &mut Txn<'_>,
    call: &Call,
    subject: &OpenSubject,
    place: &UploadPlace,
    (class, rule): (&ClassDef, SafeText),
) -> Result<(), Refusal> {
    let keys = subject.detail_keys(txn)?;
    let touched = Touched { rule: Some(rule), ..touched(class.id, place) };
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Subject(&keys), touched, How::Started, at)?);
    Ok(())
}

fn after(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(now.as_millis() + UPLOAD_TIME_MAX.as_millis() as i64)
}

/// An upload that is there, as its own caller finds it.
enum Found {
    Pending(Box<StoredUpload>, Box<Announced>),
    Finished(UploadPlace, u64, Option<ReceiptId>),
}

async fn go_on(
    vault: &Arc<Vault>,
    call: &Call,
    room: Reserved,
    named: &SubjectRef,
    upload: UploadId,
) -> Result<Upload, Refusal> {
    let target = Target::of(named);
    let id = vault.read(|reads| target.id(reads))?;
    let (reading, presence) = (vault.readings().begin(id, None), vault.readings().begin_presence(id));
    let (found, keys, rule) = vault.read(|reads| {
        let subject = target.open(reads, call)?;
        let found = find_upload(reads, vault, call, &subject, upload)?;
        let class = match &found {
            Found::Pending(_, announced) => announced.class,
            Found::Finished(place, version, _) => find(reads, &subject, place.item, *version)?.head.class,
        };
        let rule = permit_to_write(call, subject.data(call.purpose(), class)).map_err(Refusal::from)?;
        Ok((found, subject.detail_keys(reads)?, (class, rule)))
    })?;
    let ((class, rule), place) = match &found {
        Found::Pending(stored, _) => (rule, stored.place),
        Found::Finished(place, _, _) => (rule, *place),
    };
    let touched = Touched { rule: Some(rule), ..touched(class, &place) };
    let entry = call.recorder().entry(Whom::Subject(&keys), touched, How::Started, (vault.now(), vault.epoch()))?;
    vault.record(vec![entry]).await?;
    match found {
        Found::Finished(place, version, receipt) => {
            let expires = after(vault.now());
            drop(reading);
            let ended = ended(vault, call, place.subject, (place.item, version), receipt, expires)?;
            Ok(Upload::Ended(Box::new(ended)))
        }
        Found::Pending(stored, announced) => {
            let (total, chunks, expires) = (stored.durable_bytes(), stored.chunks, stored.expires);
            let media = announced.media;
            // What is durable is read once more: its hash is not kept, and it must open.
            let stored = Chunks::new(vault.clone(), place, announced.content, reading);
            let hasher = stored.hash(chunks).await?;
            let begun = Uploading::new(vault, call, (place, class, media, expires), presence, room);
            Ok(Upload::Open(Box::new(Uploading { chunks, fits: chunks > 0, hasher, total, ..begun })))
        }
    }
}

fn find_upload(
    reads: &dyn Reads,
    vault: &Vault,
    call: &Call,
    subject: &OpenSubject,
    upload: UploadId,
) -> Result<Found, txn::Fault> {
    for (key, row) in reads.rows(Space::Upload, subject.id.as_bytes(), &[], usize::MAX)? {
        let place = UploadPlace::of_key(&key)?;
        if place.upload != upload {
            continue;
        }
        return match decode_upload(place, &row)? {
            UploadRow::Finished(finished) => {
                let (version, receipt) = finished.open(&place, &subject.companion())?.ok_or_else(no_upload)?;
                Ok(Found::Finished(place, version, receipt))
            }
            UploadRow::Pending(stored) if stored.expires <= vault.now() => Err(no_upload().into()),
            UploadRow::Pending(stored) => {
                let announced = stored.open(reads, vault.id(), subject.tree())?;
                // To others it is as if there were none.
                if !mac::equal(announced.opener.expose().as_bytes(), call.caller().as_bytes()) {
                    return Err(no_upload().into());
                }
                Ok(Found::Pending(stored, Box::new(announced)))
            }
        };
    }
    Err(no_upload().into())
}

/// An upload that has become this version of its item.
fn ended(
    vault: &Arc<Vault>,
    call: &Call,
    subject: SubjectId,
    (item, version): (ItemId, u64),
    receipt: Option<ReceiptId>,
    expires: Timestamp,
) -> Result<Ended, Refusal> {
    let (stamp, document) = vault.read(|reads| {
        let opened = Target::Id(subject).open(reads, call)?;
        let gone = || txn::Fault::Refused(State::Erased(None).into());
        let row = reads.row(Space::Item, &item_key(&subject, &item))?.ok_or_else(gone)?;
        let ItemRow::Live(stored) = decode_item(item, &row)? else { return Err(gone()) };
        if stored.head.version != version {
            return Err(gone());
        }
        let content = stored.open(reads, vault.id(), opened.tree())?;
        let value = CanonicalValue::decode(stored.head.class, content.value.expose()).map_err(|_| txn::Fault::Torn)?;
        let head = &stored.head;
        let stamp = Stamp { item, version, etag: head.etag(), expires: head.expires };
        Ok((stamp, document_of(value)?))
    })?;
    let (vault, call) = (vault.clone(), call.clone());
    let upload = document.content.upload();
    Ok(Ended { call, vault, subject, upload, stamp, size: document.size, sha256: document.sha256, receipt, expires })
}
