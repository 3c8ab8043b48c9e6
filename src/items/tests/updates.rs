//! Corrections of values and of metadata.

use std::time::Instant;

use super::*;
use crate::gate::refusal::State;
use crate::items::model::{Erasure, ErasureState, NewMetadata, Notes, Update, Wait};
use crate::items::update;

async fn correct(
    bench: &Bench,
    subject: SubjectId,
    of: &Stamp,
    change: Change,
) -> Result<(Stamp, Option<Erasure>), Refusal> {
    let call = bench.call(Action::UpdateItem).await;
    let (value, metadata) = match change {
        Change::Name(name) => (Some(contact(name).value), None),
        Change::Source(source) => {
            let notes = Notes { source: source.into(), ..Notes::default() };
            (None, Some(NewMetadata { notes, ..NewMetadata::default() }))
        }
        Change::Automated => (None, Some(NewMetadata { automated_decision: true, ..NewMetadata::default() })),
    };
    let wanted = Update {
        subject: SubjectRef::Id(subject),
        item: of.item,
        etag: of.etag.clone(),
        value,
        metadata,
        wait: Wait::Erased,
    };
    update::update(&bench.vault, &call, wanted).await
}

enum Change {
    Name(&'static str),
    Source(&'static str),
    Automated,
}

#[tokio::test]
async fn a_new_value_is_a_new_version_and_the_old_one_is_erased() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (stamp, erasure) = correct(&bench, subject, &items[0], Change::Name("Grace")).await.expect("corrects");
    assert_eq!(stamp.version, 2);
    assert_eq!(erasure.map(|erasure| erasure.state), Some(ErasureState::Erased));
    assert_eq!(bench.name(subject, items[0].item).await.expect("reads"), "Grace");
    let old = ItemQuery { version: 1, ..query(subject, items[0].item) };
    let call = bench.call(Action::GetItem).await;
    assert_eq!(get::get(&bench.vault, &call, old).await.map(|_| ()), Err(State::NotFound.into()));
}

#[tokio::test]
async fn flags_alone_keep_the_version_and_the_key() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let before = bench.vault.epoch();
    let (stamp, erasure) = correct(&bench, subject, &items[0], Change::Automated).await.expect("changes");
    assert_eq!((stamp.version, erasure), (1, None));
    assert_ne!(stamp.etag, items[0].etag);
    assert_eq!(bench.vault.epoch(), before);
    let call = bench.call(Action::GetItem).await;
    let view = get::get(&bench.vault, &call, query(subject, stamp.item)).await.expect("reads");
    assert!(view.metadata.expect("is shown").automated_decision);
}

#[tokio::test]
async fn free_text_keeps_the_version_and_dies_with_its_key() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (first, erasure) = correct(&bench, subject, &items[0], Change::Source("a form")).await.expect("changes");
    assert_eq!((first.version, erasure.map(|erasure| erasure.state)), (1, Some(ErasureState::Erased)));
    let (same, none) = correct(&bench, subject, &first, Change::Source("a form")).await.expect("changes nothing");
    assert_eq!((same.version, none), (1, None));
    assert_eq!(bench.name(subject, first.item).await.expect("reads"), "Ada");
}

#[tokio::test]
async fn an_older_row_of_the_same_version_is_refused() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (key, old) = bench.rows(Space::Item).remove(0);
    correct(&bench, subject, &items[0], Change::Automated).await.expect("changes");
    let mut back = Batch::new();
    back.put(Space::Item, key, old);
    bench.tamper(back);
    let refusal = bench.name(subject, items[0].item).await.expect_err("is found out");
    assert_eq!(refusal, crate::gate::refusal::Unavailable::Damaged.into());
}

#[tokio::test]
async fn a_row_of_which_any_byte_was_changed_is_refused() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    // A person's row ends with what is looked at only where their identifiers are opened.
    for (space, unread) in [(Space::Item, 0), (Space::Subject, 32)] {
        let (key, row) = bench.rows(space).remove(0);
        let put = |row: &[u8]| {
            let mut batch = Batch::new();
            batch.put(space, &key[..], row);
            bench.engine.commit(batch).expect("an attacker writes to the store");
        };
        for at in 0..row.len() - unread {
            let mut changed = row.clone();
            changed[at] ^= 1 << (at % 8);
            put(&changed);
            let refusal = bench.name(subject, items[0].item).await.err();
            assert_eq!(refusal, Some(crate::gate::refusal::Unavailable::Damaged.into()), "{}, byte {at}", space.name());
        }
        put(&row);
    }
    assert_eq!(bench.name(subject, items[0].item).await.expect("reads"), "Ada");
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    correct(&bench, subject, &items[0], Change::Name("Grace")).await.expect("corrects");
    let refusal = correct(&bench, subject, &items[0], Change::Name("Mallory")).await.expect_err("is refused");
    assert_eq!(refusal, State::EtagMismatch.into());
    assert_eq!(bench.name(subject, items[0].item).await.expect("reads"), "Grace");
}

#[tokio::test]
async fn what_is_done_stays_done_for_who_looks_late() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (_, erasure) = correct(&bench, subject, &items[0], Change::Name("Grace")).await.expect("corrects");
    let epochs = bench.vault.epochs();
    epochs.ask(true, Duration::ZERO); // told of an intent that an epoch has carried out already
    bench.settle().await;
    let found = epochs.wait_for(1, Some(Instant::now() + Duration::from_secs(5))).await;
    assert_eq!(found, erasure.map(|erasure| erasure.epoch));
}
