//! Events: days, order, repeats, damage, and what is told to whom.

mod damage;
mod reading;

use super::*;
use crate::base::limits::{EVENT_AHEAD_MAX, EVENTS_PER_MESSAGE_MAX};
use crate::base::reason::Reason;
use crate::catalog::classes::{AccessEvent, UsageEvent};
use crate::crypto::hash::sha256;
use crate::gate::refusal::{Fault, FaultReason, State, Unavailable};
use crate::items::events::model::{Batch, EventQuery, EventsPart, NewEvent, Recorded, Rejection};
use crate::items::events::read::{self, Events};
use crate::items::events::record::record;
use crate::items::model::{Delete, ErasureState, ItemView, ListQuery, Restriction, RestrictionGround, Update, Wait};
use crate::items::{delete, list, restrict, update};

const DAY: i64 = 24 * HOUR;
const MIDNIGHT: i64 = NOON + 12 * HOUR;

pub fn visit(subject: SubjectId, time: i64, page: &str) -> NewEvent {
    let time = Some(Timestamp::from_millis(time));
    let value = ItemValue::AccessEvent(AccessEvent { time, page: page.into(), ..AccessEvent::default() });
    NewEvent { subject: SubjectRef::Id(subject), class: "access_event".into(), value }
}

fn usage(subject: SubjectId, time: i64, resource: &str) -> NewEvent {
    let value = ItemValue::UsageEvent(UsageEvent {
        time: Some(Timestamp::from_millis(time)),
        resource: resource.into(),
        quantity: "1".into(),
        unit: "h".into(),
        ..UsageEvent::default()
    });
    NewEvent { subject: SubjectRef::Id(subject), class: "usage_event".into(), value }
}

/// A batch with a key, whose content is as good as its text.
fn batch(key: &str, content: &str, events: Vec<NewEvent>) -> Batch {
    Batch { key: key.into(), digest: sha256(&[content.as_bytes()]), events: events.into_iter().map(Ok).collect() }
}

pub async fn store(bench: &Bench, events: Vec<NewEvent>) -> Recorded {
    let call = bench.call(Action::RecordEvents).await;
    record(&bench.vault, &call, batch("", "", events)).await.expect("is taken")
}

fn reasons(recorded: &Recorded) -> Vec<(u32, Reason)> {
    let told = |rejection: &Rejection| match rejection {
        Rejection::Now(refusal) => refusal.told(),
        Rejection::Before(reason) => *reason,
    };
    recorded.rejected.iter().map(|(place, rejection)| (*place, told(rejection))).collect()
}

pub fn all_of(subject: SubjectId) -> EventQuery {
    EventQuery {
        subject: Some(SubjectRef::Id(subject)),
        kept: None,
        classes: vec![],
        start: None,
        end: None,
        view: None,
        fields: vec![],
        resume_token: String::new(),
    }
}

async fn open(bench: &Bench, query: EventQuery) -> Result<Events, Refusal> {
    let call = bench.call(Action::ReadEvents).await;
    read::open(bench.vault.clone(), call, query).await
}

async fn parts(bench: &Bench, query: EventQuery) -> Result<Vec<EventsPart>, Refusal> {
    let mut reading = open(bench, query).await?;
    let mut parts = Vec::new();
    while let Some(part) = reading.next().await? {
        parts.push(part);
    }
    Ok(parts)
}

/// The page or resource of every event.
pub async fn names(bench: &Bench, query: EventQuery) -> Result<Vec<String>, Refusal> {
    let parts = parts(bench, query).await?;
    let name = |value: &Option<ItemValue>| match value {
        Some(ItemValue::AccessEvent(event)) => event.page.expose().to_owned(),
        Some(ItemValue::UsageEvent(event)) => event.resource.expose().to_owned(),
        _ => panic!("an event"),
    };
    Ok(parts.iter().flat_map(|part| &part.events).map(|event| name(&event.value)).collect())
}

async fn days(bench: &Bench, subject: SubjectId) -> Vec<ItemView> {
    let call = bench.call(Action::ListItems).await;
    let query = ListQuery {
        subject: SubjectRef::Id(subject),
        classes: vec![],
        view: None,
        fields: vec![],
        page_size: 0,
        page_token: String::new(),
    };
    list::list(&bench.vault, &call, query).await.expect("lists").items
}

