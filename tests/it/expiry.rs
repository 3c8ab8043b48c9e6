//! What expires goes by itself, from the program that runs and from one that is killed on the way; and what is implausible
//! waits for a word.

use std::sync::Arc;
use std::time::Duration;

use lacuna::api::proto::audit_client::AuditClient;
use lacuna::api::proto::*;
use lacuna::base::time::{Clock as _, ManualClock, SystemClock, Timestamp};
use lacuna::gate::open::open;
use lacuna::retention::sweeper::{Bounds, Run, work};
use lacuna::server::assemble::parts;
use lacuna::server::config::Config;
use prost::Message as _;
use tokio::task::JoinSet;

use crate::cli::run;
use crate::documents::{opening, pdf};
use crate::holds::legal;
use crate::program::{blocking, subject};
use crate::samples::reason;
use crate::vault::TestVault;

/// A moment so long from now.
fn ahead(millis: i64) -> Option<lacuna::api::proto::well_known::Timestamp> {
    let at = SystemClock.now().as_millis() + millis;
    let nanos = (at.rem_euclid(1_000) * 1_000_000) as i32;
    Some(lacuna::api::proto::well_known::Timestamp { seconds: at.div_euclid(1_000), nanos })
}

/// Puts a contact that expires so many milliseconds from now. Its id.
pub async fn put_expiring(vault: &TestVault, subject_id: &str, millis: i64) -> String {
    let mut item = vault.item("contact");
    // Without free text, so that a correction of the date alone leaves the key as it is.
    item.metadata = Some(ItemMetadata { expire_time: ahead(millis), ..Default::default() });
    let request = PutItemRequest { context: vault.delivery(), subject: subject(subject_id), item: Some(item) };
    vault.client("service").put_item(request).await.expect("puts").into_inner().item.expect("a stamp").item_id
}

/// Makes an item expire now: its metadata is corrected.
pub async fn expire_now(vault: &TestVault, subject_id: &str, item_id: &str) {
    let request = UpdateItemRequest {
        context: vault.delivery(),
        subject: subject(subject_id),
        item_id: item_id.into(),
        metadata: Some(ItemMetadata { expire_time: ahead(0), ..Default::default() }),
        wait: Wait::Logical.into(),
        ..Default::default()
    };
    // The program may be killed on the way.
    let _ = vault.client("service").update_item(request).await;
}

/// Waits until an item is absent.
pub async fn await_absence(vault: &TestVault, subject_id: &str, item_id: &str) {
    for _ in 0..600 {
        match vault.read(subject_id, item_id).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(status) => return assert_eq!(reason(&status), "NOT_FOUND"),
        }
    }
    panic!("it does not expire");
}

/// The entries of an operation.
async fn entries(vault: &TestVault, operation: &str) -> Vec<AuditEntry> {
    let filter = Some(AuditFilter { operations: vec![operation.into()], ..Default::default() });
    let request = ListEntriesRequest { context: legal(vault), filter, ..Default::default() };
    let stream = AuditClient::new(vault.service(Some("auditor"))).list_entries(request).await.expect("lists");
    let messages = vault.gather(stream.into_inner()).await.expect("is listed");
    messages.into_iter().flat_map(|message| message.entries).collect()
}

