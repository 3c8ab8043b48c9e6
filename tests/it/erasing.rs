//! Erasing persons with the real program: what everybody is told, evidence on paper, and what happens meanwhile.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use prost::Message as _;
use tokio::task::JoinSet;

use crate::program::{blocking, subject};
use crate::samples::reason;
use crate::vault::TestVault;

fn external(id: &str) -> Option<SubjectRef> {
    Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(id.into())) })
}

async fn person(vault: &TestVault, external_id: &str) -> CreateSubjectResponse {
    let request = CreateSubjectRequest {
        context: vault.delivery(),
        external_id: external_id.into(),
        items: vec![vault.item("contact"), vault.item("payment")],
        ..Default::default()
    };
    vault.client("service").create_subject(request).await.expect("creates").into_inner()
}

async fn state(vault: &TestVault, named: Option<SubjectRef>) -> Result<(SubjectState, String), String> {
    let request = GetSubjectRequest { context: vault.delivery(), subject: named };
    let found = vault.client("service").get_subject(request).await.map_err(|status| reason(&status))?;
    let found = found.into_inner().subject.expect("a subject");
    Ok((found.state(), found.receipt_id))
}

async fn verdict(vault: &TestVault, target: verify_erasure_request::Target) -> VerifyErasureResponse {
    let request = VerifyErasureRequest { context: vault.context("legal_compliance"), target: Some(target) };
    vault.privacy("privacy-officer").verify_erasure(request).await.expect("looks").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_waits_for_a_slot_says_so_and_completes_by_itself_across_a_restart() {
    let mut vault = TestVault::start();
    let external_id = vault.canary();
    let created = person(&vault, &external_id).await;
    let id = &created.subject_id;
    let (there, away) = (vault.dir().join("slots/b"), vault.dir().join("away"));
    std::fs::rename(&there, &away).expect("is moved");
    let answer = vault.erase(id, "").await.expect("is accepted");
    let pending = answer.erasure.expect("is stated");
    assert_eq!((pending.state(), pending.waiting_slot_ids.len()), (ErasureState::Pending, 1));
    assert!(answer.receipt.is_none());

    // No call reads the person, and the caller's own id is free again.
    let receipt_id = pending.receipt_id.clone();
    assert_eq!(state(&vault, subject(id)).await, Ok((SubjectState::ErasurePending, receipt_id.clone())));
    assert_eq!(state(&vault, external(&external_id)).await, Err("NOT_FOUND".into()));
    let read = vault.read(id, &created.items[0].item_id).await.map_err(|status| reason(&status));
    assert_eq!(read.err().as_deref(), Some("ERASED"));
    let refused = vault.receipt(&receipt_id).await.map_err(|status| reason(&status));
    assert_eq!(refused.err().as_deref(), Some("STATE_TRANSITION_INVALID"));
    let found = verdict(&vault, verify_erasure_request::Target::ReceiptId(receipt_id.clone())).await;
    assert_eq!((found.verdict(), found.waiting_slot_ids), (ErasureVerdict::Pending, pending.waiting_slot_ids));

    vault.stop();
    std::fs::rename(&away, &there).expect("is moved back");
    vault.run("");
    let mut repeat = vault.erase(id, "").await.expect("is answered");
    for _ in 0..200 {
        if repeat.receipt.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        repeat = vault.erase(id, "").await.expect("is answered");
    }
    let erasure = repeat.erasure.expect("is stated");
    assert_eq!((erasure.state(), erasure.receipt_id), (ErasureState::Erased, receipt_id.clone()));
    let body = repeat.receipt.expect("a receipt").body;
    assert_eq!(vault.receipt(&receipt_id).await.expect("is there").body, body);
    assert_eq!(state(&vault, subject(id)).await, Ok((SubjectState::Erased, receipt_id)));
    let found = verdict(&vault, verify_erasure_request::Target::SubjectId(id.clone())).await;
    assert_eq!(found.verdict(), ErasureVerdict::Erased);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_erases_the_own_record_with_a_fresh_token_and_no_other() {
    let vault = TestVault::start();
    let (ann, ben) = (vault.canary(), vault.canary());
    let [of_ann, of_ben] = [person(&vault, &ann).await, person(&vault, &ben).await];
    let erase = async |age: u64, named: Option<SubjectRef>, key: &str| {
        let token = vault.token(&ann, Duration::from_secs(age));
        let mut client = PrivacyClient::new(vault.service(Some("subject")).with_token(&token));
        let context = Some(CallContext { idempotency_key: key.into(), ..vault.delivery().expect("is made") });
        let request = EraseSubjectRequest { context, subject: named, ..Default::default() };
        client.erase_subject(request).await.map(tonic::Response::into_inner).map_err(|status| reason(&status))
    };
    let own = || subject(&of_ann.subject_id);
    assert_eq!(erase(400, own(), "").await.err().as_deref(), Some("END_USER_TOKEN_STALE"));
    for other in [subject(&of_ben.subject_id), external(&ben)] {
        assert_eq!(erase(0, other, "").await.err().as_deref(), Some("NOT_FOUND"));
    }
    let erased = erase(0, own(), "k").await.expect("erases");
    let repeated = erase(0, own(), "k").await.expect("answers again");
    assert_eq!(erased.receipt.expect("a receipt").body, repeated.receipt.expect("a receipt").body);
    // Nobody is known under that id any more, so nothing is the caller's own.
    assert_eq!(erase(0, own(), "").await.err().as_deref(), Some("NOT_FOUND"));
    assert!(vault.read(&of_ben.subject_id, &of_ben.items[0].item_id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_meanwhile_is_refused_or_goes_too() {
    let mut vault = TestVault::start();
    let created = person(&vault, &vault.canary()).await;
    let id = created.subject_id.clone();
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let (mut client, id) = (vault.client("service"), id.clone());
        let requests: Vec<PutItemRequest> = (0..40)
            .map(|_| PutItemRequest {
                context: vault.delivery(),
                subject: subject(&id),
                item: Some(vault.item("contact")),
            })
            .collect();
        writers.spawn(async move {
            let mut outcomes = Vec::new();
            for request in requests {
                outcomes.push(client.put_item(request).await.map(drop).map_err(|status| reason(&status)));
            }
            outcomes
        });
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    let erased = vault.erase(&id, "").await.expect("erases");
    assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Erased);
    let outcomes: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    assert!(
        outcomes.iter().all(|outcome| outcome.is_ok() || outcome.as_ref().is_err_and(|reason| reason == "ERASED")),
        "{outcomes:?}"
    );
    vault.stop();
    let store = vault.store();
    let number: lacuna::base::id::SubjectId = id.parse().expect("an id");
    assert!(store.scan(Space::Item, number.as_bytes(), &[], 1).expect("reads").is_empty());
    for space in Space::ALL.iter().filter(|space| !matches!(space, Space::Subject | Space::Receipt)) {
        for (key, row) in store.scan(*space, &[], &[], usize::MAX).expect("reads") {
            let names = |bytes: &[u8]| bytes.windows(16).any(|part| part == number.as_bytes());
            // Records of repeatable changes hold random ids for a day; nothing opens what was sealed in them.
            assert!(*space == Space::Idempotency || !(names(&key) || names(&row)), "{}", space.name());
        }
    }
}

fn lacuna(arguments: &[&str]) -> Output {
    blocking(|| Command::new(env!("CARGO_BIN_EXE_lacuna")).args(arguments).output().expect("runs"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_on_paper_is_checked_without_the_vault() {
    let mut vault = TestVault::start();
    let created = person(&vault, &vault.canary()).await;
    let (dir, paper) = (vault.dir(), vault.dir().join("receipt.json"));
    let erase = |more: &[&str]| {
        let common = ["erase", &created.subject_id, "--dev", text(&dir), "--purpose", "legal_compliance"];
        lacuna(&[&common, more].concat())
    };
    let unsure = erase(&[]);
    assert_eq!(unsure.status.code(), Some(2), "nobody can be asked, so nothing is erased");
    assert!(vault.read(&created.subject_id, &created.items[0].item_id).await.is_ok());
    let erased = erase(&["--yes", "--ground", "request", "--receipt-out", text(&paper)]);
    let printed = String::from_utf8_lossy(&erased.stdout).into_owned();
    assert!(erased.status.success() && printed.contains("ERASED"), "{printed}");
    assert!(erase(&["--yes", "--receipt-out", text(&paper)]).status.code() == Some(1), "it is not written over");

    let description = vault.program().description();
    let [key, log_key] =
        ["receipt_vkey", "audit_vkey"].map(|name| description[name].as_str().expect("a key").to_owned());
    let message: Receipt = {
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&paper).expect("a file")).expect("JSON");
        vault.receipt(json["receipt_id"].as_str().expect("an id")).await.expect("is there")
    };
    let fetched = vault.dir().join("fetched.json");
    let get = ["receipt", "get", &message.receipt_id, "--dev", text(&dir), "--purpose", "legal_compliance"];
    assert!(lacuna(&[&get[..], &["--receipt-out", text(&fetched)]].concat()).status.success());
    let encoded = vault.dir().join("receipt.bin");
    std::fs::write(&encoded, message.encode_to_vec()).expect("is written");
    vault.stop();

    let verify =
        |file: &Path, more: &[&str]| lacuna(&[&["receipt", "verify", text(file), "--key", &key], more].concat());
    for file in [&paper, &fetched, &encoded] {
        let verified = verify(file, &["--log-key", &log_key]);
        let printed = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(verified.status.success() && printed.contains("ERASED: SUBJECT"), "{printed}");
        let told = verify(file, &["--output", "json"]);
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
        assert_eq!((&told["verdict"], &told["checkpoint_signatures"]), (&"ERASED".into(), &"not checked".into()));
    }
    let swapped = lacuna(&["receipt", "verify", text(&paper), "--key", &log_key]);
    assert_eq!(swapped.status.code(), Some(1));
    let mut forged = message.clone();
    forged.body[40] ^= 1;
    std::fs::write(&encoded, forged.encode_to_vec()).expect("is written");
    let refused = verify(&encoded, &["--log-key", &log_key, "--output", "json"]);
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stdout));
}
