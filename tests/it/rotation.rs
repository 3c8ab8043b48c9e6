//! Index keys are replaced on the real program: followed, paused, and killed in the middle.

use std::time::Duration;

use lacuna::api::proto::keys_client::KeysClient;
use lacuna::api::proto::*;
use lacuna::catalog::class::IdentifierField;
use lacuna::keys::index::IndexKey;
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use tokio::task::JoinSet;
use tonic::Status;

use crate::finding::{found, identifiers, search};
use crate::samples::reason;
use crate::vault::{Recorded, TestVault};

/// So that a rotation takes three steps.
const PEOPLE: usize = 130;

/// Each named point, and how often it is passed before it kills.
const KILLS: &[(&str, u32)] = &[
    ("rotation_step", 0),
    ("rotation_step", 1),
    ("rotation_turned", 0),
    ("rotation_retired", 0),
    ("rotation_lodged", 0),
    // The epoch that forgets the old key.
    ("epoch_prepared", 0),
    ("epoch_finished", 0),
];

/// A person with a contact record.
#[derive(Clone)]
struct Person {
    subject: String,
    item_id: String,
    item: NewItem,
}

impl TestVault {
    fn keys(&self) -> KeysClient<Recorded> {
        KeysClient::new(self.service(Some("key-admin")))
    }

    async fn listed(&self, include_destroyed: bool) -> GetKeyStatusResponse {
        let (context, kinds) = (self.context("security"), vec![KeyKind::Index.into()]);
        let request = GetKeyStatusRequest { context, kinds, include_destroyed, ..Default::default() };
        self.keys().get_key_status(request).await.expect("tells").into_inner()
    }

    /// The keys of the email index, as they are listed.
    async fn email_keys(&self) -> Vec<Key> {
        let mut keys = self.listed(true).await.keys;
        keys.retain(|key| key.scope == "email");
        keys
    }

    async fn rotate(&self, key_id: &str) -> Result<Rotation, Status> {
        let request =
            StartRotationRequest { context: self.context("security"), key_id: key_id.into(), ..Default::default() };
        Ok(self.keys().start_rotation(request).await?.into_inner().rotation.expect("a rotation"))
    }

    async fn pause_rotation(&self, rotation_id: &str) -> Result<Rotation, Status> {
        let request = PauseRotationRequest { context: self.context("security"), rotation_id: rotation_id.into() };
        Ok(self.keys().pause_rotation(request).await?.into_inner().rotation.expect("a rotation"))
    }

    async fn resume_rotation(&self, rotation_id: &str) -> Result<Rotation, Status> {
        let (context, rotation_id) = (self.context("security"), rotation_id.into());
        let request = ResumeRotationRequest { context, rotation_id, waive_backup: false };
        Ok(self.keys().resume_rotation(request).await?.into_inner().rotation.expect("a rotation"))
    }

    /// Follows a rotation to its end: every state that was told.
    async fn watched(&self, rotation_id: &str) -> Result<Vec<Rotation>, Status> {
        let request = WatchRotationRequest { context: self.context("security"), rotation_id: rotation_id.into() };
        let mut stream = self.keys().watch_rotation(request).await?.into_inner();
        let mut told = Vec::new();
        while let Some(message) = stream.message().await? {
            told.push(message.rotation.expect("a rotation"));
        }
        Ok(told)
    }

    async fn person(&self) -> Person {
        let item = self.item("contact");
        let request =
            CreateSubjectRequest { context: self.delivery(), items: vec![item.clone()], ..Default::default() };
        let created = self.client("service").create_subject(request).await.expect("creates").into_inner();
        Person { subject: created.subject_id, item_id: created.items[0].item_id.clone(), item }
    }

    /// Whether a person is found by each email address.
    async fn is_found(&self, person: &Person) -> bool {
        let by = identifiers(&person.item).into_iter().filter(|by| matches!(by, identifier::Identifier::Email(_)));
        let mut all = Vec::new();
        for by in by {
            all.extend(found(&mut self.client("service"), search(self, by)).await.expect("is answered"));
        }
        let own = (person.subject.clone(), person.item_id.clone());
        assert!(all.iter().all(|found| *found == own));
        !all.is_empty()
    }

    /// How many rows of the email index there are under a key.
    fn rows_under(&self, number: u32) -> usize {
        let prefix = IndexKey::prefix(IdentifierField::Email, number);
        self.store().scan(Space::Index, &prefix, &[], usize::MAX).expect("reads").len()
    }
}

fn rows_of(people: &[Person]) -> usize {
    let emails = |person: &Person| {
        identifiers(&person.item).iter().filter(|by| matches!(by, identifier::Identifier::Email(_))).count()
    };
    people.iter().map(emails).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_at_any_step_goes_on_and_ends() {
    let mut origin = TestVault::start();
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(origin.person().await);
    }
    origin.stop();
    let mut kills = JoinSet::new();
    for (point, passed) in KILLS {
        kills.spawn(killed(origin.fork(), people.clone(), point, *passed));
        if kills.len() == 4 {
            kills.join_next().await.expect("runs").expect("holds");
        }
    }
    kills.join_all().await;
}