async fn nothing_is_pending(vault: &TestVault) {
    for _ in 0..600 {
        if vault.status().await.pending_erasure_count == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("erasures stay pending");
}

/// Lets days pass for a stopped vault, with the program's own parts, and carries out what falls due.
pub fn let_days_pass(vault: &TestVault, days: i64) {
    blocking(|| {
        let config = Config::load(&vault.dir().join("lacuna.toml")).expect("a configuration");
        let start = SystemClock.now().as_millis();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(start)));
        let parts = parts(&config, false).expect("its parts");
        let running =
            open(lacuna::gate::open::Parts { accepts_e0: true, clock: clock.clone(), ..parts }).expect("opens");
        let bounds = Bounds { percent_max: 100, items_free: u64::MAX };
        for hours in (0..=days * 24).step_by(6) {
            clock.set(Timestamp::from_millis(start + hours * 3_600_000));
            let mut run = Run::default();
            while work(&running, bounds, &mut run).expect("a step") {}
            while running.epochs().pending() > 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert!(running.end(), "the store closes");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_a_document_and_nothing_else_go_when_they_expire_and_the_log_and_a_receipt_say_so() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let id = &created.subject_id;
    let item = put_expiring(&vault, id, 400).await;
    let mut open = opening(&vault, id);
    let metadata = ItemMetadata { expire_time: ahead(400), ..open.metadata.take().unwrap_or_default() };
    open.metadata = Some(metadata);
    let document = vault.store_opened(open, &pdf(&vault, 300_000)).await.item_id;
    await_absence(&vault, id, &item).await;
    await_absence(&vault, id, &document).await;
    vault.read(id, &created.items[0].item_id).await.expect("does not expire");
    nothing_is_pending(&vault).await;

    let begun = entries(&vault, "item.expired").await;
    assert_eq!(begun.len(), 2);
    for entry in &begun {
        assert_eq!((entry.outcome(), entry.role.as_str(), entry.subject_token.len()), (Outcome::Started, "", 0));
        let receipt = vault.receipt(&entry.receipt_id).await.expect("a receipt");
        let body = ReceiptBody::decode(&receipt.body[..]).expect("a statement");
        assert_eq!((body.scope(), body.key_count), (ErasureScope::Expiry, 1));
    }
    assert!(!entries(&vault, "items.expired").await.is_empty());
    vault.kill();
    vault.run("");
    await_absence(&vault, id, &item).await;
    assert_eq!(entries(&vault, "item.expired").await.len(), 2, "once");
    assert_eq!(vault.leaks(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_plausible_waits_and_says_so_until_the_privacy_officer_confirms_it() {
    let mut vault = TestVault::start();
    vault.stop();
    vault.edit("lacuna.toml", |text| text + "\n[limits]\ndue_percent_max = 10\ndue_items_free = 0\n");
    vault.run("");
    let created = vault.create(&["contact"]).await;
    let id = &created.subject_id;
    let item = put_expiring(&vault, id, 0).await;
    let mut stopped = None;
    for _ in 0..600 {
        stopped = vault.status().await.halted_sweep;
        if stopped.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sweep = stopped.expect("it stops");
    assert_eq!((sweep.halt(), sweep.due_count, sweep.done_count), (SweepHalt::Share, 1, 0));
    vault.read(id, &item).await.expect("is there still");
    assert!(vault.status().await.causes.iter().any(|cause| cause.contains("lacuna due")));
    for _ in 0..200 {
        if blocking(|| vault.program().metric("lacuna_sweep_stopped")) == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(blocking(|| vault.program().metric("lacuna_sweep_stopped")), 1);
    assert_eq!(entries(&vault, "sweep.stopped").await.len(), 1);
    vault.kill();
    vault.run("");
    let list = ListDueRequest { context: legal(&vault), ..Default::default() };
    let listed = vault.system("privacy-officer").list_due(list).await.expect("lists").into_inner();
    assert_eq!(listed.halted_sweep.as_ref(), Some(&sweep), "a restart changes nothing of it");
    let counted = listed.entries.iter().filter(|entry| entry.kind() == DueKind::ItemExpiry);
    assert_eq!(counted.map(|entry| (entry.class.as_str(), entry.count)).collect::<Vec<_>>(), [("contact", 1)]);

    let confirm = |etag: &str| ConfirmSweepRequest {
        context: legal(&vault),
        sweep_id: sweep.sweep_id.clone(),
        etag: etag.to_owned(),
    };
    let refused = async |client: &str, etag: &str| {
        let answer = vault.system(client).confirm_sweep(confirm(etag)).await;
        answer.map(|_| String::new()).unwrap_or_else(|status| reason(&status))
    };
    assert_eq!(refused("legal", &sweep.etag).await, "ACCESS_DENIED");
    assert_eq!(refused("privacy-officer", "s99").await, "ETAG_MISMATCH");
    assert_eq!(refused("privacy-officer", "").await, "FIELD_REQUIRED");
    let kinds = vec![DueKind::Request.into()];
    let list = ListDueRequest { context: legal(&vault), kinds, ..Default::default() };
    let status = vault.system("privacy-officer").list_due(list).await.expect_err("is not offered");
    assert_eq!(reason(&status), "NOT_IMPLEMENTED");
    let dir = vault.dir().to_string_lossy().into_owned();
    let said = blocking(|| run(&["due", "--dev", &dir], "", &[])).out;
    assert!(said.contains(&format!("--confirm {} {}", sweep.sweep_id, sweep.etag)), "{said}");
    let said = blocking(|| run(&["due", "--dev", &dir, "--items"], "", &[])).out;
    assert!(said.contains(&item) && said.contains(id) && said.contains("overdue"), "{said}");
    let said =
        blocking(|| run(&["due", "--dev", &dir, "--items", "--as", "operator", "--purpose", "security"], "", &[]));
    assert!(said.code != 0 && said.err.contains("ACCESS_DENIED") && !said.err.contains(&item), "{}", said.err);
    let confirmed = blocking(|| run(&["due", "--dev", &dir, "--confirm", &sweep.sweep_id, &sweep.etag], "", &[]));
    assert_eq!(confirmed.code, 0, "{}", confirmed.err);
    await_absence(&vault, id, &item).await;
    vault.read(id, &created.items[0].item_id).await.expect("does not expire");
    for _ in 0..600 {
        if !entries(&vault, "sweep.ended").await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(vault.status().await.halted_sweep, None);
    assert_eq!(vault.leaks(), vec![]);
}

/// Where a sweep is killed, and how often the point is passed before.
const KILLS: &[(&str, u32)] = &[
    ("sweep_step", 0),
    ("sweep_stepped", 0),
    ("epoch_prepared", 0),
    ("epoch_destroy_before", 0),
    ("slot_destroy_after", 3),
    ("epoch_finished", 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_a_sweep_loses_nothing_and_sweeps_once() {
    let mut origin = TestVault::start();
    let created = Arc::new(origin.create(&["contact"]).await);
    let mut due = Vec::new();
    for _ in 0..3 {
        due.push(put_expiring(&origin, &created.subject_id, 3_600_000).await);
    }
    origin.stop();
    let due = Arc::new(due);
    let mut kills = JoinSet::new();
    for (point, passed) in KILLS {
        let (vault, created, due) = (origin.fork(), created.clone(), due.clone());
        kills.spawn(killed(vault, created, due, point, *passed));
        if kills.len() == 3 {
            kills.join_next().await.expect("runs").expect("holds");
        }
    }
    kills.join_all().await;
}

async fn killed(
    mut vault: TestVault,
    created: Arc<CreateSubjectResponse>,
    due: Arc<Vec<String>>,
    point: &'static str,
    passed: u32,
) {
    let id = &created.subject_id;
    vault.run(&format!("{point}={passed}*off->return(kill)"));
    for item_id in due.iter() {
        expire_now(&vault, id, item_id).await;
    }
    vault.wait_for_death();
    vault.run("");
    vault.read(id, &created.items[0].item_id).await.expect("does not expire");
    await_absence(&vault, id, &due[0]).await;
    let mut begun = Vec::new();
    for _ in 0..200 {
        nothing_is_pending(&vault).await;
        let mut gone = 0;
        for item_id in due.iter() {
            gone += usize::from(vault.read(id, item_id).await.is_err());
        }
        begun = entries(&vault, "item.expired").await;
        if begun.len() == gone {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut receipts: Vec<&str> = begun.iter().map(|entry| entry.receipt_id.as_str()).collect();
    receipts.sort_unstable();
    receipts.dedup();
    assert_eq!(receipts.len(), begun.len(), "{point}: each once");
    for receipt in receipts {
        vault.receipt(receipt).await.unwrap_or_else(|status| panic!("{point}: {status}"));
    }
    let mut gone = 0;
    for item_id in due.iter() {
        gone += usize::from(vault.read(id, item_id).await.is_err());
    }
    assert_eq!((begun.len(), gone > 0), (gone, true), "{point}");
}
