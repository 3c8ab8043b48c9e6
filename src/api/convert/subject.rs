//! Subjects: who a request is about, and what is known about them.

use std::collections::BTreeMap;

use super::super::proto;
use super::{At, Faults, item, moved, time};
use crate::base::limits::{
    EXTERNAL_ID_BYTES_MAX, FIRST_ITEMS_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX, REGISTRY_ID_BYTES_MAX,
};
use crate::gate::refusal::{FaultReason, Refusal};
use crate::items::model::{Created, NewSubject, SubjectRef, SubjectState, SubjectView};

/// The subject that a request names.
pub(super) fn subject_ref(faults: &mut Faults, at: At<'_>, subject: Option<proto::SubjectRef>) -> Option<SubjectRef> {
    use proto::subject_ref::Ref;
    match subject.and_then(|subject| subject.r#ref) {
        None => faults.add(at, FaultReason::Required),
        Some(Ref::SubjectId(id)) => return faults.id(at.then("subject_id"), &id).map(SubjectRef::Id),
        Some(Ref::ExternalId(id)) if id.is_empty() => faults.add(at.then("external_id"), FaultReason::Required),
        Some(Ref::ExternalId(id)) => {
            return Some(SubjectRef::External(faults.text(at.then("external_id"), id, EXTERNAL_ID_BYTES_MAX)));
        }
    }
    None
}

/// Labels. A fault names the map, not the key: a key is the caller's text.
pub(super) fn labels(faults: &mut Faults, at: At<'_>, labels: BTreeMap<String, String>) -> Vec<(String, String)> {
    if labels.len() > LABELS_MAX {
        faults.add(at, FaultReason::TooLong);
    } else if !labels.keys().all(|key| is_registry_id(key)) {
        faults.add(at, FaultReason::Malformed);
    } else if labels.values().any(|value| value.len() > LABEL_VALUE_BYTES_MAX) {
        faults.add(at, FaultReason::TooLong);
    }
    labels.into_iter().collect()
}

fn is_registry_id(text: &str) -> bool {
    let rest = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    text.len() <= REGISTRY_ID_BYTES_MAX && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(rest)
}

/// A subject to be created.
///
/// # Errors
/// Every fault of the request's form.
pub fn create(request: proto::CreateSubjectRequest) -> Result<NewSubject, Refusal> {
    let mut faults = Faults::default();
    let external_id = faults.text(At::field("external_id"), request.external_id, EXTERNAL_ID_BYTES_MAX);
    let labels = labels(&mut faults, At::field("labels"), request.labels);
    if request.items.len() > FIRST_ITEMS_MAX {
        faults.add(At::field("items"), FaultReason::TooMany);
        return Err(faults.into_refusal());
    }
    let mut items = Vec::with_capacity(request.items.len());
    for (index, new) in request.items.into_iter().enumerate() {
        items.extend(item::new_item(&mut faults, At::field("items").index(index), new));
    }
    faults.finish(NewSubject { external_id, labels, items })
}

/// The subject to describe.
///
/// # Errors
/// Every fault of the request's form.
pub fn describe(request: proto::GetSubjectRequest) -> Result<SubjectRef, Refusal> {
    let mut faults = Faults::default();
    let subject = subject_ref(&mut faults, At::field("subject"), request.subject);
    subject.ok_or_else(|| faults.into_refusal())
}

/// What was created.
pub fn created(created: Created) -> proto::CreateSubjectResponse {
    proto::CreateSubjectResponse {
        subject_id: created.subject.to_string(),
        items: created.items.into_iter().map(item::stamp).collect(),
        create_time: Some(time(created.time)),
    }
}

/// What is known about a subject.
pub fn view(view: SubjectView) -> proto::Subject {
    let state = match view.state {
        SubjectState::Active => proto::SubjectState::Active,
        SubjectState::Restricted => proto::SubjectState::Restricted,
        SubjectState::ErasurePending => proto::SubjectState::ErasurePending,
        SubjectState::Erased => proto::SubjectState::Erased,
    };
    proto::Subject {
        subject_id: view.subject.to_string(),
        external_id: moved(view.external_id),
        labels: view.labels.into_iter().collect(),
        state: state.into(),
        objections: view.objections,
        create_time: view.created.map(time),
        item_counts: view.item_counts.into_iter().map(|(class, count)| (class.as_str().to_owned(), count)).collect(),
        receipt_id: view.receipt.map(|receipt| receipt.to_string()).unwrap_or_default(),
    }
}