async fn killed(mut vault: TestVault, mut people: Vec<Person>, point: &'static str, passed: u32) {
    let name = format!("{point}, passed {passed} times before");
    vault.run(&format!("{point}={passed}*off->return(kill)"));
    let key = vault.email_keys().await.remove(0);
    let started = vault.rotate(&key.key_id).await;
    vault.wait_for_death();
    // Killed again where the epoch has ended and nobody has noted it yet, and once more before anything.
    vault.run("");
    people.push(vault.person().await);
    let gone = people.swap_remove(1);
    vault.erase(&gone.subject, "").await.expect("erases");
    for person in people.iter().step_by(40).chain(people.last()) {
        assert!(vault.is_found(person).await, "{name}: found in the middle");
    }
    assert!(!vault.is_found(&gone).await, "{name}");

    // Who started it may have lost the answer: the name is in the list of what is open, or follows from the answer.
    let open = vault.listed(false).await.rotations;
    if let Some(rotation) = started.ok().or(open.into_iter().next()) {
        let told = vault.watched(&rotation.rotation_id).await.expect("is followed");
        let last = told.last().expect("told at once");
        assert_eq!(last.state(), RotationState::Done, "{name}");
        assert!(last.proof.as_ref().is_some_and(|proof| proof.epoch > 0 && proof.old_key_destroyed), "{name}");
    }
    let keys = vault.email_keys().await;
    let states: Vec<KeyState> = keys.iter().map(Key::state).collect();
    assert_eq!(states, [KeyState::Destroyed, KeyState::Active], "{name}");
    assert!(keys[0].destroy_epoch > 0 && keys[0].key_id == key.key_id, "{name}");
    assert_eq!(vault.listed(false).await.rotations, [], "{name}");
    for person in people.iter().step_by(40).chain(people.last()) {
        assert!(vault.is_found(person).await, "{name}: found afterwards");
    }
    vault.stop();
    assert_eq!((vault.rows_under(1), vault.rows_under(2)), (0, rows_of(&people)), "{name}: every row, under one key");
    let service_keys = vault.store().scan(Space::ServiceKey, &[7], &[], usize::MAX).expect("reads");
    let numbers: Vec<&[u8]> = service_keys.iter().map(|(key, _)| &key[1..]).collect();
    assert_eq!(numbers, [2_u32.to_be_bytes()], "{name}: the old key is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_rotation_stands_still_also_after_a_restart_and_both_keys_stay_usable() {
    let mut vault = TestVault::start();
    let mut people = vec![vault.person().await, vault.person().await];
    let key = vault.email_keys().await.remove(0);
    // The first step waits so long that the pause comes before it.
    vault.stop();
    vault.run("rotation_begin=1*sleep(1500)");
    let rotation = vault.rotate(&key.key_id).await.expect("starts");
    let id = &rotation.rotation_id;
    assert_eq!(rotation.state(), RotationState::Running);
    assert_eq!(vault.pause_rotation(id).await.expect("pauses").state(), RotationState::Paused);
    assert_eq!(vault.pause_rotation(id).await.expect("is paused").state(), RotationState::Paused);
    let states = |keys: Vec<Key>| keys.iter().map(Key::state).collect::<Vec<_>>();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1600)).await;
        assert_eq!(states(vault.email_keys().await), [KeyState::Active, KeyState::Pending]);
        let open = vault.listed(false).await.rotations;
        assert_eq!((open.len(), open[0].state(), open[0].done_count), (1, RotationState::Paused, 0));
        assert_eq!(reason(&vault.rotate(&key.key_id).await.expect_err("runs")), "ROTATION_RUNNING");
        people.push(vault.person().await);
        for person in &people {
            assert!(vault.is_found(person).await);
        }
        vault.stop();
        vault.run("");
    }
    let watch = vault.watched(id);
    let resumed = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        vault.resume_rotation(id).await
    };
    let (told, resumed) = tokio::join!(watch, resumed);
    assert_eq!(resumed.expect("goes on").state(), RotationState::Running);
    let told: Vec<RotationState> = told.expect("is followed").iter().map(Rotation::state).collect();
    assert_eq!(told.first(), Some(&RotationState::Paused));
    assert_eq!(told.last(), Some(&RotationState::Done));
    assert_eq!(states(vault.email_keys().await), [KeyState::Destroyed, KeyState::Active]);
    for refused in [vault.pause_rotation(id).await, vault.resume_rotation(id).await] {
        assert_eq!(reason(&refused.expect_err("has ended")), "ROTATION_NOT_RUNNING");
    }
    let again = vault.watched(id).await.expect("is told once");
    assert_eq!((again.len(), again[0].state()), (1, RotationState::Done));
    for person in &people {
        assert!(vault.is_found(person).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_none_is_refused_by_its_field() {
    let vault = TestVault::start();
    let nowhere = "rot_aaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(reason(&vault.pause_rotation(nowhere).await.expect_err("is none")), "NOT_FOUND");
    assert_eq!(reason(&vault.resume_rotation(nowhere).await.expect_err("is none")), "NOT_FOUND");
    assert_eq!(reason(&vault.watched(nowhere).await.expect_err("is none")), "NOT_FOUND");
    assert_eq!(reason(&vault.pause_rotation("").await.expect_err("names none")), "FIELD_REQUIRED");
    for malformed in ["rot_x", "key_aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(
            reason(&vault.pause_rotation(malformed).await.expect_err("is no id")),
            "ID_MALFORMED",
            "{malformed}"
        );
    }
    let waived =
        ResumeRotationRequest { context: vault.context("security"), rotation_id: nowhere.into(), waive_backup: true };
    assert_eq!(reason(&vault.keys().resume_rotation(waived).await.expect_err("waits for none")), "FIELD_CONFLICT");
}
