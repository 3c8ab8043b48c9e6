//! People's tokens, on the real program: what a service may do with one, and how issuers' keys come and go.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use lacuna::server::dev_issuer::write_issuer;
use tonic::Status;

use crate::program::{blocking, subject};
use crate::samples::{full_name, named, reason};
use crate::vault::{Recorded, SEVERAL, STRANGER, TestVault};

/// A person, as the service knows them.
pub struct Person {
    pub external_id: String,
    pub subject_id: String,
    pub item: ItemStamp,
}

impl Person {
    pub async fn make(vault: &TestVault) -> Self {
        let external_id = vault.canary();
        let request = CreateSubjectRequest {
            context: vault.delivery(),
            external_id: external_id.clone(),
            items: vec![vault.item("contact")],
            ..Default::default()
        };
        let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
        Self { external_id, subject_id: created.subject_id, item: created.items.into_iter().next().expect("one") }
    }

    pub fn refs(&self) -> [Option<SubjectRef>; 2] {
        let external = subject_ref::Ref::ExternalId(self.external_id.clone());
        [subject(&self.subject_id), Some(SubjectRef { r#ref: Some(external) })]
    }
}

/// Every way to reach an item: the reason why each was refused, or `OK`. Nothing is deleted.
async fn attempts(
    vault: &TestVault,
    service: &Recorded,
    named_as: &Option<SubjectRef>,
    item_id: &str,
) -> Vec<(&'static str, String)> {
    let mut client = VaultClient::new(service.clone());
    let (context, subject, item_id) = (|| vault.delivery(), || named_as.clone(), || item_id.to_owned());
    let told = |outcome: Option<Status>| match outcome {
        None => "OK".to_owned(),
        Some(status) => format!("{} {}", reason(&status), status.message()),
    };
    let get = GetItemRequest { context: context(), subject: subject(), item_id: item_id(), ..Default::default() };
    let list = ListItemsRequest { context: context(), subject: subject(), ..Default::default() };
    let describe = GetSubjectRequest { context: context(), subject: subject() };
    let value = Some(named(&vault.canary()));
    let update =
        UpdateItemRequest { context: context(), subject: subject(), item_id: item_id(), value, ..Default::default() };
    let entry = GetItemEntry { subject: subject(), item_id: item_id(), ..Default::default() };
    let batch = BatchGetItemsRequest { context: context(), entries: vec![entry], ..Default::default() };
    let batch = client.batch_get_items(batch).await.expect("is answered entry by entry").into_inner();
    let entry = vault.gather(batch).await.expect("an answer").remove(0).results.remove(0).outcome;
    let entry = match entry.expect("an outcome") {
        get_item_result::Outcome::Item(_) => "OK".to_owned(),
        get_item_result::Outcome::Error(error) => error.reason().as_str_name().to_owned(),
    };
    vec![
        ("get", told(client.get_item(get).await.err())),
        ("list", told(client.list_items(list).await.err())),
        ("describe", told(client.get_subject(describe).await.err())),
        ("update", told(client.update_item(update).await.err())),
        ("batch", entry),
    ]
}

async fn delete(vault: &TestVault, service: &Recorded, named_as: &Option<SubjectRef>, item_id: &str) -> String {
    let context = vault.delivery();
    let delete =
        DeleteItemRequest { context, subject: named_as.clone(), item_id: item_id.into(), ..Default::default() };
    VaultClient::new(service.clone()).delete_item(delete).await.map_or_else(|status| reason(&status), |_| "OK".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reaches_the_own_record_and_finds_everybody_else_absent() {
    let mut vault = TestVault::start();
    let (own, other, gone) = (Person::make(&vault).await, Person::make(&vault).await, Person::make(&vault).await);
    let acting = vault.acting_for(&own.external_id);
    for named_as in own.refs() {
        for (what, outcome) in attempts(&vault, &acting, &named_as, &own.item.item_id).await {
            assert_eq!(outcome, "OK", "{what}");
        }
    }
    let nobody = SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(vault.canary())) };
    let absent = attempts(&vault, &acting, &Some(nobody), &other.item.item_id).await;
    assert!(absent.iter().all(|(_, outcome)| outcome.contains("NOT_FOUND")), "{absent:?}");
    for named_as in other.refs() {
        assert_eq!(attempts(&vault, &acting, &named_as, &other.item.item_id).await, absent);
        assert_eq!(delete(&vault, &acting, &named_as, &other.item.item_id).await, "NOT_FOUND");
    }
    // Another's item under the own name, and the token of somebody of whom the vault knows nothing.
    let crossed = attempts(&vault, &acting, &own.refs()[0], &other.item.item_id).await;
    assert!(
        crossed.iter().filter(|(what, _)| !["list", "describe"].contains(what)).all(|(_, o)| o.contains("NOT_FOUND"))
    );
    let stranger = vault.acting_for(&vault.canary());
    assert_eq!(attempts(&vault, &stranger, &other.refs()[0], &other.item.item_id).await, absent);
    assert!(vault.read(&other.subject_id, &other.item.item_id).await.is_ok(), "untouched");

    assert_eq!(delete(&vault, &acting, &own.refs()[0], &own.item.item_id).await, "OK");
    assert_eq!(delete(&vault, &acting, &own.refs()[0], &own.item.item_id).await, "NOT_FOUND");
    // After a crash the same holds, with the same token.
    let token = vault.token(&gone.external_id, Duration::ZERO);
    vault.kill();
    vault.run("");
    let acting = vault.service(Some("subject")).with_token(&token);
    for (what, outcome) in attempts(&vault, &acting, &gone.refs()[1], &gone.item.item_id).await {
        assert_eq!(outcome, "OK", "{what}");
    }
    assert_eq!(attempts(&vault, &acting, &other.refs()[0], &other.item.item_id).await, absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_a_service_no_right_of_its_own() {
    let vault = TestVault::start();
    let person = Person::make(&vault).await;
    let token = vault.token(&person.external_id, Duration::ZERO);
    let aged = |seconds| vault.token(&person.external_id, Duration::from_secs(seconds));
    let (signed, last) = token.split_at(token.len() - 1);
    let forged = format!("{signed}{}", if last == "A" { "Q" } else { "A" });
    let get = async |caller: &str, role: &str, token: Option<&str>| {
        let service = vault.service(Some(caller));
        let service = token.map_or(service.clone(), |token| service.with_token(token));
        let request = GetItemRequest {
            context: Some(CallContext { role: role.into(), ..vault.delivery().expect("is made") }),
            subject: subject(&person.subject_id),
            item_id: person.item.item_id.clone(),
            ..Default::default()
        };
        VaultClient::new(service).get_item(request).await.map_or_else(|status| reason(&status), |_| "OK".into())
    };
    let (long, spent, late) = ("x".repeat(9000), aged(899), aged(570));
    let cases: &[(&str, &str, Option<&str>, &str)] = &[
        ("subject", "", Some(&token), "OK"),
        ("subject", "subject", Some(&token), "OK"),
        ("subject", "", Some(&spent), "END_USER_TOKEN_EXPIRED"), // this issuer's tokens are good for ten minutes
        ("subject", "", Some(&late), "OK"),
        ("subject", "", None, "END_USER_TOKEN_REQUIRED"),
        ("subject", "", Some(&forged), "END_USER_TOKEN_INVALID"),
        ("subject", "", Some("junk"), "END_USER_TOKEN_INVALID"),
        ("subject", "", Some(&long), "END_USER_TOKEN_INVALID"),
        ("subject", "service", Some(&token), "ROLE_NOT_HELD"),
        ("service", "", Some(&token), "END_USER_TOKEN_NOT_ALLOWED"),
        ("service", "service", Some("junk"), "END_USER_TOKEN_NOT_ALLOWED"),
        ("service", "subject", Some(&token), "ROLE_NOT_HELD"),
        ("support", "", Some(&token), "END_USER_TOKEN_NOT_ALLOWED"),
        (SEVERAL, "", Some(&token), "ROLE_REQUIRED"),
        (SEVERAL, "support", Some(&token), "END_USER_TOKEN_NOT_ALLOWED"),
        (SEVERAL, "subject", Some(&token), "ROLE_NOT_HELD"),
        (STRANGER, "", Some(&token), "CALLER_UNKNOWN"),
        (STRANGER, "subject", Some(&token), "CALLER_UNKNOWN"),
        ("service", "", None, "OK"),
    ];
    for (caller, role, token, expected) in cases {
        assert_eq!(get(caller, role, *token).await, *expected, "{caller} as {role:?}");
    }
    let erase = async |token: &str| {
        let mut privacy = PrivacyClient::new(vault.service(Some("subject")).with_token(token));
        let request = EraseSubjectRequest {
            context: vault.delivery(),
            subject: subject(&person.subject_id),
            ..Default::default()
        };
        privacy.erase_subject(request).await.map_or_else(|status| reason(&status), |_| "OK".into())
    };
    assert_eq!(erase(&aged(310)).await, "END_USER_TOKEN_STALE");
    assert_ne!(erase(&aged(200)).await, "END_USER_TOKEN_STALE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_restricts_and_objects_for_oneself_alone_and_reads_on() {
    let vault = TestVault::start();
    let (own, other) = (Person::make(&vault).await, Person::make(&vault).await);
    let acting = vault.acting_for(&own.external_id);
    let restrict = async |person: &Person, restricted: bool| {
        let ground = if restricted { RestrictionGround::AccuracyContested } else { RestrictionGround::Unspecified };
        let request = RestrictSubjectRequest {
            context: vault.delivery(),
            subject: subject(&person.subject_id),
            restricted,
            ground: ground.into(),
            ..Default::default()
        };
        let mut privacy = PrivacyClient::new(acting.clone());
        privacy.restrict_subject(request).await.map_or_else(|status| reason(&status), |_| "OK".into())
    };
    let object = async |person: &Person, objected: bool| {
        let request = SetObjectionRequest {
            context: vault.delivery(),
            subject: subject(&person.subject_id),
            objected_purpose: "improvement".into(),
            objected,
            ..Default::default()
        };
        let mut privacy = PrivacyClient::new(acting.clone());
        privacy.set_objection(request).await.map_or_else(|status| reason(&status), |_| "OK".into())
    };
    for wanted in [true, false] {
        assert_eq!(restrict(&other, wanted).await, "NOT_FOUND");
        assert_eq!(object(&other, wanted).await, "NOT_FOUND");
    }
    assert!(vault.read(&other.subject_id, &other.item.item_id).await.is_ok(), "nothing of it is in force");

    assert_eq!(restrict(&own, true).await, "OK");
    let service = vault.read(&own.subject_id, &own.item.item_id).await.err().expect("is refused");
    assert_eq!(reason(&service), "RESTRICTED");
    for (what, outcome) in attempts(&vault, &acting, &own.refs()[0], &own.item.item_id).await {
        assert_eq!(outcome == "OK", what != "update", "{what}: {outcome}");
    }
    assert_ne!(delete(&vault, &acting, &own.refs()[0], &own.item.item_id).await, "OK");
    assert_eq!(object(&own, true).await, "OK");
    assert_eq!(object(&own, false).await, "OK");
    assert_eq!(restrict(&own, false).await, "OK");
    assert!(vault.read(&own.subject_id, &own.item.item_id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_one_persons() {
    let vault = TestVault::start();
    let (one, two) = (Person::make(&vault).await, Person::make(&vault).await);
    let request = UpdateItemRequest {
        context: vault.repeatable(&vault.canary()),
        subject: subject(&one.subject_id),
        item_id: one.item.item_id.clone(),
        value: Some(named(&vault.canary())),
        ..Default::default()
    };
    let update = async |person: &Person| {
        let mut client = VaultClient::new(vault.acting_for(&person.external_id));
        client.update_item(request.clone()).await.map(|answer| answer.into_inner()).map_err(|status| reason(&status))
    };
    let first = update(&one).await.expect("corrects");
    assert_eq!(update(&one).await.expect("again").item, first.item);
    assert_eq!(update(&two).await, Err("NOT_FOUND".to_owned()), "the answer to the other's call is not given away");
    let read = vault.read(&one.subject_id, &one.item.item_id).await.expect("is there");
    assert!(full_name(&read).is_some() && read.version == 2);
}

/// Asks until the outcome is the expected one.
pub async fn becomes(expected: &str, patience: Duration, ask: impl AsyncFn() -> String) {
    let start = Instant::now();
    loop {
        let found = ask().await;
        if found == expected {
            return;
        }
        assert!(start.elapsed() < patience, "{found}, not {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn describes(vault: &TestVault, service: &Recorded, person: &Person) -> String {
    let request = GetSubjectRequest { context: vault.delivery(), subject: person.refs()[0].clone() };
    let answer = VaultClient::new(service.clone()).get_subject(request).await;
    answer.map_or_else(|status| reason(&status), |_| "OK".into())
}

/// Puts a new issuer's key in the place of the old one's.
fn exchange_issuer(dir: &Path) {
    for name in ["issuer.key", "jwks.json"] {
        std::fs::remove_file(dir.join(name)).expect("is there");
    }
    write_issuer(dir).expect("an issuer");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_exchanged_under_a_live_connection_and_bad_ones_are_not_taken() {
    let vault = TestVault::start();
    let person = Person::make(&vault).await;
    let connection = vault.service(Some("subject"));
    let old = connection.clone().with_token(&vault.token(&person.external_id, Duration::ZERO));
    assert_eq!(describes(&vault, &old, &person).await, "OK");
    let dir = vault.dir().join("end-users");
    exchange_issuer(&dir);
    let new = connection.clone().with_token(&vault.token(&person.external_id, Duration::ZERO));
    assert_eq!(describes(&vault, &new, &person).await, "END_USER_TOKEN_INVALID", "not read yet");
    vault.program().reload();
    becomes("OK", Duration::from_secs(20), async || describes(&vault, &new, &person).await).await;
    assert_eq!(describes(&vault, &old, &person).await, "END_USER_TOKEN_INVALID");

    for bad in ["", "{}", "{\"keys\":[]}"] {
        std::fs::write(dir.join("jwks.json"), bad).expect("is written");
        vault.program().reload();
    }
    becomes("told", Duration::from_secs(20), async || {
        let printed = std::fs::read_to_string(vault.output()).expect("a file");
        let told = printed.matches("keys of an issuer of people's tokens are kept as they were").count();
        if told > 0 { "told".into() } else { "not told".into() }
    })
    .await;
    assert_eq!(describes(&vault, &new, &person).await, "OK");
}

/// A web server that shows one file, or nothing while it is down.
struct Keys {
    address: SocketAddr,
    up: Arc<AtomicBool>,
}

impl Keys {
    fn serve(file: std::path::PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (address, up) = (listener.local_addr().expect("an address"), Arc::new(AtomicBool::new(true)));
        let is_up = up.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                if !is_up.load(Ordering::SeqCst) {
                    continue; // closed without a word
                }
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let keys = std::fs::read_to_string(&file).expect("a file");
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", keys.len());
                let _ = stream.write_all(format!("{head}{keys}").as_bytes());
            }
        });
        Self { address, up }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_an_address_come_back_when_it_does() {
    let mut vault = TestVault::start();
    let person = Person::make(&vault).await;
    let dir = vault.dir().join("end-users");
    let keys = Keys::serve(dir.join("jwks.json"));
    vault.stop();
    let config = vault.dir().join("lacuna.toml");
    let text = std::fs::read_to_string(&config).expect("a file");
    let url = format!("jwks_url = \"http://{}/jwks.json\"", keys.address);
    assert!(text.contains("jwks_file = \"end-users/jwks.json\""));
    std::fs::write(&config, text.replace("jwks_file = \"end-users/jwks.json\"", &url)).expect("is written");

    vault.run("");
    let acting = vault.acting_for(&person.external_id);
    // Whoever comes before the first answer waits for it.
    assert_eq!(describes(&vault, &acting, &person).await, "OK");
    // The address is down and its keys are still good; a key that nobody knows is asked for and not had.
    keys.up.store(false, Ordering::SeqCst);
    vault.program().reload();
    becomes("told", Duration::from_secs(20), async || {
        let printed = std::fs::read_to_string(vault.output()).expect("a file");
        if printed.contains("kept as they were") { "told".into() } else { "not told".into() }
    })
    .await;
    assert_eq!(describes(&vault, &acting, &person).await, "OK");
    exchange_issuer(&dir);
    let acting = vault.acting_for(&person.external_id);
    // The name of a throw-away key is always the same: it is known, and does not verify.
    assert_eq!(describes(&vault, &acting, &person).await, "END_USER_TOKEN_INVALID");

    // A start without the address: everybody else is served, and it comes back by itself.
    vault.stop();
    vault.run("");
    let acting = vault.acting_for(&person.external_id);
    assert_eq!(describes(&vault, &acting, &person).await, "IDENTITY_PROVIDER_UNAVAILABLE");
    assert!(vault.read(&person.subject_id, &person.item.item_id).await.is_ok());
    keys.up.store(true, Ordering::SeqCst);
    becomes("OK", Duration::from_secs(30), async || describes(&vault, &acting, &person).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_acts_for_a_person() {
    use crate::cli::run;
    let vault = TestVault::start();
    let person = Person::make(&vault).await;
    let description = vault.program().description();
    let command = description["subject_token_command"].as_str().expect("a command");
    let minted = blocking(|| {
        let line = format!("{command} {}", person.external_id);
        std::process::Command::new("sh").args(["-c", &line]).output().expect("runs")
    });
    let token = String::from_utf8(minted.stdout).expect("text");
    assert!(minted.status.success() && token.split('.').count() == 3);
    let dir = vault.dir();
    let get = |token: &str| {
        let dir = dir.to_str().expect("UTF-8");
        let arguments = ["item", "get", "--dev", dir, "--purpose", "service_delivery", "--subject", &person.subject_id];
        let item = ["--item", &person.item.item_id, "--token-file", "-"];
        blocking(|| run(&[&arguments[..], &item].concat(), token, &[]))
    };
    let ran = get(&token);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ran = get("junk\n");
    assert!(ran.code == 1 && ran.err.contains("END_USER_TOKEN_INVALID"), "{}", ran.err);
}
