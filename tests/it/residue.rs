//! Row 16: an attacker with every byte that the vault ever wrote outside its slots, the slots as they now are, the outer
//! key and every key that still exists, finds nothing of what was forgotten.
//!
//! What makes the search honest: it is shown to find everything while it is there, to find what is still there
//! afterwards, and to find everything again once it is given the slots as they were.

use std::time::Duration;

use lacuna::api::proto::*;
use lacuna::keys::outer::OuterKey as _;
use lacuna::keys::outer::file::KeyFile;
use serde_json::json;
use tempfile::TempDir;

use crate::attacker::{Attacker, Hoard};
use crate::canary::Leak;
use crate::expiry::{await_absence, expire_now, let_days_pass, put_expiring};
use crate::figures;
use crate::program::subject;
use crate::samples::full_name;
use crate::vault::{MACHINE, TestVault};

/// People beside those that matter: enough for the tree of people to grow a level on the way.
const CROWD: usize = 62;

/// What is forgotten on the way, and what is not.
struct Names {
    gone: Vec<String>,
    kept: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_forgotten_can_be_recovered_from_every_byte_but_the_slots_of_then() {
    let mut vault = TestVault::start_with(|dir| {
        let path = dir.join("lacuna.toml");
        let text = std::fs::read_to_string(&path).expect("a file");
        let spare = "{ path = \"slots/b\" }, { path = \"slots/c\" }";
        // The third place comes into use once a slot is replaced.
        std::fs::write(dir.join("spare.toml"), text.replace("{ path = \"slots/b\" }", spare)).expect("is written");
    });
    let mut hoard = Hoard::of(vault.dir().join("data/db"));
    let scene = Scene::set(&vault).await;

    // First control: all of it can be found while it is there.
    let then = slots_of(&vault);
    hoard.gather();
    let found = attack(&vault, &hoard, &then);
    let all: Vec<&String> = scene.names.gone.iter().chain(&scene.names.kept).collect();
    assert_eq!(found.missing(&all), Vec::<&str>::new(), "what is there must be found");

    scene.forget(&vault).await;
    hoard.gather();
    scene.grow(&vault).await;
    let (last, just_before) = replace_a_slot(&mut vault, &mut hoard).await;
    vault.stop();
    hoard.gather();

    // Nothing of what is gone; and what is not gone is found, so the search still works.
    let now = slots_of(&vault);
    let found = attack(&vault, &hoard, &now);
    let kept: Vec<&String> = scene.names.kept.iter().collect();
    assert_eq!(found.missing(&kept), Vec::<&str>::new(), "what is there must be found");
    let mut sought = scene.names.gone.clone();
    sought.push(last.clone());
    let recovered = found.present(&sought);
    let figures = json!({
        "files": hoard.files(),
        "rows": found.rows,
        "keys_tried": found.keys,
        "sought": sought.len(),
        "recovered": recovered.len(),
    });
    assert_eq!(recovered, Vec::<&str>::new(), "nothing of what was forgotten");

    // Second control: with the slots of before, all of it comes back.
    let with_planted = attack(&vault, &hoard, &then);
    assert_eq!(with_planted.missing(&all), Vec::<&str>::new(), "the old secrets must open it all");
    // What was forgotten last, too: no later epoch has overwritten anything for it.
    let with_the_last = attack(&vault, &hoard, &just_before);
    assert_eq!(with_the_last.missing(&[&last]), Vec::<&str>::new(), "the secrets before the last must open the last");
    assert!(hoard.files() > 10 && found.rows > 500 && found.keys > 100, "{figures}");
    figures::note(16, "residue after deletion, correction, erasure, growth and a replaced slot", None, figures);

    // And nothing of it is anywhere in clear.
    let leaks: Vec<Leak> = vault.canaries().search().directory(hoard.path());
    assert!(leaks.is_empty(), "{} canaries in the files", leaks.len());
}

struct Scene {
    names: Names,
    ann: CreateSubjectResponse,
    ben: CreateSubjectResponse,
    cleo: CreateSubjectResponse,
    dora: CreateSubjectResponse,
    eve: CreateSubjectResponse,
}

impl Scene {
    /// Ann's first item will be deleted, Ben's corrected, and Cleo erased; so will be Dora and Eve, whose first items are
    /// on hold, Dora's until the end.
    async fn set(vault: &TestVault) -> Self {
        let mut names = Names { gone: Vec::new(), kept: Vec::new() };
        let mut people = Vec::new();
        for _ in 0..5 {
            let external_id = vault.canary();
            let request = CreateSubjectRequest {
                context: vault.delivery(),
                external_id: external_id.clone(),
                items: vec![vault.item("contact"), vault.item("contact")],
                ..Default::default()
            };
            let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
            let of_item = async |at: usize| {
                let item = vault.read(&created.subject_id, &created.items[at].item_id).await.expect("reads");
                full_name(&item).expect("a contact").to_owned()
            };
            let (first, second) = (of_item(0).await, of_item(1).await);
            let (stays, is_held) = (people.len() < 2, people.len() == 3);
            if is_held { &mut names.kept } else { &mut names.gone }.push(first);
            if stays { &mut names.kept } else { &mut names.gone }.extend([second, external_id]);
            people.push(created);
        }
        let [ann, ben, cleo, dora, eve] = <[_; 5]>::try_from(people).expect("five");
        Self { names, ann, ben, cleo, dora, eve }
    }

