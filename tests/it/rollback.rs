//! Whoever can write the store can exchange rows, and put old ones back. What the vault then reads is refused; it is
//! never a wrong value, and nothing that was forgotten.

use std::collections::BTreeMap;

use lacuna::api::proto::*;
use lacuna::base::id::{ItemId, SubjectId};
use lacuna::keys::page::Tree;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;

use crate::program::subject;
use crate::samples::{full_name, reason};
use crate::vault::TestVault;

/// A store's records.
type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;
/// The full name that each item holds.
type Names = BTreeMap<&'static str, String>;

/// Two subjects, and the store at three times. Ana's items are `old` (corrected in the end), `gone` (deleted in the
/// end), `kept`, and `added`, which came between the first and the second time; Ben's is `other`.
struct Scene {
    ana: SubjectId,
    ben: SubjectId,
    items: BTreeMap<&'static str, ItemId>,
    names_at_second: Names,
    names_at_third: Names,
    first: Rows,
    second: Rows,
    third: Rows,
}

impl Scene {
    fn owner(&self, item: &str) -> SubjectId {
        if item == "other" { self.ben } else { self.ana }
    }

    fn key(&self, item: &str) -> Vec<u8> {
        let owner = self.owner(item);
        [&owner.as_bytes()[..], &self.items[item].as_bytes()[..]].concat()
    }

    fn row(&self, rows: &Rows, item: &str) -> Vec<u8> {
        rows[&(Space::Item, self.key(item))].clone()
    }

    /// What can be read: the name of each item, or why it is refused.
    async fn read(&self, vault: &TestVault) -> BTreeMap<&'static str, Result<String, String>> {
        let mut found = BTreeMap::new();
        for (item, id) in &self.items {
            let read = vault.read(&self.owner(item).to_string(), &id.to_string()).await;
            let name = read.map(|item| full_name(&item).unwrap_or_default().to_owned());
            found.insert(*item, name.map_err(|status| reason(&status)));
        }
        found
    }
}

/// What is done to the store as it was in the end, or at the second time; and the items that cannot be read then.
struct Attack {
    name: &'static str,
    at_second: bool,
    change: fn(&Scene, &mut Batch),
    refused: &'static [&'static str],
}

