//! What a statutory period kept goes when it ends, all with one cut, and each receipt it outlived is supplemented.

use std::sync::Arc;

use super::*;
use crate::base::id::ReceiptId;
use crate::base::protobuf::Message;
use crate::doctor::look_through;
use crate::erasure::subject::{EraseSubject, erase};
use crate::gate::receipts::{self, Ground};
use crate::gate::refusal::Unavailable;
use crate::items::kept::{self, Pick};
use crate::keep::kept::{self as versions, Under};
use crate::keep::period;
use crate::keys::page::Tree;

/// The shipped catalog, with periods for contacts.
fn with(periods: &[(&str, &str, &str, &str)]) -> String {
    let period = |(id, from, length, align): &(&str, &str, &str, &str)| {
        format!(
            "\n[periods.{id}]\nclass = \"contact\"\nlegal_basis = \"a law\"\nfrom = \"{from}\"\nperiod = \"{length}\"\n\
             align = \"{align}\"\n"
        )
    };
    periods.iter().map(period).fold(DEFAULT.to_owned(), |text, period| text + &period)
}

impl Bench {
    /// Whether the legal role reads a version that only a reason keeps.
    async fn is_kept(&self, item: ItemId) -> bool {
        let call = self.call_as("counsel", RoleId::Legal, "legal_compliance", Action::GetItem, "", "").await;
        let pick = Pick { item, version: 0, etag: "" };
        let show = |seen: kept::Seen| seen.show(&self.vault, &call, &[]);
        match self.vault.read(|reads| kept::see(reads, &self.vault, &call, pick, None).and_then(show)) {
            Ok(_) => true,
            Err(Refusal::State(State::NotFound)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn of_version(&self, item: ItemId) -> ReceiptId {
        self.vault
            .read(|reads| {
                let id = versions::list(reads, Under::Item(item), None, 1)?.remove(0);
                Ok(versions::find(reads, &id)?.expect("is kept").stated().receipt)
            })
            .expect("reads")
    }

    async fn erase(&self, subject: SubjectId) -> ReceiptId {
        let role = (RoleId::PrivacyOfficer, "legal_compliance");
        let call = self.call_as("officer", role.0, role.1, Action::EraseSubject, "", "").await;
        let wanted = EraseSubject { subject: SubjectRef::Id(subject), ground: Ground::Request, wait: Wait::Erased };
        erase(&self.vault, &call, wanted).await.expect("erases").0.receipt
    }

    /// The receipts that supplement one, each with its statement.
    fn supplements(&self, first: &ReceiptId) -> Vec<Vec<u8>> {
        let found = self.vault.read(|reads| {
            let ids = versions::supplements(reads, first)?;
            ids.iter().map(|id| Ok(receipts::look_up(reads, id)?.expect("a receipt"))).collect::<Result<Vec<_>, _>>()
        });
        found.expect("reads").into_iter().map(|record| record.signed.expect("a statement").body).collect()
    }
}

#[tokio::test]
async fn what_a_period_keeps_goes_with_its_end_and_the_receipt_is_supplemented() {
    let bench = Bench::new();
    bench.catalog(&with(&[("short", "created", "P2D", "none")])).await;
    let (subject, stamps) = bench.person(&["Ada", "Grace", "Joan"]).await;
    bench.delete(subject, stamps[0].item).await;
    let first = bench.of_version(stamps[0].item);
    // Of another act of forgetting, and of a person who is gone.
    bench.at(HOUR);
    let whole = bench.erase(subject).await;
    for stamp in &stamps {
        assert!(bench.is_kept(stamp.item).await);
    }
    let ends = bench.vault.read(|reads| period::all(reads, usize::MAX)).expect("reads");
    // Until the end of the day on which two days from noon end.
    assert_eq!(ends.len(), 1, "one reason for one day");
    assert_eq!(ends[0].0, Timestamp::from_millis(NOON + 2 * DAY + 12 * HOUR));
    let tree = Tree::Reason(ends[0].1, 0).row_prefix();
    let pages = |bench: &Bench| bench.rows(Space::Page).iter().filter(|(key, _)| key.starts_with(&tree)).count();
    assert!(pages(&bench) > 0);

    bench.pass(HOUR, 2 * DAY + 12 * HOUR - 1).await;
    assert!(bench.is_kept(stamps[0].item).await, "a millisecond early");
    assert_eq!(bench.supplements(&first), Vec::<Vec<u8>>::new());
    bench.at(2 * DAY + 12 * HOUR);
    bench.sweep(ANY).await;
    for stamp in &stamps {
        assert!(!bench.is_kept(stamp.item).await);
    }
    assert_eq!((pages(&bench), bench.rows(Space::PeriodEnd).len()), (0, 0));
    for (receipt, keys) in [(first, 1), (whole, 2)] {
        let supplements = bench.supplements(&receipt);
        assert_eq!(supplements.len(), 1);
        let names = Message::new().text(7, &receipt.to_string()).finish();
        assert!(supplements[0].windows(names.len()).any(|part| part == names), "it names the first receipt");
        let count = Message::new().number(11, keys).finish();
        assert!(supplements[0].windows(count.len()).any(|part| part == count), "{keys} keys went");
        assert!(!bench.vault.read(|reads| versions::remains(reads, &receipt)).expect("reads"));
    }
    assert_eq!(bench.entries("PeriodErased").len(), 1, "one cut");
    let ended: Vec<u32> =
        bench.entries("PeriodEnded").iter().filter(|l| l.about == About::Nobody).map(|l| l.count).collect();
    assert_eq!(ended, [3]);
    // The reason's place is free, and used again.
    bench.sweep(ANY).await;
    let (subject, stamps) = bench.person(&["Ada"]).await;
    bench.delete(subject, stamps[0].item).await;
    assert!(bench.is_kept(stamps[0].item).await);
}

#[tokio::test]
async fn a_version_that_two_periods_keep_goes_with_the_later_and_many_go_in_steps() {
    let bench = Bench::new();
    bench.catalog(&with(&[("long", "created", "P3D", "none"), ("short", "created", "P1D", "none")])).await;
    let (subject, stamps) = bench.person(&["Ada"; 60]).await;
    let (other, more) = bench.person(&["Ada"; 60]).await;
    let first = bench.erase(subject).await;
    bench.erase(other).await;
    bench.pass(0, 2 * DAY).await;
    let ended = |bench: &Bench| -> Vec<u32> {
        bench.entries("PeriodEnded").iter().filter(|l| l.about == About::Nobody).map(|leaf| leaf.count).collect()
    };
    assert_eq!(ended(&bench), [64, 56]);
    assert!(bench.is_kept(stamps[0].item).await && bench.is_kept(more[59].item).await);
    assert_eq!(bench.supplements(&first).len(), 0, "the other period keeps it all");
    bench.pass(2 * DAY, 4 * DAY).await;
    assert_eq!(ended(&bench), [64, 56, 64, 56]);
    for stamp in stamps.iter().chain(&more) {
        assert!(!bench.is_kept(stamp.item).await);
    }
    let supplements = bench.supplements(&first).len();
    assert!((1..=2).contains(&supplements), "one for each step that took some of it: {supplements}");
    assert_eq!(bench.rows(Space::PeriodEnd), vec![]);
}

#[tokio::test]
async fn what_is_kept_keeps_its_end_whatever_the_catalog_says_later() {
    let bench = Bench::new();
    bench.catalog(&with(&[("short", "created", "P1D", "none")])).await;
    let (subject, stamps) = bench.person(&["Ada", "Grace", "Joan"]).await;
    bench.delete(subject, stamps[0].item).await;
    bench.catalog(&with(&[("short", "created", "P3D", "none")])).await;
    bench.delete(subject, stamps[1].item).await;
    bench.catalog(DEFAULT).await;
    bench.delete(subject, stamps[2].item).await;
    let kept = async || {
        [bench.is_kept(stamps[0].item).await, bench.is_kept(stamps[1].item).await, bench.is_kept(stamps[2].item).await]
    };
    assert_eq!(kept().await, [true, true, false]);
    bench.pass(0, 2 * DAY).await;
    assert_eq!(kept().await, [false, true, false]);
    bench.pass(2 * DAY, 4 * DAY).await;
    assert_eq!(kept().await, [false, false, false]);
}

#[tokio::test]
async fn what_expires_under_a_period_is_kept_and_goes_with_that() {
    let bench = Bench::new();
    bench.catalog(&with(&[("short", "updated", "P1D", "none")])).await;
    let (subject, _) = bench.person(&["Ada"]).await;
    let item = bench.expiring(subject, HOUR).await.item;
    bench.at(HOUR);
    bench.sweep(ANY).await;
    assert!(!bench.is_there(subject, item).await && bench.is_kept(item).await);
    bench.check_index();
    bench.pass(HOUR, 2 * DAY).await;
    assert!(!bench.is_kept(item).await);
}

#[tokio::test]
async fn a_period_that_is_over_keeps_nothing_and_one_from_the_end_of_the_account_only_what_goes_with_it() {
    let bench = Bench::new();
    bench.catalog(&with(&[("day", "created", "P1D", "none"), ("claims", "account_closed", "P1D", "year_end")])).await;
    let (subject, stamps) = bench.person(&["Ada", "Grace"]).await;
    bench.pass(0, 2 * DAY).await;
    bench.delete(subject, stamps[0].item).await;
    assert!(!bench.is_kept(stamps[0].item).await);
    bench.erase(subject).await;
    assert!(bench.is_kept(stamps[1].item).await);
    let ends = bench.vault.read(|reads| period::all(reads, usize::MAX)).expect("reads");
    // A day after the end of 2026.
    assert_eq!(ends.iter().map(|(end, _)| end.to_string()).collect::<Vec<_>>(), ["2027-01-02T00:00:00.000Z"]);
}

/// Whose erasure it was, somebody made unknown: the period ends all the same.
#[tokio::test]
async fn what_a_period_keeps_of_the_erased_goes_also_where_their_receipt_was_changed() {
    let bench = Bench::new();
    bench.catalog(&with(&[("short", "created", "P2D", "none")])).await;
    let ((ann, hers), (ben, his)) = (bench.person(&["Ada"]).await, bench.person(&["Ben"]).await);
    let receipt = bench.erase(ann).await;
    bench.erase(ben).await;
    let of = bench.rows(Space::Receipt).into_iter().find(|(key, _)| key == receipt.as_bytes()).expect("a row");
    for row in [None, Some(of.1.iter().rev().copied().collect::<Vec<u8>>())] {
        match row {
            None => bench.take_away(Space::Receipt, [of.0.clone()]),
            Some(row) => bench.write_over([(Space::Receipt, (of.0.clone(), row))]),
        }
        assert!(bench.is_kept(his[0].item).await);
        let call = bench.call_as("counsel", RoleId::Legal, "legal_compliance", Action::GetItem, "", "").await;
        let pick = Pick { item: hers[0].item, version: 0, etag: "" };
        let seen = bench.vault.read(|reads| kept::see(reads, &bench.vault, &call, pick, None).map(|_| ()));
        assert_eq!(seen, Err(Unavailable::Damaged.into()), "nobody is told that she is erased");
    }
    bench.pass(HOUR, 2 * DAY + 12 * HOUR).await;
    assert!(!bench.is_kept(hers[0].item).await && !bench.is_kept(his[0].item).await);
}

/// A version that a reason counts and that is not there any more.
#[tokio::test]
async fn the_doctor_misses_what_was_taken_from_a_reason() {
    let bench = Bench::new();
    bench.catalog(&with(&[("short", "created", "P2D", "none")])).await;
    let (ann, _) = bench.person(&["Ada", "Grace"]).await;
    bench.erase(ann).await;
    let look = async || {
        let vault = bench.vault.clone();
        let look = move || look_through(vault.committer(), *vault.id(), false, Arc::default());
        tokio::task::spawn_blocking(look).await.expect("no panic").expect("the store is read")
    };
    let found = look().await;
    assert!(found.is_sound() && found.kept.all == 2, "{found:?}");
    let kept = bench.rows(Space::Kept);
    let (_, of_it) =
        kept.iter().find(|(key, _)| key[0] == 1).map(|(key, row)| (row, key[1..17].to_vec())).expect("one");
    let rows = kept.into_iter().map(|(key, _)| key).filter(|key| key.windows(16).any(|part| part == of_it));
    bench.take_away(Space::Kept, rows);
    let found = look().await;
    assert_eq!((found.kept.all, found.kept.unreadable), (2, 1), "{found:?}");
}
