use std::time::Duration;

use prost::Message as _;

use super::check::{Wrong, check};
use crate::api::convert::keys::proven;
use crate::api::convert::receipts::receipt as message;
use crate::api::proto::{Receipt, ReceiptBody, Signature};
use crate::audit::note::VerifierKey;
use crate::base::id::ReceiptId;
use crate::base::secret::Key;
use crate::catalog::class::IdentifierField;
use crate::cli::json;
use crate::crypto::sign::Signer;
use crate::erasure::evidence;
use crate::erasure::subject::{EraseSubject, erase};
use crate::erasure::verify::{Which, verify};
use crate::gate::receipts::Ground;
use crate::gate::signing::prove;
use crate::items::model::{SubjectRef, Wait};
use crate::items::tests::indexed::{PHONE, reachable};
use crate::items::tests::{Bench, HOUR};
use crate::policy::action::Action;
use crate::policy::caller::RoleId;

/// What outsiders are given: a receipt, its key, and the log's.
type Made = (Receipt, VerifierKey, VerifierKey);

async fn made() -> Made {
    let (bench, id) = erased().await;
    (shown(&bench, id).await, key(&bench.vault.verifiers().receipt), key(&bench.vault.verifiers().audit))
}

fn key(text: &str) -> VerifierKey {
    text.parse().expect("a key")
}

/// Somebody who could be found by three identifiers, and is erased.
async fn erased() -> (Bench, ReceiptId) {
    let bench = Bench::new();
    let (ann, _) = bench.indexed("ann", vec![reachable(&["ann@example.com"], PHONE)]).await;
    let call = bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", Action::EraseSubject, "", "").await;
    let wanted = EraseSubject { subject: SubjectRef::Id(ann), ground: Ground::Request, wait: Wait::Erased };
    let (erasure, receipt) = erase(&bench.vault, &call, wanted).await.expect("erases");
    assert!(receipt.is_some());
    (bench, erasure.receipt)
}

async fn shown(bench: &Bench, id: ReceiptId) -> Receipt {
    let call = bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", Action::GetReceipt, "", "").await;
    let wanted = evidence::Wanted { receipt: id, kept: 0, token: String::new() };
    message(evidence::receipt(&bench.vault, &call, wanted).await.expect("is there").0)
}

/// The same once everything that comes later has come.
async fn made_later() -> (Bench, Made) {
    let (bench, id) = erased().await;
    bench.purge(Duration::ZERO).await;
    bench.at(30 * 24 * HOUR);
    while bench.step().await {}
    bench.settle().await;
    let keys = (key(&bench.vault.verifiers().receipt), key(&bench.vault.verifiers().audit));
    let receipt = shown(&bench, id).await;
    (bench, (receipt, keys.0, keys.1))
}

async fn rotate(bench: &Bench, field: IdentifierField) {
    bench.rotate(field).await;
    while bench.step().await {}
    bench.settle().await;
}

#[tokio::test]
async fn a_receipt_holds_and_no_bit_of_it_can_be_changed() {
    let (receipt, key, log_key) = made().await;
    let keys = [log_key];
    let checked = check(&receipt, &key, &keys).expect("holds");
    assert!(checked.log_signed && checked.entries[0] < checked.entries[1]);
    assert!(!check(&receipt, &key, &[]).expect("holds").log_signed);
    no_bit_can_be_changed(&receipt, &key, &keys, 1);
}

#[tokio::test]
async fn nor_can_one_of_what_comes_later() {
    let (_bench, (receipt, key, log_key)) = made_later().await;
    let keys = [log_key];
    assert!(check(&receipt, &key, &keys).is_ok_and(|checked| checked.purged.is_some() && checked.rotated.len() == 3));
    // It is three times as long, and most of it as above.
    no_bit_can_be_changed(&receipt, &key, &keys, 29);
}

/// Tries every so many bits, and of the JSON form one in five of these.
fn no_bit_can_be_changed(receipt: &Receipt, key: &VerifierKey, keys: &[VerifierKey], step: usize) {
    let encoded = receipt.encode_to_vec();
    for bit in (0..encoded.len() * 8).step_by(step) {
        let mut changed = encoded.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let read = Receipt::decode(&changed[..]).ok().filter(|read| read.encode_to_vec() == changed);
        assert!(read.is_none_or(|read| check(&read, key, keys).is_err()), "bit {bit} of {}", encoded.len() * 8);
    }
    // The same content in another spelling, three times as long.
    let text = json::text(receipt).ok().expect("JSON");
    for bit in (0..text.len() * 8).step_by(5 * step) {
        let mut changed = text.clone().into_bytes();
        changed[bit / 8] ^= 1 << (bit % 8);
        let read = std::str::from_utf8(&changed).ok().and_then(json::of_text::<Receipt>);
        // The last bits of a base64 text may mean nothing; then it is the same receipt in another spelling.
        let read = read.filter(|read| read != receipt);
        assert!(read.is_none_or(|read| check(&read, key, keys).is_err()), "bit {bit} of the JSON form");
    }
}