#[tokio::test]
async fn a_day_of_a_class_is_one_item_and_events_come_back_in_order_of_time() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    bench.at(13 * HOUR);
    let first = vec![
        visit(subject, MIDNIGHT, "/3"),
        visit(subject, MIDNIGHT - 1, "/2"),
        usage(subject, MIDNIGHT - 1, "vm"),
        visit(subject, NOON, "/1"),
    ];
    let recorded = store(&bench, first).await;
    assert_eq!((recorded.stored, recorded.rejected.len()), (4, 0));
    let second = vec![visit(subject, NOON - HOUR, "/0"), visit(subject, MIDNIGHT + 1, "/4")];
    assert_eq!(store(&bench, second).await.stored, 2);

    let expected = ["/0", "/1", "/2", "vm", "/3", "/4"];
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), expected);
    let leaf = bench.last_leaf();
    assert_eq!((leaf.count, leaf.class.as_str()), (1, "usage_event"), "counted class by class");
    let days = days(&bench, subject).await;
    let classes: Vec<&str> = days.iter().map(|day| day.class.as_str()).collect();
    assert_eq!(classes, ["access_event", "access_event", "usage_event"], "two days, and one");
    assert!(days.iter().all(|day| day.value.is_none() && day.metadata.is_some()));
    // A day ends as long after its beginning as the class is kept.
    let end = days[0].metadata.as_ref().and_then(|metadata| metadata.expires).expect("ends");
    assert_eq!(end, Timestamp::from_millis(NOON - 12 * HOUR + 90 * DAY));

    let within = |start: i64, end: i64| EventQuery {
        classes: vec!["access_event".into()],
        start: Some(Timestamp::from_millis(start)),
        end: Some(Timestamp::from_millis(end)),
        ..all_of(subject)
    };
    assert_eq!(names(&bench, within(MIDNIGHT - 1, MIDNIGHT + 1)).await.expect("reads"), ["/2", "/3"]);
    assert_eq!(names(&bench, within(MIDNIGHT, MIDNIGHT + 1)).await.expect("reads"), ["/3"]);
    let entries = bench.leaves().len();
    assert!(names(&bench, within(NOON + 1, NOON + 2)).await.expect("reads").is_empty());
    assert_eq!((bench.leaves().len(), bench.last_leaf().count), (entries + 1, 0), "recorded all the same");
    let backwards = within(NOON, NOON - 1);
    assert_eq!(names(&bench, backwards).await, Err(Fault::new("end_time", FaultReason::Conflict).into()));
}

#[tokio::test]
async fn events_to_come_and_those_whose_time_is_over_are_not_stored() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let ahead = EVENT_AHEAD_MAX.as_millis() as i64;
    // The first moment of the first day that is not over: noon of today is in its ninetieth day.
    let oldest = NOON - 12 * HOUR - 89 * DAY;
    let events = vec![
        visit(subject, NOON + ahead + 1, "to come"),
        visit(subject, NOON + ahead, "nearly"),
        visit(subject, oldest, "kept"),
        visit(subject, oldest - 1, "over"),
    ];
    let recorded = store(&bench, events).await;
    assert_eq!(reasons(&recorded), [(0, Reason::FieldInvalid), (3, Reason::KeepTooLong)]);
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["kept", "nearly"]);
}

#[tokio::test]
async fn what_is_wrong_with_an_event_stops_no_other() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let stranger = SubjectId::from_bytes([9; 16]);
    let event = |subject| visit(subject, NOON, "/");
    let events = vec![
        Ok(event(stranger)),
        Ok(event(subject)),
        Ok(NewEvent { class: "contact".into(), ..event(subject) }),
        Ok(NewEvent { class: "no_class".into(), ..event(subject) }),
        Ok(NewEvent { class: "usage_event".into(), ..event(subject) }),
        Ok(visit(subject, NOON, "a\0b")),
        Err(Fault::new("subject", FaultReason::Required).into()),
        Ok(event(stranger)),
        Ok(event(subject)),
    ];
    let entries = bench.leaves().len();
    let call = bench.call(Action::RecordEvents).await;
    let batch = Batch { key: "".into(), digest: sha256(&[]), events };
    let recorded = record(&bench.vault, &call, batch).await.expect("is taken");
    let expected = [
        (0, Reason::NotFound),
        (2, Reason::ClassMismatch),
        (3, Reason::ClassUnknown),
        (4, Reason::ClassMismatch),
        (5, Reason::FieldInvalid),
        (6, Reason::FieldRequired),
        (7, Reason::NotFound),
    ];
    assert_eq!((recorded.stored, reasons(&recorded)), (2, expected.to_vec()));
    let leaves = bench.leaves();
    let mut told: Vec<(u16, u32)> = leaves[entries..].iter().map(|leaf| (leaf.reason, leaf.count)).collect();
    told.sort();
    let expected = [
        (0, 2),
        (Reason::FieldRequired.number(), 1),
        (Reason::FieldInvalid.number(), 1),
        (Reason::ClassUnknown.number(), 1),
        (Reason::ClassMismatch.number(), 2),
        (Reason::NotFound.number(), 2),
    ];
    assert_eq!(told, expected, "one entry per person and per reason");
}

