//! Erasures and their receipts, checked as an outsider would, with the contract's own messages.

use std::task::Poll;
use std::time::Duration;

use prost::Message as _;

use crate::api::proto::{ErasureScope, ReceiptBody};
use crate::audit::event::{About, Outcome};
use crate::audit::leaf::Leaf;
use crate::audit::note::VerifierKey;
use crate::audit::proof::verify_inclusion;
use crate::audit::tree::leaf_hash;
use crate::base::id::{ReceiptId, SubjectId};
use crate::catalog::text::Text;
use crate::crypto::hash::sha256;
use crate::crypto::sign;
use crate::erasure::evidence::{self, Receipt};
use crate::erasure::subject::{EraseSubject, erase};
use crate::erasure::verify::{self, Finding, Verdict, Which};
use crate::gate::receipts::{Ground, Signed};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::signing::Proven;
use crate::items::model::{Delete, Erasure, ErasureState, NewSubject, Stamp, SubjectRef, SubjectState, Update, Wait};
use crate::items::tests::{Bench, contact};
use crate::items::{create, delete, put, subject, update};
use crate::policy::action::Action;
use crate::policy::caller::RoleId;
use crate::store::keyspace::Space;

async fn officer(bench: &Bench, action: Action, key: &str) -> crate::gate::call::Call {
    bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", action, key, "erase").await
}

async fn erase_as(
    bench: &Bench,
    named: SubjectRef,
    key: &str,
    wait: Wait,
) -> Result<(Erasure, Option<Receipt>), Refusal> {
    let call = officer(bench, Action::EraseSubject, key).await;
    erase(&bench.vault, &call, EraseSubject { subject: named, ground: Ground::Request, wait }).await
}

async fn erased(bench: &Bench, subject: SubjectId) -> (Erasure, Receipt) {
    let (erasure, receipt) = erase_as(bench, SubjectRef::Id(subject), "", Wait::Erased).await.expect("erases");
    assert_eq!(erasure.state, ErasureState::Erased);
    (erasure, receipt.expect("a receipt"))
}

async fn receipt_of(bench: &Bench, id: ReceiptId) -> Result<Receipt, Refusal> {
    let call = officer(bench, Action::GetReceipt, "").await;
    let wanted = evidence::Wanted { receipt: id, kept: 0, token: String::new() };
    Ok(evidence::receipt(&bench.vault, &call, wanted).await?.0)
}

async fn finding(bench: &Bench, which: Which) -> Finding {
    let call = officer(bench, Action::VerifyErasure, "").await;
    verify::verify(&bench.vault, &call, which).await.expect("looks")
}

/// Checks a receipt as an outsider would: signature, both entries, and the hash of the statement in the second.
fn check(bench: &Bench, receipt: &Receipt) -> ReceiptBody {
    let verifiers = bench.vault.verifiers();
    let key: VerifierKey = verifiers.receipt.parse().expect("a key");
    let Signed { body, key_name, key_hash, signature } = &receipt.signed;
    assert_eq!((key_name.as_str(), *key_hash), (key.name(), key.id()));
    let message = [b"lacuna-receipt-v1\0", &body[..]].concat();
    sign::verify(key.public(), &message, signature).expect("is signed");
    let statement = ReceiptBody::decode(&body[..]).expect("a statement");
    assert_eq!(statement.encode_to_vec(), *body, "one encoding");
    let proofs = receipt.proofs.as_ref().expect("proofs");
    let requested = proven(&proofs.requested);
    let done = proven(&proofs.erased);
    for leaf in [&requested, &done] {
        assert_eq!(leaf.about, About::Erasure(receipt.id));
        assert_eq!(leaf.on_behalf, None);
    }
    assert_eq!((requested.outcome, done.outcome), (Outcome::Started, Outcome::Done));
    assert_eq!((requested.receipt_hash, done.receipt_hash), (None, Some(sha256(&[body]))));
    assert_ne!(requested.request, done.request);
    assert_eq!(done.epoch, statement.epoch);
    statement
}

