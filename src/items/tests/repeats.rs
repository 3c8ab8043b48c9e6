//! Changes that are repeated with the same idempotency key.

use super::*;
use crate::base::codec::{Reader, Writer};
use crate::base::id::ReceiptId;
use crate::gate::refusal::{State, Unavailable};
use crate::items::model::ListQuery;
use crate::items::model::{Delete, Erasure, ErasureState, PutEntry, Update, Wait};
use crate::items::{delete, list, put, update};

async fn put_once(bench: &Bench, subject: SubjectId, key: &str, name: &str) -> Result<Stamp, Refusal> {
    let call = bench.call_once(Action::PutItem, key, name).await;
    put::put(&bench.vault, &call, SubjectRef::Id(subject), contact(name)).await.map(|(_, stamp)| stamp)
}

async fn delete_once(bench: &Bench, subject: SubjectId, item: ItemId, key: &str) -> Erasure {
    try_to_delete(bench, subject, item, key).await.expect("deletes")
}

async fn try_to_delete(bench: &Bench, subject: SubjectId, item: ItemId, key: &str) -> Result<Erasure, Refusal> {
    let call = bench.call_once(Action::DeleteItem, key, &item.to_string()).await;
    let wanted = Delete { subject: SubjectRef::Id(subject), item, etag: String::new(), wait: Wait::Erased };
    delete::delete(&bench.vault, &call, wanted).await
}

/// Records of repeated calls, or the rows that lead to them.
fn records(bench: &Bench, kind: u8) -> Vec<Record> {
    bench.rows(Space::Idempotency).into_iter().filter(|(key, _)| key[4] == kind).collect()
}

fn put_rows(bench: &Bench, rows: &[(&[u8], &[u8])]) {
    let mut batch = Batch::new();
    rows.iter().for_each(|(key, row)| batch.put(Space::Idempotency, *key, *row));
    bench.tamper(batch);
}

impl Bench {
    /// The row of a receipt.
    fn receipt(&self, id: &ReceiptId) -> Vec<u8> {
        self.rows(Space::Receipt).into_iter().find(|(key, _)| key == id.as_bytes()).expect("is there").1
    }

    /// Writes it over. What it was.
    pub(super) fn put_receipt(&self, id: &ReceiptId, row: Vec<u8>) -> Vec<u8> {
        let before = self.receipt(id);
        self.write_over([(Space::Receipt, (id.as_bytes().to_vec(), row))]);
        before
    }

    /// Rows that somebody may write for a receipt that is pending, so that it passes as done: with those of one that is.
    pub(super) fn forged(&self, done: &ReceiptId, pending: &ReceiptId) -> [(&'static str, Vec<u8>); 4] {
        let (of_done, of_pending) = (self.receipt(done), self.receipt(pending));
        let number = [&of_pending[..of_pending.len() - 8], &1u64.to_be_bytes()].concat();
        let mut unsigned = of_done.clone();
        let name = done.to_string().into_bytes();
        let at = unsigned.windows(name.len()).position(|bytes| *bytes == name).expect("is named");
        unsigned[at..][..name.len()].copy_from_slice(pending.to_string().as_bytes());
        [
            ("the number of an intent that is carried out", number),
            ("done, without a statement", Writer::new().u8(1).u8(2).u64(self.vault.epoch()).finish()),
            ("another's statement", of_done),
            ("a statement that nobody signed", unsigned),
        ]
    }
}

async fn count(bench: &Bench, subject: SubjectId) -> usize {
    let call = bench.call(Action::ListItems).await;
    let all = ListQuery {
        subject: SubjectRef::Id(subject),
        classes: vec![],
        view: None,
        fields: vec![],
        page_size: 0,
        page_token: String::new(),
    };
    list::list(&bench.vault, &call, all).await.expect("lists").items.len()
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_changes_nothing() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let first = put_once(&bench, subject, "k", "Ada").await.expect("stores");
    let again = put_once(&bench, subject, "k", "Ada").await.expect("repeats");
    assert_eq!(first, again);
    assert_eq!(count(&bench, subject).await, 1);
    put_once(&bench, subject, "k2", "Ada").await.expect("another key is another change");
    assert_eq!(count(&bench, subject).await, 2);
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    put_once(&bench, subject, "k", "Ada").await.expect("stores");
    let refusal = put_once(&bench, subject, "k", "Grace").await.expect_err("is refused");
    assert_eq!(refusal, State::IdempotencyKeyReused.into());
    assert_eq!(count(&bench, subject).await, 1);
}

#[tokio::test]
async fn a_key_is_the_callers_own() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    put_once(&bench, subject, "k", "Ada").await.expect("stores");
    let call = bench.call_as("billing", RoleId::Service, "service_delivery", Action::PutItem, "k", "Ada").await;
    put::put(&bench.vault, &call, SubjectRef::Id(subject), contact("Ada")).await.expect("stores its own");
    assert_eq!(count(&bench, subject).await, 2);
}

