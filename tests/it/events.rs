//! Streams of events against the real program: what is answered is durable, what is sent again is stored once, and no
//! event is in any file.

use std::collections::BTreeMap;
use std::time::Duration;

use lacuna::api::proto::*;
use lacuna::base::time::{Clock as _, SystemClock};
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::program::subject;
use crate::samples::reason;
use crate::vault::TestVault;

const DAY_SECONDS: i64 = 86_400;

fn now() -> i64 {
    SystemClock.now().as_millis() / 1_000
}

/// One o'clock of a day that is over: whatever the hour is now, moments after it are of the same day.
pub fn days_ago(days: i64) -> i64 {
    now() / DAY_SECONDS * DAY_SECONDS + 3_600 - days * DAY_SECONDS
}

/// An access event of a person, now or so many seconds later, with a canary in every text.
pub fn visit(vault: &TestVault, subject_id: &str, seconds: i64, page: &str) -> NewEvent {
    visit_at(vault, subject_id, now() + seconds, page)
}

pub fn visit_at(vault: &TestVault, subject_id: &str, seconds: i64, page: &str) -> NewEvent {
    let time = Some(well_known::Timestamp { seconds, nanos: 0 });
    let event = AccessEvent {
        time,
        user_agent: vault.canary(),
        browser: vault.canary(),
        os: vault.canary(),
        device_id: vault.canary(),
        page: page.into(),
        method: "GET".into(),
        status: 200,
        ..Default::default()
    };
    NewEvent {
        subject: subject(subject_id),
        class: "access_event".into(),
        value: Some(ItemValue { value: Some(item_value::Value::AccessEvent(event)) }),
    }
}

pub fn batch(vault: &TestVault, key: &str, events: Vec<NewEvent>) -> RecordEventsRequest {
    RecordEventsRequest { context: vault.delivery(), batch_key: key.into(), events }
}

/// The same as a later message of a stream.
fn later(batch: RecordEventsRequest) -> RecordEventsRequest {
    RecordEventsRequest { context: None, ..batch }
}

/// Sends batches on one stream and takes the answers until one is missing.
pub async fn send(
    vault: &TestVault,
    batches: Vec<RecordEventsRequest>,
) -> (Vec<RecordEventsResponse>, Result<(), Status>) {
    let stream = tokio_stream::iter(batches);
    let mut answers = match vault.client("service").record_events(stream).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return (Vec::new(), Err(status)),
    };
    let mut taken = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => taken.push(answer),
            Ok(None) => return (taken, Ok(())),
            Err(status) => {
                vault.note(&status);
                return (taken, Err(status));
            }
        }
    }
}

/// The pages of a person's access events, as often as each is there, in order.
async fn pages(vault: &TestVault, subject_id: &str) -> Vec<String> {
    let request = ReadEventsRequest {
        context: vault.delivery(),
        subject: subject(subject_id),
        classes: vec!["access_event".into()],
        ..Default::default()
    };
    let stream = vault.client("service").read_events(request).await.expect("reads").into_inner();
    let parts = vault.gather(stream).await.expect("reads to the end");
    let page = |event: Event| match event.value.and_then(|value| value.value) {
        Some(item_value::Value::AccessEvent(event)) => event.page,
        _ => panic!("an access event"),
    };
    parts.into_iter().flat_map(|part| part.events).map(page).collect()
}