#[tokio::test]
async fn parts_of_two_receipts_make_none() {
    let ((one, key, log_key), (other, ..)) = (made().await, made().await);
    let keys = [log_key];
    let swapped = [
        Receipt { body: other.body.clone(), ..one.clone() },
        Receipt { signature: other.signature.clone(), ..one.clone() },
        Receipt { requested: other.requested.clone(), ..one.clone() },
        Receipt { erased: other.erased.clone(), ..one.clone() },
        Receipt { requested: one.erased.clone(), erased: one.requested.clone(), ..one.clone() },
        Receipt { supplementary: vec![other.clone()], ..one.clone() },
    ];
    for (at, receipt) in swapped.iter().enumerate() {
        assert!(check(receipt, &key, &keys).is_err(), "{at}");
    }
    let bare = Receipt { requested: None, ..one.clone() };
    assert_eq!(check(&bare, &key, &keys).err(), Some(Wrong::NoProof));
    assert_eq!(check(&other, &key, &keys).err(), Some(Wrong::OtherKey));
}

#[tokio::test]
async fn entries_of_another_erasure_in_the_same_log_prove_nothing_of_this_one() {
    let bench = Bench::new();
    // Both at one moment and in one epoch: nothing but the receipt's id tells their entries apart.
    bench.take_slot_away();
    let mut ids = Vec::new();
    for name in ["Ada", "Grace"] {
        let (person, _) = bench.person(&[name]).await;
        let call =
            bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", Action::EraseSubject, "", "").await;
        let wanted = EraseSubject { subject: SubjectRef::Id(person), ground: Ground::Request, wait: Wait::Logical };
        ids.push(erase(&bench.vault, &call, wanted).await.expect("is lodged").0.receipt);
    }
    bench.put_slot_back();
    bench.settle().await;
    let (one, other) = (shown(&bench, ids[0]).await, shown(&bench, ids[1]).await);
    let (key, keys) = (key(&bench.vault.verifiers().receipt), [key(&bench.vault.verifiers().audit)]);
    let checked = [&one, &other].map(|receipt| check(receipt, &key, &keys).expect("holds").body);
    assert_eq!((checked[0].epoch, &checked[0].request_time), (checked[1].epoch, &checked[1].request_time));
    let (requested, erased) = (other.requested.clone(), other.erased.clone());
    let (request, completion) = (Wrong::Entry("request's entry"), Wrong::Entry("completion's entry"));
    for (receipt, wrong) in [
        (Receipt { requested: requested.clone(), ..one.clone() }, request),
        (Receipt { erased: erased.clone(), ..one.clone() }, completion),
        (Receipt { requested, erased, ..one.clone() }, request),
        (Receipt { requested: one.erased.clone(), ..one.clone() }, request),
        (Receipt { erased: one.requested.clone(), ..one.clone() }, completion),
        (Receipt { supplementary: vec![other.clone()], ..one.clone() }, Wrong::Supplement),
    ] {
        assert_eq!(check(&receipt, &key, &keys).err(), Some(wrong));
    }
    // Another statement of the same erasure, by somebody whose key is taken for the vault's.
    let signer = Signer::from_seed(&Key::copied(&[3; 32]));
    let theirs = VerifierKey::new(key.name(), *signer.public()).expect("a key");
    let body = ReceiptBody { software_version: "0".into(), ..checked[0].clone() }.encode_to_vec();
    let signature = Signature {
        key_name: theirs.name().into(),
        key_hash: theirs.id().to_vec(),
        signature: signer.sign(&[b"lacuna-receipt-v1\0", &body[..]].concat()).to_vec(),
    };
    let forged = Receipt { body, signature: Some(signature), ..one };
    assert_eq!(check(&forged, &theirs, &keys).err(), Some(Wrong::Hash));
}

