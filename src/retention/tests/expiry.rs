//! Items go when they expire, and their rows in the index with them.

use super::*;
use crate::gate::receipts;
use crate::items::model::{Restriction, RestrictionGround, Update};
use crate::items::{restrict, update};

#[tokio::test]
async fn an_item_goes_when_it_expires_and_not_before_with_a_receipt() {
    let bench = Bench::new();
    let (subject, stamps) = bench.person(&["Ada"]).await;
    let item = bench.expiring(subject, HOUR).await.item;
    bench.check_index();
    bench.at(HOUR - 1);
    bench.sweep(ANY).await;
    assert!(bench.is_there(subject, item).await, "a millisecond early");
    bench.at(HOUR);
    bench.sweep(ANY).await;
    assert!(!bench.is_there(subject, item).await);
    assert!(bench.is_there(subject, stamps[0].item).await);
    bench.check_index();

    let begun = bench.entries("ItemExpired").pop().expect("an entry");
    assert_eq!(
        (begun.actor_kind, begun.outcome, begun.class.as_str(), begun.count),
        (3, Outcome::Started, "contact", 1)
    );
    let About::Erasure(receipt) = begun.about else { panic!("about an erasure") };
    let done = bench.entries("ItemErased").pop().expect("an entry");
    assert_eq!((done.about, done.receipt_hash.is_some()), (begun.about, true));
    let record = bench.vault.read(|reads| receipts::look_up(reads, &receipt)).expect("reads").expect("a receipt");
    assert!(record.signed.is_some());
    let step = bench.entries("ItemsExpired").pop().expect("an entry");
    assert_eq!((step.count, step.about), (1, About::Nobody));

    // A clock that goes back brings nothing back, and sweeps nothing early.
    let later = bench.expiring(subject, 3 * HOUR).await.item;
    bench.at(-DAY);
    bench.sweep(ANY).await;
    assert!(!bench.is_there(subject, item).await && bench.is_there(subject, later).await);
}

#[tokio::test]
async fn rows_of_the_index_are_those_of_the_items_whatever_becomes_of_them() {
    let bench = Bench::new();
    let (subject, stamps) = bench.person(&["Ada", "Grace", "Joan"]).await;
    bench.check_index();
    let change = async |item, value: bool, expires: i64| {
        let metadata = NewMetadata { expires: Some(Timestamp::from_millis(NOON + expires)), ..NewMetadata::default() };
        let update = Update {
            subject: SubjectRef::Id(subject),
            item,
            etag: String::new(),
            value: value.then(|| contact("Ada B").value),
            metadata: Some(metadata),
            wait: Wait::Erased,
        };
        let call = bench.call(Action::UpdateItem).await;
        update::update(&bench.vault, &call, update).await.expect("corrects");
        bench.check_index();
    };
    change(stamps[0].item, false, HOUR).await;
    change(stamps[0].item, true, 2 * HOUR).await;
    change(stamps[1].item, true, 2 * HOUR).await;
    bench.delete(subject, stamps[1].item).await;
    bench.check_index();
    let found = bench.vault.read(|reads| index::list(reads, &[], usize::MAX)).expect("reads");
    assert_eq!(found.len(), 2);
    bench.at(2 * HOUR);
    bench.sweep(ANY).await;
    bench.check_index();
    assert!(!bench.is_there(subject, stamps[0].item).await && bench.is_there(subject, stamps[2].item).await);
}

#[tokio::test]
async fn a_row_that_leads_astray_deletes_nothing() {
    let bench = Bench::new();
    let (subject, stamps) = bench.person(&["Ada"]).await;
    let first = bench.vault.read(|reads| index::list(reads, &[], usize::MAX)).expect("reads").remove(0);
    let forged = index::Expiring { at: Timestamp::from_millis(NOON - 1), ..first.clone() };
    let row = forged.clone();
    let planted = bench.vault.committer().commit(move |txn| {
        txn.put(Space::Expiry, row.key(), row.class.as_str().as_bytes());
        Ok(())
    });
    planted.await.expect("is planted");
    bench.sweep(ANY).await;
    assert!(bench.is_there(subject, stamps[0].item).await);
    let left = bench.vault.read(|reads| index::list(reads, &[], usize::MAX)).expect("reads");
    assert_eq!(left, [first]);
}

