//! Bad input on the wire: a clear refusal that names the field and the reason, and the vault goes on.

use std::sync::Arc;

use lacuna::api::proto::*;
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::program::subject;
use crate::random::Random;
use crate::raw;
use crate::samples::{CLASSES, reason};
use crate::vault::TestVault;

/// A text of an item: its path in a request to put the item, and how to set it.
struct Field {
    path: &'static str,
    class: &'static str,
    set: fn(&mut NewItem, String),
}

const fn field(class: &'static str, path: &'static str, set: fn(&mut NewItem, String)) -> Field {
    Field { path, class, set }
}

fn contact(item: &mut NewItem) -> &mut Contact {
    match item.value.as_mut().and_then(|value| value.value.as_mut()) {
        Some(item_value::Value::Contact(contact)) => contact,
        _ => unreachable!("a contact"),
    }
}

fn government_id(item: &mut NewItem) -> &mut GovernmentId {
    match item.value.as_mut().and_then(|value| value.value.as_mut()) {
        Some(item_value::Value::GovernmentId(id)) => id,
        _ => unreachable!("a government id"),
    }
}

fn payment(item: &mut NewItem) -> &mut Payment {
    match item.value.as_mut().and_then(|value| value.value.as_mut()) {
        Some(item_value::Value::Payment(payment)) => payment,
        _ => unreachable!("a payment"),
    }
}

fn address(item: &mut NewItem) -> &mut PostalAddress {
    &mut contact(item).addresses[0]
}

fn billing(item: &mut NewItem) -> &mut PostalAddress {
    payment(item).billing_address.as_mut().expect("has one")
}

fn metadata(item: &mut NewItem) -> &mut ItemMetadata {
    item.metadata.as_mut().expect("has some")
}

#[rustfmt::skip] // a table
const VALUES: &[Field] = &[
    field("contact", "full_name", |item, text| contact(item).full_name = text),
    field("contact", "given_name", |item, text| contact(item).given_name = text),
    field("contact", "family_name", |item, text| contact(item).family_name = text),
    field("contact", "emails[0].address", |item, text| contact(item).emails[0].address = text),
    field("contact", "emails[0].label", |item, text| contact(item).emails[0].label = text),
    field("contact", "phones[0].number", |item, text| contact(item).phones[0].number = text),
    field("contact", "phones[0].label", |item, text| contact(item).phones[0].label = text),
    field("contact", "phones[0].extension", |item, text| contact(item).phones[0].extension = text),
    field("contact", "addresses[0].country_code", |item, text| address(item).country_code = text),
    field("contact", "addresses[0].lines[1]", |item, text| address(item).lines[1] = text),
    field("contact", "addresses[0].sublocality", |item, text| address(item).sublocality = text),
    field("contact", "addresses[0].locality", |item, text| address(item).locality = text),
    field("contact", "addresses[0].administrative_area", |item, text| address(item).administrative_area = text),
    field("contact", "addresses[0].postal_code", |item, text| address(item).postal_code = text),
    field("contact", "addresses[0].recipient", |item, text| address(item).recipient = text),
    field("contact", "addresses[0].organization", |item, text| address(item).organization = text),
    field("contact", "addresses[0].label", |item, text| address(item).label = text),
    field("contact", "language_code", |item, text| contact(item).language_code = text),
    field("government_id", "country_code", |item, text| government_id(item).country_code = text),
    field("government_id", "number", |item, text| government_id(item).number = text),
    field("government_id", "issuing_authority", |item, text| government_id(item).issuing_authority = text),
    field("government_id", "printed_name", |item, text| government_id(item).printed_name = text),
    field("payment", "processor", |item, text| payment(item).processor = text),
    field("payment", "token", |item, text| payment(item).token = text),
    field("payment", "last_four", |item, text| payment(item).last_four = text),
    field("payment", "billing_address.locality", |item, text| billing(item).locality = text),
    field("payment", "cardholder_name", |item, text| payment(item).cardholder_name = text),
];

#[rustfmt::skip] // a table
const METADATA: &[Field] = &[
    field("contact", "purposes[0]", |item, text| metadata(item).purposes = vec![text]),
    field("contact", "legal_basis", |item, text| metadata(item).legal_basis = text),
    field("contact", "source", |item, text| metadata(item).source = text),
    field("contact", "recipients[0].name", |item, text| metadata(item).recipients[0].name = text),
    field("contact", "recipients[0].country_code", |item, text| metadata(item).recipients[0].country_code = text),
    field("contact", "recipients[0].safeguard", |item, text| metadata(item).recipients[0].safeguard = text),
    field("contact", "automated_decision_logic", |item, text| metadata(item).automated_decision_logic = text),
];