#[tokio::test]
async fn concurrent_repeats_make_one_change() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let (a, b, c) = tokio::join!(
        put_once(&bench, subject, "k", "Ada"),
        put_once(&bench, subject, "k", "Ada"),
        put_once(&bench, subject, "k", "Ada")
    );
    assert_eq!(a.expect("stores"), b.clone().expect("repeats"));
    assert_eq!(b, c);
    assert_eq!(count(&bench, subject).await, 1);
}

#[tokio::test]
async fn a_created_subject_is_answered_again_until_a_part_of_it_is_erased() {
    let bench = Bench::new();
    let new = || NewSubject {
        external_id: Text::from("user-1"),
        labels: vec![],
        items: vec![contact("Ada"), contact("Grace")],
    };
    let create = async || {
        let call = bench.call_once(Action::CreateSubject, "k", "Ada and Grace").await;
        create::create(&bench.vault, &call, new()).await
    };
    let first = create().await.expect("creates");
    assert_eq!(create().await.expect("repeats"), first);
    let erasure = delete_once(&bench, first.subject, first.items[1].item, "").await;
    assert_eq!(create().await.expect_err("is told"), State::Erased(Some(erasure.receipt)).into());
}

#[tokio::test]
async fn a_repeated_deletion_names_the_same_receipt() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let first = delete_once(&bench, subject, items[0].item, "k").await;
    let again = delete_once(&bench, subject, items[0].item, "k").await;
    assert_eq!(first.state, ErasureState::Erased);
    assert_eq!(first, again);
}

#[tokio::test]
async fn a_repeated_deletion_is_called_erased_where_its_statement_says_so() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada", "Grace"]).await;
    let first = delete_once(&bench, subject, items[0].item, "").await;
    bench.take_slot_away();
    let waits = delete_once(&bench, subject, items[1].item, "k").await;
    assert_eq!((first.state, waits.state), (ErasureState::Erased, ErasureState::Pending));
    for (name, row) in bench.forged(&first.receipt, &waits.receipt) {
        let before = bench.put_receipt(&waits.receipt, row);
        let repeated = try_to_delete(&bench, subject, items[1].item, "k").await;
        assert_eq!(repeated, Err(Unavailable::Damaged.into()), "{name}");
        bench.put_receipt(&waits.receipt, before);
    }
    assert_eq!(delete_once(&bench, subject, items[1].item, "k").await, waits);
    bench.put_slot_back();
    while delete_once(&bench, subject, items[1].item, "k").await.state != ErasureState::Erased {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

#[tokio::test]
async fn what_was_put_and_erased_since_is_not_put_again() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let stamp = put_once(&bench, subject, "k", "Ada").await.expect("stores");
    let erasure = delete_once(&bench, subject, stamp.item, "").await;
    let refusal = put_once(&bench, subject, "k", "Ada").await.expect_err("is told");
    assert_eq!(refusal, State::Erased(Some(erasure.receipt)).into());
    assert_eq!(count(&bench, subject).await, 0);
}

#[tokio::test]
async fn a_repeated_correction_makes_no_third_version() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let correct = async || {
        let call = bench.call_once(Action::UpdateItem, "k", "Grace").await;
        let wanted = Update {
            subject: SubjectRef::Id(subject),
            item: items[0].item,
            etag: items[0].etag.clone(),
            value: Some(contact("Grace").value),
            metadata: None,
            wait: Wait::Erased,
        };
        update::update(&bench.vault, &call, wanted).await.expect("corrects")
    };
    let first = correct().await;
    assert_eq!(first.0.version, 2);
    assert_eq!(correct().await, first, "although the etag no longer matches");
}

