//! ReadEvents: a subject's events in order of time, message by message.
//!
//! Between messages nothing of the subject is held but its presence: each step opens the subject anew, decides anew,
//! and reads as a registered reader. What it found is recorded, and only then revealed.

use std::sync::Arc;

use crate::audit::detail::DetailKeys;
use crate::audit::event::Event;
use crate::base::id::{ItemId, SubjectId};
use crate::base::limits::EVENT_AHEAD_MAX;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::{CanonicalValue, class_of};
use crate::catalog::view::View;
use crate::gate::call::Call;
use crate::gate::readings::Reading;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::txn::Reads;
use crate::gate::vault::Vault;
use crate::items::kept::{self, Pick, Whose};
use crate::items::record::{OpenSubject, Target, same};
use crate::items::recorded::refuse;
use crate::items::show::{masked, permit_to_see};
use crate::policy::decide::Permit;

use super::gather::{Found, From, Gathered, Source, Wanted, gather};
use super::incoming::class_of_events;
use super::model::{EventQuery, EventView, EventsPart};
use super::resume::{Resumed, make_token, open_token};

/// A reading that goes on message by message.
pub struct Events {
    asked: Arc<Asked>,
    /// Cut when the subject is erased. None for a day that a keep reason keeps, which outlives its subject: there each step
    /// finds out.
    presence: Option<Reading>,
    /// None at the end.
    next: Option<From>,
    /// Whether a message was made.
    shown: bool,
}

/// What is asked for: travels to a thread where it may block.
struct Asked {
    vault: Arc<Vault>,
    call: Call,
    query: EventQuery,
    place: Place,
    subject: SubjectId,
    /// None for all that the caller may read.
    classes: Option<Vec<ClassId>>,
    start: Timestamp,
    end: Timestamp,
}

/// Where the events are.
enum Place {
    /// With a person's account.
    Account(Target),
    /// A day that only a keep reason keeps.
    Kept(ItemId),
}

/// What may be shown of a class.
struct Shown {
    class: ClassId,
    permit: Permit,
    view: View,
}

/// What one step found.
struct Step {
    gathered: Gathered,
    shown: Vec<Shown>,
    about: About,
}

/// Whom the entries of a step are about.
enum About {
    Person(DetailKeys),
    Kept(Whose),
}

impl About {
    fn whom(&self) -> Whom<'_> {
        match self {
            Self::Person(keys) => Whom::Subject(keys),
            Self::Kept(whose) => whose.whom(),
        }
    }
}

/// Opens a reading.
///
/// # Durability
/// A refusal is recorded when this returns.
///
/// # Errors
/// What is wrong with the request; that there is no such person, or nothing that the caller may read.
pub async fn open(vault: Arc<Vault>, call: Call, query: EventQuery) -> Result<Events, Refusal> {
    match begin(&vault, &call, &query) {
        Ok(Begun { place, subject, presence, classes, resumed }) => {
            let start = query.start.unwrap_or(Timestamp::from_millis(i64::MIN));
            let Resumed { from, end } = resumed;
            let asked = Asked { vault, call, query, place, subject, classes, start, end };
            Ok(Events { asked: Arc::new(asked), presence, next: Some(from), shown: false })
        }
        Err(refusal) => Err(record_refusal(&vault, &call, &query, refusal).await),
    }
}

struct Begun {
    place: Place,
    subject: SubjectId,
    presence: Option<Reading>,
    classes: Option<Vec<ClassId>>,
    resumed: Resumed,
}