fn proven(proven: &Proven) -> Leaf {
    let checkpoint = &proven.checkpoint.checkpoint;
    let hash = leaf_hash(&proven.leaf);
    verify_inclusion(&hash, proven.index, checkpoint.size, &proven.path, &checkpoint.root).expect("is in the log");
    crate::audit::leaf::decode(&proven.leaf).expect("a leaf")
}

async fn named_person(bench: &Bench, external_id: &str, names: &[&str]) -> (SubjectId, Vec<Stamp>) {
    let call = bench.call(Action::CreateSubject).await;
    let items = names.iter().map(|name| contact(name)).collect();
    let new = NewSubject { external_id: external_id.into(), labels: vec![], items };
    let created = create::create(&bench.vault, &call, new).await.expect("creates");
    (created.subject, created.items)
}

fn remains(bench: &Bench, subject: SubjectId) -> Vec<Space> {
    let holds = |space: &&Space| {
        let rows = bench.rows(**space);
        rows.iter().any(|(key, row)| {
            let id = &subject.as_bytes()[..];
            key.windows(16).any(|part| part == id) || row.windows(16).any(|part| part == id)
        })
    };
    Space::ALL.iter().filter(holds).copied().collect()
}

#[tokio::test]
async fn an_erased_person_is_gone_for_every_call_and_the_receipt_proves_it() {
    let bench = Bench::new();
    let (ann, items) = named_person(&bench, "ann", &["Ann", "Anna"]).await;
    let (ben, kept) = named_person(&bench, "ben", &["Ben"]).await;
    let (erasure, receipt) = erased(&bench, ann).await;
    assert_eq!(receipt.id, erasure.receipt);

    let statement = check(&bench, &receipt);
    assert_eq!((statement.scope(), statement.epoch), (ErasureScope::Subject, erasure.epoch));
    assert_eq!(statement.key_count, 5, "two items, the audit key, the record's, the page's");
    assert_eq!(statement.key_ids.len(), 5);
    assert_eq!(statement.slots.len(), 2);
    assert!(statement.slots.iter().all(|slot| slot.old_secret_failed && slot.epoch == erasure.epoch));
    let weakest = statement.slots.iter().map(|slot| slot.grade).min().expect("two slots");
    assert_eq!(statement.grade, weakest, "no better than the weakest slot");
    assert!(statement.index_rotation_due_time.is_some() && statement.purge_due_time.is_some());
    assert!(!String::from_utf8_lossy(&receipt.signed.body).contains(&ann.to_string()), "names nobody");

    assert_eq!(bench.name(ann, items[0].item).await, Err(State::Erased(Some(erasure.receipt)).into()));
    let call = bench.call(Action::PutItem).await;
    let put = put::put(&bench.vault, &call, SubjectRef::Id(ann), contact("late")).await;
    assert_eq!(put.err(), Some(State::Erased(Some(erasure.receipt)).into()));
    let call = bench.call(Action::GetSubject).await;
    let found = subject::describe(&bench.vault, &call, SubjectRef::External("ann".into())).await;
    assert_eq!(found.err(), Some(State::NotFound.into()), "the caller's id is forgotten");
    let call = bench.call(Action::GetSubject).await;
    let view = subject::describe(&bench.vault, &call, SubjectRef::Id(ann)).await.expect("is told");
    assert_eq!((view.state, view.receipt), (SubjectState::Erased, Some(erasure.receipt)));
    assert_eq!(bench.name(ben, kept[0].item).await.as_deref(), Ok("Ben"));

    // The tombstone and the receipt's row, and no other, say that there was such a person.
    assert_eq!(remains(&bench, ann), [Space::Subject, Space::Receipt]);
    let (again, _) = named_person(&bench, "ann", &["Ann again"]).await;
    assert_ne!(again, ann);
}

