//! What is found in stores that somebody has changed, and that nothing is found in others.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::base::codec::Writer;
use crate::base::id::{ItemId, ReceiptId, SubjectId, UploadId};
use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::erasure::subject::{EraseSubject, erase};
use crate::erasure::verify::{Which, verify};
use crate::gate::receipts::Ground;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::uploads::{PENDING, UploadPlace};
use crate::items::model::{Delete, SubjectRef, Wait};
use crate::items::record::{encode_finished, item_key, tombstone};
use crate::items::tests::{Bench, contact};
use crate::items::{delete, put, subject};
use crate::keys::page::Tree;
use crate::policy::action::Action;
use crate::policy::caller::RoleId;
use crate::store::Record;
use crate::store::keyspace::Space;

impl Bench {
    async fn looked(&self, accept: bool) -> Findings {
        let vault = self.vault.clone();
        let look = move || look_through(vault.committer(), *vault.id(), accept, Arc::new(AtomicU64::new(0)));
        tokio::task::spawn_blocking(look).await.expect("no panic").expect("the store is read")
    }

    async fn forget(&self, subject: SubjectId, item: ItemId, wait: Wait) {
        let call = self.call(Action::DeleteItem).await;
        let wanted = Delete { subject: SubjectRef::Id(subject), item, etag: String::new(), wait };
        delete::delete(&self.vault, &call, wanted).await.expect("deletes");
    }

    async fn forget_all(&self, subject: SubjectId, wait: Wait) {
        self.try_to_forget_all(subject, wait).await.expect("erases");
    }

    async fn try_to_forget_all(&self, subject: SubjectId, wait: Wait) -> Result<(), Refusal> {
        let (role, purpose) = (RoleId::PrivacyOfficer, "legal_compliance");
        let call = self.call_as("officer", role, purpose, Action::EraseSubject, "", "").await;
        let wanted = EraseSubject { subject: SubjectRef::Id(subject), ground: Ground::Request, wait };
        erase(&self.vault, &call, wanted).await.map(|_| ())
    }

    async fn add(&self, subject: SubjectId) {
        let call = self.call(Action::PutItem).await;
        put::put(&self.vault, &call, SubjectRef::Id(subject), contact("Grace")).await.expect("puts");
    }
}

fn of(rows: Vec<Record>, space: Space) -> impl Iterator<Item = (Space, Record)> {
    rows.into_iter().map(move |row| (space, row))
}

#[tokio::test]
async fn nothing_is_found_in_a_store_that_only_the_vault_has_written() {
    let bench = Bench::new();
    assert!(bench.looked(false).await.is_sound(), "an empty one");
    let mut people = Vec::new();
    for number in 0..70 {
        people.push(bench.person(&["Ada", "Grace"][..1 + number % 2]).await);
    }
    let (ann, items) = people.remove(0);
    for (subject, items) in people.iter().take(5) {
        bench.forget(*subject, items[0].item, Wait::Erased).await;
    }
    let found = bench.looked(false).await;
    assert!(found.is_sound(), "{found:?}");
    assert_eq!((found.people.all, found.items.all), (70, 105 - 5));
    bench.forget(ann, items[0].item, Wait::Erased).await;
    bench.forget_all(people[9].0, Wait::Erased).await;
    let bench = bench.reopened();
    let found = bench.looked(false).await;
    assert!(found.is_sound() && found.people.all == 69, "{found:?}");
    assert_eq!(bench.looked(true).await, found, "there is nothing to accept");
    assert!(bench.leaves().iter().all(|leaf| leaf.operation != "PagesAccepted"));
}

#[tokio::test]
async fn what_waits_for_a_slot_is_no_finding() {
    let bench = Bench::new();
    let (ann, items) = bench.person(&["Ada", "Grace"]).await;
    let (ben, _) = bench.person(&["Ben"]).await;
    bench.take_slot_away();
    bench.forget(ann, items[0].item, Wait::Logical).await;
    bench.forget_all(ben, Wait::Logical).await;
    let found = bench.looked(false).await;
    assert!(found.is_sound() && found.under_way.all >= 2, "{found:?}");
}