fn begin(vault: &Vault, call: &Call, query: &EventQuery) -> Result<Begun, Refusal> {
    if let (Some(start), Some(end)) = (query.start, query.end)
        && end < start
    {
        return Err(Fault::new("end_time", FaultReason::Conflict).into());
    }
    let classes = named_classes(call, &query.classes)?;
    let now = vault.now();
    let resumed = match open_token(call, query, now)? {
        Some(resumed) => resumed,
        None => {
            // Whatever is stored now is not later than this.
            let latest = now.as_millis().saturating_add(EVENT_AHEAD_MAX.as_millis() as i64 + 1);
            let day = query.start.map_or(i32::MIN, Timestamp::day);
            let end = query.end.unwrap_or(Timestamp::from_millis(latest));
            Resumed { from: From { day, after: None }, end }
        }
    };
    let target = query.subject.as_ref().map(Target::of);
    let named = target.as_ref().map(|target| vault.read(|reads| target.id(reads))).transpose()?;
    let (place, subject) = match (query.kept, target, named) {
        (None, Some(target), Some(subject)) => (Place::Account(target), subject),
        (None, _, _) => return Err(Fault::new("subject", FaultReason::Required).into()),
        (Some(item), _, named) => {
            let owner = kept::owner(vault, call, day(item)).map_err(|refusal| match refusal {
                // Who names the person learns no more than that there is nothing.
                Refusal::Invalid(_) if named.is_some() => State::NotFound.into(),
                other => other,
            })?;
            if named.is_some_and(|named| named != owner) {
                return Err(State::NotFound.into());
            }
            (Place::Kept(item), owner)
        }
    };
    let presence = match &place {
        Place::Account(target) => {
            let presence = vault.readings().begin_presence(subject);
            vault.read(|reads| {
                let subject = target.open(reads, call)?;
                Ok(permits(call, &subject, classes.as_deref(), query.view).map(drop)?)
            })?;
            Some(presence)
        }
        Place::Kept(item) => {
            let _reading = vault.readings().begin(subject, Some(*item));
            vault.read(|reads| see_kept(reads, vault, call, *item, query.view).map(drop))?;
            None
        }
    };
    Ok(Begun { place, subject, presence, classes, resumed })
}

fn day(item: ItemId) -> Pick<'static> {
    Pick { item, version: 0, etag: "" }
}

/// A kept day of events, whose row is checked to be the newest under its key.
fn see_kept(
    reads: &dyn Reads,
    vault: &Vault,
    call: &Call,
    item: ItemId,
    view: Option<View>,
) -> Result<kept::Seen, crate::gate::txn::Fault> {
    let seen = kept::see(reads, vault, call, day(item), view)?;
    if seen.item.head.day.is_none() {
        return Err(Refusal::from(Fault::new("item_id", FaultReason::NotKeptAsEvents)).into());
    }
    seen.item.open_with(vault.id(), &seen.entry)?;
    Ok(seen)
}

/// The classes that were named, each once and in the order in which events of one moment are shown.
fn named_classes(call: &Call, names: &[String]) -> Result<Option<Vec<ClassId>>, Refusal> {
    let mut classes = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        match class_of_events(call, name, |_| Ok(())) {
            Ok(def) => classes.push(def.id),
            Err(Refusal::Invalid(faults)) => {
                let here = |fault: Fault| Fault { field: format!("classes[{at}]"), ..fault };
                return Err(Refusal::Invalid(faults.into_iter().map(here).collect()));
            }
            Err(other) => return Err(other),
        }
    }
    classes.sort();
    classes.dedup();
    Ok((!classes.is_empty()).then_some(classes))
}

/// What may be shown of each class: of those that were named all, else those that the caller may read.
fn permits(
    call: &Call,
    subject: &OpenSubject,
    named: Option<&[ClassId]>,
    view: Option<View>,
) -> Result<Vec<Shown>, Refusal> {
    let see = |class: ClassId| {
        let (permit, view) = permit_to_see(call, subject.data(call.purpose(), class), view)?;
        Ok(Shown { class, permit, view })
    };
    if let Some(classes) = named {
        return classes.iter().map(|class| see(*class)).collect();
    }
    let (mut shown, mut denied) = (Vec::new(), None);
    for rule in call.registry().classes().filter(|rule| rule.class.form.takes_events()) {
        match see(rule.class.id) {
            Ok(class) => shown.push(class),
            Err(refusal @ Refusal::Access(Access::Denied(_))) => denied = denied.or(Some(refusal)),
            Err(other) => return Err(other),
        }
    }
    match denied {
        Some(denied) if shown.is_empty() => Err(denied),
        Some(_) | None => Ok(shown),
    }
}

