//! What callers say of events and what they are told.

use crate::base::id::ItemId;
use crate::base::reason::Reason;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::ItemValue;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::crypto::hash::Digest;
use crate::gate::refusal::Refusal;
use crate::items::model::{Masked, SubjectRef};

/// One event to be appended.
pub struct NewEvent {
    /// The subject.
    pub subject: SubjectRef,
    /// The class as the caller wrote it.
    pub class: String,
    /// The value; must fit the class.
    pub value: ItemValue,
}

/// A batch of events, of which some may be refused already.
pub struct Batch {
    /// The caller's key; may be empty.
    pub key: Text,
    /// The digest of its content; made where there is a key.
    pub digest: Digest,
    /// Every event, in order.
    pub events: Vec<Result<NewEvent, Refusal>>,
}

/// Why an event was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// As this batch found.
    Now(Refusal),
    /// As the first of two equal batches found; told as it was then.
    Before(Reason),
}

/// What became of a batch.
#[derive(Debug)]
pub struct Recorded {
    /// How many events are stored.
    pub stored: u32,
    /// The others, by their place, in order.
    pub rejected: Vec<(u32, Rejection)>,
}

/// Which of a subject's events.
pub struct EventQuery {
    /// The subject; may be left out of a query for a day that is kept.
    pub subject: Option<SubjectRef>,
    /// Only this day, which only a keep reason keeps.
    pub kept: Option<ItemId>,
    /// Only these classes, as the caller wrote them; empty for all it may read.
    pub classes: Vec<String>,
    /// The first moment; none for the beginning.
    pub start: Option<Timestamp>,
    /// The first moment after; none for the end as it is when the call starts.
    pub end: Option<Timestamp>,
    /// The view wanted; none for the highest allowed, class by class.
    pub view: Option<View>,
    /// Field paths wanted; empty for all.
    pub fields: Vec<String>,
    /// Goes on after a message; empty for the beginning.
    pub resume_token: String,
}

/// One event as far as the caller may see it.
pub struct EventView {
    /// The item that holds it.
    pub item: ItemId,
    /// Its class.
    pub class: ClassId,
    /// The value, above [`View::Exists`].
    pub value: Option<ItemValue>,
    /// The view granted.
    pub view: View,
    /// Fields that are not shown in full.
    pub masked: Vec<Masked>,
}

/// A message of a reading.
pub struct EventsPart {
    /// In order of time.
    pub events: Vec<EventView>,
    /// Goes on after these.
    pub resume_token: String,
}