async fn person(vault: &TestVault) -> String {
    vault.create(&[]).await.subject_id
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_several_days_and_batches_come_back_in_order_and_are_in_no_file() {
    let mut vault = TestVault::start();
    let id = person(&vault).await;
    let names: Vec<String> = (0..6).map(|_| vault.canary()).collect();
    let event = |at: usize, days: i64| visit_at(&vault, &id, days_ago(days) + at as i64, &names[at]);
    let batches = vec![
        batch(&vault, &vault.canary(), vec![event(4, 2), event(5, 1), event(0, 4)]),
        later(batch(&vault, "", vec![event(2, 3), event(1, 4), event(3, 2)])),
    ];
    let key = batches[0].batch_key.clone();
    let (answers, ended) = send(&vault, batches).await;
    ended.expect("ends well");
    assert_eq!(answers.iter().map(|answer| answer.stored_count).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(answers[0].batch_key, key);
    assert_eq!(pages(&vault, &id).await, names);

    let request = ListItemsRequest { context: vault.delivery(), subject: subject(&id), ..Default::default() };
    let days = vault.client("service").list_items(request).await.expect("lists").into_inner().items;
    assert_eq!(days.len(), 4, "a day is an item");
    assert!(days.iter().all(|day| day.value.is_none() && day.expire_time.is_some()));
    vault.delete(&id, &days[0].item_id).await.expect("deletes");
    assert!(pages(&vault, &id).await.len() < names.len());

    let other = person(&vault).await;
    let (answers, _) = send(&vault, vec![batch(&vault, "", vec![visit(&vault, &other, 0, "/other")])]).await;
    assert_eq!(answers[0].stored_count, 1);
    vault.erase(&id, "").await.expect("erases");
    let (answers, ended) = send(&vault, vec![batch(&vault, "", vec![visit(&vault, &id, 0, "/late")])]).await;
    ended.expect("ends well");
    let late = answers[0].rejected[0].error.as_ref().expect("says why");
    assert_eq!(late.reason(), ErrorReason::Erased);
    vault.stop();
    let store = vault.store();
    for space in [Space::EventDay, Space::EventSegment] {
        assert_eq!(store.scan(space, &[], &[], 10).expect("reads").len(), 1, "{space:?}: the other person's alone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_events_of_a_thousand_people_in_one_message() {
    let vault = TestVault::start();
    let entry = |_| PutItemEntry {
        subject: Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(vault.canary())) }),
        create_subject: true,
        ..Default::default()
    };
    let entries: Vec<PutItemEntry> = (0..1_000).map(entry).collect();
    let people: Vec<Option<SubjectRef>> = entries.iter().map(|entry| entry.subject.clone()).collect();
    let request = BatchPutItemsRequest { context: vault.delivery(), entries, ..Default::default() };
    let created = vault.client("service").batch_put_items(request).await.expect("creates").into_inner();
    assert_eq!(created.results.len(), 1_000);
    let event = |i: usize| {
        let usage = UsageEvent {
            time: Some(well_known::Timestamp { seconds: days_ago(1) + i as i64, nanos: 0 }),
            resource: format!("vm-{i}"),
            quantity: "1.5".into(),
            unit: "h".into(),
            ..Default::default()
        };
        let value = Some(ItemValue { value: Some(item_value::Value::UsageEvent(usage)) });
        NewEvent { subject: people[i % 1_000].clone(), class: "usage_event".into(), value }
    };
    let events: Vec<NewEvent> = (0..10_000).map(event).collect();
    let (answers, ended) = send(&vault, vec![batch(&vault, "", events)]).await;
    ended.expect("ends well");
    assert_eq!((answers[0].stored_count, answers[0].rejected.len()), (10_000, 0));
    let request = ReadEventsRequest { context: vault.delivery(), subject: people[7].clone(), ..Default::default() };
    let stream = vault.client("service").read_events(request).await.expect("reads").into_inner();
    let parts = vault.gather(stream).await.expect("reads to the end");
    assert_eq!(parts.iter().map(|part| part.events.len()).sum::<usize>(), 10);

    let too_many = batch(&vault, "", (0..10_001).map(event).collect());
    let (answers, ended) = send(&vault, vec![too_many]).await;
    assert_eq!((answers.len(), ended.map_err(|status| reason(&status))), (0, Err("TOO_MANY".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_wrong_as_a_whole_ends_the_stream_and_keeps_what_was_answered() {
    let vault = TestVault::start();
    let id = person(&vault).await;
    let good = || batch(&vault, "", vec![visit(&vault, &id, 0, "/good")]);
    let large = || {
        let event = || NewEvent { class: "x".repeat(500_000), ..visit(&vault, &id, 0, "/") };
        batch(&vault, "", (0..9).map(|_| event()).collect())
    };
    for (wrong, expected) in [
        (later(batch(&vault, "", vec![])), "FIELD_REQUIRED"),
        (good(), "FIELD_CONFLICT"), // a second context
        (later(batch(&vault, &"k".repeat(129), vec![visit(&vault, &id, 0, "/")])), "FIELD_TOO_LONG"),
        (later(large()), "MESSAGE_TOO_LARGE"),
    ] {
        let (answers, ended) = send(&vault, vec![good(), wrong]).await;
        assert_eq!((answers.len(), ended.map_err(|status| reason(&status))), (1, Err(expected.to_owned())));
    }
    assert_eq!(pages(&vault, &id).await.len(), 4);

    let stranger = visit(&vault, "sub_aaaaaaaaaaaaaaaaaaaaaaaaaa", 0, "/");
    let no_time = NewEvent { value: Some(ItemValue::default()), ..visit(&vault, &id, 0, "/") };
    let mixed = vec![stranger, visit(&vault, &id, 0, "/more"), no_time, visit(&vault, &id, 301, "/to come")];
    let (answers, ended) = send(&vault, vec![batch(&vault, "", mixed)]).await;
    ended.expect("ends well");
    let told: Vec<(u32, &str)> = answers[0]
        .rejected
        .iter()
        .map(|event| {
            let error = event.error.as_ref().expect("says why");
            (event.index, error.reason().as_str_name().trim_start_matches("ERROR_REASON_"))
        })
        .collect();
    assert_eq!(answers[0].stored_count, 1);
    assert_eq!(told, [(0, "NOT_FOUND"), (2, "FIELD_REQUIRED"), (3, "FIELD_INVALID")]);
    let violation = &answers[0].rejected[2].error.as_ref().expect("says why").violations[0];
    assert_eq!(violation.field, "value.access_event.time");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_stream_and_sent_again_nothing_is_twice_and_nothing_lost() {
    let mut origin = TestVault::start();
    let id = person(&origin).await;
    origin.stop();
    for point in ["commit_before", "commit_after"] {
        let mut vault = origin.fork();
        // Of one batch it is known that it is not durable, or durable and not answered.
        vault.run(&format!("{point}=4*off->return(kill);log_round=pause"));
        let keys: Vec<String> = (0..8).map(|_| vault.canary()).collect();
        let event = |number: usize| visit(&vault, &id, number as i64 - 100, &format!("/{number}"));
        let batches: Vec<RecordEventsRequest> = keys
            .iter()
            .enumerate()
            .map(|(n, key)| batch(&vault, key, (n * 10..n * 10 + 10).map(event).collect()))
            .collect();
        let as_stream = |batches: &[RecordEventsRequest]| {
            let (first, rest) = batches.split_first().expect("some");
            std::iter::once(first.clone()).chain(rest.iter().cloned().map(later)).collect::<Vec<_>>()
        };
        let (answers, ended) = send(&vault, as_stream(&batches)).await;
        assert!(ended.is_err(), "{point}: killed before the stream could end");
        vault.wait_for_death();
        let answered = answers.len();
        assert!((1..keys.len()).contains(&answered), "{point}: in the middle, not after {answered}");

        vault.run("");
        let there = pages(&vault, &id).await;
        assert!(there.len() >= answered * 10, "{point}: what was answered is there");
        // From the last that was answered on: that one, and perhaps the next, are stored already.
        let (again, ended) = send(&vault, as_stream(&batches[answered - 1..])).await;
        ended.expect("ends well");
        assert!(again.iter().all(|answer| answer.stored_count == 10 && answer.rejected.is_empty()), "{point}");
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        pages(&vault, &id).await.into_iter().for_each(|page| *found.entry(page).or_default() += 1);
        let expected: BTreeMap<String, usize> = (0..80).map(|number| (format!("/{number}"), 1)).collect();
        assert_eq!(found, expected, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_bounded_and_end_at_their_deadline() {
    let vault = TestVault::start();
    let id = person(&vault).await;
    let mut client = vault.client("service"); // one connection, so one thread
    let mut open = Vec::new();
    let refused = loop {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(batch(&vault, "", vec![visit(&vault, &id, 0, "/")])).await.expect("is taken");
        let mut request = tonic::Request::new(ReceiverStream::new(receiver));
        request.set_timeout(Duration::from_secs(20));
        match client.record_events(request).await {
            Ok(answers) => open.push((sender, answers.into_inner())),
            Err(status) => break reason(&status),
        }
        assert!(open.len() <= 32);
    };
    assert_eq!((refused.as_str(), open.len()), ("STREAMS_EXHAUSTED", 32));
    for (_, answers) in &mut open {
        assert_eq!(answers.message().await.expect("is answered").expect("one").stored_count, 1);
    }
    drop(open);
    let (_sender, mut answers) = loop {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(batch(&vault, "", vec![visit(&vault, &id, 0, "/")])).await.expect("is taken");
        let mut request = tonic::Request::new(ReceiverStream::new(receiver));
        request.set_timeout(Duration::from_millis(2_500));
        match client.record_events(request).await {
            Ok(answers) => break (sender, answers.into_inner()),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await, // the others are still ending
        }
    };
    assert_eq!(answers.message().await.expect("is answered").expect("one").stored_count, 1);
    let ended = answers.message().await.err().expect("ends at its deadline");
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&ended.code()), "{ended:?}");
}
