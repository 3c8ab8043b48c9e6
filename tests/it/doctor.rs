//! `lacuna doctor` on stores that nobody touched, and on one from which something was taken away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;

use crate::cli::{Ran, run};
use crate::documents::pdf;
use crate::holds::{self, placed, release, verdict, whole};
use crate::program::subject;
use crate::samples::reason;
use crate::vault::TestVault;

fn doctor(vault: &TestVault, more: &[&str]) -> Ran {
    let config = vault.dir().join("lacuna.toml");
    run(&[&["doctor", "--config", config.to_str().expect("UTF-8")], more].concat(), "", &[])
}

type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// All that the vault has written: rows, and slots.
fn written(vault: &TestVault) -> (Rows, Vec<Vec<u8>>) {
    let store = vault.store();
    let rows = |space: &Space| store.scan(*space, &[], &[], usize::MAX).expect("reads");
    let rows = Space::ALL.iter().flat_map(|space| rows(space).into_iter().map(|(key, row)| ((*space, key), row)));
    let slots = ["slots/a", "slots/b"].map(|slot| fs::read(vault.dir().join(slot)).expect("a slot"));
    (rows.collect(), slots.into())
}

fn moved(vault: &TestVault) -> (PathBuf, PathBuf) {
    (vault.dir().join("slots/b"), vault.dir().join("away"))
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).expect("is moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_changes_nothing_and_carries_nothing_on() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact", "payment"]).await;
    let id = &created.subject_id;
    let ran = doctor(&vault, &["--deep"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("another process has the store open"), "{}", ran.err);

    let (slot, away) = moved(&vault);
    rename(&slot, &away);
    let erasure = vault.delete(id, &created.items[0].item_id).await.expect("is accepted");
    assert_eq!(erasure.state(), ErasureState::Pending);
    vault.stop();
    rename(&away, &slot);
    let before = written(&vault);
    for more in [&[][..], &["--deep"], &["--deep", "--accept"], &["--deep", "--output", "json"]] {
        let ran = doctor(&vault, more);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        assert!(written(&vault) == before, "{more:?}");
    }
    let report = vault.doctor().expect("it opens");
    assert_eq!((&report["pages"], &report["counts"]["under_way"]["all"]), (&"NEWEST".into(), &1.into()));
    vault.run("");
    let refused = vault.read(id, &created.items[0].item_id).await.err().map(|status| reason(&status));
    assert!([Some("ERASED".to_owned()), Some("NOT_FOUND".to_owned())].contains(&refused), "{refused:?}");
    assert!(vault.read(id, &created.items[1].item_id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_away_is_found_and_pages_can_be_accepted_as_they_are() {
    let mut vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    vault.stop();
    vault.tamper();
    let rows = |vault: &TestVault, space: Space| vault.store().scan(space, &[], &[], usize::MAX).expect("reads");
    let (pages, subjects, items) = (rows(&vault, Space::Page), rows(&vault, Space::Subject), rows(&vault, Space::Item));
    vault.run("");
    let put = PutItemRequest {
        context: vault.delivery(),
        subject: subject(&created.subject_id),
        item: Some(vault.item("contact")),
    };
    let added = vault.client("service").put_item(put).await.expect("puts").into_inner().item.expect("is named").item_id;
    vault.stop();
    assert_eq!(doctor(&vault, &["--deep"]).code, 0);
    let mut back = Batch::new();
    for (space, old) in [(Space::Page, &pages), (Space::Subject, &subjects)] {
        old.iter().for_each(|(key, row)| back.put(space, &key[..], &row[..]));
    }
    for (key, _) in rows(&vault, Space::Item).into_iter().filter(|row| !items.contains(row)) {
        back.delete(Space::Item, key);
    }
    vault.store().commit(back).expect("is written");

    // No call is told of it.
    vault.run("");
    assert!(vault.read(&created.subject_id, &created.items[0].item_id).await.is_ok());
    assert_eq!(vault.read(&created.subject_id, &added).await.err().map(|s| reason(&s)), Some("NOT_FOUND".into()));
    vault.stop();
    let ran = doctor(&vault, &["--deep"]);
    assert_eq!((ran.code, ran.err.as_str()), (3, ""));
    for says in ["pages of the key tree: NOT the newest", "docs/operators.md"] {
        assert!(ran.out.contains(says), "{}", ran.out);
    }
    assert_eq!(vault.doctor().expect("it opens")["pages"], "NOT_NEWEST");
    let ran = doctor(&vault, &["--deep", "--accept"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(doctor(&vault, &["--deep"]).code, 0);
    vault.run("");
    assert!(vault.read(&created.subject_id, &created.items[0].item_id).await.is_ok(), "it goes on as usual");
}

#[test]
fn where_there_is_no_store_none_is_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("lacuna.toml");
    let ran = run(&["doctor", "--config", config.to_str().expect("UTF-8")], "", &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("there is no such file"), "{}", ran.err);
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
}

/// The content of a kept document goes with an epoch: until then it is there, and the person is as erased as before.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_stays_erased_while_the_last_of_what_was_kept_goes() {
    let vault = TestVault::start();
    let created = vault.create(&["contact"]).await;
    let id = &created.subject_id;
    vault.store_document(id, &pdf(&vault, 200_000)).await;
    let hold = placed(&vault, &holds::open(&vault).await, id, whole(&[], true)).await;
    let erased = vault.erase(id, "").await.expect("erases").erasure.expect("is stated");
    assert_eq!(erased.state(), ErasureState::Kept);
    let (slot, away) = moved(&vault);
    rename(&slot, &away);
    release(&vault, &hold).await;
    let described = async || {
        let request = GetSubjectRequest { context: vault.delivery(), subject: subject(id) };
        let subject = vault.client("service").get_subject(request).await.expect("is answered").into_inner().subject;
        subject.expect("is described").state()
    };
    assert_eq!(described().await, SubjectState::Erased);
    assert!(
        [ErasureVerdict::Erased, ErasureVerdict::PartlyKept, ErasureVerdict::Pending]
            .contains(&verdict(&vault, &erased.receipt_id).await.0)
    );
    rename(&away, &slot);
    for _ in 0..600 {
        if verdict(&vault, &erased.receipt_id).await == (ErasureVerdict::Erased, 0) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(verdict(&vault, &erased.receipt_id).await, (ErasureVerdict::Erased, 0));
    assert_eq!(described().await, SubjectState::Erased);
}