#[tokio::test]
async fn an_erasure_that_was_taken_away_with_all_that_says_so_leaves_its_keys() {
    let bench = Bench::new();
    let (ann, _) = bench.person(&["Ada"]).await;
    let is_ledger = |(key, _): &Record| key == b"intent_next";
    let ledger = bench.rows(Space::Meta).into_iter().find(is_ledger).expect("there is one");
    bench.take_slot_away();
    bench.forget_all(ann, Wait::Logical).await;
    assert!(bench.looked(false).await.is_sound());
    bench.write_over([(Space::Meta, ledger)]);
    bench.take_away(Space::Intent, bench.rows(Space::Intent).into_iter().map(|(key, _)| key));
    let bench = bench.reopened();
    let found = bench.looked(false).await;
    assert_eq!((found.pages, found.under_way.all, found.keys_without_row), (Pages::NotNewest, 0, 1));
}

/// Ann's is written over Ben's row, and then the receipt's own row says that it is Ben's.
#[tokio::test]
async fn a_tombstone_of_somebody_else_is_nobodys_end() {
    let bench = Bench::new();
    let ((ann, _), (ben, items)) = (bench.person(&["Ada"]).await, bench.person(&["Ben"]).await);
    bench.forget_all(ann, Wait::Erased).await;
    let of =
        |id: &SubjectId, space| bench.rows(space).into_iter().find(|(key, _)| key == id.as_bytes()).expect("a row").1;
    let (tombstone, own) = (of(&ann, Space::Subject), of(&ben, Space::Subject));
    let (receipt, said) =
        bench.rows(Space::Receipt).into_iter().find(|(key, _)| tombstone.ends_with(key)).expect("one");
    let at = said.windows(16).position(|id| id == ann.as_bytes()).expect("it names her");
    let others = [&said[..at], ben.as_bytes(), &said[at + 16..]].concat();
    let damaged: Refusal = Unavailable::Damaged.into();
    for row in [&said, &others] {
        bench.write_over([
            (Space::Subject, (ben.as_bytes().to_vec(), tombstone.clone())),
            (Space::Receipt, (receipt.clone(), row.clone())),
        ]);
        let call = bench.call(Action::GetSubject).await;
        assert_eq!(subject::describe(&bench.vault, &call, SubjectRef::Id(ben)).await.map(|_| ()), Err(damaged.clone()));
        assert_eq!(bench.try_to_forget_all(ben, Wait::Logical).await, Err(damaged.clone()));
        let role = (RoleId::PrivacyOfficer, "legal_compliance");
        let call = bench.call_as("officer", role.0, role.1, Action::VerifyErasure, "", "").await;
        assert_eq!(verify(&bench.vault, &call, Which::Subject(ben)).await.map(|_| ()), Err(damaged.clone()));
        assert!(!bench.looked(false).await.is_sound());
    }
    bench.write_over([(Space::Subject, (ben.as_bytes().to_vec(), own)), (Space::Receipt, (receipt, said))]);
    assert_eq!(bench.name(ben, items[0].item).await.as_deref(), Ok("Ben"));
}

