//! Segments that are missing, moved, old, or of a history that was given up.

use super::*;

#[tokio::test]
async fn a_segment_that_is_missing_moved_or_old_is_found() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let (other, _) = bench.person(&[]).await;
    for page in ["/1", "/2", "/3"] {
        store(&bench, vec![visit(subject, NOON, page), visit(other, NOON, page)]).await;
    }
    let segments = bench.rows(Space::EventSegment);
    let of = |id: SubjectId| segments.iter().filter(|(key, _)| key.starts_with(id.as_bytes())).collect::<Vec<_>>();
    let (own, others) = (of(subject), of(other));
    assert_eq!((own.len(), others.len()), (3, 3));
    let item = bench.rows(Space::Item).into_iter().find(|(key, _)| key.starts_with(subject.as_bytes())).expect("one");
    let set = |space, key: &[u8], value: Option<&[u8]>| {
        let mut batch = crate::store::batch::Batch::new();
        match value {
            Some(value) => batch.put(space, key, value),
            None => batch.delete(space, key),
        }
        bench.tamper(batch);
    };
    let heal = || {
        own.iter().for_each(|(key, value)| set(Space::EventSegment, key, Some(value)));
        set(Space::Item, &item.0, Some(&item.1));
    };
    let damaged: Refusal = Unavailable::Damaged.into();
    let found = async |what: &str| {
        assert_eq!(names(&bench, all_of(subject)).await, Err(damaged.clone()), "{what}");
        heal();
        assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["/1", "/2", "/3"], "healed after {what}");
    };
    for at in 0..3 {
        set(Space::EventSegment, &own[at].0, None);
        found("one is missing").await;
        set(Space::EventSegment, &own[at].0, Some(&others[at].1));
        found("one is another person's").await;
        set(Space::EventSegment, &own[at].0, Some(&own[(at + 1) % 3].1));
        found("one is in another's place").await;
    }
    set(Space::EventSegment, &own[0].0, Some(&own[1].1));
    set(Space::EventSegment, &own[1].0, Some(&own[0].1));
    found("two are swapped").await;

    // The day as it was before it was appended to again: its row is older than the count beside its key.
    let call = bench.call(Action::RecordEvents).await;
    let more = batch("", "", vec![visit(subject, NOON, "/4")]);
    record(&bench.vault, &call, more).await.expect("is taken");
    let newest = bench.rows(Space::Item).into_iter().find(|(key, _)| *key == item.0).expect("is there");
    set(Space::Item, &item.0, Some(&item.1));
    assert_eq!(names(&bench, all_of(subject)).await, Err(damaged.clone()), "an old state");
    let refused = record(&bench.vault, &call, batch("", "", vec![visit(subject, NOON, "/5")])).await.expect("is told");
    assert_eq!(reasons(&refused), [(0, Reason::DataCorrupt)], "nothing is appended to what is damaged");
    set(Space::Item, &newest.0, Some(&newest.1));
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["/1", "/2", "/3", "/4"]);
}

/// Two days of one person and class, with as many events at the same hours: what belongs to one does not pass as the other's.
#[tokio::test]
async fn days_that_are_exchanged_are_found() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    for (day, page) in [(NOON - DAY, "/1"), (NOON - 2 * DAY, "/2")] {
        store(&bench, vec![visit(subject, day, page)]).await;
    }
    for space in [Space::EventSegment, Space::EventDay, Space::Item] {
        let rows = bench.rows(space);
        let [(one, of_one), (two, of_two)] = &rows[..] else { panic!("a row for each day") };
        // The item that holds a day is named by the row's key.
        let (other_one, other_two) = match space {
            Space::EventDay => {
                let at = one.len() - 16;
                ([&one[..at], &two[at..]].concat(), [&two[..at], &one[at..]].concat())
            }
            _ => (one.clone(), two.clone()),
        };
        let (to_one, to_two) = if space == Space::EventDay { (of_one, of_two) } else { (of_two, of_one) };
        let mut exchange = crate::store::batch::Batch::new();
        [one, two].into_iter().for_each(|key| exchange.delete(space, key.clone()));
        exchange.put(space, other_one.clone(), to_one.clone());
        exchange.put(space, other_two.clone(), to_two.clone());
        bench.tamper(exchange);
        assert_eq!(names(&bench, all_of(subject)).await, Err(Unavailable::Damaged.into()), "{}", space.name());
        let one_day = EventQuery { start: Some(Timestamp::from_millis(NOON - DAY - HOUR)), ..all_of(subject) };
        assert_eq!(names(&bench, one_day).await, Err(Unavailable::Damaged.into()), "{}", space.name());
        let mut heal = crate::store::batch::Batch::new();
        [other_one, other_two].into_iter().for_each(|key| heal.delete(space, key));
        rows.iter().for_each(|(key, row)| heal.put(space, key.clone(), row.clone()));
        bench.tamper(heal);
        assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["/2", "/1"]);
    }
}

#[tokio::test]
async fn a_segment_written_for_a_batch_that_failed_fits_no_more() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    store(&bench, vec![visit(subject, NOON, "/1")]).await;
    // The same place of the same day in two histories of one vault.
    let before: Vec<_> =
        [Space::Item, Space::Page].iter().flat_map(|s| bench.rows(*s).into_iter().map(|r| (*s, r))).collect();
    store(&bench, vec![visit(subject, NOON, "/never happened")]).await;
    let segments = bench.rows(Space::EventSegment);
    let never = segments.last().expect("two").clone();
    let mut batch = crate::store::batch::Batch::new();
    before.iter().for_each(|(space, (key, value))| batch.put(*space, &key[..], &value[..]));
    batch.delete(Space::EventSegment, &never.0[..]);
    bench.tamper(batch);
    let (engine, dir) = bench.shut();
    let bench = Bench::on(engine, dir);
    store(&bench, vec![visit(subject, NOON, "/2")]).await;
    assert_eq!(names(&bench, all_of(subject)).await.expect("reads"), ["/1", "/2"]);
    let mut batch = crate::store::batch::Batch::new();
    batch.put(Space::EventSegment, &never.0[..], &never.1[..]);
    bench.tamper(batch);
    assert_eq!(names(&bench, all_of(subject)).await, Err(Unavailable::Damaged.into()), "sealed under the same key");
}
