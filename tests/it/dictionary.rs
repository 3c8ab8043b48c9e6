//! A dictionary is tried on every byte that a vault ever wrote: somebody with a live index key and old files can tell that
//! an identifier was known, until that key is replaced, and then no longer.
//!
//! What makes it honest: the same search finds everybody while they are there, finds who is still there afterwards under
//! the next key, and finds the forgotten again once it is given the slots as they were.

use std::collections::HashMap;
use std::time::Duration;

use lacuna::api::proto::keys_client::KeysClient;
use lacuna::api::proto::*;
use lacuna::base::secret::Secret;
use lacuna::catalog::class::{Identifier, IdentifierField};
use lacuna::catalog::text::Text;
use lacuna::keys::index::IndexKey;
use lacuna::keys::outer::OuterKey as _;
use lacuna::keys::outer::file::KeyFile;
use serde_json::json;
use tempfile::TempDir;

use crate::attacker::{Attacker, Hoard};
use crate::figures;
use crate::residue::slots_of;
use crate::samples::named;
use crate::vault::TestVault;

/// Numbers of index keys that are tried.
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=3;
/// Bytes of a token.
const TOKEN: usize = 16;

/// Somebody, by everything that they can be found by.
struct Person {
    subject_id: String,
    words: Vec<Identifier>,
}

async fn person(vault: &TestVault) -> Person {
    let (external_id, phone) = (vault.canary(), vault.canaries().make_phone());
    let email = format!("{}@example.com", vault.canary().to_lowercase());
    let mut value = named(&vault.canary());
    if let Some(item_value::Value::Contact(contact)) = &mut value.value {
        contact.emails = vec![EmailAddress { address: email.clone(), ..Default::default() }];
        contact.phones = vec![PhoneNumber { number: phone.clone(), ..Default::default() }];
    }
    let request = CreateSubjectRequest {
        context: vault.delivery(),
        external_id: external_id.clone(),
        items: vec![NewItem { class: "contact".into(), value: Some(value), ..Default::default() }],
        ..Default::default()
    };
    let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
    let words = vec![
        Identifier::external_id(&Text::from(external_id.as_str())),
        Identifier::email(&email).expect("an address"),
        Identifier::phone(&phone).expect("a number"),
    ];
    Person { subject_id: created.subject_id, words }
}

/// Which of the words some byte of the files shows to have been known, under some key that can be had.
fn known(vault: &TestVault, hoard: &Hoard, slots: &TempDir, people: &[&Person]) -> (Vec<Vec<bool>>, usize) {
    let outer = KeyFile::at(vault.dir().join("outer.key")).key().expect("the outer key");
    let keys = Attacker::new(outer, hoard.records()).keys(slots.path());
    let mut tokens: HashMap<[u8; TOKEN], (usize, usize)> = HashMap::new();
    let mut starts = vec![false; 1 << 24];
    for (who, person) in people.iter().enumerate() {
        for (which, word) in person.words.iter().enumerate() {
            for (key, number) in keys.iter().flat_map(|key| NUMBERS.map(move |number| (key, number))) {
                let key = IndexKey::derive(word.field, number, &Secret::copied(key));
                let rows = key.rows(word);
                let token: [u8; TOKEN] = *rows.last_chunk().expect("ends with the token");
                starts[start(&token)] = true;
                tokens.insert(token, (who, which));
            }
        }
    }
    let mut found: Vec<Vec<bool>> = people.iter().map(|person| vec![false; person.words.len()]).collect();
    let mut look = |bytes: &[u8]| {
        for part in bytes.windows(TOKEN) {
            if starts[start(part)]
                && let Some((who, which)) = tokens.get(part)
            {
                found[*who][*which] = true;
            }
        }
    };
    hoard.contents().for_each(|bytes| look(&bytes));
    // Of a log of writes, records that it cut in two.
    hoard.records().iter().for_each(|(key, _)| look(key));
    (found, keys.len() * NUMBERS.count() * people.iter().map(|person| person.words.len()).sum::<usize>())
}

fn start(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2])
}

/// Replaces every index key, and waits until the old ones are forgotten.
async fn rotate_all(vault: &TestVault) {
    let keys = async || {
        let request = GetKeyStatusRequest {
            context: vault.context("security"),
            kinds: vec![KeyKind::Index.into()],
            ..Default::default()
        };
        let mut client = KeysClient::new(vault.service(Some("key-admin")));
        let keys = client.get_key_status(request).await.expect("tells").into_inner().keys;
        keys.into_iter().map(|key| key.key_id).collect::<Vec<_>>()
    };
    let old = keys().await;
    assert_eq!(old.len(), IdentifierField::ALL.len());
    for key_id in &old {
        let request =
            StartRotationRequest { context: vault.context("security"), key_id: key_id.clone(), ..Default::default() };
        let mut client = KeysClient::new(vault.service(Some("key-admin")));
        client.start_rotation(request).await.expect("starts");
    }
    for _ in 0..2_400 {
        if keys().await.iter().all(|key| !old.contains(key)) && vault.status().await.pending_erasure_count == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the rotations do not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dictionary_finds_the_forgotten_until_index_keys_are_replaced_and_then_no_more() {
    let mut vault = TestVault::start();
    let mut hoard = Hoard::of(vault.dir().join("data/db"));
    let (ann, ben) = (person(&vault).await, person(&vault).await);
    let nobody =
        Person { subject_id: String::new(), words: vec![Identifier::email("nobody@example.com").expect("an address")] };
    let people = [&ann, &ben, &nobody];
    let receipt = vault.erase(&ann.subject_id, "").await.expect("erases").receipt.expect("a receipt");
    hoard.gather();

    // What is admitted: the keys live, and old files hold their rows.
    let then = slots_of(&vault);
    let (found, _) = known(&vault, &hoard, &then, &people);
    assert_eq!(found, [vec![true; 3], vec![true; 3], vec![false]], "both are known, and nobody else");

    rotate_all(&vault).await;
    vault.receipt_is_rotated(&receipt.receipt_id).await;
    vault.stop();
    hoard.gather();
    let now = slots_of(&vault);
    let (found, tried) = known(&vault, &hoard, &now, &people);
    let figures =
        json!({ "files": hoard.files(), "tokens_tried": tried, "found": found[0].iter().filter(|f| **f).count() });
    assert_eq!(found, [vec![false; 3], vec![true; 3], vec![false]], "the forgotten are not, who is there is");

    // With the slots of before, the old keys open, and it all comes back.
    let (found, _) = known(&vault, &hoard, &then, &people);
    assert_eq!(found[0], vec![true; 3], "the old secrets must show it");
    figures::note(16, "a dictionary of identifiers, after index keys were replaced", None, figures);
}

impl TestVault {
    /// Waits until a receipt shows that the index keys it names are gone.
    async fn receipt_is_rotated(&self, receipt_id: &str) {
        for _ in 0..2_400 {
            let receipt = self.receipt(receipt_id).await.expect("is there");
            if receipt.index_rotated.is_some() {
                assert_eq!(receipt.index_rotated_before.len(), 2, "three kinds of identifiers");
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the receipt never shows it");
    }
}
