//! A start that must be refused: with a text of its own, and with nothing changed on any disk. And a start with a
//! slot missing, which must not be.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lacuna::api::proto::*;
use lacuna::keys::outer::file::KeyFile;
use lacuna::store::keyspace::Space;
use lacuna::store::{Engine as _, Record};

use crate::samples::reason;
use crate::vault::{TestVault, copy};

/// What was done to the directory `now`, of which `old` is an earlier copy, and what the program must say.
struct Case {
    name: &'static str,
    spoil: fn(now: &Path, old: &Path),
    says: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "another outer key",
        spoil: |now, _| {
            fs::remove_file(now.join("outer.key")).expect("was there");
            KeyFile::create(now.join("outer.key")).expect("is made");
        },
        says: "the outer key is not this vault's",
    },
    Case {
        name: "no outer key",
        spoil: |now, _| fs::remove_file(now.join("outer.key")).expect("was there"),
        says: "outer",
    },
    Case {
        name: "no slot in reach",
        spoil: |now, _| SLOTS.iter().for_each(|slot| fs::remove_file(now.join(slot)).expect("was there")),
        says: "no root slot is in reach",
    },
    Case {
        name: "an old copy of one slot",
        spoil: |now, old| put_back(old, now, SLOTS[1]),
        says: "slot b: it is stale",
    },
    Case {
        name: "old copies of all slots",
        spoil: |now, old| SLOTS.iter().for_each(|slot| put_back(old, now, slot)),
        says: "slot a: it is stale",
    },
    Case {
        name: "an old copy of the store",
        spoil: |now, old| {
            fs::remove_dir_all(now.join("data")).expect("was there");
            fs::create_dir(now.join("data")).expect("is new");
            copy(&old.join("data"), &now.join("data"));
        },
        says: "the store is older than its slots",
    },
    Case {
        name: "a flipped byte in the one secret of a slot",
        spoil: |now, _| SECRETS.iter().for_each(|block| flip(&now.join(SLOTS[0]), block + 20)),
        says: "slot a: the slot is damaged",
    },
    Case {
        name: "a flipped byte in both headers of a slot",
        spoil: |now, _| HEADERS.iter().for_each(|block| flip(&now.join(SLOTS[1]), block + 30)),
        says: "slot b:",
    },
    Case {
        name: "the slots exchanged",
        spoil: |now, _| {
            let [a, b] = SLOTS.map(|slot| fs::read(now.join(slot)).expect("a slot"));
            fs::write(now.join(SLOTS[0]), b).expect("is written");
            fs::write(now.join(SLOTS[1]), a).expect("is written");
        },
        says: "slot a: the slot is not one of this vault's",
    },
    Case {
        name: "another installation",
        spoil: |now, _| fs::write(now.join("data/instance"), "ins_aaaaaaaaaaaaaaaaaaaaaaaaaa\n").expect("is written"),
        says: "slot a:",
    },
];

const SLOTS: [&str; 2] = ["slots/a", "slots/b"];
/// Where the blocks of a slot file begin (`keys/slot/file/layout.rs`).
const HEADERS: [u64; 2] = [0, 4096];
const SECRETS: [u64; 2] = [8192, 12288];

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_be_right_is_refused_and_changes_nothing() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "payment"]).await;
    vault.stop();
    let old = vault.fork();
    vault.run("");
    vault.delete(&created.subject_id, &created.items[1].item_id).await.expect("deletes");
    vault.stop();
    for Case { name, spoil, says } in CASES {
        let mut spoilt = vault.fork();
        spoilt.tamper();
        spoil(&spoilt.dir(), &old.dir());
        let before = content(&spoilt);
        let said = spoilt.refused();
        assert!(said.contains(says), "{name}: {said}");
        assert!(content(&spoilt) == before, "{name}: something was changed");
        assert!(!spoilt.dir().join("dev.json").exists(), "{name}: it is not ready");
    }
    // What was not spoilt still starts.
    vault.run("");
    assert!(vault.read(&created.subject_id, &created.items[0].item_id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_directory_is_refused() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let said = vault.refused();
    assert!(said.contains("another process has the store open"), "{said}");
    assert!(vault.read(&created.subject_id, &created.items[0].item_id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_one_header_of_a_slot_is_no_reason_to_stop() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    vault.stop();
    flip(&vault.dir().join(SLOTS[0]), HEADERS[0] + 30);
    vault.run("");
    let erasure = vault.delete(&created.subject_id, &created.items[0].item_id).await.expect("deletes");
    assert_eq!(erasure.state(), ErasureState::Erased);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_slot_missing_erasures_wait_for_it_and_finish_by_themselves() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "payment"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    vault.stop();
    let (slot, away) = (vault.dir().join(SLOTS[1]), vault.dir().join("away"));
    fs::rename(&slot, &away).expect("is moved");
    vault.run("");
    let status = vault.status().await;
    assert_eq!(status.state(), VaultState::Degraded);
    let missing: Vec<&Slot> = status.slots.iter().filter(|slot| slot.state() == SlotState::Unreachable).collect();
    assert_eq!(missing.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>(), ["b"]);

    let erasure = vault.delete(id, &items[1].item_id).await.expect("is accepted");
    assert_eq!(erasure.state(), ErasureState::Pending);
    assert_eq!(erasure.waiting_slot_ids, [missing[0].slot_id.clone()]);
    let read = vault.read(id, &items[1].item_id).await.map(|_| ()).map_err(|status| reason(&status));
    assert_eq!(read, Err("NOT_FOUND".to_owned()), "unreadable from the answer on");
    assert!(vault.read(id, &items[0].item_id).await.is_ok());
    assert_eq!(vault.status().await.pending_erasure_count, 1);

    fs::rename(&away, &slot).expect("is moved back");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = vault.status().await;
        if (status.state(), status.pending_erasure_count) == (VaultState::Serving, 0) {
            break;
        }
        assert!(Instant::now() < deadline, "the erasure does not finish by itself");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(vault.read(id, &items[1].item_id).await.is_err());
}

/// What a refused start must leave alone: the bytes of every file beside the store, and every record in it.
pub type Content = (BTreeMap<String, Vec<u8>>, Vec<(Space, Vec<Record>)>);

/// That of a stopped vault.
pub fn content(vault: &TestVault) -> Content {
    let files = ["slots", "."].iter().flat_map(|folder| fs::read_dir(vault.dir().join(folder)).expect("a directory"));
    let files = files.flatten().filter(|entry| entry.path().is_file() && entry.file_name() != "dev.json");
    let files = files.map(|file| (file.path().display().to_string(), fs::read(file.path()).expect("a file")));
    let store = vault.store();
    let records = |space: &Space| (*space, store.scan(*space, &[], &[], usize::MAX).expect("reads"));
    (files.collect(), Space::ALL.iter().map(records).collect())
}

fn put_back(old: &Path, now: &Path, name: &str) {
    fs::copy(old.join(name), now.join(name)).expect("is copied");
}

fn flip(file: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(file).expect("a file");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("is there");
    file.write_all_at(&[byte[0] ^ 1], at).expect("is written");
}