#[tokio::test]
async fn ten_thousand_events_of_a_thousand_people_are_one_commit() {
    let bench = Bench::new();
    let mut people = Vec::new();
    for _ in 0..1_000 {
        people.push(bench.person(&[]).await.0);
    }
    let call = bench.call(Action::RecordEvents).await;
    let events: Vec<NewEvent> = (0..10_000).map(|i| visit(people[i % 1_000], NOON + (i as i64 % 7), "/")).collect();
    let (rows, entries) = (bench.rows(Space::Log).len(), bench.leaves().len());
    let recorded = record(&bench.vault, &call, batch("", "", events)).await.expect("is taken");
    assert_eq!(recorded.stored, 10_000);
    // Each commit that records something is one row of the log.
    assert_eq!(bench.rows(Space::Log).len() - rows, 1);
    assert_eq!(bench.leaves().len() - entries, 1_000, "one entry per person");
    assert_eq!(bench.rows(Space::EventSegment).len(), 1_000, "one segment per person");
    assert_eq!(names(&bench, all_of(people[500])).await.expect("reads").len(), 10);
}

#[tokio::test]
async fn a_batch_with_a_key_is_stored_once() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let stranger = SubjectId::from_bytes([9; 16]);
    let events = || vec![visit(subject, NOON, "/1"), visit(stranger, NOON, "/"), visit(subject, NOON - DAY, "/0")];
    let send = async |caller: &str, key: &str, content: &str, events: Vec<NewEvent>| {
        let call = bench.call_as(caller, RoleId::Service, "service_delivery", Action::RecordEvents, "", "").await;
        record(&bench.vault, &call, batch(key, content, events)).await
    };
    let first = send("checkout", "k", "a", events()).await.expect("is taken");
    let again = send("checkout", "k", "a", events()).await.expect("is known");
    assert_eq!((again.stored, reasons(&again)), (first.stored, reasons(&first)));
    assert_eq!((first.stored, reasons(&first)), (2, vec![(1, Reason::NotFound)]));
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads").len(), 2, "nothing twice");
    let reused: Refusal = Fault::new("batch_key", FaultReason::KeyReused).into();
    assert_eq!(send("checkout", "k", "b", events()).await.map(|_| ()), Err(reused));
    assert_eq!(send("billing", "k", "a", events()).await.expect("is another's").stored, 2);
    bench.at(23 * HOUR);
    assert_eq!(send("checkout", "k", "a", events()).await.expect("is known").stored, 2);
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads").len(), 4);
    bench.at(25 * HOUR);
    assert_eq!(send("checkout", "k", "a", events()).await.expect("is new").stored, 2);
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads").len(), 6);
}

#[tokio::test]
async fn a_batch_is_known_also_when_something_of_it_was_forgotten_but_its_digest_is_not() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let events = || vec![visit(subject, NOON, "/1"), visit(subject, NOON - DAY, "/0")];
    let send = async |content: &str, events: Vec<NewEvent>| {
        let call = bench.call(Action::RecordEvents).await;
        record(&bench.vault, &call, batch("k", content, events)).await
    };
    send("a", events()).await.expect("is taken");
    let day = days(&bench, subject).await.remove(0);
    forget(&bench, subject, day.item).await;
    assert_eq!(send("a", events()).await.expect("is known").stored, 2);
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads").len(), 1, "nothing comes back");
    // Which content it was can no longer be told, so that nobody can test a guess of it; how many events still can.
    assert_eq!(send("b", events()).await.expect("cannot be told apart").stored, 2);
    let reused: Refusal = Fault::new("batch_key", FaultReason::KeyReused).into();
    assert_eq!(send("a", vec![visit(subject, NOON, "/1")]).await.map(|_| ()), Err(reused));
}

