//! Readings of events that go on while a person, or a day that is kept, goes.

use std::time::Duration;

use crate::base::id::{ItemId, SubjectId};
use crate::base::limits::EVENTS_PER_MESSAGE_MAX;
use crate::base::time::Timestamp;
use crate::catalog::classes::{AccessEvent, ItemValue};
use crate::catalog::text::Text;
use crate::erasure::subject::{EraseSubject, erase};
use crate::gate::receipts::Ground;
use crate::gate::refusal::{Refusal, State};
use crate::holds::matters;
use crate::holds::model::{NewMatter, Placing, PlacingScope};
use crate::holds::place::place;
use crate::items::events::model::{Batch, EventQuery, NewEvent};
use crate::items::events::read::{self, Events};
use crate::items::events::record::record;
use crate::items::model::{Delete, ErasureState, ListQuery, NewSubject, SubjectRef, Wait};
use crate::items::tests::{Bench, HOUR, NOON};
use crate::items::{create, delete, list};
use crate::keep::matter::Texts;
use crate::policy::action::Action;
use crate::policy::caller::RoleId;
use crate::store::keyspace::Space;

fn named() -> SubjectRef {
    SubjectRef::External(Text::from("user-1"))
}

/// A person of that name with so many events in one day.
async fn person(bench: &Bench, events: usize) -> SubjectId {
    let call = bench.call(Action::CreateSubject).await;
    let new = NewSubject { external_id: Text::from("user-1"), labels: vec![], items: vec![] };
    let subject = create::create(&bench.vault, &call, new).await.expect("creates").subject;
    let event = |at: usize| {
        let time = Some(Timestamp::from_millis(NOON - HOUR + at as i64));
        let value = ItemValue::AccessEvent(AccessEvent { time, page: "/".into(), ..AccessEvent::default() });
        Ok(NewEvent { subject: SubjectRef::Id(subject), class: "access_event".into(), value })
    };
    let call = bench.call(Action::RecordEvents).await;
    let batch = Batch { key: "".into(), digest: [0; 32], events: (0..events).map(event).collect() };
    assert_eq!(record(&bench.vault, &call, batch).await.expect("is taken").rejected, []);
    subject
}

async fn open(bench: &Bench, role: RoleId, purpose: &str, kept: Option<ItemId>) -> Events {
    let call = bench.call_as("reader", role, purpose, Action::ReadEvents, "", "").await;
    let query = EventQuery {
        subject: kept.is_none().then(named),
        kept,
        classes: vec![],
        start: None,
        end: None,
        view: None,
        fields: vec![],
        resume_token: String::new(),
    };
    read::open(bench.vault.clone(), call, query).await.expect("opens")
}

/// How many events the next message has; 0 at the end.
async fn next(reading: &mut Events) -> Result<usize, Refusal> {
    reading.next().await.map(|part| part.map_or(0, |part| part.events.len()))
}

async fn erased(bench: &Bench, wait: Wait) -> ErasureState {
    let call = bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", Action::EraseSubject, "", "").await;
    let wanted = EraseSubject { subject: named(), ground: Ground::Request, wait };
    erase(&bench.vault, &call, wanted).await.expect("erases").0.state
}

#[tokio::test]
async fn a_reading_by_name_does_not_go_on_with_somebody_new_of_that_name() {
    let bench = Bench::new();
    person(&bench, EVENTS_PER_MESSAGE_MAX + 1).await;
    let mut reading = open(&bench, RoleId::Service, "service_delivery", None).await;
    assert_eq!(next(&mut reading).await, Ok(EVENTS_PER_MESSAGE_MAX));
    bench.take_slot_away();
    assert_eq!(erased(&bench, Wait::Logical).await, ErasureState::Pending);
    person(&bench, EVENTS_PER_MESSAGE_MAX + 7).await;
    assert_eq!(next(&mut reading).await, Err(State::SubjectErased.into()));
}

#[tokio::test]
async fn a_day_that_is_kept_is_read_on_when_its_person_goes_and_told_when_it_goes_itself() {
    let bench = Bench::new();
    let subject = person(&bench, 2 * EVENTS_PER_MESSAGE_MAX + 1).await;
    let law = async |action| bench.call_as("law", RoleId::Legal, "legal_compliance", action, "", "").await;
    let texts = Texts { name: "a".into(), authority: "b".into(), reference: "c".into() };
    let new = NewMatter { texts, review: Timestamp::from_millis(NOON) };
    let matter = matters::open(&bench.vault, &law(Action::OpenMatter).await, new).await.expect("opens").id;
    let scope = PlacingScope::Subject { classes: vec![], future: true };
    let placing = Placing { matter, subject: named(), scope, history: false };
    place(&bench.vault, &law(Action::PlaceHold).await, placing).await.expect("places");
    let call = bench.call(Action::ListItems).await;
    let all = ListQuery {
        subject: named(),
        classes: vec![],
        view: None,
        fields: vec![],
        page_size: 0,
        page_token: String::new(),
    };
    let day = list::list(&bench.vault, &call, all).await.expect("lists").items.remove(0).item;
    let call = bench.call(Action::DeleteItem).await;
    let gone = Delete { subject: SubjectRef::Id(subject), item: day, etag: String::new(), wait: Wait::Erased };
    assert_eq!(delete::delete(&bench.vault, &call, gone).await.expect("deletes").state, ErasureState::Kept);

    let mut reading = open(&bench, RoleId::Legal, "legal_compliance", Some(day)).await;
    assert_eq!(next(&mut reading).await, Ok(EVENTS_PER_MESSAGE_MAX));
    // The person goes while a message is on its way to a slow caller: the day does not.
    let sending = reading.unless_cut(tokio::time::sleep(Duration::from_millis(300)));
    let (sent, erased) = tokio::join!(sending, erased(&bench, Wait::Erased));
    assert_eq!((sent, erased), (Ok(()), ErasureState::Erased));
    assert_eq!(next(&mut reading).await, Ok(EVENTS_PER_MESSAGE_MAX));
    let rows = bench.rows(Space::Kept).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    bench.take_away(Space::Kept, rows);
    assert_eq!(next(&mut reading).await, Err(State::ItemErased.into()));
}
