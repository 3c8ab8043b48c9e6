//! Looking for people, on the real program.

use std::time::Duration;

use lacuna::api::proto::identifier::Identifier as By;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::samples::reason;
use crate::vault::{Recorded, TestVault};

/// A search for service delivery.
pub fn search(vault: &TestVault, by: By) -> FindSubjectsRequest {
    let identifier = Some(Identifier { identifier: Some(by) });
    FindSubjectsRequest { context: vault.delivery(), identifier, ..Default::default() }
}

/// Who is found, each with the item.
pub async fn found(
    client: &mut VaultClient<Recorded>,
    request: FindSubjectsRequest,
) -> Result<Vec<(String, String)>, Status> {
    let answer = client.find_subjects(request).await?.into_inner();
    Ok(answer.matches.into_iter().map(|found| (found.subject_id, found.item_id)).collect())
}

/// The identifiers of an item.
pub fn identifiers(item: &NewItem) -> Vec<By> {
    match item.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(item_value::Value::Contact(contact)) => {
            let emails = contact.emails.iter().map(|email| By::Email(email.address.to_uppercase()));
            emails.chain(contact.phones.iter().map(|phone| By::Phone(phone.number.clone()))).collect()
        }
        Some(item_value::Value::GovernmentId(id)) => vec![By::GovernmentId(DocumentNumber {
            r#type: id.r#type,
            country_code: id.country_code.to_lowercase(),
            number: id.number.clone(),
        })],
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_until_what_they_are_found_by_is_deleted_and_then_no_row_is_left() {
    let mut vault = TestVault::start();
    let (external_id, items) = (vault.canary(), vec![vault.item("contact"), vault.item("government_id")]);
    let request = CreateSubjectRequest {
        context: vault.delivery(),
        external_id: external_id.clone(),
        items: items.clone(),
        ..Default::default()
    };
    let mut service = vault.client("service");
    let created = service.create_subject(request).await.expect("creates").into_inner();
    let subject = &created.subject_id;
    let own = found(&mut service, search(&vault, By::ExternalId(external_id.clone()))).await;
    assert_eq!(own.expect("is answered"), [(subject.clone(), String::new())]);
    for (item, stamp) in items.iter().zip(&created.items) {
        for by in identifiers(item) {
            let found = found(&mut service, search(&vault, by)).await.expect("is answered");
            assert_eq!(found, [(subject.clone(), stamp.item_id.clone())]);
        }
    }
    // A person finds nobody but themselves.
    let [mine, other] = [&external_id, &vault.canary()].map(|id| vault.acting_for(id));
    for (person, finds) in [(mine, 1), (other, 0)] {
        for by in identifiers(&items[0]) {
            let found = found(&mut VaultClient::new(person.clone()), search(&vault, by)).await.expect("is answered");
            assert_eq!(found.len(), finds);
        }
    }
    for stamp in &created.items {
        vault.delete(subject, &stamp.item_id).await.expect("deletes");
    }
    for by in items.iter().flat_map(identifiers) {
        assert_eq!(found(&mut service, search(&vault, by)).await.expect("is answered"), []);
    }
    vault.stop();
    let left = vault.store().scan(Space::Index, &[], &[], usize::MAX).expect("reads");
    assert_eq!(left.len(), 1, "the external id's row alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_nobodys_identifier_is_refused_by_its_field() {
    let vault = TestVault::start();
    let number = |kind: GovernmentIdType, country_code: &str, number: &str| {
        let (country_code, number) = (country_code.into(), number.into());
        By::GovernmentId(DocumentNumber { r#type: kind.into(), country_code, number })
    };
    let secret = vault.canary();
    let passport = GovernmentIdType::Passport;
    for (by, fields) in [
        (By::Email(String::new()), &[("identifier.email", "FIELD_REQUIRED")][..]),
        (By::Email(secret.clone()), &[("identifier.email", "FIELD_INVALID")]),
        (By::Email(format!("{}@example.com", secret.repeat(400))), &[("identifier.email", "FIELD_INVALID")]),
        (By::Phone("020 7946 0958".into()), &[("identifier.phone", "FIELD_INVALID")]),
        (By::ExternalId("x".repeat(257)), &[("identifier.external_id", "FIELD_TOO_LONG")]),
        (number(passport, "XX", &secret), &[("identifier.government_id", "FIELD_INVALID")]),
        (number(passport, "SE", "\u{0}"), &[("identifier.government_id", "FIELD_INVALID")]),
        (
            number(GovernmentIdType::Unspecified, "", ""),
            &[
                ("identifier.government_id.type", "FIELD_REQUIRED"),
                ("identifier.government_id.country_code", "FIELD_REQUIRED"),
                ("identifier.government_id.number", "FIELD_REQUIRED"),
            ],
        ),
    ] {
        let status = vault.client("service").find_subjects(search(&vault, by)).await.expect_err("is refused");
        let violations = status.get_details_bad_request().expect("names fields").field_violations;
        let named: Vec<(&str, &str)> = violations.iter().map(|v| (v.field.as_str(), v.reason.as_str())).collect();
        assert_eq!(named, fields);
    }
    for (request, field) in [
        (FindSubjectsRequest { context: vault.delivery(), ..Default::default() }, "identifier"),
        (FindSubjectsRequest { page_size: 1001, ..search(&vault, By::ExternalId("x".into())) }, "page_size"),
        (FindSubjectsRequest { page_token: "x".into(), ..search(&vault, By::ExternalId("x".into())) }, "page_token"),
    ] {
        let status = vault.client("service").find_subjects(request).await.expect_err("is refused");
        assert_eq!(status.get_details_bad_request().expect("names fields").field_violations[0].field, field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_too_many_identifiers_is_told_when_to_go_on() {
    let vault = TestVault::start_with(|dir| {
        let path = dir.join("lacuna.toml");
        let text = std::fs::read_to_string(&path).expect("a configuration");
        std::fs::write(path, text + "\n[limits]\nfinds_per_minute = 3\n").expect("is written");
    });
    let tried: Vec<By> = (0..3).map(|_| By::ExternalId(vault.canary())).collect();
    let mut service = vault.client("service");
    for by in tried.iter().chain(&tried) {
        assert_eq!(found(&mut service, search(&vault, by.clone())).await.expect("is answered"), []);
    }
    let more = || search(&vault, By::ExternalId(vault.canary()));
    let status = found(&mut service, more()).await.expect_err("is too much");
    assert_eq!(reason(&status), "RATE_LIMITED");
    let after = status.get_details_retry_info().and_then(|info| info.retry_delay).expect("says when");
    assert!(after > Duration::from_secs(30) && after <= Duration::from_secs(60), "{after:?}");
    assert!(found(&mut vault.client("support"), more()).await.is_ok(), "another caller");
}