#[tokio::test]
async fn a_batch_that_could_not_be_committed_left_nothing_and_can_be_sent_again() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let call = bench.call(Action::RecordEvents).await;
    let events = || vec![visit(subject, NOON, "/1"), visit(subject, NOON, "/2")];
    bench.engine.mood.store(FULL, Ordering::SeqCst);
    let refused = record(&bench.vault, &call, batch("k", "a", events())).await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))));
    assert!(bench.rows(Space::EventSegment).is_empty());
    bench.engine.mood.store(WELL, Ordering::SeqCst);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while record(&bench.vault, &call, batch("k", "a", events())).await.is_err() {
        assert!(std::time::Instant::now() < until, "it is not asked again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["/1", "/2"]);
}

/// Deletes an item and waits until its rows are gone.
async fn forget(bench: &Bench, subject: SubjectId, item: ItemId) {
    let call = bench.call(Action::DeleteItem).await;
    let wanted = Delete { subject: SubjectRef::Id(subject), item, etag: String::new(), wait: Wait::Erased };
    let erasure = delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
    assert_eq!(erasure.state, ErasureState::Erased);
    bench.settle().await;
}

#[tokio::test]
async fn a_day_is_deleted_whole_and_never_corrected() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    store(&bench, vec![visit(subject, NOON, "/1"), visit(subject, NOON - DAY, "/0")]).await;
    store(&bench, vec![visit(subject, NOON, "/2")]).await;
    let day = days(&bench, subject).await.into_iter().find(|day| day.etag == "v1.2").expect("was appended to twice");

    let call = bench.call(Action::UpdateItem).await;
    let change = Update {
        subject: SubjectRef::Id(subject),
        item: day.item,
        etag: String::new(),
        value: None,
        metadata: Some(NewMetadata::default()),
        wait: Wait::Logical,
    };
    let refused = update::update(&bench.vault, &call, change).await.map(|_| ());
    assert_eq!(refused, Err(Fault::new("item_id", FaultReason::KeptAsEvents).into()));
    let call = bench.call(Action::GetItem).await;
    let view = get::get(&bench.vault, &call, query(subject, day.item)).await.expect("is there");
    assert!(view.value.is_none() && view.masked.is_empty() && view.metadata.is_some());

    forget(&bench, subject, day.item).await;
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["/0"]);
    let of_day = |space| bench.rows(space).iter().filter(|(key, _)| contains(key, day.item.as_bytes())).count();
    assert_eq!([Space::Item, Space::EventDay, Space::EventSegment].map(of_day), [0; 3], "no row is left");
    store(&bench, vec![visit(subject, NOON, "/3")]).await;
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["/0", "/3"], "the day begins anew");
    assert_eq!(days(&bench, subject).await.len(), 2);
}

/// A long day goes as a range of rows, a short one row by row: neither takes a row of another.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn of_days_long_and_short_no_segment_is_left_and_no_other_is_touched() {
    let bench = Bench::new();
    let ((ann, _), (ben, _)) = (bench.person(&[]).await, bench.person(&[]).await);
    let segments =
        |bench: &Bench, of: &[u8]| bench.rows(Space::EventSegment).iter().filter(|(key, _)| contains(key, of)).count();
    for n in 0..20 {
        let mut events = vec![visit(ann, NOON, &format!("/long/{n}")), visit(ben, NOON, &format!("/ben/{n}"))];
        if n < 3 {
            events.push(visit(ann, NOON - DAY, &format!("/short/{n}")));
        }
        if n < 9 {
            events.push(visit(ann, NOON - 2 * DAY, &format!("/nine/{n}")));
        }
        store(&bench, events).await;
    }
    let mut left = 20 + 9 + 3;
    for day in days(&bench, ann).await {
        let own = segments(&bench, day.item.as_bytes());
        assert!([3, 9, 20].contains(&own));
        forget(&bench, ann, day.item).await;
        left -= own;
        assert_eq!(segments(&bench, day.item.as_bytes()), 0);
        assert_eq!((segments(&bench, ann.as_bytes()), segments(&bench, ben.as_bytes())), (left, 20));
    }
    assert_eq!(names(&bench, all_of(ann)).await.expect("reads").len(), 0);
    assert_eq!(names(&bench, all_of(ben)).await.expect("reads").len(), 20);
}
#[tokio::test]
async fn what_a_person_restricts_is_not_appended_to() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let (other, _) = bench.person(&[]).await;
    let call = bench.call_as("dpo", RoleId::PrivacyOfficer, "legal_compliance", Action::RestrictSubject, "", "").await;
    let ground = Some(RestrictionGround::AccuracyContested);
    restrict::restrict(&bench.vault, &call, Restriction { subject: SubjectRef::Id(subject), ground })
        .await
        .expect("restricts");
    let events = vec![visit(subject, NOON, "/"), visit(other, NOON, "/"), visit(subject, NOON - DAY, "/")];
    let recorded = store(&bench, events).await;
    assert_eq!(reasons(&recorded), [(0, Reason::Restricted), (2, Reason::Restricted)]);
    let about_person = bench.leaves().into_iter().rev().find(|leaf| leaf.reason == Reason::Restricted.number());
    assert_eq!(about_person.expect("is recorded").count, 2);
}
