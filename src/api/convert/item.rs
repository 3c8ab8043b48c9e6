//! Items one by one: to be created, read, listed, corrected, deleted, and what became of them.

use super::super::proto;
use super::{At, Faults, holds, metadata, subject, time, value};
use crate::base::id::SubjectId;
use crate::base::limits::{PAGE_SIZE_MAX, REGISTRY_ID_BYTES_MAX};
use crate::base::time::Timestamp;
use crate::catalog::classes::password::SECRET_BYTES_MAX;
use crate::gate::refusal::{FaultReason, Refusal};
use crate::items::model::{
    Delete, Erasure, ErasureState, ItemQuery, ItemView, ListPage, ListQuery, Masked, NewItem, PasswordTest, Stamp,
    SubjectRef, Update, Wait,
};

/// An item to be created.
pub(super) fn new_item(faults: &mut Faults, at: At<'_>, item: proto::NewItem) -> Option<NewItem> {
    if item.class.is_empty() {
        faults.add(at.then("class"), FaultReason::Required);
    }
    let class = faults.plain(at.then("class"), item.class, REGISTRY_ID_BYTES_MAX);
    let value = value::value(faults, at.then("value"), item.value);
    let metadata = item.metadata.map(|stated| metadata::new_metadata(faults, at.then("metadata"), stated));
    Some(NewItem { class, value: value?, metadata: metadata.unwrap_or_default() })
}

/// An item to be created, and whose.
///
/// # Errors
/// Every fault of the request's form.
pub fn put(request: proto::PutItemRequest) -> Result<(SubjectRef, NewItem), Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let item = match request.item {
        Some(item) => new_item(&mut faults, At::field("item"), item),
        None => {
            faults.add(At::field("item"), FaultReason::Required);
            None
        }
    };
    whole(faults, subject.zip(item))
}

/// What was created.
pub fn put_done(subject: SubjectId, item: Stamp) -> proto::PutItemResponse {
    proto::PutItemResponse { subject_id: subject.to_string(), item: Some(stamp(item)) }
}

/// The item to be read.
///
/// # Errors
/// Every fault of the request's form.
pub fn get(request: proto::GetItemRequest) -> Result<ItemQuery, Refusal> {
    let mut faults = Faults::default();
    let subject = owner(&mut faults, request.subject);
    let item = faults.id(At::field("item_id"), &request.item_id);
    let view = faults.view(At::field("view"), request.view);
    let fields = faults.names(At::field("fields"), request.fields);
    let etag = faults.token(At::field("etag"), request.etag);
    whole(faults, item.map(|item| ItemQuery { subject, item, version: request.version, etag, view, fields }))
}

/// Whose item it is; only what a keep reason keeps is read without saying so, and the verb knows for whom.
pub(super) fn owner(faults: &mut Faults, subject: Option<proto::SubjectRef>) -> Option<SubjectRef> {
    subject.and_then(|named| subject::subject_ref(faults, At::field("subject"), Some(named)))
}

/// Which items to list.
///
/// # Errors
/// Every fault of the request's form.
pub fn list(request: proto::ListItemsRequest) -> Result<ListQuery, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let classes = faults.names(At::field("classes"), request.classes);
    let view = faults.view(At::field("view"), request.view);
    let fields = faults.names(At::field("fields"), request.fields);
    if request.page_size as usize > PAGE_SIZE_MAX {
        faults.add(At::field("page_size"), FaultReason::Malformed);
    }
    let page_size = request.page_size;
    let page_token = faults.token(At::field("page_token"), request.page_token);
    whole(faults, subject.map(|subject| ListQuery { subject, classes, view, fields, page_size, page_token }))
}

/// A page of items.
pub fn page(page: ListPage) -> proto::ListItemsResponse {
    proto::ListItemsResponse {
        items: page.items.into_iter().map(item).collect(),
        next_page_token: page.next_page_token,
    }
}

/// A correction.
///
/// # Errors
/// Every fault of the request's form.
pub fn update(request: proto::UpdateItemRequest) -> Result<Update, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let item = faults.id(At::field("item_id"), &request.item_id);
    let etag = faults.token(At::field("etag"), request.etag);
    if request.value.is_none() && request.metadata.is_none() {
        faults.add(At::field("value"), FaultReason::Required);
    }
    let value = request.value.and_then(|given| value::value(&mut faults, At::field("value"), Some(given)));
    let metadata = request.metadata.map(|given| metadata::new_metadata(&mut faults, At::field("metadata"), given));
    let wait = faults.wait(At::field("wait"), request.wait, Wait::Logical);
    let named = subject.zip(item);
    whole(faults, named.map(|(subject, item)| Update { subject, item, etag, value, metadata, wait }))
}