#[tokio::test]
async fn later_entries_are_those_of_this_receipt_and_come_when_it_is_true() {
    let (bench, id) = erased().await;
    let (key, log_key) = (key(&bench.vault.verifiers().receipt), key(&bench.vault.verifiers().audit));
    let keys = [log_key];
    let checked = |receipt: &Receipt| check(receipt, &key, &keys);
    let counts = |receipt: &Receipt| {
        let checked = checked(receipt).expect("holds");
        (checked.purged.is_some(), checked.rotated.len(), checked.body.index_key_ids.len())
    };
    let first = shown(&bench, id).await;
    assert_eq!(counts(&first), (false, 0, 3));
    bench.purge(Duration::ZERO).await;
    assert_eq!(counts(&shown(&bench, id).await), (true, 0, 3));
    rotate(&bench, IdentifierField::DocumentNumber).await;
    assert_eq!(counts(&shown(&bench, id).await), (true, 0, 3), "nothing of hers was under that one");
    rotate(&bench, IdentifierField::Email).await;
    let half = shown(&bench, id).await;
    assert_eq!(counts(&half), (true, 1, 3));
    assert!(half.index_rotated.is_none());
    let finding = async || {
        let call =
            bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", Action::VerifyErasure, "", "").await;
        let found = verify(&bench.vault, &call, Which::Receipt(id)).await.expect("looks");
        (found.purged, found.rotated)
    };
    assert_eq!(finding().await, (true, false));
    rotate(&bench, IdentifierField::Phone).await;
    rotate(&bench, IdentifierField::ExternalId).await;
    let whole = shown(&bench, id).await;
    assert_eq!(counts(&whole), (true, 3, 3));
    assert_eq!(finding().await, (true, true));
    assert_eq!((&whole.body, &whole.signature), (&first.body, &first.signature), "the statement never changes");

    // Entries of something else, or in another place, are found out.
    let (before, last) = (whole.index_rotated_before.clone(), whole.index_rotated.clone());
    let all = bench.leaves().into_iter().filter(|leaf| leaf.operation == "IndexKeyErased").collect::<Vec<_>>();
    let checkpoint = bench.vault.log().checkpoint(bench.vault.committer().log_size()).await.expect("signed");
    let other = proven(prove(&bench.vault, all[0].sequence, checkpoint).expect("is in the log"));
    let wrong = [
        Receipt { purged: whole.erased.clone(), ..whole.clone() },
        Receipt { purged: last.clone(), ..whole.clone() },
        Receipt { index_rotated: whole.purged.clone(), ..whole.clone() },
        Receipt { index_rotated: Some(other.clone()), ..whole.clone() },
        Receipt { index_rotated_before: vec![other.clone()], ..whole.clone() },
        Receipt {
            index_rotated: before.first().cloned(),
            index_rotated_before: last.iter().cloned().collect(),
            ..whole.clone()
        },
        Receipt { index_rotated_before: Vec::new(), ..whole.clone() },
        Receipt { index_rotated_before: vec![other, before[1].clone()], ..whole.clone() },
        Receipt {
            index_rotated: None,
            index_rotated_before: before.iter().chain(&last).cloned().collect(),
            ..whole.clone()
        },
        Receipt { index_rotated_before: vec![before[0].clone(), before[0].clone()], ..whole.clone() },
    ];
    for (at, receipt) in wrong.iter().enumerate() {
        assert!(checked(receipt).is_err(), "{at}");
    }
}

#[tokio::test]
async fn a_purge_of_what_was_forgotten_before_is_none_of_this() {
    let (bench, _) = erased().await;
    // It begins before the erasure and ends after it.
    bench.hold_purge(true);
    bench.purge(Duration::ZERO).await;
    let call = bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", Action::EraseSubject, "", "").await;
    let (ben, _) = bench.person(&["Ben"]).await;
    let wanted = EraseSubject { subject: SubjectRef::Id(ben), ground: Ground::Request, wait: Wait::Erased };
    let (later, _) = erase(&bench.vault, &call, wanted).await.expect("erases");
    bench.hold_purge(false);
    bench.purge(Duration::ZERO).await;
    let receipt = shown(&bench, later.receipt).await;
    let purge = bench.leaves().into_iter().find(|leaf| leaf.operation == "CiphertextPurged").expect("an entry");
    let checkpoint = bench.vault.log().checkpoint(purge.sequence + 1).await.expect("signed");
    let purged = Some(proven(prove(&bench.vault, purge.sequence, checkpoint).expect("is in the log")));
    let key = key(&bench.vault.verifiers().receipt);
    assert!(check(&receipt, &key, &[]).is_ok());
    assert_eq!(check(&Receipt { purged, ..receipt }, &key, &[]).err(), Some(Wrong::Entry("purge's entry")));
}
