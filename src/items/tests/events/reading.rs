//! Readings: where they go on, when they end, and what is told to whom.

use super::*;

#[tokio::test]
async fn a_reading_goes_on_where_a_message_ended_for_its_caller_its_query_and_a_day() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let count = 2 * EVENTS_PER_MESSAGE_MAX + 7;
    let page = |i: usize| format!("/{i:05}");
    // Appended against the order of time, over two days.
    let mut events: Vec<NewEvent> =
        (0..count).rev().map(|i| visit(subject, MIDNIGHT - HOUR - DAY + i as i64 * 20_000, &page(i))).collect();
    bench.at(13 * HOUR);
    while !events.is_empty() {
        let rest = events.split_off(events.len().min(700));
        assert_eq!(store(&bench, events).await.rejected, []);
        events = rest;
    }
    let whole = parts(&bench, all_of(subject)).await.expect("reads");
    assert_eq!(whole.iter().map(|part| part.events.len()).collect::<Vec<_>>(), [2_000, 2_000, 7]);
    let all: Vec<String> = (0..count).map(page).collect();
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), all);
    for (number, part) in whole.iter().enumerate() {
        let query = EventQuery { resume_token: part.resume_token.clone(), ..all_of(subject) };
        let rest = names(&bench, query).await.expect("goes on");
        assert_eq!(rest, all[((number + 1) * 2_000).min(count)..], "after message {number}");
    }
    let token = &whole[0].resume_token;
    let resumed = |query: EventQuery| EventQuery { resume_token: token.clone(), ..query };
    let bad: Refusal = Fault::new("resume_token", FaultReason::ResumeToken).into();
    let fields = resumed(EventQuery { fields: vec!["page".into()], ..all_of(subject) });
    assert_eq!(names(&bench, fields).await, Err(bad.clone()));
    let end = resumed(EventQuery { end: Some(Timestamp::from_millis(NOON)), ..all_of(subject) });
    assert_eq!(names(&bench, end).await, Err(bad.clone()));
    let call = bench.call_as("billing", RoleId::Service, "service_delivery", Action::ReadEvents, "", "").await;
    let other = read::open(bench.vault.clone(), call, resumed(all_of(subject))).await;
    assert_eq!(other.map(|_| ()), Err(bad.clone()));
    bench.at(38 * HOUR);
    assert_eq!(names(&bench, resumed(all_of(subject))).await, Err(bad));
}

#[tokio::test]
async fn a_reading_ends_when_its_subject_does_and_reads_on_when_a_day_does() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let many = EVENTS_PER_MESSAGE_MAX as i64;
    let events = (0..=many).map(|i| visit(subject, NOON - DAY + i, "/old")).collect();
    store(&bench, events).await;
    store(&bench, vec![visit(subject, NOON, "/new")]).await;
    let mut reading = open(&bench, all_of(subject)).await.expect("opens");
    assert_eq!(reading.next().await.expect("reads").expect("a message").events.len(), 2_000);
    let old = days(&bench, subject).await.into_iter().min_by_key(|day| day.metadata.as_ref().and_then(|m| m.expires));
    forget(&bench, subject, old.expect("two").item).await;
    let rest = reading.next().await.expect("reads").expect("a message");
    assert_eq!(rest.events.len(), 1, "the day that is gone is not shown any more");
    assert!(reading.next().await.expect("ends").is_none());
    drop(reading);

    let mut reading = open(&bench, all_of(subject)).await.expect("opens");
    let readings = bench.vault.readings().clone();
    let erasure = std::thread::spawn(move || {
        readings
            .drain(&[(subject, crate::gate::readings::Forgotten::Everything)], Duration::ZERO, || Ok::<_, Refusal>(()))
    });
    let erased: Refusal = State::SubjectErased.into();
    assert_eq!(reading.unless_cut(std::future::pending::<()>()).await, Err(erased.clone()), "also while it sends");
    assert_eq!(reading.next().await.map(|_| ()), Err(erased));
    drop(reading);
    erasure.join().expect("no panic").expect("goes on");
}

#[tokio::test]
async fn denied_and_absent_are_told_alike() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    store(&bench, vec![visit(subject, NOON, "/")]).await;
    let ask = async |subject: SubjectId, classes: &[&str]| {
        let call = bench.call_as("desk", RoleId::Support, "service_delivery", Action::ReadEvents, "", "").await;
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        let query = EventQuery { classes, ..all_of(subject) };
        read::open(bench.vault.clone(), call, query).await.map(|_| ()).map_err(|refusal| refusal.told())
    };
    let stranger = SubjectId::from_bytes([9; 16]);
    for classes in [&["access_event"][..], &[]] {
        assert_eq!(ask(subject, classes).await, Err(Reason::NotFound));
        assert_eq!(ask(stranger, classes).await, Err(Reason::NotFound));
    }
    assert_eq!(bench.last_leaf().reason, Reason::NotFound.number(), "of the stranger");
    let call = bench.call_as("desk", RoleId::Service, "security", Action::ReadEvents, "", "").await;
    let query = EventQuery { classes: vec!["access_event".into()], ..all_of(subject) };
    let mut reading = read::open(bench.vault.clone(), call, query).await.expect("may read masked");
    let part = reading.next().await.expect("reads").expect("one");
    assert!(part.events[0].view == crate::catalog::view::View::Masked && !part.events[0].masked.is_empty());
    for (named, reason) in [("contact", FaultReason::NotKeptAsEvents), ("no_class", FaultReason::ClassUnknown)] {
        let query = EventQuery { classes: vec!["access_event".into(), named.into()], ..all_of(subject) };
        assert_eq!(names(&bench, query).await, Err(Fault::new("classes[1]", reason).into()));
    }
}