#[tokio::test]
async fn a_repeated_correction_is_called_erased_where_its_statement_says_so() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada", "Grace"]).await;
    let first = delete_once(&bench, subject, items[1].item, "").await;
    let correct = async || {
        let call = bench.call_once(Action::UpdateItem, "k", "Joan").await;
        let wanted = Update {
            subject: SubjectRef::Id(subject),
            item: items[0].item,
            etag: String::new(),
            value: Some(contact("Joan").value),
            metadata: None,
            wait: Wait::Erased,
        };
        let (stamp, erasure) = update::update(&bench.vault, &call, wanted).await?;
        Ok::<_, Refusal>((stamp, erasure.expect("is told")))
    };
    bench.take_slot_away();
    let waits = correct().await.expect("is durable");
    assert_eq!((first.state, waits.1.state), (ErasureState::Erased, ErasureState::Pending));
    for (name, row) in bench.forged(&first.receipt, &waits.1.receipt) {
        let before = bench.put_receipt(&waits.1.receipt, row);
        assert_eq!(correct().await, Err(Unavailable::Damaged.into()), "{name}");
        bench.put_receipt(&waits.1.receipt, before);
    }
    assert_eq!(correct().await.as_ref(), Ok(&waits));
    bench.put_slot_back();
    while correct().await.expect("repeats").1.state != ErasureState::Erased {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

#[tokio::test]
async fn a_batch_is_repeated_entry_by_entry() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let send = async || {
        let call = bench.call_once(Action::BatchPutItems, "k", "").await;
        let entry = |name: &str| PutEntry {
            subject: SubjectRef::Id(subject),
            item: Some(contact(name)),
            create_subject: false,
            labels: vec![],
            digest: CallRequest::digest("", name.as_bytes()),
        };
        let done = put::put_batch(&bench.vault, &call, vec![entry("Ada"), entry("Grace")]).await.expect("runs");
        done.into_iter().map(|done| done.expect("stores").item.expect("an item")).collect::<Vec<_>>()
    };
    assert_eq!(send().await, send().await);
    assert_eq!(count(&bench, subject).await, 2);
}

#[tokio::test]
async fn entries_that_create_one_subject_are_stored_together() {
    let bench = Bench::new();
    let call = bench.call(Action::BatchPutItems).await;
    let entry = |name: &str, item: NewItem| PutEntry {
        subject: SubjectRef::External(Text::from(name)),
        item: Some(item),
        create_subject: true,
        labels: vec![("region".into(), "eu".into())],
        digest: [0; 32],
    };
    let wrong = NewItem { class: "payment".into(), ..contact("Mallory") };
    let entries = vec![
        entry("one", contact("Ada")),
        entry("two", contact("Grace")),
        entry("one", contact("Ada again")),
        entry("two", wrong),
    ];
    let done = put::put_batch(&bench.vault, &call, entries).await.expect("runs");
    let stored: Vec<Option<bool>> =
        done.iter().map(|done| done.as_ref().ok().map(|done| done.subject_created)).collect();
    assert_eq!(stored, [Some(true), None, Some(false), None]);
    let subject = done[0].as_ref().expect("stored").subject;
    assert_eq!(done[2].as_ref().expect("stored").subject, subject);
    assert_eq!(count(&bench, subject).await, 2);
}

#[tokio::test]
async fn after_a_day_a_key_is_new_and_after_two_its_record_is_gone() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let first = put_once(&bench, subject, "k", "Ada").await.expect("stores");
    bench.at(20 * HOUR);
    assert_eq!(put_once(&bench, subject, "k", "Ada").await.expect("yesterday's"), first);
    bench.at(25 * HOUR);
    assert_ne!(put_once(&bench, subject, "k", "Ada").await.expect("stores anew"), first);
    let epoch = bench.vault.epoch();
    bench.at(72 * HOUR);
    put_once(&bench, subject, "other", "Ada").await.expect("stores");
    bench.settle().await;
    assert!(bench.vault.epoch() > epoch, "the old day's key is forgotten in an epoch");
    assert_eq!(bench.leaves().iter().filter(|leaf| leaf.operation == "DayKeysErased").count(), 1);
    let oldest = || bench.rows(Space::Idempotency).first().map(|(key, _)| key[..4].to_vec());
    let today = ((NOON / 86_400_000) as u32 + 3).to_be_bytes().to_vec();
    for _ in 0..200 {
        if oldest() == Some(today.clone()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("rows of a forgotten day stay");
}

/// Erasures wait for a slot that is out of reach, over days: what each day gives up is forgotten once, and the positions
/// that become free are handed out once.
#[tokio::test]
async fn days_that_wait_for_a_slot_are_forgotten_once() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let (slot, away) = (bench.dir.path().join("a"), bench.dir.path().join("away"));
    std::fs::rename(&slot, &away).expect("moved");
    for day in 1..=5 {
        bench.at(day * 24 * HOUR);
        put_once(&bench, subject, "k", "Ada").await.expect("stores");
    }
    assert_eq!(bench.rows(Space::Intent).len(), 4, "one for each day before yesterday");
    std::fs::rename(&away, &slot).expect("moved");
    for day in 6..=12 {
        bench.at(day * 24 * HOUR);
        put_once(&bench, subject, "k", "Ada").await.expect("stores");
        bench.settle().await;
    }
    let erased = bench.leaves().into_iter().filter(|leaf| leaf.operation == "DayKeysErased");
    assert_eq!(erased.map(|leaf| leaf.count).sum::<u32>(), 11);
    assert_eq!(bench.rows(Space::Intent).len(), 0);
}

