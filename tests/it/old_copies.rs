//! Row 9: somebody puts an old copy of the store back, from before an erasure or from the middle of it. The vault refuses it,
//! says why and what to do, and touches nothing; and who has the copy, the slots as they are and the outer key finds nothing
//! in it of what was erased. A copy from after the point of no return finishes what it was copied in the middle of. With an
//! old copy of a slot, and the other slot away, a checkpoint outside tells; without one, the other slot when it is back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lacuna::api::proto::*;
use lacuna::keys::outer::OuterKey as _;
use lacuna::keys::outer::file::KeyFile;
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use serde_json::json;

use crate::attacker::Attacker;
use crate::cli::run;
use crate::figures;
use crate::samples::{full_name, reason};
use crate::unfit::content;
use crate::vault::{TestVault, copy};

/// A vault at several times. Ann is erased, one of Ben's items deleted after that; Cleo stays.
struct Scene {
    ann: CreateSubjectResponse,
    ben: CreateSubjectResponse,
    cleo: CreateSubjectResponse,
    /// Values that are gone in the end, and those that are not.
    gone: Vec<String>,
    stays: Vec<String>,
    before: TestVault,
    /// Ann's erasure is asked for, durably.
    asked: TestVault,
    /// Its new tree is durable: from here on there is no way back.
    prepared: TestVault,
    /// It is done.
    erased: TestVault,
    /// Ben's item is gone, too.
    now: TestVault,
}

impl Scene {
    async fn set() -> Self {
        let mut vault = TestVault::start();
        let [ann, ben, cleo] = [
            vault.create(&["contact"]).await,
            vault.create(&["contact", "contact"]).await,
            vault.create(&["contact"]).await,
        ];
        let name = async |vault: &TestVault, person: &CreateSubjectResponse, item: usize| {
            let item = vault.read(&person.subject_id, &person.items[item].item_id).await.expect("reads");
            full_name(&item).expect("a contact").to_owned()
        };
        let gone = vec![name(&vault, &ann, 0).await, name(&vault, &ben, 0).await];
        let stays = vec![name(&vault, &ben, 1).await, name(&vault, &cleo, 0).await];
        vault.stop();
        let before = vault.fork();

        vault.run("commit_after=return(kill);log_round=pause");
        assert!(vault.erase(&ann.subject_id, "").await.is_err());
        vault.wait_for_death();
        let asked = vault.fork();
        vault.run_to_death("epoch_prepared=return(kill)");
        let prepared = vault.fork();
        vault.run("");
        let erased = vault.erase(&ann.subject_id, "").await.expect("is answered").erasure.expect("is stated");
        assert_eq!(erased.state(), ErasureState::Erased);
        vault.stop();
        let erased = vault.fork();
        vault.run("");
        let deleted = vault.delete(&ben.subject_id, &ben.items[0].item_id).await.expect("deletes");
        assert_eq!(deleted.state(), ErasureState::Erased);
        vault.stop();
        Self { ann, ben, cleo, gone, stays, before, asked, prepared, erased, now: vault }
    }

    /// What the outer key and the slots in a directory open of the records that a vault's store has.
    fn recovered(&self, store: &TestVault, slots: &Path) -> (Vec<String>, usize) {
        let engine = store.store();
        let records = |space: &Space| engine.scan(*space, &[], &[], usize::MAX).expect("reads");
        let records = Space::ALL.iter().flat_map(records).collect();
        let outer = KeyFile::at(self.now.dir().join("outer.key")).key().expect("the outer key");
        let loot = Attacker::new(outer, records).attack(slots);
        let sought: Vec<String> = self.gone.iter().chain(&self.stays).cloned().collect();
        (loot.present(&sought).into_iter().map(str::to_owned).collect(), loot.keys)
    }
}

/// What is put back, and what the program must say.
struct Case {
    name: &'static str,
    put_back: fn(scene: &Scene, now: &Path),
    says: &'static [&'static str],
}

