//! The log through the API and the commands, as an auditor reads it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use lacuna::api::proto::audit_client::AuditClient;
use lacuna::api::proto::*;
use lacuna::audit::checkpoint::Checkpoint as Signed;
use lacuna::audit::note::VerifierKey;
use lacuna::audit::proof::{verify_consistency, verify_inclusion};
use lacuna::audit::tree::leaf_hash;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::cli::run;
use crate::program::subject;
use crate::samples::reason;
use crate::vault::{Recorded, TestVault};

fn auditor(vault: &TestVault) -> AuditClient<Recorded> {
    AuditClient::new(vault.service(Some("auditor")))
}

fn about(vault: &TestVault, subject_id: &str) -> ListEntriesRequest {
    let filter = Some(AuditFilter { subject: subject(subject_id), ..Default::default() });
    ListEntriesRequest { context: vault.context("legal_compliance"), filter, ..Default::default() }
}

async fn list(vault: &TestVault, request: ListEntriesRequest) -> Result<Vec<ListEntriesResponse>, Status> {
    vault.gather(auditor(vault).list_entries(request).await?.into_inner()).await
}

async fn entries(vault: &TestVault, request: ListEntriesRequest) -> Vec<AuditEntry> {
    list(vault, request).await.expect("is listed").into_iter().flat_map(|message| message.entries).collect()
}

/// The reason why a list is refused, and the words.
async fn refused(vault: &TestVault, request: ListEntriesRequest) -> (String, String) {
    match list(vault, request).await {
        Ok(_) => panic!("is not refused"),
        Err(status) => (reason(&status), status.message().to_owned()),
    }
}

