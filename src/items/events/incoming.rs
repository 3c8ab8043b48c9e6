//! An event on its way in: checked and canonical before the writer sees it, together with the others of its day.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::base::limits::EVENT_AHEAD_MAX;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId};
use crate::crypto::hash::{Digest, sha256};
use crate::gate::call::Call;
use crate::gate::refusal::{Access, Fault, FaultReason, Refusal};
use crate::items::draft::{Checked, Details, check_value};
use crate::items::model::{NewMetadata, SubjectRef};
use crate::items::record::Target;
use crate::items::record::day::{Stored, start_of};

use super::model::NewEvent;

/// The sound events of a batch, by person and class, and within that by day.
pub(super) struct Incoming<'c> {
    call: &'c Call,
    now: Timestamp,
    /// What the registry says of an item of a class and day, or that the time for it is over.
    days: HashMap<(ClassId, i32), Result<Arc<Details>, FaultReason>>,
    places: HashMap<(Digest, ClassId), usize>,
    groups: Vec<Group>,
}

/// Events of one person and class.
pub(super) struct Group {
    pub target: Target,
    pub class: ClassId,
    pub days: BTreeMap<i32, DayBatch>,
}

/// Events of one day.
pub(super) struct DayBatch {
    /// What the day's item is to be if it is begun now.
    pub details: Arc<Details>,
    pub events: Vec<Stored>,
    /// The place of each in the batch of the caller.
    pub places: Vec<u32>,
}

impl<'c> Incoming<'c> {
    pub(super) fn new(call: &'c Call, now: Timestamp) -> Self {
        Self { call, now, days: HashMap::new(), places: HashMap::new(), groups: Vec::new() }
    }

    /// Takes the event at a place of the batch.
    ///
    /// # Errors
    /// What is wrong with it, by its own fields.
    pub(super) fn take(&mut self, place: u32, event: NewEvent) -> Result<(), Refusal> {
        let NewEvent { subject, class, value } = event;
        let def = class_of_events(self.call, &class, |class| self.call.may_touch(class))?;
        if value.class().id != def.id {
            return Err(Fault::new("value", FaultReason::ClassMismatch).into());
        }
        let Checked { value, time, .. } = check_value(value, "value")?;
        let at = || format!("value.{}.time", def.id);
        let time = time.ok_or_else(|| Fault::new(at(), FaultReason::Required))?;
        let ahead = time.as_millis().saturating_sub(self.now.as_millis());
        if ahead > EVENT_AHEAD_MAX.as_millis() as i64 {
            return Err(Fault::new(at(), FaultReason::InFuture).into());
        }
        let details = self.details(def.id, time.day())?.map_err(|reason| Fault::new(at(), reason))?;
        let group = self.group(&subject, def.id);
        let new = || DayBatch { details, events: Vec::new(), places: Vec::new() };
        let day = group.days.entry(time.day()).or_insert_with(new);
        day.events.push(Stored { time, value });
        day.places.push(place);
        Ok(())
    }

    /// Everything that was taken, in the order in which persons and classes first appeared.
    pub(super) fn into_groups(self) -> Vec<Group> {
        self.groups
    }

    /// What the item of a class and day is to be. It ends as late as its class and purposes allow, from the beginning of
    /// its day.
    fn details(&mut self, class: ClassId, day: i32) -> Result<Result<Arc<Details>, FaultReason>, Refusal> {
        if let Some(known) = self.days.get(&(class, day)) {
            return Ok(known.clone());
        }
        let metadata = NewMetadata::default();
        let details = Details::complete(self.call.registry(), class, metadata, start_of(day), "class")?;
        let is_over = details.expires().is_some_and(|end| end <= self.now);
        let known = if is_over { Err(FaultReason::TooLongAgo) } else { Ok(Arc::new(details)) };
        self.days.insert((class, day), known.clone());
        Ok(known)
    }

    fn group(&mut self, subject: &SubjectRef, class: ClassId) -> &mut Group {
        // By a digest, so that no copy of a caller's id is left behind.
        let name = match subject {
            SubjectRef::Id(id) => sha256(&[&[1], id.as_bytes()]),
            SubjectRef::External(id) => sha256(&[&[2], id.expose().as_bytes()]),
        };
        let place = *self.places.entry((name, class)).or_insert_with(|| {
            self.groups.push(Group { target: Target::of(subject), class, days: BTreeMap::new() });
            self.groups.len() - 1
        });
        &mut self.groups[place]
    }
}

/// The class of that name, if the registry has it, the caller `may` name it, and it is kept as events.
pub(super) fn class_of_events(
    call: &Call,
    name: &str,
    may: impl FnOnce(ClassId) -> Result<(), Access>,
) -> Result<&'static ClassDef, Refusal> {
    let registered = call.registry().class(name).map(|rule| rule.class);
    let def = registered.ok_or_else(|| Fault::new("class", FaultReason::ClassUnknown))?;
    may(def.id)?;
    if def.form.takes_events() { Ok(def) } else { Err(Fault::new("class", FaultReason::NotKeptAsEvents).into()) }
}

impl DayBatch {
    /// Brings the events into the order of time.
    pub(super) fn sort(&mut self) {
        self.events.sort_by_key(|event| event.time);
    }
}