    async fn forget(&self, vault: &TestVault) {
        let deleted = vault.delete(&self.ann.subject_id, &self.ann.items[0].item_id).await.expect("deletes");
        assert_eq!(deleted.state(), ErasureState::Erased);
        let correction = UpdateItemRequest {
            context: vault.delivery(),
            subject: subject(&self.ben.subject_id),
            item_id: self.ben.items[0].item_id.clone(),
            value: vault.item("contact").value,
            wait: Wait::Erased.into(),
            ..Default::default()
        };
        let corrected = vault.client("service").update_item(correction).await.expect("corrects").into_inner();
        assert_eq!(corrected.erasure.expect("is stated").state(), ErasureState::Erased);
        let erased = vault.erase(&self.cleo.subject_id, "").await.expect("erases");
        assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Erased);
        let case = crate::holds::open(vault).await;
        let mut holds = Vec::new();
        for person in [&self.dora, &self.eve] {
            let scope = crate::holds::named(&[(&person.items[0].item_id, 0)]);
            holds.push(crate::holds::placed(vault, &case, &person.subject_id, scope).await);
            let erased = vault.erase(&person.subject_id, "").await.expect("erases");
            assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Kept);
        }
        let released = crate::holds::release(vault, &holds[1]).await;
        assert_eq!(released.erasure.expect("is stated").state(), ErasureState::Erased);
    }

    /// The tree of people gets a page on top, with the old top as its first child.
    async fn grow(&self, vault: &TestVault) {
        for _ in 0..CROWD + 4 {
            vault.create(&["contact"]).await;
        }
        // An epoch of the grown tree.
        let created = vault.create(&["contact"]).await;
        vault.delete(&created.subject_id, &created.items[0].item_id).await.expect("deletes");
    }
}