/// What became of a corrected item, and of its old version.
pub fn updated(item: Stamp, old: Option<Erasure>) -> proto::UpdateItemResponse {
    proto::UpdateItemResponse { item: Some(stamp(item)), erasure: old.map(erasure) }
}

/// A deletion.
///
/// # Errors
/// Every fault of the request's form.
pub fn delete(request: proto::DeleteItemRequest) -> Result<Delete, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let item = faults.id(At::field("item_id"), &request.item_id);
    let etag = faults.token(At::field("etag"), request.etag);
    let wait = faults.wait(At::field("wait"), request.wait, Wait::Erased);
    let named = subject.zip(item);
    whole(faults, named.map(|(subject, item)| Delete { subject, item, etag, wait }))
}

/// A password to be tested.
///
/// # Errors
/// Every fault of the request's form.
pub fn verify(request: proto::VerifyPasswordRequest) -> Result<PasswordTest, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let named = !request.item_id.is_empty();
    let item = if named { faults.id(At::field("item_id"), &request.item_id) } else { None };
    let secret = faults.text(At::field("secret"), request.secret, SECRET_BYTES_MAX);
    if secret.is_empty() {
        faults.add(At::field("secret"), FaultReason::Required);
    }
    whole(faults, subject.map(|subject| PasswordTest { subject, item, secret }))
}

/// Whether a password is right.
pub fn verified(set: Option<Timestamp>) -> proto::VerifyPasswordResponse {
    proto::VerifyPasswordResponse { verified: set.is_some(), set_time: set.map(time) }
}

/// What became of a deleted item.
pub fn deleted(deleted: Erasure) -> proto::DeleteItemResponse {
    proto::DeleteItemResponse { erasure: Some(erasure(deleted)) }
}

/// An item as far as its caller may see it.
pub fn item(view: ItemView) -> proto::Item {
    let shown = super::view(view.view).into();
    proto::Item {
        subject_id: view.subject.map(|subject| subject.to_string()).unwrap_or_default(),
        item_id: view.item.to_string(),
        class: view.class.as_str().to_owned(),
        version: view.version,
        etag: view.etag,
        create_time: Some(time(view.created)),
        update_time: Some(time(view.updated)),
        expire_time: view.metadata.as_ref().and_then(|metadata| metadata.expires).map(time),
        metadata: view.metadata.map(metadata::metadata),
        value: view.value.map(value::shown),
        view: shown,
        masked_fields: view.masked.iter().map(masked).collect(),
        restricted: view.restricted,
        receipt_id: view.receipt.map(|receipt| receipt.to_string()).unwrap_or_default(),
    }
}

/// A field that is not shown in full.
pub(super) fn masked(masked: &Masked) -> proto::MaskedField {
    proto::MaskedField {
        path: masked.path.as_str().to_owned(),
        view: super::view(masked.view).into(),
        rule_id: masked.rule.as_ref().map(|rule| rule.as_str().to_owned()).unwrap_or_default(),
    }
}

/// What an item is known by.
pub(super) fn stamp(stamp: Stamp) -> proto::ItemStamp {
    proto::ItemStamp {
        item_id: stamp.item.to_string(),
        version: stamp.version,
        etag: stamp.etag,
        expire_time: stamp.expires.map(time),
    }
}

/// What became of something that was to be forgotten.
pub fn erasure(erasure: Erasure) -> proto::Erasure {
    let state = match erasure.state {
        ErasureState::Pending => proto::ErasureState::Pending,
        ErasureState::Erased => proto::ErasureState::Erased,
        ErasureState::Kept => proto::ErasureState::Kept,
    };
    proto::Erasure {
        state: state.into(),
        epoch: erasure.epoch,
        receipt_id: erasure.receipt.to_string(),
        waiting_slot_ids: erasure.waiting.iter().map(ToString::to_string).collect(),
        keep_reasons: erasure.kept_for.iter().map(holds::reason).collect(),
    }
}

/// What was converted, if it is whole and nothing was wrong.
pub(super) fn whole<T>(faults: Faults, converted: Option<T>) -> Result<T, Refusal> {
    faults.finish(converted)?.ok_or_else(|| {
        debug_assert!(false, "what is missing was noted as a fault");
        Refusal::Invalid(Vec::new())
    })
}
