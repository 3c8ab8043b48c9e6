//! The erasure of a person of more items than one batch takes: killed between any two batches it goes on by itself, and
//! what was held when it was asked for is kept, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lacuna::api::proto::*;
use lacuna::base::limits::PARTING_ITEMS_MAX;
use prost::Message as _;
use serde_json::json;
use tokio::task::JoinSet;

use crate::cli::run;
use crate::figures;
use crate::holds::{LEGAL, holds, kept, legal, named, open, placed, refused, release_of, verdict, whole};
use crate::program::{blocking, subject};
use crate::samples::{named as contact, reason};
use crate::vault::TestVault;

/// Each named point, how often it is passed before it kills, and whether the erasure was asked for by then.
const KILLS: &[(&str, u32, bool)] = &[
    // The batches: the request, two steps, the one that lodges the intent; then those of the epoch.
    ("commit_before", 0, false),
    ("commit_after", 0, true),
    ("commit_before", 1, true),
    ("commit_after", 1, true),
    ("commit_before", 2, true),
    ("commit_before", 3, true),
    ("commit_after", 3, true),
    ("parting_step", 0, true),
    ("parting_stepped", 0, true),
    ("parting_step", 1, true),
    ("parting_stepped", 1, true),
    ("parting_lodged", 0, true),
    ("epoch_prepared", 0, true),
    ("epoch_finished", 0, true),
];

struct Scene {
    subject_id: String,
    items: Vec<String>,
    held: BTreeSet<String>,
}

impl Scene {
    /// Somebody of whose many items a few are held.
    async fn make(vault: &TestVault) -> Self {
        let subject_id = vault.create(&[]).await.subject_id;
        let mut items = Vec::new();
        for count in [PARTING_ITEMS_MAX, 30] {
            // Without canaries: every answer is searched for each.
            let item = NewItem { class: "contact".into(), value: Some(contact("Ann")), ..Default::default() };
            let entry =
                |_| PutItemEntry { subject: subject(&subject_id), item: Some(item.clone()), ..Default::default() };
            let entries = (0..count).map(entry).collect();
            let batch = BatchPutItemsRequest { context: vault.delivery(), entries, ..Default::default() };
            let results = vault.client("service").batch_put_items(batch).await.expect("answers").into_inner().results;
            items.extend(results.into_iter().map(|result| match result.outcome.expect("is told") {
                put_item_result::Outcome::Success(stored) => stored.item.expect("is named").item_id,
                put_item_result::Outcome::Error(error) => panic!("{error:?}"),
            }));
        }
        let held: BTreeSet<String> = items.iter().step_by(100).cloned().collect();
        Self { subject_id, items, held }
    }

