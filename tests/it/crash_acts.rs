//! Row 2: killed at every named step (`crash::KILLS`) of a correction and of the release of a hold, as of the deletions and
//! erasures in `crash`: all of it or nothing, and a repeat of the call is told the same.
//!
//! The short form takes each point once for each of its outcomes.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lacuna::api::proto::holds_client::HoldsClient;
use lacuna::api::proto::*;
use serde_json::json;
use tokio::task::JoinSet;
use tonic::Status;

use crate::crash::{Asked, KILLS};
use crate::figures;
use crate::holds::{LEGAL, approved, kept, named, open, placed, release_of};
use crate::program::subject;
use crate::samples::{full_name, reason};
use crate::vault::{Recorded, TestVault};

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_a_correction_leaves_one_value_and_one_receipt() {
    let mut origin = TestVault::start();
    let created = origin.create(&["contact"]).await;
    let old = origin.read(&created.subject_id, &created.items[0].item_id).await.expect("reads");
    let correction = UpdateItemRequest {
        context: origin.repeatable(&origin.canary()),
        subject: subject(&created.subject_id),
        item_id: created.items[0].item_id.clone(),
        value: origin.item("contact").value,
        wait: Wait::Erased.into(),
        ..Default::default()
    };
    let scene = Arc::new(Correction { old, correction });
    origin.stop();
    let kills = at_every_point(&origin, &scene, corrected).await;
    figures::note(2, "killed at every named step of a correction", None, json!({ "kills": kills, "wrong": 0 }));
}

struct Correction {
    old: Item,
    correction: UpdateItemRequest,
}