/// Texts that no value may hold.
fn hostile(vault: &TestVault) -> [String; 6] {
    let canary = vault.canary();
    [
        format!("{canary}\0"),
        format!("a\u{202e}{canary}"),
        format!("\u{2066}{canary}\u{2069}b"),
        format!("{canary}\nb"),
        format!("\u{feff}{canary}\u{ffff}b"),
        canary.repeat(50_000), // 1.2 MB, more than any field takes and less than a message does
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_in_a_value_are_refused_by_field_and_reason() {
    let vault = Arc::new(TestVault::start());
    let id = vault.create(&[]).await.subject_id;
    let mut calls = JoinSet::new();
    for field in VALUES {
        for text in hostile(&vault) {
            let (vault, id) = (vault.clone(), id.clone());
            calls.spawn(async move {
                let mut item = vault.item(field.class);
                (field.set)(&mut item, text);
                let path = format!("{}.{}", field.class, field.path);
                let put = PutItemRequest { context: vault.delivery(), subject: subject(&id), item: Some(item.clone()) };
                let refusal = vault.client("service").put_item(put).await.err();
                assert_named(&refusal.unwrap_or_else(|| panic!("{path} is taken")), &format!("item.value.{path}"));
                let create =
                    CreateSubjectRequest { context: vault.delivery(), items: vec![item], ..Default::default() };
                let refusal = vault.client("service").create_subject(create).await.err();
                assert_named(&refusal.unwrap_or_else(|| panic!("{path} is taken")), &format!("items[0].value.{path}"));
            });
        }
    }
    calls.join_all().await;
    assert_goes_on(&vault, &id).await;
}

/// Free text is kept as it is written, or refused like a value: never changed, never cut.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_beside_a_value_are_refused_or_kept_as_they_are() {
    let vault = TestVault::start();
    let id = vault.create(&[]).await.subject_id;
    let mut service = vault.client("service");
    for field in METADATA {
        for text in hostile(&vault) {
            let (mut item, too_long) = (vault.item(field.class), text.len() > 10_000);
            (field.set)(&mut item, text);
            let stated = item.metadata.clone().expect("is stated");
            let put = PutItemRequest { context: vault.delivery(), subject: subject(&id), item: Some(item) };
            match service.put_item(put).await {
                Err(refusal) => assert_named(&refusal, &format!("item.metadata.{}", field.path)),
                Ok(stored) => {
                    assert!(!too_long, "{}", field.path);
                    let stamp = stored.into_inner().item.expect("is named");
                    let read = vault.read(&id, &stamp.item_id).await.expect("is there").metadata.expect("is shown");
                    let texts = |metadata: ItemMetadata| {
                        let logic = metadata.automated_decision_logic;
                        (metadata.source, metadata.recipients, logic)
                    };
                    assert!(texts(read) == texts(stated), "{} is changed", field.path);
                }
            }
        }
    }
    for external_id in hostile(&vault) {
        let (context, too_long) = (vault.delivery(), external_id.len() > 10_000);
        let create = CreateSubjectRequest { context, external_id: external_id.clone(), ..Default::default() };
        match service.create_subject(create).await {
            Err(refusal) => assert_named(&refusal, "external_id"),
            Ok(created) => {
                assert!(!too_long);
                let named = subject(&created.into_inner().subject_id);
                let get = GetSubjectRequest { context: vault.delivery(), subject: named };
                let found = service.get_subject(get).await.expect("is there").into_inner().subject.expect("is told");
                assert!(found.external_id == external_id, "an external id is changed");
            }
        }
    }
    assert_goes_on(&vault, &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_are_refused() {
    let vault = TestVault::start();
    let id = vault.create(&[]).await.subject_id;
    let marker = vault.canary();
    let mut item = vault.item("contact");
    contact(&mut item).full_name = marker.clone();
    let put = PutItemRequest { context: vault.delivery(), subject: subject(&id), item: Some(item) };
    let sound = put.encode_to_vec();
    let at = sound.windows(marker.len()).position(|bytes| bytes == marker.as_bytes()).expect("is there");
    let mut not_utf8 = sound.clone();
    not_utf8[at] = 0xff;
    let nested = [0x13].repeat(200); // groups in groups
    for (name, bytes) in [
        ("text that is not UTF-8", not_utf8),
        ("a message cut short", sound[..sound.len() - 1].to_vec()),
        ("a field of another wire type", [&sound[..], &[0x08, 0x01]].concat()),
        ("a length beyond the message", [&sound[..], &[0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat()),
        ("a number without an end", [0xff; 11].to_vec()),
        ("groups without an end", nested),
        ("field number zero", vec![0x00, 0x00]),
    ] {
        for method in ["Vault/PutItem", "Vault/RecordEvents", "Vault/BatchGetItems"] {
            let refusal = raw::call(vault.service(Some("service")), method, bytes.clone()).await.expect_err(name);
            assert_eq!((reason(&refusal).as_str(), refusal.code()), EXPECTED, "{name}, {method}");
        }
    }
    let unknown = raw::call(vault.service(Some("service")), "Vault/ReadMinds", sound).await.expect_err("is unknown");
    assert_eq!(reason(&unknown), "NOT_IMPLEMENTED");
    assert_goes_on(&vault, &id).await;
}

const EXPECTED: (&str, Code) = ("MESSAGE_MALFORMED", Code::InvalidArgument);

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused() {
    let vault = TestVault::start();
    let id = vault.create(&[]).await.subject_id;
    for mebibytes in [5, 10] {
        let mut item = vault.item("contact");
        contact(&mut item).full_name = "x".repeat(mebibytes << 20);
        let put = PutItemRequest { context: vault.delivery(), subject: subject(&id), item: Some(item) };
        let refusal = vault.client("service").put_item(put).await.expect_err("is refused");
        assert_eq!((reason(&refusal).as_str(), refusal.code()), ("MESSAGE_TOO_LARGE", Code::ResourceExhausted));
    }
    assert_goes_on(&vault, &id).await;
}

/// Requests with a few bytes changed at random: each is answered, by this vault, in the words of the contract.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_requests_are_answered_in_the_words_of_the_contract() {
    let vault = TestVault::start();
    let created = vault.create(&CLASSES).await;
    let id = &created.subject_id;
    let (mut random, _) = Random::seeded();
    let items = CLASSES.map(|class| vault.item(class)).to_vec();
    let create = CreateSubjectRequest { context: vault.delivery(), items, ..Default::default() };
    let put =
        PutItemRequest { context: vault.delivery(), subject: subject(id), item: Some(vault.item("government_id")) };
    let list = ListItemsRequest { context: vault.delivery(), subject: subject(id), ..Default::default() };
    let requests = [
        ("Vault/CreateSubject", create.encode_to_vec()),
        ("Vault/PutItem", put.encode_to_vec()),
        ("Vault/ListItems", list.encode_to_vec()),
    ];
    let service = vault.service(Some("service"));
    let mut calls = JoinSet::new();
    for number in 0..600 {
        let (method, mut bytes) = requests[number % requests.len()].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = random.next() as u8;
        }
        let service = service.clone();
        calls.spawn(async move { raw::call(service, method, bytes).await });
    }
    for answer in calls.join_all().await {
        if let Err(refusal) = answer {
            assert_ne!(reason(&refusal), "", "an error of the contract: {refusal:?}");
            assert_ne!(refusal.code(), Code::Internal, "{refusal:?}");
        }
    }
    assert_goes_on(&vault, id).await;
}

/// Asserts that a refusal names the field, with a reason, and says no more.
fn assert_named(refusal: &Status, field: &str) {
    let violations = refusal.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let named: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert!(named.contains(&field), "{field} is not among {named:?}");
    let violation = violations.iter().find(|violation| violation.field == field).expect("is among them");
    assert!(!violation.reason.is_empty() && !violation.description.is_empty(), "{field} has no reason");
    assert_eq!(refusal.code(), Code::InvalidArgument, "{field}");
}

async fn assert_goes_on(vault: &TestVault, id: &str) {
    let put = PutItemRequest { context: vault.delivery(), subject: subject(id), item: Some(vault.item("contact")) };
    let stamp = vault.client("service").put_item(put).await.expect("goes on").into_inner().item.expect("is named");
    assert!(vault.read(id, &stamp.item_id).await.is_ok());
}
