//! Restriction and objection on the real program: in force for every call that begins after they returned, and durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::*;
use tonic::Status;

use crate::program::subject;
use crate::samples::reason;
use crate::vault::{Recorded, TestVault};

fn officer(vault: &TestVault) -> PrivacyClient<Recorded> {
    PrivacyClient::new(vault.service(Some("privacy-officer")))
}

async fn restrict(vault: &TestVault, id: &str, restricted: bool) -> Result<Subject, Status> {
    let ground = if restricted { RestrictionGround::LegalClaim } else { RestrictionGround::Unspecified };
    let request = RestrictSubjectRequest {
        context: vault.context("legal_compliance"),
        subject: subject(id),
        restricted,
        ground: ground.into(),
        ..Default::default()
    };
    Ok(officer(vault).restrict_subject(request).await?.into_inner().subject.expect("a subject"))
}

async fn object(vault: &TestVault, id: &str, objected: bool) -> Vec<Objection> {
    let request = SetObjectionRequest {
        context: vault.context("legal_compliance"),
        subject: subject(id),
        objected_purpose: "improvement".into(),
        objected,
        ..Default::default()
    };
    officer(vault).set_objection(request).await.expect("is set").into_inner().objections
}

async fn read(vault: &TestVault, purpose: &str, created: &CreateSubjectResponse) -> String {
    let request = GetItemRequest {
        context: vault.context(purpose),
        subject: subject(&created.subject_id),
        item_id: created.items[0].item_id.clone(),
        ..Default::default()
    };
    match vault.client("service").get_item(request).await {
        Ok(_) => "OK".into(),
        Err(status) => reason(&status),
    }
}

/// Readers on other connections never get a value by a call that began after the restriction returned.
#[tokio::test(flavor = "multi_thread")]
async fn no_call_that_begins_after_a_restriction_returned_reads() {
    let vault = Arc::new(TestVault::start());
    let created = Arc::new(vault.create(&["contact"]).await);
    for _ in 0..20 {
        let restricted = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (vault, created, restricted) = (vault.clone(), created.clone(), restricted.clone());
                tokio::spawn(async move {
                    loop {
                        let began_after = restricted.load(Ordering::SeqCst);
                        let outcome = read(&vault, "service_delivery", &created).await;
                        if began_after {
                            return outcome;
                        }
                    }
                })
            })
            .collect();
        restrict(&vault, &created.subject_id, true).await.expect("restricts");
        restricted.store(true, Ordering::SeqCst);
        for reader in readers {
            assert_eq!(reader.await.expect("no panic"), "RESTRICTED");
        }
        restrict(&vault, &created.subject_id, false).await.expect("lifts");
        assert_eq!(read(&vault, "service_delivery", &created).await, "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_demanded_survives_a_kill() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let id = &created.subject_id;
    assert_eq!(object(&vault, id, true).await.len(), 1);
    vault.kill();
    vault.run("");
    assert_eq!(read(&vault, "improvement", &created).await, "OBJECTED");
    assert_eq!(read(&vault, "service_delivery", &created).await, "OK");
    assert_eq!(restrict(&vault, id, true).await.expect("restricts").state(), SubjectState::Restricted);
    vault.kill();
    vault.run("");
    assert_eq!(read(&vault, "service_delivery", &created).await, "RESTRICTED");
    assert!(object(&vault, id, false).await.is_empty());
    restrict(&vault, id, false).await.expect("lifts");
    vault.kill();
    vault.run("");
    assert_eq!(read(&vault, "improvement", &created).await, "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_honoured_is_refused_by_its_field() {
    let vault = TestVault::start();
    let created = vault.create(&[]).await;
    let sound = RestrictSubjectRequest {
        context: vault.context("legal_compliance"),
        subject: subject(&created.subject_id),
        restricted: true,
        ground: RestrictionGround::Unlawful.into(),
        request_id: String::new(),
    };
    let known = format!("req_{}", "a".repeat(26));
    for (change, expected) in [
        (RestrictSubjectRequest { ground: 0, ..sound.clone() }, "FIELD_REQUIRED"),
        (RestrictSubjectRequest { ground: 99, ..sound.clone() }, "ENUM_UNKNOWN"),
        (RestrictSubjectRequest { restricted: false, ..sound.clone() }, "FIELD_CONFLICT"),
        (RestrictSubjectRequest { subject: None, ..sound.clone() }, "FIELD_REQUIRED"),
        (RestrictSubjectRequest { request_id: "req_1".into(), ..sound.clone() }, "ID_MALFORMED"),
        (RestrictSubjectRequest { request_id: known, ..sound.clone() }, "NOT_IMPLEMENTED"),
    ] {
        let status = officer(&vault).restrict_subject(change).await.err().expect("is refused");
        assert_eq!(reason(&status), expected);
    }
}
