//! A log of a million entries: how long it takes to start, to find a person's entries, to export it and to verify it.
//! `scripts/reliability log` runs this; `LACUNA_ENTRIES` sets how many.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lacuna::api::proto::audit_client::AuditClient;
use lacuna::api::proto::*;
use serde_json::json;
use tokio::task::JoinSet;

use crate::cli;
use crate::figures;
use crate::program::{blocking, contact, context, subject};
use crate::vault::TestVault;

/// People; each batch reads one item of each, which leaves as many entries.
const PEOPLE: u64 = 1_000;
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; scripts/reliability log runs it"]
async fn a_long_log_starts_answers_exports_and_verifies() {
    let entries: u64 = std::env::var("LACUNA_ENTRIES").map_or(1_000_000, |text| text.parse().expect("a number"));
    let mut vault = TestVault::start();
    vault.stop();
    vault.edit("lacuna.toml", |text| text.replace("level = \"trace\"", "level = \"warn\""));
    vault.run("");
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        let request =
            CreateSubjectRequest { context: context(), items: vec![contact("Somebody")], ..Default::default() };
        people.push(vault.client("service").create_subject(request).await.expect("creates").into_inner());
    }
    let began = Instant::now();
    fill(&vault, &people, entries).await;
    let filled = began.elapsed();

    vault.kill();
    let began = Instant::now();
    blocking(|| vault.run(""));
    let restart = began.elapsed();

    let (found, first, all) = entries_about(&vault, &people[17].subject_id).await;
    assert!(found as u64 >= entries / PEOPLE - 1, "{found} entries about one of {PEOPLE}");

    let folder = tempfile::tempdir().expect("a directory");
    let (dir, folder) = (vault.dir(), folder.path().join("export"));
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let key = vault.program().description()["audit_vkey"].as_str().expect("a key").to_owned();
    let began = Instant::now();
    let exported = blocking(|| cli::run(&["audit", "export", &text(&folder), "--dev", &text(&dir)], "", &[]));
    assert_eq!((exported.code, exported.err.as_str()), (0, ""));
    let export = began.elapsed();
    let began = Instant::now();
    let (report, peak) = blocking(|| verify(&text(&folder), &key));
    let verified = began.elapsed();
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let size = report["size"].as_u64().expect("a number");
    assert!(size >= entries);
    let store = vault.status().await.store.expect("is told").size_bytes;
    figures::note(
        0,
        "a long log",
        None,
        json!({
            "entries": size, "store_mib": store >> 20, "fill_s": filled.as_secs(),
            "restart_ms": restart.as_millis() as u64,
            "entries_about_one_person": found, "first_of_them_ms": first, "all_of_them_ms": all,
            "export_s": export.as_secs_f64(),
            "verify_s": verified.as_secs_f64(), "verify_peak_mib": peak >> 10,
        }),
    );
}

/// The report, and the most memory it took, in KiB.
fn verify(folder: &str, key: &str) -> (String, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacuna"));
    command.args(["audit", "verify", folder, "--key", key, "--output", "json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut peak = 0;
    while child.try_wait().expect("can be asked").is_none() {
        peak = peak.max(memory_kib(&child));
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = child.wait_with_output().expect("ends");
    assert!(ended.status.success(), "the log does not verify");
    (String::from_utf8(ended.stdout).expect("UTF-8"), peak)
}

fn memory_kib(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

async fn fill(vault: &TestVault, people: &[CreateSubjectResponse], entries: u64) {
    let one = |person: &CreateSubjectResponse| GetItemEntry {
        subject: subject(&person.subject_id),
        item_id: person.items[0].item_id.clone(),
        ..Default::default()
    };
    let batch =
        BatchGetItemsRequest { context: context(), entries: people.iter().map(one).collect(), ..Default::default() };
    let mut tasks = JoinSet::new();
    for _ in 0..entries.div_ceil(PEOPLE) {
        if tasks.len() == AT_ONCE {
            tasks.join_next().await.expect("runs").expect("reads");
        }
        let (mut service, batch) = (vault.client("service"), batch.clone());
        tasks.spawn(async move {
            let mut answer = service.batch_get_items(batch).await.expect("reads").into_inner();
            while answer.message().await.expect("reads").is_some() {}
        });
    }
    tasks.join_all().await;
}

/// How many there are, and the milliseconds until the first and until the last of them.
async fn entries_about(vault: &TestVault, subject_id: &str) -> (usize, u64, u64) {
    let mut auditor = AuditClient::new(vault.service(Some("auditor")));
    let filter = AuditFilter { subject: subject(subject_id), ..Default::default() };
    let request = ListEntriesRequest { context: vault.context("security"), filter: Some(filter), ..Default::default() };
    let began = Instant::now();
    let mut answer = auditor.list_entries(request).await.expect("is open to auditors").into_inner();
    let (mut found, mut first) = (0, None);
    while let Some(message) = answer.message().await.expect("lists") {
        found += message.entries.len();
        if found > 0 {
            first.get_or_insert(began.elapsed().as_millis() as u64);
        }
    }
    (found, first.unwrap_or_default(), began.elapsed().as_millis() as u64)
}