#[tokio::test]
async fn no_record_holds_the_key_the_request_or_a_value() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    put_once(&bench, subject, "order-4711-of-ada", "Ada Lovelace").await.expect("stores");
    let digest = CallRequest::digest("PutItem", b"Ada Lovelace");
    for (key, value) in bench.rows(Space::Idempotency) {
        let row = [key, value].concat();
        for secret in [&b"order-4711-of-ada"[..], b"Lovelace", &digest] {
            assert!(!row.windows(secret.len()).any(|window| window == secret));
        }
    }
}

#[tokio::test]
async fn a_batch_of_a_thousand_is_one_commit_and_answers_in_order() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let call = bench.call(Action::BatchPutItems).await;
    let stranger = SubjectId::from_bytes([9; 16]);
    let entry = |at: usize| PutEntry {
        subject: SubjectRef::Id(if at == 500 { stranger } else { subject }),
        item: Some(contact(&format!("number {at}"))),
        create_subject: false,
        labels: vec![],
        digest: [0; 32],
    };
    let rows = bench.rows(Space::Log).len();
    let done = put::put_batch(&bench.vault, &call, (0..1_000).map(entry).collect()).await.expect("runs");
    // Each commit that records something is one row of the log: the items', and that of the one refusal.
    assert_eq!(bench.rows(Space::Log).len() - rows, 2);
    assert_eq!(done.len(), 1_000);
    for (at, done) in done.into_iter().enumerate() {
        match done {
            Ok(done) => {
                let item = done.item.expect("an item").item;
                assert_eq!(bench.name(subject, item).await, Ok(format!("number {at}")));
            }
            Err(refusal) => assert_eq!((at, refusal), (500, State::NotFound.into())),
        }
    }
}

#[tokio::test]
async fn what_is_left_of_a_repeat_answers_for_no_other() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada", "Grace"]).await;
    let put = put_once(&bench, subject, "put", "Joan").await.expect("stores").item;
    let all = [("1", items[0].item), ("2", items[1].item), ("3", put)];
    let mut receipts = Vec::new();
    for (key, item) in all {
        receipts.push(delete_once(&bench, subject, item, key).await.receipt);
    }
    let gone = records(&bench, 1);
    assert_eq!(gone.len(), 4, "of three deletions and of what was put");
    let damaged = Refusal::from(Unavailable::Damaged);
    for (i, (one, row)) in gone.iter().enumerate() {
        for (other, with) in &gone[i + 1..] {
            put_rows(&bench, &[(one, with), (other, row)]);
            let mut refused = 0;
            for ((key, item), receipt) in all.iter().zip(&receipts) {
                match try_to_delete(&bench, subject, *item, key).await {
                    Ok(told) => assert_eq!(told.receipt, *receipt),
                    Err(refusal) => {
                        assert_eq!(refusal, damaged);
                        refused += 1;
                    }
                }
            }
            match put_once(&bench, subject, "put", "Joan").await.expect_err("is gone") {
                Refusal::State(State::Erased(Some(receipt))) => assert_eq!(receipt, receipts[2]),
                refusal => {
                    assert_eq!(refusal, damaged);
                    refused += 1;
                }
            }
            assert_eq!(refused, 2, "those whose records were exchanged");
            put_rows(&bench, &[(one, row), (other, with)]);
        }
    }
    // One that was changed holds up nothing that is to be forgotten.
    let kept = put_once(&bench, subject, "kept", "Ada").await.expect("stores").item;
    for (key, row) in records(&bench, 1).iter().filter(|row| !gone.contains(row)) {
        let place = row.len() / 4;
        put_rows(&bench, &[(key, &[&row[..place], &[row[place] ^ 1], &row[place + 1..]].concat())]);
    }
    delete_once(&bench, subject, kept, "4").await;
    assert_eq!(put_once(&bench, subject, "kept", "Ada").await.map(|_| ()), Err(damaged));
    // As a build before wrote them: nothing says that these are the ids.
    let unsaid = Writer::new().u8(1).u8(2).i64(NOON).raw(subject.as_bytes()).raw(receipts[0].as_bytes()).finish();
    for (key, _) in &gone {
        put_rows(&bench, &[(key, &unsaid)]);
    }
    for (key, item) in all {
        let told = try_to_delete(&bench, subject, item, key).await;
        assert_eq!(told.map(|_| ()), Err(State::Erased(None).into()));
    }
}

