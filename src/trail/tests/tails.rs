//! Tails: what they see, that they say they are alive, and how they end.

use std::time::Duration;

use super::*;
use crate::base::log_safe::SafeText;
use crate::gate::record::own_event;
use crate::gate::txn::Txn;
use crate::trail::model::TailQuery;
use crate::trail::tail::{self, Pace, Tail};

const PACE: Pace = Pace { period: Duration::from_millis(1), silence_max: Duration::from_millis(100) };

async fn follow(bench: &Bench, query: Query, start: Option<u64>) -> Result<Tail, Refusal> {
    let call = call(bench, Action::TailEntries).await;
    tail::open(bench.vault.clone(), call, TailQuery { query, start }, PACE).await
}

/// The next entries, past signs of life.
async fn next(tail: &mut Tail) -> Vec<u64> {
    loop {
        let part = tail.next().await.expect("goes on");
        if !part.entries.is_empty() {
            return part.entries.iter().map(|shown| shown.hit.index).collect();
        }
    }
}

#[tokio::test]
async fn a_tail_sees_what_happens_and_nothing_of_itself() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let mut tail = follow(&bench, about(None), None).await.expect("opens");
    let opened = bench.last_leaf();
    assert_eq!((opened.operation.as_str(), opened.outcome), ("TailEntries", Outcome::Started));
    for _ in 0..20 {
        let index = bench.leaves().len() as u64;
        bench.name(subject, items[0].item).await.expect("reads");
        assert_eq!(next(&mut tail).await, [index]);
    }
    let quiet = tail.next().await.expect("goes on");
    assert!(quiet.entries.is_empty(), "a sign of life");
    assert_eq!(quiet.next_index, bench.leaves().len() as u64);
    tail.close(None).await.expect("is recorded");
    let closed = bench.last_leaf();
    assert_eq!((closed.operation.as_str(), closed.outcome, closed.count), ("TailEntries", Outcome::Done, 20));
    assert_eq!(closed.request, opened.request);
}

#[tokio::test]
async fn a_tail_does_not_see_what_may_still_be_lost_with_the_power() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let mut tail = follow(&bench, about(None), None).await.expect("opens");
    let index = bench.leaves().len() as u64;
    bench.name(subject, items[0].item).await.expect("reads");
    let enter = |txn: &mut Txn<'_>| {
        let event = own_event(SafeText::constant("Tried"), txn.epoch())?;
        txn.record(event);
        Ok(())
    };
    bench.vault.committer().commit_followed(enter).await.expect("is written");
    assert_eq!(next(&mut tail).await, [index]);
    bench.vault.committer().settle().await.expect("lasts");
    assert_eq!(next(&mut tail).await, [index + 1]);
}

#[tokio::test]
async fn a_tail_begins_anywhere_and_goes_on_from_where_another_ended() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    for _ in 0..40 {
        bench.name(subject, items[0].item).await.expect("reads");
    }
    bench.vault.log().checkpoint(20).await.expect("signed");
    bench.name(subject, items[0].item).await.expect("reads");
    for start in [0, 1, 20, 40, 41] {
        let mut tail = follow(&bench, about(Some(subject)), Some(start)).await.expect("opens");
        let wanted: Vec<u64> = naive(&bench, 0).into_iter().filter(|index| *index >= start).collect();
        let mut found = Vec::new();
        while found.len() < wanted.len() - 1 {
            found.extend(next(&mut tail).await);
        }
        assert_eq!(found, wanted[..wanted.len() - 1], "all but the entry of this tail itself");
        tail.close(None).await.expect("is recorded");
    }
    let size = bench.leaves().len() as u64;
    let outcome = follow(&bench, about(None), Some(size + 1)).await.map(|_| ());
    assert_eq!(outcome, Err(State::IndexOutOfRange.into()));
}

#[tokio::test]
async fn a_tail_ends_with_its_subject_and_with_the_vault() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let mut tail = follow(&bench, about(Some(subject)), None).await.expect("opens");
    let readings = bench.vault.readings().clone();
    let erasing = std::thread::spawn(move || {
        readings
            .drain(&[(subject, crate::gate::readings::Forgotten::Everything)], Duration::ZERO, || Ok::<_, Refusal>(()))
    });
    let ended = loop {
        match tail.next().await {
            Ok(_) => {}
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(ended, State::SubjectErased.into());
    tail.close(Some(&ended)).await.expect("is recorded");
    erasing.join().expect("no panic").expect("the tail is gone");
    let closed = bench.last_leaf();
    assert_eq!((closed.about, closed.reason), (About::Nobody, Reason::SubjectErased.number()));

    let mut tail = follow(&bench, about(None), None).await.expect("opens");
    bench.vault.close();
    assert_eq!(tail.next().await.map(|_| ()), Err(Unavailable::Stopping.into()));
}
