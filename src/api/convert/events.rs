//! Batches of events on their way in, and events on their way out.

use prost::Message as _;

use super::super::{proto, status};
use super::item::{masked, whole};
use super::{At, Faults, subject, value};
use crate::base::limits::{BATCH_KEY_BYTES_MAX, EVENT_ERRORS_FULL_MAX, EVENTS_MAX, REGISTRY_ID_BYTES_MAX};
use crate::base::secret::PlainValue;
use crate::catalog::text::Text;
use crate::gate::call::CallRequest;
use crate::gate::refusal::{FaultReason, Refusal};
use crate::items::events::model::{Batch, EventQuery, EventView, EventsPart, NewEvent, Recorded, Rejection};

/// A batch, and its key for the answer. An event that is malformed does not stop the others.
///
/// # Errors
/// What concerns the batch as a whole: too many events, none, a key that is too long, a context in a later message.
pub fn record(mut request: proto::RecordEventsRequest) -> Result<(Batch, String), Refusal> {
    let mut faults = Faults::default();
    if request.context.is_some() {
        faults.add(At::field("context"), FaultReason::Conflict);
    }
    let batch_key = std::mem::take(&mut request.batch_key);
    if batch_key.len() > BATCH_KEY_BYTES_MAX {
        faults.add(At::field("batch_key"), FaultReason::TooLong);
    }
    if request.events.is_empty() {
        faults.add(At::field("events"), FaultReason::Required);
    }
    if request.events.len() > EVENTS_MAX {
        faults.add(At::field("events"), FaultReason::TooMany);
    }
    faults.finish(())?;
    let mut digest = Default::default();
    if !batch_key.is_empty() {
        let encoded = PlainValue::new(request.encode_to_vec());
        digest = CallRequest::digest("RecordEvents", encoded.expose());
    }
    let events = request.events.into_iter().map(new_event).collect();
    Ok((Batch { key: Text::from(batch_key.as_str()), digest, events }, batch_key))
}

fn new_event(event: proto::NewEvent) -> Result<NewEvent, Refusal> {
    let mut faults = Faults::default();
    let subject = subject::subject_ref(&mut faults, At::field("subject"), event.subject);
    if event.class.is_empty() {
        faults.add(At::field("class"), FaultReason::Required);
    }
    let class = faults.plain(At::field("class"), event.class, REGISTRY_ID_BYTES_MAX);
    let value = value::value(&mut faults, At::field("value"), event.value);
    let named = subject.zip(value);
    whole(faults, named.map(|(subject, value)| NewEvent { subject, class, value }))
}

/// What became of a batch. Of very many events that were not stored, only the first say in full what is wrong.
pub fn recorded(batch_key: String, recorded: Recorded) -> proto::RecordEventsResponse {
    let rejected = recorded.rejected.into_iter().enumerate().map(|(number, (index, rejection))| {
        let error = match rejection {
            Rejection::Now(refusal) if number < EVENT_ERRORS_FULL_MAX => status::of_entry(&refusal),
            Rejection::Now(refusal) => status::of_entry_reason(status::told(refusal.told())),
            Rejection::Before(reason) => status::of_entry_reason(status::told(reason)),
        };
        proto::RejectedEvent { index, error: Some(error) }
    });
    proto::RecordEventsResponse { batch_key, stored_count: recorded.stored, rejected: rejected.collect() }
}

/// Which events to read.
///
/// # Errors
/// Every fault of the request's form.
pub fn read(request: proto::ReadEventsRequest) -> Result<EventQuery, Refusal> {
    let mut faults = Faults::default();
    let kept = if request.item_id.is_empty() { None } else { faults.id(At::field("item_id"), &request.item_id) };
    let subject = match request.subject {
        None if !request.item_id.is_empty() => None,
        named => subject::subject_ref(&mut faults, At::field("subject"), named),
    };
    let classes = faults.names(At::field("classes"), request.classes);
    let start = faults.time(At::field("start_time"), request.start_time);
    let end = faults.time(At::field("end_time"), request.end_time);
    let view = faults.view(At::field("view"), request.view);
    let fields = faults.names(At::field("fields"), request.fields);
    let resume_token = faults.token(At::field("resume_token"), request.resume_token);
    faults.finish(EventQuery { subject, kept, classes, start, end, view, fields, resume_token })
}

/// A message of events.
pub fn part(part: EventsPart) -> proto::ReadEventsResponse {
    let events = part.events.into_iter().map(event).collect();
    proto::ReadEventsResponse { events, resume_token: part.resume_token }
}

fn event(view: EventView) -> proto::Event {
    proto::Event {
        item_id: view.item.to_string(),
        class: view.class.as_str().to_owned(),
        value: view.value.map(value::shown),
        view: super::view(view.view).into(),
        masked_fields: view.masked.iter().map(masked).collect(),
    }
}
