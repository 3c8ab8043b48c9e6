//! The erasure of persons of very many items: in steps, each of which may be the last of its process.

mod damage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;

use super::check::{Wrong, check};
use crate::api::convert::receipts::receipt as message;
use crate::api::proto::{Receipt, ReceiptBody};
use crate::audit::note::VerifierKey;
use crate::base::id::{HoldId, ItemId, MatterId, ReceiptId, SubjectId};
use crate::base::limits::{PARTING_ITEMS_MAX, RECEIPT_KEPT_MAX};
use crate::base::time::Timestamp;
use crate::catalog::class::IdentifierField;
use crate::erasure::evidence::{self, Wanted};
use crate::erasure::parting::{Run, work};
use crate::erasure::subject::{EraseSubject, erase};
use crate::erasure::verify::{Verdict, Which, verify};
use crate::gate::call::Call;
use crate::gate::receipts::Ground;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::holds::model::{NewMatter, Placing, PlacingScope};
use crate::holds::{matters, place};
use crate::items::kept::{self, Pick};
use crate::items::model::{Delete, ErasureState, NewItem, NewMetadata, PutEntry, SubjectRef, Wait};
use crate::items::tests::indexed::{PHONE, reachable};
use crate::items::tests::{Bench, HOUR, NOON, contact};
use crate::items::{delete, expiry, parting, put};
use crate::keep::kept as versions;
use crate::keep::matter::Texts;
use crate::policy::action::Action;
use crate::policy::caller::RoleId;
use crate::store::Record;
use crate::store::keyspace::Space;

/// More than one step takes, by a few.
const MANY: usize = PARTING_ITEMS_MAX + 200;

impl Bench {
    async fn counsel(&self, action: Action) -> Call {
        self.call_as("counsel", RoleId::Legal, "legal_compliance", action, "", "").await
    }

    async fn officer(&self, action: Action) -> Call {
        self.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", action, "", "").await
    }

    /// Somebody with so many items, in the order in which they were stored.
    async fn person_of(&self, items: impl Iterator<Item = NewItem>) -> (SubjectId, Vec<ItemId>) {
        let (subject, _) = self.indexed("ann", vec![]).await;
        let call = self.call(Action::BatchPutItems).await;
        let entry = |item| PutEntry {
            subject: SubjectRef::Id(subject),
            item: Some(item),
            create_subject: false,
            labels: vec![],
            digest: [0; 32],
        };
        let mut entries: Vec<_> = items.map(entry).collect();
        let mut ids = Vec::new();
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(1000));
            let done = put::put_batch(&self.vault, &call, std::mem::replace(&mut entries, rest)).await;
            ids.extend(done.expect("is taken").into_iter().map(|done| done.expect("stores").item.expect("one").item));
        }
        (subject, ids)
    }

    async fn matter(&self) -> MatterId {
        let texts = Texts { name: "a case".into(), authority: "a court".into(), reference: "".into() };
        let new = NewMatter { texts, review: Timestamp::from_millis(NOON + HOUR) };
        matters::open(&self.vault, &self.counsel(Action::OpenMatter).await, new).await.expect("opens").id
    }

    async fn hold(&self, matter: MatterId, subject: SubjectId, items: &[ItemId]) -> Result<HoldId, Refusal> {
        let scope = match items {
            [] => PlacingScope::Subject { classes: vec![], future: true },
            items => PlacingScope::Items(items.iter().map(|item| (*item, 0)).collect()),
        };
        let placing = Placing { matter, subject: SubjectRef::Id(subject), scope, history: false };
        Ok(place::place(&self.vault, &self.counsel(Action::PlaceHold).await, placing).await?.0.id)
    }

    async fn ask_for_erasure(&self, subject: SubjectId, wait: Wait) -> (ErasureState, ReceiptId) {
        let wanted = EraseSubject { subject: SubjectRef::Id(subject), ground: Ground::Request, wait };
        let call = self.officer(Action::EraseSubject).await;
        let erasure = erase(&self.vault, &call, wanted).await.expect("is answered").0;
        (erasure.state, erasure.receipt)
    }

    /// One step, as a process makes it that has just started.
    async fn part(&self) {
        let vault = self.vault.clone();
        let step = tokio::task::spawn_blocking(move || work(&vault, &mut Run::default()));
        step.await.expect("no panic").expect("a step");
    }

    fn is_parting(&self) -> bool {
        !self.vault.read(parting::under_way).expect("reads").is_empty()
    }

    async fn part_all(&self) {
        while self.is_parting() {
            self.part().await;
        }
        self.part().await; // looks, and finds nothing
        self.settle().await;
    }

    /// What the legal role is told of a kept item.
    async fn kept(&self, item: ItemId) -> Result<(), Refusal> {
        let call = self.counsel(Action::GetItem).await;
        let pick = Pick { item, version: 0, etag: "" };
        let show = |seen: kept::Seen| seen.show(&self.vault, &call, &[]);
        self.vault.read(|reads| kept::see(reads, &self.vault, &call, pick, None).and_then(show)).map(drop)
    }

    async fn receipt_page(&self, receipt: ReceiptId, kept: usize, token: String) -> Result<(Receipt, String), Refusal> {
        let call = self.officer(Action::GetReceipt).await;
        let (shown, next) = evidence::receipt(&self.vault, &call, Wanted { receipt, kept, token }).await?;
        Ok((message(shown), next))
    }

    fn keys(&self) -> (VerifierKey, VerifierKey) {
        let verifiers = self.vault.verifiers();
        (verifiers.receipt.parse().expect("a key"), verifiers.audit.parse().expect("a key"))
    }

    async fn verdict(&self, receipt: ReceiptId) -> Verdict {
        let call = self.officer(Action::VerifyErasure).await;
        verify(&self.vault, &call, Which::Receipt(receipt)).await.expect("looks").verdict
    }
}