#[tokio::test]
async fn a_store_of_before_gets_its_rows_once() {
    let bench = Bench::new();
    let mut items = Vec::new();
    for _ in 0..70 {
        let (subject, _) = bench.person(&["Ada"]).await;
        items.push((subject, bench.expiring(subject, HOUR).await.item));
    }
    bench.take_away(Space::Expiry, bench.rows(Space::Expiry).into_iter().map(|(key, _)| key));
    bench.take_away(Space::Meta, [b"expiry_index".to_vec()]);
    bench.sweep(ANY).await;
    bench.check_index();
    bench.at(HOUR);
    bench.sweep(ANY).await;
    for (subject, item) in items {
        assert!(!bench.is_there(subject, item).await);
    }
    bench.check_index();
}

#[tokio::test]
async fn a_catalog_that_keeps_less_ends_items_earlier_and_one_that_keeps_more_does_not_help_them() {
    let bench = Bench::new();
    let (subject, stamps) = bench.person(&["Ada", "Grace"]).await;
    bench.sweep(ANY).await;
    let shorter = DEFAULT.replacen("keep = \"P10Y\"", "keep = \"P1D\"", 1);
    assert_ne!(shorter, DEFAULT);
    bench.catalog(&shorter).await;
    bench.sweep(ANY).await;
    bench.check_index();
    assert_eq!(bench.entries("ItemsShortened").pop().expect("an entry").count, 2);
    bench.catalog(DEFAULT).await;
    bench.sweep(ANY).await;
    assert_eq!(bench.entries("ItemsShortened").len(), 1);
    bench.at(DAY - 1);
    bench.sweep(ANY).await;
    assert!(bench.is_there(subject, stamps[0].item).await);
    bench.at(DAY);
    bench.sweep(ANY).await;
    for stamp in &stamps {
        assert!(!bench.is_there(subject, stamp.item).await);
    }
}

#[tokio::test]
async fn what_is_restricted_stays_until_that_is_lifted_and_keeps_nothing_else() {
    let bench = Bench::new();
    let (ann, _) = bench.person(&["Ann"]).await;
    let (ben, _) = bench.person(&["Ben"]).await;
    let (hers, his) = (bench.expiring(ann, HOUR).await.item, bench.expiring(ben, HOUR).await.item);
    let restrict = async |ground| {
        let role = (RoleId::PrivacyOfficer, "legal_compliance");
        let call = bench.call_as("officer", role.0, role.1, Action::RestrictSubject, "", "").await;
        let restriction = Restriction { subject: SubjectRef::Id(ann), ground };
        restrict::restrict(&bench.vault, &call, restriction).await.expect("restricts");
    };
    restrict(Some(RestrictionGround::LegalClaim)).await;
    bench.at(2 * HOUR);
    bench.sweep(ANY).await;
    assert!(!bench.is_there(ben, his).await);
    bench.check_index();
    restrict(None).await;
    assert!(bench.is_there(ann, hers).await);
    bench.sweep(ANY).await;
    assert!(!bench.is_there(ann, hers).await);
}

#[tokio::test]
async fn expired_items_go_in_steps_of_bounded_size() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    for _ in 0..150 {
        bench.expiring(subject, HOUR).await;
    }
    bench.at(HOUR);
    bench.sweep(ANY).await;
    let steps: Vec<u32> = bench.entries("ItemsExpired").iter().map(|leaf| leaf.count).collect();
    assert_eq!(steps, [64, 64, 22]);
    bench.check_index();
}