const fn attack(name: &'static str, change: fn(&Scene, &mut Batch), refused: &'static [&'static str]) -> Attack {
    Attack { name, at_second: false, change, refused }
}

const ATTACKS: &[Attack] = &[
    attack("nothing", |_, _| {}, &["gone"]),
    attack(
        "an item's row under another subject's item",
        |scene, batch| batch.put(Space::Item, scene.key("other"), scene.row(&scene.third, "kept")),
        &["gone", "other"],
    ),
    attack(
        "the rows of two items exchanged",
        |scene, batch| {
            batch.put(Space::Item, scene.key("kept"), scene.row(&scene.third, "added"));
            batch.put(Space::Item, scene.key("added"), scene.row(&scene.third, "kept"));
        },
        &["gone", "kept", "added"],
    ),
    attack(
        "the row of a version before a correction",
        |scene, batch| batch.put(Space::Item, scene.key("old"), scene.row(&scene.second, "old")),
        &["gone", "old"],
    ),
    attack(
        "the row before a change of a flag",
        |scene, batch| batch.put(Space::Item, scene.key("kept"), scene.row(&scene.second, "kept")),
        &["gone", "kept"],
    ),
    attack(
        "the row of a deleted item",
        |scene, batch| batch.put(Space::Item, scene.key("gone"), scene.row(&scene.second, "gone")),
        &["gone"],
    ),
    attack(
        "the row of a deleted item and every page there was",
        |scene, batch| {
            batch.put(Space::Item, scene.key("gone"), scene.row(&scene.second, "gone"));
            for ((space, key), row) in scene.first.iter().chain(&scene.second) {
                if *space == Space::Page && !scene.third.contains_key(&(*space, key.clone())) {
                    batch.put(*space, &key[..], &row[..]);
                }
            }
        },
        &["gone"],
    ),
    attack(
        "a subject's page of an earlier generation in place of the one in force",
        |scene, batch| {
            let [before, now] = [&scene.second, &scene.third].map(|rows| page_of(rows, scene.ana));
            batch.put(Space::Page, now.0, before.1);
        },
        &["gone", "old", "kept", "added"],
    ),
    attack(
        "another subject's page",
        |scene, batch| {
            let [ana, ben] = [scene.ana, scene.ben].map(|owner| page_of(&scene.third, owner));
            batch.put(Space::Page, ben.0, ana.1);
        },
        &["gone", "other"],
    ),
    attack(
        "another subject's record",
        |scene, batch| {
            let row = &scene.third[&(Space::Subject, scene.ana.as_bytes().to_vec())];
            batch.put(Space::Subject, *scene.ben.as_bytes(), &row[..]);
        },
        &["gone", "other"],
    ),
    attack(
        "a bit of an item's row flipped",
        |scene, batch| {
            let mut row = scene.row(&scene.third, "kept");
            let middle = row.len() / 2;
            row[middle] ^= 1;
            batch.put(Space::Item, scene.key("kept"), row);
        },
        &["gone", "kept"],
    ),
    attack(
        "an item's row cut short",
        |scene, batch| {
            let row = scene.row(&scene.third, "kept");
            batch.put(Space::Item, scene.key("kept"), &row[..row.len() - 1]);
        },
        &["gone", "kept"],
    ),
    attack("an item's row emptied", |scene, batch| batch.put(Space::Item, scene.key("kept"), []), &["gone", "kept"]),
    // Of the same generation, a page opens: it can hide what was added later, and nothing else.
    Attack {
        name: "a subject's page from before an item was added",
        at_second: true,
        change: |scene, batch| {
            let (key, row) = page_of(&scene.first, scene.ana);
            assert!(scene.second.contains_key(&(Space::Page, key.clone())), "an addition keeps the generation");
            batch.put(Space::Page, key, row);
        },
        refused: &["added"],
    },
];

/// The one page of a subject's tree: its key and its bytes.
fn page_of(rows: &Rows, owner: SubjectId) -> (Vec<u8>, Vec<u8>) {
    let prefix = Tree::Subject(owner, 0).row_prefix();
    let mut pages = rows.iter().filter(|((space, key), _)| *space == Space::Page && key.starts_with(&prefix));
    let ((_, key), row) = pages.next().expect("has a page");
    assert!(pages.next().is_none(), "a small subject has one page");
    (key.clone(), row.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanged_and_old_rows_are_refused_and_the_rest_stays_readable() {
    let mut vault = TestVault::start();
    let (scene, second) = set(&mut vault).await;
    for attack in ATTACKS {
        let mut vault = if attack.at_second { second.fork() } else { vault.fork() };
        let mut batch = Batch::new();
        (attack.change)(&scene, &mut batch);
        vault.tamper();
        vault.store().commit(batch).expect("is written");
        vault.run("");
        let names = if attack.at_second { &scene.names_at_second } else { &scene.names_at_third };
        for (item, found) in scene.read(&vault).await {
            match found {
                Ok(name) => assert_eq!(Some(&name), names.get(item), "{}: a wrong value for {item}", attack.name),
                Err(reason) => {
                    let known = reason == "DATA_CORRUPT" || (item == "gone" && reason == "NOT_FOUND");
                    assert!(known && attack.refused.contains(&item), "{}: {item}: {reason}", attack.name);
                    continue;
                }
            }
            assert!(!attack.refused.contains(&item), "{}: {item} must be refused", attack.name);
        }
        // The vault goes on for others.
        vault.create(&["contact"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchanged_index_leads_to_nobody() {
    let mut vault = TestVault::start();
    let [ana, ben] = [vault.canary(), vault.canary()];
    for external_id in [&ana, &ben] {
        let create = CreateSubjectRequest {
            context: vault.delivery(),
            external_id: external_id.clone(),
            items: vec![vault.item("contact")],
            ..Default::default()
        };
        vault.client("service").create_subject(create).await.expect("creates");
    }
    let find = async |vault: &TestVault, external_id: &str| {
        let named = Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(external_id.into())) });
        let get = GetSubjectRequest { context: vault.delivery(), subject: named };
        vault.client("service").get_subject(get).await.map_err(|status| reason(&status))
    };
    assert!(find(&vault, &ana).await.is_ok());
    vault.stop();
    let store = vault.store();
    // Those of callers' ids, which begin with 1.
    let [first, second] = &store.scan(Space::Index, &[1], &[], 3).expect("reads")[..] else { panic!("two rows") };
    let mut batch = Batch::new();
    batch.put(Space::Index, &first.0[..], &second.1[..]);
    batch.put(Space::Index, &second.0[..], &first.1[..]);
    store.commit(batch).expect("is written");
    drop(store);
    vault.run("");
    for external_id in [&ana, &ben] {
        assert_eq!(find(&vault, external_id).await.err().as_deref(), Some("DATA_CORRUPT"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_slot_to_be_erased_does_not_come_back_with_its_row() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let (id, item_id) = (&created.subject_id, &created.items[0].item_id);
    let whole = vault.create(&["contact"]).await;
    let before = stopped(&mut vault);
    std::fs::rename(vault.dir().join("slots/b"), vault.dir().join("away")).expect("is moved");
    vault.run("");
    assert_eq!(vault.delete(id, item_id).await.expect("is accepted").state(), ErasureState::Pending);
    let erased = vault.erase(&whole.subject_id, "").await.expect("is accepted").erasure.expect("is stated");
    assert_eq!(erased.state(), ErasureState::Pending);
    vault.stop();
    vault.tamper();
    let mut batch = Batch::new();
    for ((space, key), row) in before.iter().filter(|((space, _), _)| [Space::Item, Space::Subject].contains(space)) {
        batch.put(*space, &key[..], &row[..]);
    }
    vault.store().commit(batch).expect("is written");
    vault.run("");
    let read = vault.read(id, item_id).await.map(|_| ()).map_err(|status| reason(&status));
    assert!(read.is_err(), "an erasure that was acknowledged is undone by one old row");
    let read = vault.read(&whole.subject_id, &whole.items[0].item_id).await.map(|_| ());
    assert!(read.is_err(), "an erasure that was acknowledged is undone by one old row");
}

/// Makes the scene in a vault, which is stopped then, and a copy of the vault at the second time.
async fn set(vault: &mut TestVault) -> (Scene, TestVault) {
    let created = vault.create(&["contact", "contact", "contact"]).await;
    let other = vault.create(&["contact"]).await;
    let parse = |stamp: &ItemStamp| stamp.item_id.parse().expect("an id");
    let mut items: BTreeMap<_, _> = ["old", "gone", "kept"].into_iter().zip(created.items.iter().map(parse)).collect();
    items.insert("other", parse(&other.items[0]));
    let ana = &created.subject_id;
    let mut scene = Scene {
        ana: ana.parse().expect("an id"),
        ben: other.subject_id.parse().expect("an id"),
        items,
        names_at_second: Names::new(),
        names_at_third: Names::new(),
        first: stopped(vault),
        second: Rows::new(),
        third: Rows::new(),
    };

    vault.run("");
    let put = PutItemRequest { context: vault.delivery(), subject: subject(ana), item: Some(vault.item("contact")) };
    let added = vault.client("service").put_item(put).await.expect("puts").into_inner().item.expect("is named");
    scene.items.insert("added", parse(&added));
    scene.names_at_second = readable(scene.read(vault).await);
    scene.second = stopped(vault);
    let copy = vault.fork();

    vault.run("");
    let update = |number: usize, value, metadata| UpdateItemRequest {
        context: vault.delivery(),
        subject: subject(ana),
        item_id: created.items[number].item_id.clone(),
        value,
        metadata,
        wait: Wait::Erased.into(),
        ..Default::default()
    };
    let mut service = vault.client("service");
    service.update_item(update(0, vault.item("contact").value, None)).await.expect("corrects");
    // A flag is changed in the clear part of the row, under the same key.
    let kept = vault.read(ana, &created.items[2].item_id).await.expect("is there");
    let metadata = ItemMetadata { automated_decision: false, ..kept.metadata.expect("is shown") };
    service.update_item(update(2, None, Some(metadata))).await.expect("corrects");
    let erasure = vault.delete(ana, &created.items[1].item_id).await.expect("deletes");
    assert_eq!(erasure.state(), ErasureState::Erased);
    scene.names_at_third = readable(scene.read(vault).await);
    scene.third = stopped(vault);
    assert_eq!((scene.names_at_second.len(), scene.names_at_third.len()), (5, 4));
    (scene, copy)
}

fn readable(found: BTreeMap<&'static str, Result<String, String>>) -> Names {
    found.into_iter().filter_map(|(item, name)| Some((item, name.ok()?))).collect()
}

/// Stops a vault: the records of its store.
fn stopped(vault: &mut TestVault) -> Rows {
    vault.stop();
    let store = vault.store();
    let records = |space: &Space| store.scan(*space, &[], &[], usize::MAX).expect("reads");
    Space::ALL.iter().flat_map(|space| records(space).into_iter().map(|(key, row)| ((*space, key), row))).collect()
}