    fn named(&self) -> place_hold_request::Scope {
        named(&self.held.iter().map(|item| (&item[..], 0)).collect::<Vec<_>>())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_batches_the_erasure_goes_on_by_itself() {
    let mut origin = TestVault::start();
    let scene = Arc::new(Scene::make(&origin).await);
    let matter = open(&origin).await;
    placed(&origin, &matter, &scene.subject_id, scene.named()).await;
    origin.stop();
    let mut kills = JoinSet::new();
    for (point, passed, asked) in KILLS {
        if kills.len() == 4 {
            kills.join_next().await.expect("runs").expect("holds");
        }
        kills.spawn(killed(origin.fork(), scene.clone(), point, *passed, *asked));
    }
    kills.join_all().await;
    let name = "killed at every step of the erasure of a person of many items";
    figures::note(2, name, None, json!({ "kills": KILLS.len(), "wrong": 0 }));
}

async fn killed(mut vault: TestVault, scene: Arc<Scene>, point: &'static str, passed: u32, asked: bool) {
    let name = format!("{point}, passed {passed} times before");
    let (id, key) = (&scene.subject_id, vault.canary());
    vault.run(&format!("{point}={passed}*off->return(kill);log_round=pause"));
    assert!(vault.erase(id, &key).await.is_err(), "{name}: killed before it could answer");
    vault.wait_for_death();
    vault.run("");
    if asked {
        // Nobody asks again.
        assert_eq!(
            vault.read(id, &scene.items[0]).await.map_err(|e| reason(&e)).err(),
            Some("ERASED".into()),
            "{name}"
        );
        let mut found = ended(&vault, id).await;
        for _ in 0..400 {
            if found.verdict() == ErasureVerdict::PartlyKept {
                break;
            }
            assert_eq!(found.verdict(), ErasureVerdict::Pending, "{name}");
            tokio::time::sleep(Duration::from_millis(25)).await;
            found = ended(&vault, id).await;
        }
        assert_eq!(found.verdict(), ErasureVerdict::PartlyKept, "{name}");
    } else {
        assert!(vault.read(id, &scene.items[0]).await.is_ok(), "{name}");
    }
    let again = async |key: &str| vault.erase(id, key).await.expect("is answered").receipt.expect("a receipt");
    let (first, second) = (again(&key).await, again("").await);
    assert_eq!((&first.body, &first.signature), (&second.body, &second.signature), "{name}: one statement");
    let body = ReceiptBody::decode(&first.body[..]).expect("a statement");
    let listed: BTreeSet<String> = body.kept_items.iter().map(|kept| kept.item_id.clone()).collect();
    assert_eq!((listed.len(), &listed), (body.kept_items.len(), &scene.held), "{name}: each once");
    let (all, held) = (scene.items.len(), scene.held.len());
    assert_eq!(body.key_count as usize, all - held + 2 + (all + 2).div_ceil(64) + 1, "{name}");
    assert_eq!(verdict(&vault, &first.receipt_id).await, (ErasureVerdict::PartlyKept, held as u64), "{name}");
    for item in scene.items.iter().step_by(50) {
        let told = kept(&vault, LEGAL, item, 0).await.map(drop).map_err(|status| reason(&status));
        let expected = if scene.held.contains(item) { Ok(()) } else { Err("NOT_FOUND".to_owned()) };
        assert_eq!(told, expected, "{name}");
    }
    let status = vault.status().await;
    assert_eq!((status.state(), status.pending_erasure_count), (VaultState::Serving, 0), "{name}");
}

/// What the erasure of a person has come to.
async fn ended(vault: &TestVault, subject_id: &str) -> VerifyErasureResponse {
    let target = Some(verify_erasure_request::Target::SubjectId(subject_id.into()));
    let request = VerifyErasureRequest { context: vault.context("legal_compliance"), target };
    vault.privacy("privacy-officer").verify_erasure(request).await.expect("looks").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn between_two_steps_no_hold_comes_and_none_goes() {
    let mut vault = TestVault::start();
    let scene = Scene::make(&vault).await;
    let matter = open(&vault).await;
    let hold = placed(&vault, &matter, &scene.subject_id, scene.named()).await;
    vault.kill();
    vault.run("parting_step=pause");
    let request = EraseSubjectRequest {
        context: vault.context("legal_compliance"),
        subject: subject(&scene.subject_id),
        wait: Wait::Logical.into(),
        ..Default::default()
    };
    let mut privacy = vault.privacy("privacy-officer");
    let asked = privacy.erase_subject(request).await.expect("is durable").into_inner().erasure.expect("is stated");
    assert_eq!(asked.state(), ErasureState::Pending);
    let held = scene.held.first().expect("one");
    let check = async |vault: &TestVault| {
        let placing = PlaceHoldRequest {
            context: legal(vault),
            matter_id: matter.clone(),
            subject: subject(&scene.subject_id),
            scope: Some(whole(&[], true)),
            ..Default::default()
        };
        assert_eq!(refused(holds(vault, LEGAL).place_hold(placing).await), "ERASED");
        assert_eq!(refused(holds(vault, LEGAL).release_hold(release_of(vault, &hold)).await), "CONFLICT");
        assert_eq!(refused(kept(vault, LEGAL, held, 0).await), "CONFLICT");
        assert_eq!(ended(vault, &scene.subject_id).await.verdict(), ErasureVerdict::Pending);
        assert_eq!(vault.status().await.pending_erasure_count, 1);
    };
    check(&vault).await;
    // The same after a restart.
    vault.kill();
    vault.run("parting_step=pause");
    check(&vault).await;
    vault.kill();
    vault.run("");
    for _ in 0..400 {
        if ended(&vault, &scene.subject_id).await.verdict() != ErasureVerdict::Pending {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(verdict(&vault, &asked.receipt_id).await, (ErasureVerdict::PartlyKept, scene.held.len() as u64));
    assert!(kept(&vault, LEGAL, held, 0).await.is_ok());
    // By its id alone, and as the legal role unless another is named.
    let dir = vault.dir().to_string_lossy().into_owned();
    let get = ["item", "get", "--dev", &dir, "--item", held, "--output", "json"];
    let shown = blocking(|| run(&get, "", &[]));
    assert!(shown.code == 0 && shown.out.contains(&asked.receipt_id) && shown.out.contains(held), "{}", shown.err);
    let other = blocking(|| run(&[&get[..], &["--as", "service"]].concat(), "", &[]));
    assert!(other.code != 0 && other.out.is_empty(), "{}", other.out);
    let status = holds(&vault, LEGAL).release_hold(release_of(&vault, &hold)).await;
    assert_eq!(refused(status), "APPROVAL_REQUIRED", "it can be released now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_too_long_for_a_statement_is_got_and_checked_by_commands() {
    let vault = TestVault::start();
    let scene = Scene::make(&vault).await;
    let matter = open(&vault).await;
    placed(&vault, &matter, &scene.subject_id, whole(&[], true)).await;
    let answer = vault.erase(&scene.subject_id, "").await.expect("is answered");
    let receipt = answer.receipt.expect("a receipt");
    assert_eq!((receipt.kept_items.len(), receipt.keep_reason_openings.len()), (0, 0));
    let dir = vault.dir();
    let text = std::fs::read_to_string(dir.join("dev.json")).expect("reads");
    let known: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let key = |name: &str| known[name].as_str().expect("a key").to_owned();
    let (receipt_key, log_key, dir) = (key("receipt_vkey"), key("audit_vkey"), dir.to_string_lossy().into_owned());
    let got = |more: &[&str], client: &str, name: &str| {
        let file = vault.dir().join(name).to_string_lossy().into_owned();
        let get =
            ["receipt", "get", &receipt.receipt_id, "--dev", &dir, "--as", client, "--purpose", "legal_compliance"];
        let ran = run(&[&get[..], &["--receipt-out", &file], more].concat(), "", &[]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let verify = ["receipt", "verify", &file, "--key", &receipt_key, "--log-key", &log_key, "--output", "json"];
        let ran = run(&verify, "", &[]);
        let said: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
        (said, std::fs::read_to_string(&file).expect("reads"))
    };
    let count = json!(scene.items.len());
    blocking(|| {
        let (said, _) = got(&[], "privacy-officer", "bare.json");
        assert_eq!((&said["verdict"], &said["kept_items"]), (&json!("PARTLY_KEPT"), &count));
        assert_eq!(said["kept_items_listed"], json!(false));
        for (client, opens) in [("auditor", false), (LEGAL, true)] {
            let (said, text) = got(&["--kept-items"], client, &format!("{client}.json"));
            assert_eq!((&said["kept_items"], &said["kept_items_listed"]), (&count, &json!(true)));
            assert!(scene.items.iter().all(|item| text.contains(item)), "all of them");
            assert_eq!(text.contains("salt"), opens, "{client}");
        }
        let path = vault.dir().join("bare.json");
        let text = std::fs::read_to_string(vault.dir().join("auditor.json")).expect("reads");
        std::fs::write(&path, text.replacen(&scene.items[0], &scene.items[1], 1)).expect("writes");
        let verify = ["receipt", "verify", &path.to_string_lossy(), "--key", &receipt_key];
        let ran = run(&verify, "", &[]);
        assert!(ran.code != 0 && ran.err.contains("list of kept items"), "{}", ran.err);
    });
}