#[tokio::test]
async fn an_erasure_that_is_waited_for_waits_for_two_commits_and_for_each_slot_once() {
    let bench = Bench::new();
    let held = || bench.vault.epochs_held().into_iter().map(|(_, epochs)| epochs).collect::<Vec<_>>();
    // The first one stages what the others find.
    let first = named_person(&bench, "first", &["First"]).await.0;
    erased(&bench, first).await;
    let mut counts = Vec::new();
    for name in ["ann", "ben", "cleo", "dora"] {
        let (person, _) = named_person(&bench, name, &[name]).await;
        let (epoch, before) = (bench.vault.epoch(), bench.synced());
        assert_eq!(held(), [[epoch, epoch + 1]; 2]);
        erased(&bench, person).await;
        // The new tree, and the end. The request and the checkpoint last with what comes after them.
        counts.push(bench.synced() - before);
        // In each slot one block was written, once: what it destroys gives way to what it stages.
        assert_eq!((bench.vault.epoch(), held()), (epoch + 1, vec![vec![epoch + 1, epoch + 2]; 2]));
    }
    // What looks after the vault now and then makes lasting what it finds; it does not come between each time.
    assert_eq!(counts.iter().min(), Some(&2), "{counts:?}");
}

#[tokio::test]
async fn a_repeat_gets_the_same_statement_with_and_without_a_key() {
    let bench = Bench::new();
    let (ann, _) = named_person(&bench, "ann", &["Ann"]).await;
    let external = || SubjectRef::External(Text::from("ann"));
    let (first, receipt) = erase_as(&bench, external(), "k", Wait::Erased).await.expect("erases");
    let receipt = receipt.expect("a receipt");
    let repeats = [
        erase_as(&bench, external(), "k", Wait::Erased).await.expect("the same key"),
        erase_as(&bench, SubjectRef::Id(ann), "", Wait::Erased).await.expect("the vault's id"),
        erase_as(&bench, SubjectRef::Id(ann), "other", Wait::Logical).await.expect("another key"),
    ];
    for (erasure, repeated) in repeats {
        if let Some(repeated) = repeated {
            assert_eq!(repeated.signed, receipt.signed);
        }
        assert_eq!(erasure.receipt, first.receipt);
    }
    assert_eq!(receipt_of(&bench, first.receipt).await.expect("is there").signed, receipt.signed);
    let unknown = erase_as(&bench, external(), "", Wait::Erased).await.err();
    assert_eq!(unknown, Some(State::NotFound.into()));
    let ends = bench.leaves().iter().filter(|leaf| leaf.operation == "SubjectErased").count();
    assert_eq!(ends, 1);
}