const OLDER: &[&str] = &["the store is older than its slots: it is an old copy", "\"Restoring\""];

const CASES: &[Case] = &[
    Case { name: "the store of before", put_back: |scene, now| data(&scene.before, now), says: OLDER },
    Case { name: "the store of when it was asked for", put_back: |scene, now| data(&scene.asked, now), says: OLDER },
    Case { name: "the store of the middle of it", put_back: |scene, now| data(&scene.prepared, now), says: OLDER },
    Case { name: "the store of before another erasure", put_back: |scene, now| data(&scene.erased, now), says: OLDER },
    Case {
        name: "the store and one slot of before",
        put_back: |scene, now| with_one_slot(&scene.before, now),
        says: OLDER,
    },
    Case {
        name: "the store and one slot of before, while the other is away",
        put_back: |scene, now| {
            with_one_slot(&scene.before, now);
            fs::remove_file(now.join("slots/b")).expect("was there");
        },
        says: &["a root slot is out of reach, and the store is older than a checkpoint", "\"Restoring\""],
    },
    Case {
        name: "the store without this installation's name",
        put_back: |scene, now| {
            data(&scene.before, now);
            fs::remove_file(now.join("data/instance")).expect("was there");
        },
        says: &["slot a:", "lacuna slot take-over"],
    },
    Case {
        name: "one slot of before",
        put_back: |scene, now| {
            fs::copy(scene.before.dir().join("slots/b"), now.join("slots/b")).expect("is copied");
        },
        says: &["slot b: it is stale", "put the current one back"],
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_store_does_not_start_and_nothing_of_the_erased_is_in_it() {
    let scene = Scene::set().await;
    let (mut refused, mut resurrected, mut keys) = (0, 0, 0);
    for Case { name, put_back, says } in CASES {
        let mut vault = scene.now.fork();
        vault.tamper();
        put_back(&scene, &vault.dir());
        let before = content(&vault);
        let said = vault.refused();
        assert!(says.iter().all(|words| said.contains(words)), "{name}: {said}");
        assert!(content(&vault) == before, "{name}: something was changed");
        refused += 1;
    }
    // What is in the copies: all of it with the slots of then, none of what is gone with those of now.
    let now = scene.now.dir().join("slots");
    for (store, then) in [(&scene.before, 4), (&scene.asked, 4)] {
        assert_eq!(scene.recovered(store, &store.dir().join("slots")).0.len(), then, "the search works");
        let (found, tried) = scene.recovered(store, &now);
        resurrected += found.iter().filter(|name| scene.gone.contains(name)).count();
        keys += tried;
    }
    assert_eq!(scene.recovered(&scene.now, &now).0.len(), scene.stays.len(), "what stays is found");
    let finished = a_copy_from_after_the_point_of_no_return_finishes(&scene).await;
    let figures = json!({
        "copies": CASES.len() + finished, "refused": refused, "finished": finished, "keys_tried": keys,
        "resurrected": resurrected,
    });
    assert_eq!(resurrected, 0, "{figures}");
    figures::note(9, "old copies of the store, of slots, and from the middle of an erasure", None, figures);
}

/// As long as no other epoch came after it.
async fn a_copy_from_after_the_point_of_no_return_finishes(scene: &Scene) -> usize {
    let mut vault = scene.erased.fork();
    data(&scene.prepared, &vault.dir());
    vault.run("");
    let erased = vault.erase(&scene.ann.subject_id, "").await.expect("is answered");
    assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Erased);
    let read = async |person: &CreateSubjectResponse, item: usize| {
        let read = vault.read(&person.subject_id, &person.items[item].item_id).await;
        read.map(|item| full_name(&item).expect("a contact").to_owned()).map_err(|status| reason(&status))
    };
    assert_eq!(read(&scene.ann, 0).await, Err("ERASED".into()));
    for (person, item, name) in [(&scene.ben, 1, &scene.stays[0]), (&scene.cleo, 0, &scene.stays[1])] {
        assert_eq!(read(person, item).await.as_ref(), Ok(name));
    }
    1
}

#[tokio::test(flavor = "multi_thread")]
async fn another_vaults_store_and_an_installation_that_was_taken_over_are_refused() {
    let (mut vault, mut other) = (TestVault::start(), TestVault::start());
    let (created, _) = (vault.create(&["contact"]).await, other.create(&["contact"]).await);
    vault.stop();
    other.stop();
    let mut swapped = vault.fork();
    swapped.tamper();
    data(&other, &swapped.dir());
    // They share an outer key, so it is the slots that tell them apart.
    let before = content(&swapped);
    let said = swapped.refused();
    assert!(said.contains("slot a: the slot belongs to another vault: check [slots] and [store] dir"), "{said}");
    assert!(content(&swapped) == before, "something was changed");

    // The slots are taken over by a new installation; the old one is put back.
    let mut moved = vault.fork();
    let name = moved.dir().join("data/instance");
    let old = fs::read(&name).expect("is there");
    fs::remove_file(&name).expect("was there");
    let config = moved.dir().join("lacuna.toml");
    let taken = run(&["slot", "take-over", "--config", config.to_str().expect("UTF-8"), "--yes"], "", &[]);
    assert_eq!(taken.code, 0, "{}", taken.err);
    let new = fs::read(&name).expect("is made");
    fs::write(&name, old).expect("is written");
    let before = content(&moved);
    let said = moved.refused();
    assert!(said.contains("slot a:") && said.contains("lacuna slot take-over"), "{said}");
    assert!(content(&moved) == before, "something was changed");
    fs::write(&name, new).expect("is written");
    moved.run("");
    assert!(moved.read(&created.subject_id, &created.items[0].item_id).await.is_ok());
}

/// Nothing but the slot that is away could tell: no checkpoint is outside. When it is back, nothing is served any more.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_with_an_old_slot_serves_nothing_once_the_other_slot_is_back() {
    let scene = Scene::set().await;
    let mut vault = scene.now.fork();
    vault.tamper();
    with_one_slot(&scene.before, &vault.dir());
    fs::remove_dir_all(vault.dir().join("checkpoints")).expect("was there");
    let (slot, away) = (vault.dir().join("slots/b"), vault.dir().join("away"));
    fs::rename(&slot, &away).expect("is moved");
    vault.run("");
    assert_eq!(vault.status().await.state(), VaultState::Degraded);
    let (ann, cleo) = (&scene.ann, &scene.cleo);
    let read = async |person: &CreateSubjectResponse| {
        let read = vault.read(&person.subject_id, &person.items[0].item_id).await;
        read.map(drop).map_err(|status| reason(&status))
    };
    assert_eq!(read(cleo).await, Ok(()));
    fs::rename(&away, &slot).expect("is moved back");
    let until = Instant::now() + Duration::from_secs(30);
    while read(cleo).await.is_ok() {
        assert!(Instant::now() < until, "it goes on with an old copy");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for person in [ann, cleo] {
        assert_eq!(read(person).await, Err("STORAGE_FAILED".into()));
    }
    assert!(vault.printed().contains("the store is older than its slots"));
    vault.kill();
    let said = vault.refused();
    assert!(OLDER.iter().all(|words| said.contains(words)), "{said}");
}

/// Puts a vault's store and its first slot in the place of another's.
fn with_one_slot(from: &TestVault, to: &Path) {
    data(from, to);
    fs::copy(from.dir().join("slots/a"), to.join("slots/a")).expect("is copied");
}

/// Puts a vault's store, with the name of its installation, in the place of another's.
fn data(from: &TestVault, to: &Path) {
    fs::remove_dir_all(to.join("data")).expect("was there");
    fs::create_dir(to.join("data")).expect("is new");
    copy(&from.dir().join("data"), &to.join("data"));
}