async fn corrected(mut vault: TestVault, scene: Arc<Correction>, name: String, asked: Asked) {
    let Correction { old, correction } = &*scene;
    let correct = async |vault: &TestVault| {
        let answer = vault.client("service").update_item(correction.clone()).await?.into_inner();
        Ok::<_, Status>((answer.item.expect("is named"), answer.erasure.expect("is stated")))
    };
    assert!(correct(&vault).await.is_err(), "{name}: killed before it could answer");
    let asked_before_death = asked;
    die(&mut vault, asked);
    let read = async |vault: &TestVault, version: u64| {
        let (id, item_id) = (old.subject_id.as_str(), old.item_id.clone());
        let request =
            GetItemRequest { context: vault.delivery(), subject: subject(id), item_id, version, ..Default::default() };
        let answer = vault.client("service").get_item(request).await.map_err(|status| reason(&status))?;
        Ok::<_, String>(full_name(&answer.into_inner().item.expect("an item")).expect("a contact").to_owned())
    };
    let name_of = |value: &Option<ItemValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(item_value::Value::Contact(contact)) => contact.full_name.clone(),
        _ => panic!("a contact"),
    };
    let (before, after) = (name_of(&old.value), name_of(&correction.value));
    let expected = if asked_before_death == Asked::Not { &before } else { &after };
    assert_eq!(read(&vault, 0).await.as_ref(), Ok(expected), "{name}");

    let (first, second) = (correct(&vault).await.expect(&name), correct(&vault).await.expect(&name));
    assert_eq!((first.0.version, first.1.state()), (2, ErasureState::Erased), "{name}");
    assert_eq!((&first.0, &first.1.receipt_id), (&second.0, &second.1.receipt_id), "{name}: a repeat is the same");
    assert_eq!((read(&vault, 0).await, read(&vault, 1).await), (Ok(after), Err("NOT_FOUND".into())), "{name}");
    let bodies = [vault.receipt(&first.1.receipt_id).await, vault.receipt(&first.1.receipt_id).await];
    let [one, other] = bodies.map(|receipt| receipt.expect(&name).body);
    assert_eq!(one, other, "{name}");
    well(&vault, &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_a_release_keeps_what_is_held_or_forgets_it_once() {
    let mut origin = TestVault::start();
    let created = origin.create(&["contact"]).await;
    let (id, item_id) = (&created.subject_id, &created.items[0].item_id);
    let matter = open(&origin).await;
    let hold_id = placed(&origin, &matter, id, named(&[(item_id, 0)])).await;
    assert_eq!(origin.delete(id, item_id).await.expect("deletes").state(), ErasureState::Kept);
    let mut request = release_of(&origin, &hold_id);
    request.context.as_mut().expect("is set").idempotency_key = origin.canary();
    let release = approved(&origin, &request).await;
    origin.stop();
    let scene = Arc::new(Release { item_id: item_id.clone(), release });
    let kills = at_every_point(&origin, &scene, released).await;
    figures::note(2, "killed at every named step of a hold's release", None, json!({ "kills": kills, "wrong": 0 }));
}

struct Release {
    item_id: String,
    release: ReleaseHoldRequest,
}

async fn released(mut vault: TestVault, scene: Arc<Release>, name: String, asked: Asked) {
    let Release { item_id, release } = &*scene;
    let holds = |vault: &TestVault| HoldsClient::<Recorded>::new(vault.service(Some(LEGAL)));
    assert!(holds(&vault).release_hold(release.clone()).await.is_err(), "{name}: killed before it could answer");
    die(&mut vault, asked);
    let read = async |vault: &TestVault| kept(vault, LEGAL, item_id, 0).await.map(drop).map_err(|s| reason(&s));
    let expected = if asked == Asked::Not { Ok(()) } else { Err("NOT_FOUND".to_owned()) };
    assert_eq!(read(&vault).await, expected, "{name}");

    let again = async || holds(&vault).release_hold(release.clone()).await.expect(&name).into_inner();
    let first = again().await;
    assert_eq!(read(&vault).await, Err("NOT_FOUND".into()), "{name}");
    for _ in 0..200 {
        if again().await.hold.expect("a hold").state() == HoldState::Released {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let second = again().await;
    assert_eq!(second.hold.expect("a hold").state(), HoldState::Released, "{name}");
    assert_eq!(first.supplementary_receipt_ids.len(), 1, "{name}");
    assert_eq!(first.supplementary_receipt_ids, second.supplementary_receipt_ids, "{name}: a repeat is the same");
    assert!(!vault.receipt(&first.supplementary_receipt_ids[0]).await.expect(&name).body.is_empty());
    well(&vault, &name).await;
}

/// Kills a copy of the origin at each point while it does something. How many that were.
async fn at_every_point<S: Send + Sync + 'static, F: Future<Output = ()> + Send + 'static>(
    origin: &TestVault,
    scene: &Arc<S>,
    act: fn(TestVault, Arc<S>, String, Asked) -> F,
) -> usize {
    let at_length = std::env::var_os("LACUNA_RELIABILITY").is_some();
    let (mut seen, mut kills, mut running) = (BTreeSet::new(), 0, JoinSet::new());
    for (point, passed, asked) in KILLS {
        if !seen.insert((*point, *asked as u8)) && !at_length {
            continue;
        }
        let mut vault = origin.fork();
        // The log's thread stands still, so that every batch that is counted is the act's.
        vault.run(&format!("{point}={passed}*off->return(kill);log_round=pause"));
        let name = format!("{point}, passed {passed} times before");
        if running.len() == 4 {
            running.join_next().await.expect("runs").expect("holds");
        }
        running.spawn(act(vault, scene.clone(), name, *asked));
        kills += 1;
    }
    running.join_all().await;
    kills
}

/// Waits for the kill; kills again at the step where the recovery has just finished the epoch; and starts anew.
fn die(vault: &mut TestVault, asked: Asked) {
    vault.wait_for_death();
    if asked == Asked::Pending {
        vault.run_to_death("epoch_finished=return(kill)");
    }
    vault.run("");
}

async fn well(vault: &TestVault, name: &str) {
    let status = vault.status().await;
    assert_eq!((status.state(), status.pending_erasure_count), (VaultState::Serving, 0), "{name}");
}