#[tokio::test]
async fn an_older_page_of_the_same_generation_is_found_with_all_rows_of_then() {
    let bench = Bench::new();
    let (ann, _) = bench.person(&["Ada"]).await;
    let (pages, items, subjects) = (bench.rows(Space::Page), bench.rows(Space::Item), bench.rows(Space::Subject));
    let kept: Vec<_> = items.iter().map(|(key, _)| key.clone()).collect();
    bench.add(ann).await;
    let is_newer = |(key, row): &Record| pages.iter().any(|(place, before)| place == key && before != row);
    assert!(bench.rows(Space::Page).iter().any(is_newer), "a page was sealed again");
    bench.write_over(of(pages, Space::Page).chain(of(items, Space::Item)).chain(of(subjects, Space::Subject)));
    bench.take_away(
        Space::Item,
        bench.rows(Space::Item).into_iter().map(|(key, _)| key).filter(|key| !kept.contains(key)),
    );
    let bench = bench.reopened();
    let found = bench.looked(false).await;
    // Every row fits its key: nothing but the count of the pages tells.
    assert_eq!((found.people.unreadable, found.items.unreadable, found.keys_without_row), (0, 0, 0));
    assert_eq!(found.pages, Pages::NotNewest);
    bench.person(&["Ben"]).await;
    assert_eq!(bench.looked(false).await.pages, Pages::NotNewest, "what is added later does not hide it");
    assert_eq!(bench.looked(true).await.pages, Pages::NotNewest);
    assert_eq!(bench.leaves().iter().filter(|leaf| leaf.operation == "PagesAccepted").count(), 1);
    let bench = bench.reopened();
    assert!(bench.looked(false).await.is_sound());
}

#[tokio::test]
async fn rows_that_were_taken_away_or_written_over_leave_keys_to_which_nothing_leads() {
    let bench = Bench::new();
    let (ann, items) = bench.person(&["Ada", "Grace"]).await;
    let row = |item| item_key(&ann, item);
    bench.take_away(Space::Item, [row(&items[0].item)]);
    let found = bench.looked(false).await;
    assert_eq!((found.pages, found.keys_without_row, found.items.all), (Pages::Newest, 1, 1));
    let receipt = ReceiptId::from_bytes([5; 16]);
    bench.write_over([(Space::Item, (row(&items[1].item), tombstone(&receipt)))]);
    assert_eq!(bench.looked(false).await.keys_without_row, 2);
    bench.take_away(Space::Subject, [ann.as_bytes().to_vec()]);
    let found = bench.looked(false).await;
    assert_eq!((found.pages, found.keys_without_row, found.people.all), (Pages::NotNewest, 1, 0));
    assert!(!found.is_sound());
}

#[tokio::test]
async fn an_upload_that_somebody_wrote_leads_to_nothing() {
    let bench = Bench::new();
    let (ann, items) = bench.person(&["Ada"]).await;
    bench.take_away(Space::Item, [item_key(&ann, &items[0].item)]);
    let place = UploadPlace { subject: ann, item: items[0].item, upload: UploadId::from_bytes([3; 16]) };
    for position in 0..4u64 {
        let clear = Writer::new().u64(position).u32(0).i64(i64::MAX).finish();
        let row = Writer::new().u8(PENDING).u8(1).bytes(&clear).raw(&[0; 64]).bytes(&[]).finish();
        bench.write_over([(Space::Upload, (place.key(), row))]);
        let found = bench.looked(false).await;
        assert_eq!((found.uploads.unreadable, found.keys_without_row), (1, 1), "{position}");
    }
    let row = encode_finished(&place, (1, None), Timestamp::from_millis(0), &Key::copied(&[1; 32]));
    bench.write_over([(Space::Upload, (place.key(), row))]);
    assert_eq!(bench.looked(false).await.uploads.unreadable, 1);
}

#[tokio::test]
async fn keys_of_rows_that_are_none_are_counted_and_blind_nobody() {
    let bench = Bench::new();
    let (ann, _) = bench.person(&["Ada"]).await;
    let junk = [
        (Space::Subject, vec![1; 3]),
        (Space::Item, [ann.as_bytes(), &[1; 15][..]].concat()),
        (Space::Upload, [ann.as_bytes(), &[1; 3][..]].concat()),
        (Space::Parting, vec![1, 0]),
        (Space::Matter, vec![2, 0]),
        (Space::Hold, vec![2, 0]),
        (Space::PeriodEnd, vec![3, 0]),
        (Space::Intent, vec![u8::MAX; 8]),
        (Space::Held, vec![0]),
    ];
    for (space, key) in junk {
        bench.write_over([(space, (key.clone(), vec![9]))]);
        let found = bench.looked(false).await;
        assert!(
            !found.is_sound() && found.pages == Pages::Newest && found.people.all - found.people.unreadable == 1,
            "{}: {found:?}",
            space.name()
        );
        bench.take_away(space, [key]);
        assert!(bench.looked(false).await.is_sound(), "{}", space.name());
    }
}