fn operations(entries: &[AuditEntry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.operation.trim_start_matches("lacuna.v1.")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_read_this_is_answered_also_after_a_restart_and_by_the_callers_own_id() {
    let mut vault = TestVault::start();
    let external_id = vault.canary();
    let request =
        CreateSubjectRequest { context: vault.delivery(), external_id: external_id.clone(), ..Default::default() };
    let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
    let put = PutItemRequest {
        context: vault.delivery(),
        subject: subject(&created.subject_id),
        item: Some(vault.item("government_id")),
    };
    let item_id = vault.client("service").put_item(put).await.expect("puts").into_inner().item.expect("one").item_id;
    let other = vault.create(&["contact"]).await;
    for _ in 0..3 {
        vault.read(&created.subject_id, &item_id).await.expect("reads");
        vault.read(&other.subject_id, &other.items[0].item_id).await.expect("reads");
    }
    let denied = GetItemRequest {
        context: vault.delivery(),
        subject: subject(&created.subject_id),
        item_id: item_id.clone(),
        ..Default::default()
    };
    assert!(vault.client("support").get_item(denied).await.is_err(), "is denied");

    let wanted = ["Vault/CreateSubject", "Vault/PutItem"];
    let reads = ["Vault/GetItem"; 4];
    let before = entries(&vault, about(&vault, &created.subject_id)).await;
    assert_eq!(operations(&before), [&wanted[..], &reads[..]].concat());
    let read = &before[2];
    assert_eq!(
        (read.role.as_str(), read.purpose.as_str(), read.class.as_str()),
        ("service", "service_delivery", "government_id")
    );
    assert_eq!((read.decision(), read.outcome(), read.view()), (Decision::Allowed, Outcome::Ok, View::Plain));
    assert_eq!((read.rule_id.as_str(), read.item_count, read.subject_token.len()), ("service-delivers", 1, 16));
    let denied = &before[5];
    assert_eq!((denied.decision(), denied.reason()), (Decision::Denied, ErrorReason::AccessDenied));
    assert!(denied.actor.ends_with("/support") && denied.detail.is_none() && denied.leaf.is_empty());

    vault.kill();
    vault.run("");
    let by_external = SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(external_id)) };
    let filter = AuditFilter {
        subject: Some(by_external),
        operations: vec!["lacuna.v1.Vault/GetItem".into(), "lacuna.v1.Audit/ListEntries".into()],
        ..Default::default()
    };
    let request = ListEntriesRequest { filter: Some(filter), newest_first: true, ..about(&vault, "") };
    let after = entries(&vault, request).await;
    assert_eq!(operations(&after), [&["Audit/ListEntries"], &reads[..]].concat(), "who asked is found too");
    assert_eq!(
        after[1..].iter().rev().map(|entry| entry.index).collect::<Vec<_>>(),
        before[2..].iter().map(|entry| entry.index).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_recorded_before_its_first_entry_is_seen() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let mut stream =
        auditor(&vault).list_entries(about(&vault, &created.subject_id)).await.expect("opens").into_inner();
    let first = stream.message().await.expect("goes on").expect("a message");
    assert_eq!(operations(&first.entries), ["Vault/CreateSubject"]);
    vault.kill();
    vault.run("");
    let found = entries(&vault, about(&vault, &created.subject_id)).await;
    assert_eq!(operations(&found), ["Vault/CreateSubject", "Audit/ListEntries"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_token_is_of_one_query_for_one_purpose() {
    let vault = TestVault::start();
    for _ in 0..4 {
        vault.create(&[]).await;
    }
    let two = || ListEntriesRequest { context: vault.context("security"), limit: 2, ..Default::default() };
    let messages = list(&vault, two()).await.expect("is listed");
    let last = messages.last().expect("one");
    assert!(last.checkpoint.is_some());
    let resume_token = last.resume_token.clone();
    let done = entries(&vault, ListEntriesRequest { resume_token: resume_token.clone(), ..two() }).await;
    assert!(done.is_empty(), "the limit is that of the whole list");
    for request in [
        ListEntriesRequest { limit: 3, ..two() },
        ListEntriesRequest { newest_first: true, ..two() },
        ListEntriesRequest { context: vault.context("legal_compliance"), ..two() },
        ListEntriesRequest { filter: Some(AuditFilter { roles: vec!["kyc".into()], ..Default::default() }), ..two() },
    ] {
        let request = ListEntriesRequest { resume_token: resume_token.clone(), ..request };
        assert_eq!(refused(&vault, request).await.0, "RESUME_TOKEN_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_says_nothing_sensible_is_refused_by_field() {
    let vault = TestVault::start();
    let word = || vec!["nonsense".to_owned()];
    for (filter, expected, field) in [
        (AuditFilter { operations: word(), ..Default::default() }, "FIELD_INVALID", "filter.operations[0]"),
        (AuditFilter { roles: word(), ..Default::default() }, "FIELD_INVALID", "filter.roles[0]"),
        (AuditFilter { actors: word(), ..Default::default() }, "FIELD_INVALID", "filter.actors[0]"),
        (AuditFilter { decisions: vec![9], ..Default::default() }, "ENUM_UNKNOWN", "filter.decisions[0]"),
        (AuditFilter { outcomes: vec![0], ..Default::default() }, "ENUM_UNKNOWN", "filter.outcomes[0]"),
        (AuditFilter { request_id: "req_1".into(), ..Default::default() }, "ID_MALFORMED", "filter.request_id"),
        (AuditFilter { receipt_id: "x".into(), ..Default::default() }, "ID_MALFORMED", "filter.receipt_id"),
        (AuditFilter { subject: subject("x"), ..Default::default() }, "ID_MALFORMED", "filter.subject.subject_id"),
        (AuditFilter { classes: vec!["contact".into(); 65], ..Default::default() }, "FIELD_TOO_LONG", "filter.classes"),
    ] {
        let context = vault.context("security");
        let request = ListEntriesRequest { context, filter: Some(filter), ..Default::default() };
        let (reason, message) = refused(&vault, request).await;
        assert_eq!(reason, expected);
        assert!(message.contains(field) && !message.contains("nonsense"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_sees_what_happens_and_its_end_is_recorded() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let filter = Some(AuditFilter { operations: vec!["lacuna.v1.Vault/GetItem".into()], ..Default::default() });
    let request = TailEntriesRequest { context: vault.context("security"), filter, ..Default::default() };
    let mut tail = auditor(&vault).tail_entries(request).await.expect("opens").into_inner();
    for _ in 0..5 {
        vault.read(&created.subject_id, &created.items[0].item_id).await.expect("reads");
        let message = tokio::time::timeout(Duration::from_secs(10), tail.message()).await.expect("is live");
        let message = message.expect("goes on").expect("a message");
        assert_eq!(operations(&message.entries), ["Vault/GetItem"]);
        assert_eq!(message.next_index, message.entries[0].index + 1);
    }
    drop(tail);
    let filter = Some(AuditFilter { operations: vec!["lacuna.v1.Audit/TailEntries".into()], ..Default::default() });
    for _ in 0..200 {
        let request =
            ListEntriesRequest { context: vault.context("security"), filter: filter.clone(), ..Default::default() };
        let found = entries(&vault, request).await;
        if found.len() == 2 {
            assert_eq!((found[0].outcome(), found[1].outcome()), (Outcome::Started, Outcome::Ok));
            assert_eq!((found[1].item_count, &found[1].request_id), (5, &found[0].request_id));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the end of the tail is not recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_tails() {
    let mut vault = TestVault::start();
    let request = TailEntriesRequest { context: vault.context("security"), ..Default::default() };
    let mut tail = auditor(&vault).tail_entries(request).await.expect("opens").into_inner();
    let ended = tokio::spawn(async move {
        loop {
            match tail.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return String::new(),
                Err(status) => return reason(&status),
            }
        }
    });
    let began = std::time::Instant::now();
    vault.stop();
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(ended.await.expect("ends"), "SHUTTING_DOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_is_proved_against_a_checkpoint_with_the_public_key_alone() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let vkey = vault.program().description()["audit_vkey"].as_str().expect("a key").to_owned();
    let key: VerifierKey = vkey.parse().expect("a key");
    let open = |checkpoint: &Option<Checkpoint>| {
        Signed::open(&checkpoint.as_ref().expect("a checkpoint").note, std::slice::from_ref(&key)).expect("is signed")
    };
    let context = || vault.context("legal_compliance");
    let old = GetCheckpointRequest { context: context(), tree_size_min: 1 };
    let old = open(&auditor(&vault).get_checkpoint(old).await.expect("signs").into_inner().checkpoint);

    let parts = Some(AuditParts { leaf: true, sealed_detail: true, detail: false });
    let messages =
        list(&vault, ListEntriesRequest { parts, ..about(&vault, &created.subject_id) }).await.expect("listed");
    let entry = &messages[0].entries[0];
    assert!(!entry.sealed_detail.is_empty() && entry.detail.is_none());
    let covering = open(&messages.last().expect("one").checkpoint);
    assert!(covering.size > entry.index);

    let asked = GetInclusionProofRequest { context: context(), leaf_index: entry.index, tree_size: covering.size };
    let proven = auditor(&vault).get_inclusion_proof(asked).await.expect("proves").into_inner();
    let proof = proven.proof.expect("a proof");
    let path =
        |path: &[Vec<u8>]| path.iter().map(|hash| hash[..].try_into().expect("32 bytes")).collect::<Vec<[u8; 32]>>();
    let hash = leaf_hash(&entry.leaf);
    assert_eq!(proof.leaf_hash, hash);
    verify_inclusion(&hash, entry.index, covering.size, &path(&proof.path), &covering.root).expect("verifies");
    assert!(open(&proven.checkpoint).size >= covering.size);

    let asked = GetConsistencyProofRequest { context: context(), old_size: old.size, new_size: 0 };
    let proven = auditor(&vault).get_consistency_proof(asked).await.expect("proves").into_inner();
    let (new, proof) = (open(&proven.checkpoint), proven.proof.expect("a proof"));
    assert_eq!(proof.new_size, new.size);
    verify_consistency((old.size, &old.root), (new.size, &new.root), &path(&proof.path)).expect("verifies");

    let beyond = GetInclusionProofRequest { context: context(), leaf_index: 1 << 40, tree_size: 0 };
    let status = auditor(&vault).get_inclusion_proof(beyond).await.expect_err("is refused");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "INDEX_OUT_OF_RANGE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn details_open_for_a_stated_case_only_and_each_release_is_in_the_log() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    vault.read(&created.subject_id, &created.items[0].item_id).await.expect("reads");
    let parts = Some(AuditParts { detail: true, ..Default::default() });
    let asked = ListEntriesRequest { parts, ..about(&vault, &created.subject_id) };
    for context in [
        CallContext { ticket: String::new(), ..vault.context("legal_compliance").expect("is made") },
        vault.context("security").expect("is made"),
    ] {
        let request = ListEntriesRequest { context: Some(context), ..asked.clone() };
        assert_eq!(refused(&vault, request).await.0, "ACCESS_DENIED");
    }
    let found = entries(&vault, asked.clone()).await;
    let read = found.iter().find(|entry| entry.operation.ends_with("/GetItem")).expect("is listed");
    let detail = read.detail.as_ref().expect("opens");
    assert_eq!(detail.items[0].item_id, created.items[0].item_id);
    assert!(detail.peer_address.starts_with("127.0.0.1:") && !detail.ticket.is_empty());
    let released = entries(&vault, about(&vault, &created.subject_id)).await;
    let released: Vec<_> = released.iter().filter(|entry| entry.operation == "details.opened").collect();
    assert_eq!(released.len(), 1);
    let opened = found.iter().filter(|entry| entry.detail.is_some()).count();
    assert_eq!((released[0].item_count, released[0].outcome()), (opened as u64, Outcome::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_list_follow_and_print_a_checkpoint() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let dir = vault.dir();
    let on = |arguments: &[&str]| {
        let ran = run(&[&["audit"], arguments, &["--dev", dir.to_str().expect("UTF-8")]].concat(), "", &[]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        ran.out
    };
    let table = on(&["list", "--subject", &created.subject_id]);
    assert!(table.starts_with("   INDEX  TIME") && table.contains("CreateSubject"), "{table}");
    assert!(table.contains("1 entries; a checkpoint over "), "{table}");
    let lines = on(&["list", "--operation", "CreateSubject", "--since", "2020-01-01", "--output", "json", "--leaf"]);
    let entry: Value = serde_json::from_str(lines.trim()).expect("one line of JSON");
    assert_eq!(entry["operation"], json!("lacuna.v1.Vault/CreateSubject"));
    assert!(entry["time"].as_str().is_some_and(|time| time.ends_with('Z')) && entry["leaf"].is_string());
    let purpose = ["--purpose", "legal_compliance", "--ticket", "case-7"];
    let opened =
        on(&[&["list", "--detail", "--subject", &created.subject_id, "--newest-first"], &purpose[..]].concat());
    assert!(opened.contains("ticket: ") && opened.contains("from: 127.0.0.1:"), "{opened}");
    let note = on(&["checkpoint"]);
    assert!(note.lines().count() >= 5 && note.contains("\n\n— "), "{note}");
    assert!(on(&["list", "--until", "2020-01-01"]).contains("0 entries"));

    let mut tail = Command::new(env!("CARGO_BIN_EXE_lacuna"));
    tail.args(["audit", "tail", "--start-index", "0", "--output", "json", "--dev"]).arg(&dir);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(tail.stdout.take().expect("is piped")).read_line(&mut line).expect("a line");
    tail.kill().expect("it runs");
    tail.wait().expect("ends");
    let entry: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(entry["operation"], json!("bindings.changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_person_behind_an_actor_id_is_named_in_opened_details_only() {
    let vault = TestVault::start();
    let request = GetStatusRequest { context: vault.context("security") };
    vault.system("key-admin").get_status(request).await.expect("tells");
    let filter = AuditFilter { roles: vec!["key-admin".into()], ..Default::default() };
    let asked = |detail| ListEntriesRequest {
        context: vault.context("legal_compliance"),
        filter: Some(filter.clone()),
        parts: Some(AuditParts { detail, ..Default::default() }),
        ..Default::default()
    };
    let closed = entries(&vault, asked(false)).await;
    assert!(closed.len() == 1 && closed[0].actor.starts_with("act_") && closed[0].detail.is_none());
    let opened = entries(&vault, asked(true)).await;
    assert!(!opened[0].detail.as_ref().expect("opens").operator_name.is_empty());
}
