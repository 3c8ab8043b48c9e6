//! Index keys are replaced while calls go on, and a rotation that is cut short goes on.

use super::indexed::{PHONE, reachable};
use super::*;
use crate::catalog::class::{Identifier, IdentifierField};
use crate::gate::index::{self, Progress};
use crate::gate::refusal::State;
use crate::gate::rotations::{self, Rotation, Stage};
use crate::gate::service_keys::{self, Name};
use crate::items::model::{Delete, FindQuery, Wait};
use crate::items::{delete, find, reindex, rotate};
use crate::keys::index::IndexKey;

impl Bench {
    async fn who(&self, identifier: Identifier) -> Vec<SubjectId> {
        let call = self.call(Action::FindSubjects).await;
        let query = FindQuery { identifier, page_size: 0, page_token: String::new() };
        let page = find::find(&self.vault, &call, query).await.expect("is answered");
        page.matches.iter().map(|found| found.subject).collect()
    }

    /// A step of a rotation, as its thread makes it.
    pub async fn step(&self) -> bool {
        let vault = self.vault.clone();
        tokio::task::spawn_blocking(move || reindex::work(&vault)).await.expect("no panic").expect("a step")
    }

    fn progress(&self, field: IdentifierField) -> Progress {
        self.vault.read(|reads| index::progress(reads, field)).expect("reads")
    }

    fn under(&self, field: IdentifierField, number: u32) -> usize {
        let prefix = IndexKey::prefix(field, number);
        self.rows(Space::Index).iter().filter(|(key, _)| key.starts_with(&prefix)).count()
    }

    fn rotation(&self, field: IdentifierField) -> Rotation {
        let id = Progress::rotation(self.vault.id(), field, 1);
        self.vault.read(|reads| rotations::find(reads, id)).expect("reads").expect("was begun")
    }

    pub async fn rotate(&self, field: IdentifierField) {
        let known = self.vault.read(index::keys).expect("reads");
        let known = known.into_iter().find(|known| known.field == field).expect("a key");
        let call = self.call_as("admin", RoleId::KeyAdmin, "security", Action::StartRotation, "", "").await;
        rotate::start(&self.vault, &call, known).await.expect("starts");
    }
}

fn email(n: usize) -> Identifier {
    Identifier::email(&format!("person-{n}@example.com")).expect("an address")
}

#[tokio::test]
async fn everybody_is_found_throughout_a_rotation_and_afterwards_the_old_key_and_its_rows_are_gone() {
    let bench = Bench::new();
    let (mut people, mut items) = (Vec::new(), Vec::new());
    for n in 0..70 {
        let (subject, stamps) = bench.indexed("", vec![reachable(&[&format!("person-{n}@example.com")], PHONE)]).await;
        people.push(subject);
        items.push(stamps[0].item);
    }
    let field = IdentifierField::Email;
    bench.rotate(field).await;
    let known = bench.vault.read(index::keys).expect("reads");
    let known = known.into_iter().find(|known| known.field == field).expect("a key");
    let call = bench.call_as("admin", RoleId::KeyAdmin, "security", Action::StartRotation, "", "").await;
    let again = rotate::start(&bench.vault, &call, known).await.err();
    assert_eq!(again, Some(State::RotationRunning.into()));
    let mut steps = 0;
    while bench.step().await {
        steps += 1;
        // People come, go and are looked for at every step.
        let n = people.len();
        let (subject, stamps) = bench.indexed("", vec![reachable(&[&format!("person-{n}@example.com")], PHONE)]).await;
        people.push(subject);
        items.push(stamps[0].item);
        let call = bench.call(Action::DeleteItem).await;
        let (subject, item) = (SubjectRef::Id(people[steps]), items[steps]);
        let wanted = Delete { subject, item, etag: String::new(), wait: Wait::Erased };
        delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
        for n in [0, steps + 1, 69, n] {
            assert_eq!(bench.who(email(n)).await, [people[n]], "{n} at step {steps}");
        }
        assert_eq!(bench.who(email(steps)).await, []);
        assert!(steps < 20, "ends");
    }
    bench.settle().await;
    assert_eq!((bench.under(field, 1), bench.under(field, 2)), (0, people.len() - steps));
    assert_eq!(bench.under(IdentifierField::Phone, 1), people.len() - steps, "another field's are left alone");
    let old = bench.vault.read(|reads| service_keys::find(reads, Name::Index(field, 1))).expect("reads");
    assert!(old.is_none(), "the key is forgotten");
    assert!(bench.leaves().iter().any(|leaf| leaf.operation == "IndexKeyErased"));
    assert_eq!((bench.progress(field).current, bench.progress(field).next), (2, None));
}