fn many(count: usize) -> impl Iterator<Item = NewItem> {
    (0..count).map(|_| contact("Ann"))
}

fn is_parting(refusal: Result<(), Refusal>) -> bool {
    refusal == Err(Refusal::State(State::Parting))
}

#[tokio::test]
async fn who_has_many_items_is_unreadable_at_once_and_erased_in_steps() {
    let bench = Bench::new();
    let expiring = NewMetadata { expires: Some(Timestamp::from_millis(NOON + HOUR)), ..NewMetadata::default() };
    let last = NewItem { metadata: expiring, ..reachable(&["ann@example.com"], PHONE) };
    let (ann, items) = bench.person_of(many(MANY - 1).chain([last])).await;
    assert_eq!(bench.rows(Space::Index).len(), 3);
    let (state, receipt) = bench.ask_for_erasure(ann, Wait::Logical).await;
    assert_eq!(state, ErasureState::Pending);

    let erased = Err(Refusal::State(State::Erased(Some(receipt))));
    let stays = async |bench: &Bench| {
        assert_eq!(bench.name(ann, items[0]).await, erased);
        assert_eq!(bench.ask_for_erasure(ann, Wait::Logical).await, (ErasureState::Pending, receipt), "a repeat");
        assert_eq!(bench.verdict(receipt).await, Verdict::Pending);
        let told = bench.receipt_page(receipt, 0, String::new()).await.map(drop);
        assert_eq!(told, Err(State::NotFromHere.into()));
    };
    stays(&bench).await;
    // Under the same id somebody new may come at once.
    assert_ne!(bench.indexed("ann", vec![]).await.0, ann);
    bench.part().await;
    assert_eq!((bench.is_parting(), bench.vault.epochs().pending()), (true, 1));
    assert_eq!(bench.rows(Space::Item).len(), MANY - PARTING_ITEMS_MAX);
    stays(&bench).await;
    bench.part_all().await;

    assert_eq!(bench.rows(Space::Parting), vec![]);
    assert_eq!((bench.rows(Space::Item).len(), bench.rows(Space::Index).len()), (0, 1), "of the new one");
    assert_eq!(bench.vault.read(|reads| expiry::counts(reads, &[], 9)).expect("reads"), vec![]);
    assert_eq!(bench.verdict(receipt).await, Verdict::Erased);
    let (shown, _) = bench.receipt_page(receipt, 0, String::new()).await.expect("is final");
    let (key, log_key) = bench.keys();
    let body = check(&shown, &key, &[log_key]).expect("holds").body;
    // The items', two of the person's own, and of pages: of 64 keys each, and one above.
    assert_eq!(body.key_count as usize, MANY + 2 + (MANY + 2).div_ceil(64) + 1);
    assert_eq!((body.index_key_ids.len(), body.kept_items.len(), body.kept_item_count), (3, 0, 0));
    assert_eq!(bench.ask_for_erasure(ann, Wait::Erased).await, (ErasureState::Erased, receipt));
}