#[tokio::test]
async fn a_repeat_is_called_erased_where_the_statement_says_so() {
    let bench = Bench::new();
    let [(ann, _), (ben, _)] =
        [named_person(&bench, "ann", &["Ann"]).await, named_person(&bench, "ben", &["Ben"]).await];
    let (first, _) = erased(&bench, ann).await;
    let receipt = |id: &ReceiptId| {
        let rows = bench.rows(Space::Receipt);
        rows.into_iter().find(|(key, _)| key == id.as_bytes()).expect("is there").1
    };
    bench.take_slot_away();
    let again = async || erase_as(&bench, SubjectRef::Id(ben), "k", Wait::Erased).await.map(|(erasure, _)| erasure);
    let waits = again().await.expect("is durable");
    assert_eq!(waits.state, ErasureState::Pending);
    let pending = receipt(&waits.receipt);
    let of_another = [&pending[..pending.len() - 8], &1u64.to_be_bytes()].concat();
    let put = |row: &[u8]| bench.write_over([(Space::Receipt, (waits.receipt.as_bytes().to_vec(), row.to_vec()))]);
    for (name, row) in [("an intent that is carried out", of_another), ("another's statement", receipt(&first.receipt))]
    {
        put(&row);
        assert_eq!(again().await, Err(Unavailable::Damaged.into()), "{name}");
    }
    put(&pending);
    assert_eq!(again().await, Ok(waits));
    bench.put_slot_back();
    while again().await.expect("repeats").state != ErasureState::Erased {
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
}

#[tokio::test]
async fn deletions_and_corrections_have_receipts_too() {
    let bench = Bench::new();
    let (ann, items) = bench.person(&["Ann", "Anna"]).await;
    let call = bench.call(Action::DeleteItem).await;
    let named = || SubjectRef::Id(ann);
    let wanted = Delete { subject: named(), item: items[0].item, etag: String::new(), wait: Wait::Erased };
    let deleted = delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
    let call = bench.call(Action::UpdateItem).await;
    let value = Some(contact("New").value);
    let (etag, wait) = (String::new(), Wait::Erased);
    let wanted = Update { subject: named(), item: items[1].item, etag, value, metadata: None, wait };
    let (_, corrected) = update::update(&bench.vault, &call, wanted).await.expect("corrects");
    let corrected = corrected.expect("an old version");
    let mut pseudonyms = Vec::new();
    for (erasure, scope) in [(&deleted, ErasureScope::Item), (&corrected, ErasureScope::Version)] {
        let statement = check(&bench, &receipt_of(&bench, erasure.receipt).await.expect("a receipt"));
        assert_eq!((statement.scope(), statement.key_count), (scope, 1));
        assert!(statement.index_rotation_due_time.is_none() || scope != ErasureScope::Subject);
        pseudonyms.push(statement.pseudonym);
        assert_eq!(finding(&bench, Which::Receipt(erasure.receipt)).await.verdict, Verdict::Erased);
    }
    assert_ne!(pseudonyms[0], pseudonyms[1], "two receipts cannot be linked");
    // No entry of a correction has both the person's pseudonym and the receipt, nor do two share a request.
    let leaves = bench.leaves();
    let started: Vec<&Leaf> = leaves.iter().filter(|leaf| leaf.about == About::Erasure(corrected.receipt)).collect();
    assert!(leaves.iter().filter(|leaf| leaf.request == started[0].request).count() == 1);
}

#[tokio::test]
async fn a_deletion_and_the_end_of_its_person_share_an_epoch_and_both_are_gone() {
    let bench = Bench::new();
    let (ann, items) = bench.person(&["Ann", "Anna"]).await;
    let pages = bench.rows(Space::Page);
    let delete = async {
        let call = bench.call(Action::DeleteItem).await;
        let wanted =
            Delete { subject: SubjectRef::Id(ann), item: items[0].item, etag: String::new(), wait: Wait::Logical };
        delete::delete(&bench.vault, &call, wanted).await.expect("deletes")
    };
    let deleted = delete.await;
    let (erasure, _) = erased(&bench, ann).await;
    bench.settle().await;
    let deleted = receipt_of(&bench, deleted.receipt).await.expect("a receipt");
    assert!(check(&bench, &deleted).epoch <= erasure.epoch);
    assert_eq!(remains(&bench, ann), [Space::Subject, Space::Receipt], "no free position of a tree that is gone");
    assert!(pages.len() > bench.rows(Space::Page).len());
    assert_eq!(bench.vault.epochs().pending(), 0);
}

#[tokio::test]
async fn what_an_erasure_has_come_to_is_told_to_those_who_may_know() {
    let bench = Bench::new();
    let (ann, _) = bench.person(&["Ann"]).await;
    let unknown = SubjectId::from_bytes([9; 16]);
    assert_eq!(finding(&bench, Which::Subject(ann)).await.verdict, Verdict::NotErased);
    assert_eq!(finding(&bench, Which::Subject(unknown)).await.verdict, Verdict::Unknown);
    assert_eq!(finding(&bench, Which::Receipt(ReceiptId::from_bytes([9; 16]))).await.verdict, Verdict::Unknown);
    let as_auditor = async |which| {
        let action = Action::VerifyErasure;
        let call = bench.call_as("audit", RoleId::Auditor, "legal_compliance", action, "", "").await;
        verify::verify(&bench.vault, &call, which).await.expect("looks").verdict
    };
    assert_eq!(as_auditor(Which::Subject(ann)).await, Verdict::Unknown);
    let (erasure, _) = erased(&bench, ann).await;
    for which in [Which::Subject(ann), Which::Receipt(erasure.receipt)] {
        let found = finding(&bench, which).await;
        assert_eq!(
            (found.verdict, found.epoch, found.receipt),
            (Verdict::Erased, erasure.epoch, Some(erasure.receipt))
        );
    }
    assert_eq!(as_auditor(Which::Subject(ann)).await, Verdict::Unknown);
    assert_eq!(as_auditor(Which::Receipt(erasure.receipt)).await, Verdict::Erased);
}

#[tokio::test]
async fn a_person_with_many_items_goes_as_a_whole() {
    let bench = Bench::new();
    let (ann, _) = bench.person(&[]).await;
    for _ in 0..2 {
        let call = bench.call(Action::BatchPutItems).await;
        let entry = |_| crate::items::model::PutEntry {
            subject: SubjectRef::Id(ann),
            item: Some(contact("Ann")),
            create_subject: false,
            labels: vec![],
            digest: [0; 32],
        };
        let stored = put::put_batch(&bench.vault, &call, (0..500).map(entry).collect()).await.expect("puts");
        assert!(stored.iter().all(Result::is_ok));
    }
    let (_, receipt) = erased(&bench, ann).await;
    let statement = check(&bench, &receipt);
    // Leaves of 64 keys, and one page above them.
    let leaves = (1000u64 + 2).div_ceil(64);
    assert_eq!(statement.key_count, 1000 + 2 + leaves + 1);
    assert_eq!(remains(&bench, ann), [Space::Subject, Space::Receipt]);
}

#[tokio::test]
async fn what_is_told_to_be_pending_survives_a_power_cut() {
    let bench = Bench::new();
    let (subject, _) = named_person(&bench, "ext-1", &["Ada"]).await;
    let (other, items) = bench.person(&["Grace", "Edith"]).await;
    bench.power_is_weak();
    bench.take_slot_away();
    let told = erase_as(&bench, SubjectRef::Id(subject), "", Wait::Erased).await.expect("erases").0;
    assert_eq!(told.state, ErasureState::Pending);
    let item = items[0].item;
    let wanted = Delete { subject: SubjectRef::Id(other), item, etag: String::new(), wait: Wait::Erased };
    let call = bench.call(Action::DeleteItem).await;
    assert_eq!(delete::delete(&bench.vault, &call, wanted).await.expect("deletes").state, ErasureState::Pending);
    drop(call);
    let entries = bench.vault.log().checkpoint(bench.vault.committer().log_size()).await.expect("is signed");

    let bench = bench.cut_power();
    let size = bench.vault.committer().log_size();
    assert!(size >= entries.checkpoint.size, "{size}: an entry that was signed for is gone");
    assert_eq!(finding(&bench, Which::Receipt(told.receipt)).await.verdict, Verdict::Pending);
    assert!(bench.name(other, item).await.is_err());
    assert_eq!(bench.name(other, items[1].item).await, Ok("Edith".into()));
    bench.put_slot_back();
    bench.settle().await;
    assert_eq!(finding(&bench, Which::Receipt(told.receipt)).await.verdict, Verdict::Erased);
}

#[tokio::test]
async fn an_erasure_is_carried_out_although_its_caller_went_away_at_once() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let call = officer(&bench, Action::EraseSubject, "").await;
    let wanted = EraseSubject { subject: SubjectRef::Id(subject), ground: Ground::Request, wait: Wait::Erased };
    let mut erasing = Box::pin(erase(&bench.vault, &call, wanted));
    // It hands its change to the writer, and goes.
    std::future::poll_fn(|context| Poll::Ready(erasing.as_mut().poll(context).is_pending())).await;
    drop(erasing);
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while finding(&bench, Which::Subject(subject)).await.verdict != Verdict::Erased {
        assert!(std::time::Instant::now() < until, "nobody carries it out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