#[tokio::test]
async fn what_is_left_of_a_repeat_is_refused_once_any_of_it_was_changed() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada", "Grace"]).await;
    let (other, _) = bench.person(&[]).await;
    let another = delete_once(&bench, subject, items[1].item, "").await.receipt;
    let first = delete_once(&bench, subject, items[0].item, "k").await;
    let [(key, row)] = &records(&bench, 1)[..] else { panic!("of one deletion") };
    // Version, kind, length, time; then whose it is, and the receipt.
    let (whose, which) = (14, 30);
    assert_eq!((&row[whose..which], &row[which..46]), (&subject.as_bytes()[..], &first.receipt.as_bytes()[..]));
    let with = |at: usize, id: &[u8; 16]| [&row[..at], id, &row[at + 16..]].concat();
    let mut changed = vec![with(whose, other.as_bytes()), with(which, another.as_bytes())];
    changed.extend((0..row.len()).map(|at| {
        let mut row = row.clone();
        row[at] ^= 1;
        row
    }));
    for (number, changed) in changed.iter().enumerate() {
        put_rows(&bench, &[(key, changed)]);
        let told = try_to_delete(&bench, subject, items[0].item, "k").await;
        assert_eq!(told, Err(Unavailable::Damaged.into()), "change {number}");
    }
    put_rows(&bench, &[(key, row)]);
    assert_eq!(delete_once(&bench, subject, items[0].item, "k").await, first);
}

#[tokio::test]
async fn a_record_is_given_up_with_what_it_is_of_and_with_nothing_else() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let (one, other) = (put_once(&bench, subject, "1", "Ada").await, put_once(&bench, subject, "2", "Grace").await);
    let (one, other) = (one.expect("stores"), other.expect("stores"));
    // The rows that lead from both items to their records, exchanged.
    let links = records(&bench, 2);
    let [first, second] = &links[..] else { panic!("two rows") };
    let cross = |to: &Record, from: &Record| [&from.0[..21], &to.0[21..]].concat();
    bench.take_away(Space::Idempotency, [first.0.clone(), second.0.clone()]);
    put_rows(&bench, &[(&cross(first, second), &[]), (&cross(second, first), &[])]);
    delete_once(&bench, subject, one.item, "").await;
    assert_eq!(put_once(&bench, subject, "2", "Grace").await, Ok(other.clone()));
    assert_eq!(put_once(&bench, subject, "1", "Ada").await, Err(State::Erased(None).into()));

    // A record that was changed to look like another's.
    for (key, row) in records(&bench, 1) {
        let mut changed = row.clone();
        changed[20] ^= 1; // whose it is
        put_rows(&bench, &[(&key, &changed)]);
        let told = [put_once(&bench, subject, "1", "Ada").await, put_once(&bench, subject, "2", "Grace").await];
        assert!(told.contains(&Err(Unavailable::Damaged.into())));
        put_rows(&bench, &[(&key, &row)]);
    }
}

#[tokio::test]
async fn a_record_of_a_build_before_is_read_and_given_up() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let first = put_once(&bench, subject, "k", "Ada").await.expect("stores");
    let (key, row) = records(&bench, 1).remove(0);
    let mut r = Reader::new(&row);
    let (version, kind, clear) = (r.u8().expect("a version"), r.u8().expect("a kind"), r.bytes().expect("a part"));
    assert_eq!((version, kind, r.array::<32>().is_ok()), (2, 1, true));
    let before = Writer::new().u8(1).u8(1).bytes(clear).raw(r.rest()).finish();
    put_rows(&bench, &[(&key, &before)]);
    assert_eq!(put_once(&bench, subject, "k", "Ada").await, Ok(first.clone()));
    delete_once(&bench, subject, first.item, "").await;
    assert_eq!(put_once(&bench, subject, "k", "Ada").await, Err(State::Erased(None).into()));
    assert_eq!(count(&bench, subject).await, 0);
}