#[tokio::test]
async fn a_call_that_waits_is_told_when_the_last_step_is_done() {
    let bench = Bench::new();
    let (ann, _) = bench.person_of(many(MANY)).await;
    let thread = crate::erasure::parting::look_after(&bench.vault).expect("starts");
    let asked = tokio::time::timeout(Duration::from_secs(60), bench.ask_for_erasure(ann, Wait::Erased)).await;
    let (state, receipt) = asked.expect("in time");
    assert_eq!((state, bench.verdict(receipt).await), (ErasureState::Erased, Verdict::Erased));
    tokio::task::spawn_blocking(move || drop(thread)).await.expect("ends");
}

#[tokio::test]
async fn the_holds_in_force_when_it_was_asked_for_decide() {
    let bench = Bench::new();
    let (ann, items) = bench.person_of(many(MANY)).await;
    let matter = bench.matter().await;
    // One in ten, wherever it comes in the order of ids.
    let held: BTreeSet<ItemId> = items.iter().step_by(10).copied().collect();
    bench.hold(matter, ann, &held.iter().copied().collect::<Vec<_>>()).await.expect("places");
    let deleted = items[10];
    let call = bench.call(Action::DeleteItem).await;
    let wanted = Delete { subject: SubjectRef::Id(ann), item: deleted, etag: String::new(), wait: Wait::Erased };
    assert_eq!(delete::delete(&bench.vault, &call, wanted).await.expect("deletes").state, ErasureState::Kept);

    let (_, receipt) = bench.ask_for_erasure(ann, Wait::Logical).await;
    let too_late = Err(Refusal::State(State::Erased(Some(receipt))));
    let mut undecided = 0;
    while bench.is_parting() {
        assert_eq!(bench.hold(matter, ann, &[]).await, too_late, "a hold comes too late");
        let mut left = 0;
        for item in held.iter().filter(|item| **item != deleted) {
            match bench.kept(*item).await {
                Ok(()) => {}
                told => {
                    assert!(is_parting(told), "it is neither there nor absent");
                    left += 1;
                }
            }
        }
        assert!(bench.kept(deleted).await.is_ok(), "what was kept before stays readable");
        undecided += usize::from(left > 0);
        bench.part().await;
    }
    bench.part_all().await;
    assert!(undecided >= 2, "some steps were seen");
    for item in &items {
        let expected = if held.contains(item) { Ok(()) } else { Err(State::NotFound.into()) };
        assert_eq!(bench.kept(*item).await, expected);
    }
    assert_eq!(bench.verdict(receipt).await, Verdict::PartlyKept);
    let (shown, _) = bench.receipt_page(receipt, 0, String::new()).await.expect("is final");
    let (key, log_key) = bench.keys();
    let body = check(&shown, &key, &[log_key]).expect("holds").body;
    let listed: BTreeSet<String> = body.kept_items.iter().map(|kept| kept.item_id.clone()).collect();
    let expected = held.iter().filter(|item| **item != deleted).map(ToString::to_string).collect();
    assert_eq!((listed, body.kept_item_count), (expected, 0));
    let gone = MANY - held.len();
    assert_eq!(body.key_count as usize, gone + 2 + (MANY + 2).div_ceil(64) + 1, "what is kept is not among the keys");
    let kept = bench.vault.read(|reads| versions::list(reads, versions::Under::matter(matter), None, usize::MAX));
    assert_eq!(kept.expect("reads").len(), held.len());
    assert_eq!(bench.rows(Space::Parting), vec![]);
}