impl Events {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.asked.call
    }

    /// The next message; none after the last.
    ///
    /// # Durability
    /// The entries that record what it shows survive power loss when this returns.
    ///
    /// # Errors
    /// [`State::SubjectErased`] if the subject is erased meanwhile; [`State::ItemErased`] if a day that only a keep reason
    /// keeps is; that the caller may not read it any more.
    pub async fn next(&mut self) -> Result<Option<EventsPart>, Refusal> {
        match self.unless_cut(self.gather()).await.and_then(|part| part) {
            Ok((part, next)) => {
                self.next = next;
                self.shown |= part.is_some();
                Ok(part)
            }
            Err(refusal) => {
                let Asked { vault, call, query, .. } = &*self.asked;
                Err(record_refusal(vault, call, query, refusal).await)
            }
        }
    }

    /// Runs `work`, such as the sending of a message, unless the end of the subject cuts the reading.
    ///
    /// # Errors
    /// [`State::SubjectErased`].
    pub async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, Refusal> {
        match &self.presence {
            None => Ok(work.await),
            Some(presence) => presence.unless_cut(work).await.ok_or_else(|| presence.ended_by().into()),
        }
    }

    async fn gather(&self) -> Result<(Option<EventsPart>, Option<From>), Refusal> {
        let mut next = self.next;
        while let Some(from) = next {
            // An item that is forgotten while it is read: what is left is read again.
            let Some((part, then)) = self.step(from).await? else { continue };
            if part.is_some() {
                return Ok((part, then));
            }
            next = then;
        }
        Ok((None, None))
    }

    /// One step, with its entries; none if it was cut.
    async fn step(&self, from: From) -> Result<Option<(Option<EventsPart>, Option<From>)>, Refusal> {
        let asked = self.asked.clone();
        let item = match &asked.place {
            Place::Account(_) => None,
            Place::Kept(item) => Some(*item),
        };
        let reading = asked.vault.readings().begin(asked.subject, item);
        let step = tokio::task::spawn_blocking(move || asked.look(from)).await.map_err(|_| Unavailable::Internal)??;
        let asked = &self.asked;
        let next = step.gathered.next;
        let found = !step.gathered.events.is_empty();
        // A reading that found nothing is recorded once, at its end.
        if found || (next.is_none() && !self.shown) {
            let entries = asked.entries(&step)?;
            match reading.unless_cut(asked.vault.record(entries)).await {
                None => return Ok(None),
                Some(recorded) => recorded?,
            }
        }
        if !found {
            return Ok(Some((None, next)));
        }
        let events =
            step.gathered.events.iter().map(|found| asked.show(found, &step.shown)).collect::<Result<_, _>>()?;
        let last = step.gathered.events.last().map(|found| found.at);
        // After the last message nothing follows, and a token says so.
        let from = next.unwrap_or(From { day: i32::MAX, after: last });
        let resumed = Resumed { from, end: asked.end };
        let resume_token = make_token(&asked.call, &asked.query, &resumed, asked.vault.now())?;
        Ok(Some((Some(EventsPart { events, resume_token }), next)))
    }
}