#[tokio::test]
async fn external_ids_resolve_throughout_and_stay_unique() {
    let bench = Bench::new();
    let mut people = Vec::new();
    for n in 0..3 {
        people.push(bench.indexed(&format!("user-{n}"), vec![]).await.0);
    }
    bench.rotate(IdentifierField::ExternalId).await;
    loop {
        let more = bench.step().await;
        for (n, subject) in people.iter().enumerate() {
            assert_eq!(bench.who(Identifier::external_id(&format!("user-{n}").as_str().into())).await, [*subject]);
        }
        let call = bench.call(Action::CreateSubject).await;
        let new = NewSubject { external_id: "user-1".into(), labels: vec![], items: vec![] };
        assert_eq!(create::create(&bench.vault, &call, new).await.err(), Some(State::AlreadyExists.into()));
        if !more {
            break;
        }
    }
    assert_eq!((bench.under(IdentifierField::ExternalId, 1), bench.under(IdentifierField::ExternalId, 2)), (0, 3));
}

#[tokio::test]
async fn a_key_is_replaced_when_it_is_thirty_days_old() {
    let bench = Bench::new();
    let (subject, _) = bench.indexed("user-1", vec![reachable(&["person-1@example.com"], PHONE)]).await;
    assert!(!bench.step().await);
    bench.at(30 * 24 * HOUR);
    while bench.step().await {}
    bench.settle().await;
    for field in IdentifierField::ALL {
        assert_eq!((bench.progress(*field).current, bench.under(*field, 1)), (2, 0), "{field}");
    }
    assert_eq!(bench.who(email(1)).await, [subject]);
    assert!(!bench.step().await, "once");
}

#[tokio::test]
async fn what_is_being_erased_gets_no_row_under_the_next_key() {
    let bench = Bench::new();
    let (gone, items) = bench.indexed("", vec![reachable(&["person-1@example.com"], PHONE)]).await;
    let (kept, _) = bench.indexed("", vec![reachable(&["person-2@example.com"], PHONE)]).await;
    // With a slot away the item stays pending: its row is a tombstone.
    let slot = bench.dir.path().join("b");
    let away = bench.dir.path().join("away");
    std::fs::rename(&slot, &away).expect("moved");
    let call = bench.call(Action::DeleteItem).await;
    let wanted =
        Delete { subject: SubjectRef::Id(gone), item: items[0].item, etag: String::new(), wait: Wait::Logical };
    delete::delete(&bench.vault, &call, wanted).await.expect("is noted");
    bench.rotate(IdentifierField::Email).await;
    while bench.step().await {}
    assert_eq!(bench.under(IdentifierField::Email, 2), 1, "the other person's alone");
    assert_eq!(bench.who(email(2)).await, [kept]);
    let rotation = bench.rotation(IdentifierField::Email);
    assert_eq!(rotation.stage, Stage::Forgetting, "the old key waits for the slot too");
    std::fs::rename(&away, &slot).expect("moved");
    bench.settle().await;
    bench.step().await;
    assert!(matches!(bench.rotation(IdentifierField::Email).stage, Stage::Done { epoch, .. } if epoch > 0));
}

#[tokio::test]
async fn a_paused_rotation_takes_no_step_and_other_keys_are_replaced_when_they_are_due() {
    let bench = Bench::new();
    bench.indexed("user-1", vec![reachable(&["person-1@example.com"], PHONE)]).await;
    let field = IdentifierField::Email;
    bench.rotate(field).await;
    let id = bench.rotation(field).id;
    let call = bench.call_as("admin", RoleId::KeyAdmin, "security", Action::PauseRotation, "", "").await;
    rotate::pause(&bench.vault, &call, id, true).await.expect("pauses");
    assert!(!bench.step().await);
    bench.at(31 * 24 * HOUR);
    while bench.step().await {}
    bench.settle().await;
    assert_eq!((bench.progress(field).current, bench.progress(field).next), (1, Some(2)));
    assert_eq!(bench.progress(IdentifierField::Phone).current, 2);
    let call = bench.call_as("admin", RoleId::KeyAdmin, "security", Action::ResumeRotation, "", "").await;
    rotate::pause(&bench.vault, &call, id, false).await.expect("goes on");
    while bench.step().await {}
    // The key that came in was made 31 days ago: it is replaced too.
    assert_eq!((bench.progress(field).current, [1, 2, 3].map(|key| bench.under(field, key))), (3, [0, 0, 1]));
    let call = bench.call_as("admin", RoleId::KeyAdmin, "security", Action::PauseRotation, "", "").await;
    assert_eq!(rotate::pause(&bench.vault, &call, id, true).await.err(), Some(State::RotationNotRunning.into()));
}