#[tokio::test]
async fn what_is_kept_beyond_what_a_receipt_lists_is_counted_and_hashed_and_listed_page_by_page() {
    let bench = Bench::new();
    let (ann, items) = bench.person_of(many(MANY)).await;
    let matter = bench.matter().await;
    bench.hold(matter, ann, &[]).await.expect("places");
    let (_, receipt) = bench.ask_for_erasure(ann, Wait::Logical).await;
    bench.part_all().await;
    let (key, log_key) = bench.keys();
    let keys = [log_key];
    let (bare, next) = bench.receipt_page(receipt, 0, String::new()).await.expect("is final");
    let checked = check(&bare, &key, &keys).expect("holds without the list");
    assert_eq!((checked.kept_count() as usize, checked.lists_kept, &next[..]), (MANY, false, ""));
    let body = ReceiptBody::decode(&bare.body[..]).expect("a statement");
    assert!(MANY > RECEIPT_KEPT_MAX && body.kept_items.is_empty() && bare.body.len() < 4096, "it is small");
    let classes: BTreeMap<_, _> = body.kept_classes.iter().map(|class| (&class.class[..], class.count)).collect();
    assert_eq!(classes, BTreeMap::from([("contact", MANY as u64)]));

    let mut whole = bare.clone();
    let (mut token, mut pages) = (String::new(), 0);
    loop {
        let (page, next) = bench.receipt_page(receipt, 500, token).await.expect("a page");
        assert_eq!(page.body, bare.body, "the statement never changes");
        assert_eq!(page.kept_items.len(), page.keep_reason_openings.len(), "one reason each");
        whole.kept_items.extend(page.kept_items);
        whole.keep_reason_openings.extend(page.keep_reason_openings);
        (token, pages) = (next, pages + 1);
        if token.is_empty() {
            break;
        }
        let one = Receipt { kept_items: whole.kept_items.clone(), ..bare.clone() };
        assert_eq!(check(&one, &key, &keys).err(), Some(Wrong::KeptList), "a part of it is not the list");
    }
    assert_eq!(pages, MANY.div_ceil(500));
    let listed: BTreeSet<String> = whole.kept_items.iter().map(|kept| kept.item_id.clone()).collect();
    assert_eq!(listed, items.iter().map(ToString::to_string).collect());
    assert!(check(&whole, &key, &keys).expect("holds with the list").lists_kept);
    for change in [
        (|list| list.swap(0, 1)) as fn(&mut Vec<crate::api::proto::ReceiptKeptItem>),
        |list| list[7].version += 1,
        |list| list[8].class = "payment".into(),
        |list| list[9].reason_commitments[0][0] ^= 1,
    ] {
        let mut changed = whole.clone();
        change(&mut changed.kept_items);
        assert_eq!(check(&changed, &key, &keys).err(), Some(Wrong::KeptList));
    }
    let mut twice = whole.clone();
    twice.keep_reason_openings.push(whole.keep_reason_openings[0].clone());
    assert_eq!(check(&twice, &key, &keys).err(), Some(Wrong::Opening));
    let other = bench.receipt_page(receipt, 500, "AQAAAAA".into()).await.map(drop);
    assert!(matches!(other, Err(Refusal::Invalid(_))), "a token of nothing");
}

#[tokio::test]
async fn as_many_items_as_one_batch_takes_go_in_one() {
    let bench = Bench::new();
    let (ann, _) = bench.person_of(many(PARTING_ITEMS_MAX)).await;
    let matter = bench.matter().await;
    bench.hold(matter, ann, &[]).await.expect("places");
    let (state, receipt) = bench.ask_for_erasure(ann, Wait::Erased).await;
    assert_eq!(state, ErasureState::Kept, "no thread was needed");
    let (shown, _) = bench.receipt_page(receipt, 9, String::new()).await.expect("is final");
    let body = ReceiptBody::decode(&shown.body[..]).expect("a statement");
    assert_eq!((body.kept_items.len(), body.kept_item_count), (PARTING_ITEMS_MAX, 0));
    assert_eq!((shown.kept_items.len(), shown.keep_reason_openings.len()), (0, PARTING_ITEMS_MAX));
}