/// Puts a new slot in the place of the second, and deletes one more item, with which the vault ends: what it held, and the
/// slots as they were before.
async fn replace_a_slot(vault: &mut TestVault, hoard: &mut Hoard) -> (String, TempDir) {
    let slots = vault.status().await.slots;
    let second = slots.iter().find(|slot| slot.name == "b").expect("a slot").slot_id.clone();
    vault.stop();
    hoard.gather();
    std::fs::copy(vault.dir().join("spare.toml"), vault.dir().join("lacuna.toml")).expect("is copied");
    vault.run("");
    let (context, new_slot_name) = (vault.context("security"), "c".to_owned());
    let request = ReplaceSlotRequest { context, slot_id: second, new_slot_name };
    vault.system(MACHINE).replace_slot(request).await.expect("replaces");
    hoard.gather();
    while vault.status().await.pending_erasure_count > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    vault.stop();
    hoard.gather();
    // Nothing is forgotten after it: the next epoch would overwrite what a slot should not have any more, had it not
    // destroyed it.
    vault.run("");
    let created = vault.create(&["contact"]).await;
    let item = vault.read(&created.subject_id, &created.items[0].item_id).await.expect("reads");
    let (name, before) = (full_name(&item).expect("a contact").to_owned(), slots_of(vault));
    vault.delete(&created.subject_id, &created.items[0].item_id).await.expect("deletes");
    vault.kill();
    (name, before)
}

/// The raw slot files, as they are now.
pub fn slots_of(vault: &TestVault) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    crate::vault::copy(&vault.dir().join("slots"), copy.path());
    copy
}

fn attack(vault: &TestVault, hoard: &Hoard, slots: &TempDir) -> crate::attacker::Loot {
    let outer = KeyFile::at(vault.dir().join("outer.key")).key().expect("the outer key");
    Attacker::new(outer, hoard.records()).attack(slots.path())
}

/// A statutory period of a day, for what no scene above has.
const PERIOD: &str =
    "\n[periods.day]\nclass = \"government_id\"\nlegal_basis = \"a law\"\nfrom = \"created\"\nperiod = \"P1D\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_expired_or_outlived_its_statutory_period_can_be_recovered() {
    let mut vault = TestVault::start_with(|dir| {
        let path = dir.join("catalog.toml");
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(path, text + PERIOD).expect("is written");
    });
    let mut hoard = Hoard::of(vault.dir().join("data/db"));
    let created = vault.create(&["contact", "government_id"]).await;
    let id = &created.subject_id;
    let expiring = put_expiring(&vault, id, 3_600_000).await;
    let name =
        async |item_id: &str| full_name(&vault.read(id, item_id).await.expect("reads")).expect("a name").to_owned();
    let (stays, expired) = (name(&created.items[0].item_id).await, name(&expiring).await);
    let held = match vault.read(id, &created.items[1].item_id).await.expect("reads").value.and_then(|value| value.value)
    {
        Some(item_value::Value::GovernmentId(document)) => document.printed_name,
        _ => panic!("an id"),
    };
    let all = [&stays, &expired, &held];
    let then = slots_of(&vault);
    hoard.gather();
    assert_eq!(attack(&vault, &hoard, &then).missing(&all), Vec::<&str>::new(), "what is there must be found");

    expire_now(&vault, id, &expiring).await;
    await_absence(&vault, id, &expiring).await;
    let deleted = vault.delete(id, &created.items[1].item_id).await.expect("deletes");
    assert_eq!(deleted.state(), ErasureState::Kept);
    vault.stop();
    hoard.gather();
    let found = attack(&vault, &hoard, &slots_of(&vault));
    assert_eq!(found.present(std::slice::from_ref(&expired)), Vec::<&str>::new(), "what expired");
    assert_eq!(found.missing(&[&stays, &held]), Vec::<&str>::new(), "what is there must be found, kept or not");

    let_days_pass(&vault, 2);
    hoard.gather();
    let found = attack(&vault, &hoard, &slots_of(&vault));
    let sought = [expired.clone(), held.clone()];
    let recovered = found.present(&sought);
    let figures = json!({
        "files": hoard.files(), "rows": found.rows, "keys_tried": found.keys, "sought": 2, "recovered": recovered.len(),
    });
    assert_eq!(recovered, Vec::<&str>::new(), "nothing of what was forgotten");
    assert_eq!(found.missing(&[&stays]), Vec::<&str>::new(), "what is there must be found");
    assert_eq!(attack(&vault, &hoard, &then).missing(&all), Vec::<&str>::new(), "the old secrets must open it all");
    figures::note(16, "residue after an expiry and the end of a statutory period", None, figures);
}
