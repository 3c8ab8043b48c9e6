use prost::Message as _;

use super::check::{Wrong, check};
use crate::api::convert::receipts::receipt as message;
use crate::api::proto::Receipt;
use crate::audit::note::VerifierKey;
use crate::cli::json;
use crate::erasure::subject::{EraseSubject, erase};
use crate::gate::receipts::Ground;
use crate::items::model::{SubjectRef, Wait};
use crate::items::tests::Bench;
use crate::policy::action::Action;
use crate::policy::caller::RoleId;

async fn made() -> (Receipt, VerifierKey, VerifierKey) {
    let bench = Bench::new();
    let (ann, _) = bench.person(&["Ann"]).await;
    let call = bench.call_as("office", RoleId::PrivacyOfficer, "legal_compliance", Action::EraseSubject, "", "").await;
    let wanted = EraseSubject { subject: SubjectRef::Id(ann), ground: Ground::Request, wait: Wait::Erased };
    let (_, receipt) = erase(&bench.vault, &call, wanted).await.expect("erases");
    let keys = bench.vault.verifiers();
    let [key, log_key] = [keys.receipt, keys.audit].map(|key| key.parse().expect("a key"));
    (message(receipt.expect("a receipt")), key, log_key)
}

#[tokio::test]
async fn a_receipt_holds_and_no_bit_of_it_can_be_changed() {
    let (receipt, key, log_key) = made().await;
    let keys = [log_key];
    let checked = check(&receipt, &key, &keys).expect("holds");
    assert!(checked.log_signed && checked.entries[0] < checked.entries[1]);
    assert!(!check(&receipt, &key, &[]).expect("holds").log_signed);

    let encoded = receipt.encode_to_vec();
    for bit in 0..encoded.len() * 8 {
        let mut changed = encoded.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let read = Receipt::decode(&changed[..]).ok().filter(|read| read.encode_to_vec() == changed);
        assert!(read.is_none_or(|read| check(&read, &key, &keys).is_err()), "bit {bit} of {}", encoded.len() * 8);
    }
    let text = json::text(&receipt).ok().expect("JSON");
    for bit in 0..text.len() * 8 {
        let mut changed = text.clone().into_bytes();
        changed[bit / 8] ^= 1 << (bit % 8);
        let read = std::str::from_utf8(&changed).ok().and_then(json::of_text::<Receipt>);
        // The last bits of a base64 text may mean nothing; then it is the same receipt in another spelling.
        let read = read.filter(|read| *read != receipt);
        assert!(read.is_none_or(|read| check(&read, &key, &keys).is_err()), "bit {bit} of the JSON form");
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