impl Asked {
    fn look(&self, from: From) -> Result<Step, Refusal> {
        let Self { vault, call, query, .. } = self;
        vault.read(|reads| match &self.place {
            Place::Account(target) => {
                let subject = same(target, reads, call, self.subject)?;
                let shown = permits(call, &subject, self.classes.as_deref(), query.view)?;
                let gathered = self.gather(reads, &Source::Account(&subject), &shown, from)?;
                Ok(Step { gathered, shown, about: About::Person(subject.detail_keys(reads)?) })
            }
            Place::Kept(item) => {
                let kept::Seen { item, entry, kept, whose, permit, view } =
                    see_kept(reads, vault, call, *item, query.view).map_err(gone)?;
                let wanted = self.classes.as_ref().is_none_or(|classes| classes.contains(&item.head.class));
                let shown = vec![Shown { class: item.head.class, permit, view }];
                let source = Source::Kept { owner: kept.subject, item: &item, entry: &entry };
                let gathered = self.gather(reads, &source, if wanted { &shown } else { &[] }, from)?;
                Ok(Step { gathered, shown, about: About::Kept(whose) })
            }
        })
    }

    fn gather(
        &self,
        reads: &dyn Reads,
        source: &Source<'_>,
        shown: &[Shown],
        from: From,
    ) -> Result<Gathered, crate::gate::txn::Fault> {
        let classes: Vec<ClassId> = shown.iter().map(|shown| shown.class).collect();
        let wanted = Wanted { classes: &classes, start: self.start, end: self.end };
        gather(reads, self.vault.id(), source, &wanted, from)
    }

    /// One entry per class that is shown; one of nothing if nothing was found.
    fn entries(&self, step: &Step) -> Result<Vec<Event>, Refusal> {
        let mut entries = Vec::new();
        for shown in &step.shown {
            let events = step.gathered.events.iter().filter(|found| found.at.class == shown.class);
            let count = u32::try_from(events.clone().count()).unwrap_or(u32::MAX);
            if count == 0 {
                continue;
            }
            let mut items: Vec<(ItemId, u64)> = events.map(|found| (found.item, 1)).collect();
            items.dedup();
            entries.push(Touched {
                class: Some(shown.class),
                view: Some(shown.view),
                rule: Some(shown.permit.rule().clone()),
                count,
                items,
                fields: self.query.fields.clone(),
            });
        }
        if entries.is_empty() {
            let rule = step.shown.first().map(|shown| shown.permit.rule().clone());
            entries.push(Touched { rule, fields: self.query.fields.clone(), ..Touched::default() });
        }
        let at = (self.vault.now(), self.vault.epoch());
        let entry = |touched| self.call.recorder().entry(step.about.whom(), touched, Ended::Done, at);
        entries.into_iter().map(entry).collect()
    }

    fn show(&self, found: &Found, shown: &[Shown]) -> Result<EventView, Refusal> {
        let class = found.at.class;
        let def = class_of(class.as_str()).ok_or(Unavailable::Damaged)?;
        let shown = shown.iter().find(|shown| shown.class == class).ok_or(Unavailable::Internal)?;
        let Shown { permit, view, .. } = shown;
        let value = CanonicalValue::decode(class, found.value.expose()).map_err(|_| Unavailable::Damaged)?;
        let selection = def.select(self.query.fields.iter().map(String::as_str));
        let (value, altered) = value.show(&permit.sight(*view), &selection);
        let masked = masked(altered, (permit, *view), self.call.may_know_rules());
        Ok(EventView { item: found.item, class, value, view: *view, masked })
    }
}

/// A day that was there when the reading began.
fn gone(fault: crate::gate::txn::Fault) -> crate::gate::txn::Fault {
    use crate::gate::txn::Fault::{Refused, Torn};
    match fault {
        Refused(Refusal::State(State::NotFound)) => Refused(State::ItemErased.into()),
        other @ (Refused(_) | Torn) => other,
    }
}

async fn record_refusal(vault: &Vault, call: &Call, query: &EventQuery, refusal: Refusal) -> Refusal {
    let touched = Touched { fields: query.fields.clone(), ..Touched::default() };
    refuse(vault, call, query.subject.as_ref(), touched, refusal).await
}