/// What cannot be read any more goes all the same, and holds up nobody else's end.
#[tokio::test]
async fn a_damaged_page_of_somebody_who_goes_stops_no_epoch() {
    let bench = Bench::new();
    let ((ann, _), (ben, items)) = (bench.person(&["Ada"]).await, bench.person(&["Ben", "Bob"]).await);
    bench.take_slot_away();
    bench.forget_all(ann, Wait::Logical).await;
    bench.forget(ben, items[0].item, Wait::Logical).await;
    let tree = Tree::Subject(ann, 0).row_prefix();
    let pages = bench.rows(Space::Page).into_iter().filter(|(key, _)| key.starts_with(&tree));
    bench.write_over(pages.map(|(key, row)| (Space::Page, (key, row[1..].to_vec()))).collect::<Vec<_>>());
    let bench = bench.reopened(); // which has no open copy of them
    bench.put_slot_back();
    bench.settle().await;
    assert_eq!(bench.name(ben, items[1].item).await.as_deref(), Ok("Bob"));
    let found = bench.looked(false).await;
    assert_eq!((found.pages, found.under_way.all, found.keys_without_row), (Pages::NotNewest, 0, 0));
    assert!(bench.rows(Space::Page).iter().all(|(key, _)| !key.starts_with(&tree)));
}

#[tokio::test]
async fn a_row_that_is_not_its_keys_newest_is_unreadable() {
    let bench = Bench::new();
    let (ann, items) = bench.person(&["Ada", "Grace"]).await;
    let key = |at: usize| item_key(&ann, &items[at].item);
    let rows = bench.rows(Space::Item);
    let of = |at: usize| rows.iter().find(|(place, _)| *place == key(at)).expect("a row").1.clone();
    bench.write_over([(Space::Item, (key(0), of(1)))]);
    let found = bench.looked(false).await;
    assert_eq!((found.items.all, found.items.unreadable, found.pages), (2, 1, Pages::Newest));
    let subject = bench.rows(Space::Subject).remove(0);
    bench.write_over([(Space::Subject, (subject.0, vec![0]))]);
    assert_eq!(bench.looked(false).await.people.unreadable, 1);
}

#[tokio::test]
async fn a_count_that_was_taken_away_or_put_back_is_not_begun_anew_unasked() {
    for put_back in [false, true] {
        let bench = Bench::new();
        bench.person(&["Ada"]).await;
        let tally = |bench: &Bench| bench.rows(Space::Meta).into_iter().find(|(key, _)| key == b"page_tally");
        let before = tally(&bench).expect("there is a count");
        let (ben, items) = bench.person(&["Ben"]).await;
        match put_back {
            true => bench.write_over([(Space::Meta, before)]),
            false => bench.take_away(Space::Meta, [before.0]),
        }
        let bench = bench.reopened();
        assert_eq!(bench.looked(false).await.pages, Pages::Unknown);
        bench.person(&["Cleo"]).await;
        bench.forget(ben, items[0].item, Wait::Erased).await;
        let bench = bench.reopened();
        assert_eq!(bench.looked(false).await.pages, Pages::Unknown);
        assert_eq!(bench.looked(true).await.pages, Pages::Unknown);
        assert!(bench.looked(false).await.is_sound());
        bench.person(&["Dora"]).await;
        assert!(bench.looked(false).await.is_sound());
    }
}
