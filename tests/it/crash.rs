//! Killed at every named step of an epoch, the vault comes back with what it acknowledged, and forgets what it was
//! asked to forget.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use lacuna::api::proto::*;
use tokio::task::JoinSet;

use crate::figures;
use crate::samples::reason;
use crate::vault::TestVault;

/// Each named point, how often it is passed before it kills, and what must be true of the item afterwards.
pub const KILLS: &[(&str, u32, Asked)] = &[
    // The batches of a deletion: its tombstone, the reserved number, the new tree, the end.
    ("commit_before", 0, Asked::Not),
    ("commit_before", 1, Asked::Pending),
    ("commit_before", 2, Asked::Pending),
    ("commit_before", 3, Asked::Pending),
    ("commit_after", 0, Asked::Pending),
    ("commit_after", 1, Asked::Pending),
    ("commit_after", 2, Asked::Pending),
    ("commit_after", 3, Asked::Done),
    ("epoch_stage_before", 0, Asked::Pending),
    // The first slot to pass and the second one.
    ("slot_stage_before", 0, Asked::Pending),
    ("slot_stage_before", 1, Asked::Pending),
    ("slot_stage_after", 0, Asked::Pending),
    ("slot_stage_after", 1, Asked::Pending),
    ("epoch_stage_after", 0, Asked::Pending),
    ("epoch_prepared", 0, Asked::Pending),
    ("epoch_destroy_before", 0, Asked::Pending),
    // Each slot passes once before it stages, to discard what an earlier attempt left, and once after.
    ("slot_destroy_before", 0, Asked::Pending),
    ("slot_destroy_before", 1, Asked::Pending),
    ("slot_destroy_before", 2, Asked::Pending),
    ("slot_destroy_before", 3, Asked::Pending),
    ("slot_destroy_after", 0, Asked::Pending),
    ("slot_destroy_after", 1, Asked::Pending),
    ("slot_destroy_after", 2, Asked::Pending),
    ("slot_destroy_after", 3, Asked::Pending),
    ("epoch_destroy_after", 0, Asked::Pending),
    ("epoch_destroy_after", 1, Asked::Pending),
    ("epoch_finished", 0, Asked::Done),
];

/// Points that no deletion passes, and where they are tested.
const ELSEWHERE: &[(&str, &str)] = &[
    ("sweep_step", "expiry"),
    ("sweep_stepped", "expiry"),
    ("export_file", "published"),
    ("upload_step", "documents"),
    ("upload_finished", "documents"),
    ("slot_take_over", "keys::slot::file::tests::crash"),
    ("purge_step", "purge"),
    ("purge_stepped", "purge"),
    ("purge_noted", "purge"),
    ("log_round", "group_crash"),
    ("log_key_changed", "group_crash"),
    ("slot_making", "approvals"),
    ("slot_made", "approvals"),
    ("slot_left", "approvals"),
    ("slot_retired", "approvals"),
    ("slot_destroyed", "approvals"),
    ("slot_attested", "approvals"),
    ("rotation_begin", "rotation"),
    ("rotation_step", "rotation"),
    ("rotation_turned", "rotation"),
    ("rotation_retired", "rotation"),
    ("rotation_lodged", "rotation"),
    ("parting_step", "parting"),
    ("parting_stepped", "parting"),
    ("parting_lodged", "parting"),
];

/// How far the deletion is when the program dies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Its first batch is not durable: the item must still be there.
    Not,
    /// The item is gone, and the epoch has to be carried out, or through, after the crash.
    Pending,
    /// All is done but the answer.
    Done,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_an_erasure_loses_and_revives_nothing() {
    let mut origin = TestVault::start();
    let created = Arc::new(origin.create(&["contact", "payment", "contact"]).await);
    origin.stop();
    let mut kills = JoinSet::new();
    for (point, passed, asked) in KILLS {
        let vault = origin.fork();
        kills.spawn(killed(vault, created.clone(), point, *passed, *asked));
        if kills.len() == 4 {
            kills.join_next().await.expect("runs").expect("holds");
        }
    }
    kills.join_all().await;
    note("deletion", KILLS.len());
}

/// A wrong outcome has ended the test.
fn note(what: &str, kills: usize) {
    let name = format!("killed at every named step of a {what}");
    figures::note(2, &name, None, serde_json::json!({ "kills": kills, "wrong": 0 }));
}

async fn killed(
    mut vault: TestVault,
    created: Arc<CreateSubjectResponse>,
    point: &'static str,
    passed: u32,
    asked: Asked,
) {
    let name = format!("{point}, passed {passed} times before");
    let (id, items) = (&created.subject_id, &created.items);
    let key = vault.canary();
    // The log's thread stands still, so that every batch that is counted is the deletion's.
    vault.run(&format!("{point}={passed}*off->return(kill);log_round=pause"));
    let answer = vault.delete_once(id, &items[1].item_id, &key).await;
    assert!(answer.is_err(), "{name}: killed before it could answer");
    vault.wait_for_death();

    if asked == Asked::Pending {
        // Killed again, at the step where the recovery has just finished the epoch.
        vault.run_to_death("epoch_finished=return(kill)");
    }

    vault.run("");
    let read = async |item: usize| vault.read(id, &items[item].item_id).await.map(|_| ()).map_err(|e| reason(&e));
    assert_eq!(read(0).await, Ok(()), "{name}: the other item must be there");
    let expected = if asked == Asked::Not { Ok(()) } else { Err("NOT_FOUND".to_owned()) };
    assert_eq!(read(1).await, expected, "{name}");

    // The same call again: carried out by now, once, with one receipt. And another one goes through after it.
    let again = async || vault.delete_once(id, &items[1].item_id, &key).await.expect("is answered");
    let (first, second) = (again().await, again().await);
    assert_eq!([first.state(), second.state()], [ErasureState::Erased; 2], "{name}");
    assert_eq!(first.receipt_id, second.receipt_id, "{name}");
    assert_eq!(read(1).await, Err("NOT_FOUND".to_owned()), "{name}");
    let erasure = vault.delete(id, &items[2].item_id).await.expect("deletes");
    assert_eq!(erasure.state(), ErasureState::Erased, "{name}");
    let status = vault.status().await;
    assert_eq!((status.state(), status.pending_erasure_count), (VaultState::Serving, 0), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_a_persons_erasure_leaves_one_statement() {
    let mut origin = TestVault::start();
    let (ann, ben) = (origin.create(&["contact", "payment"]).await, origin.create(&["contact"]).await);
    let people = Arc::new([ann, ben]);
    origin.stop();
    let mut kills = JoinSet::new();
    let mut passed_once = BTreeSet::new();
    // Each point once for each of its outcomes: how often it was passed makes no difference to what is stated.
    for (point, passed, asked) in KILLS.iter().filter(|(point, _, asked)| passed_once.insert((*point, *asked as u8))) {
        kills.spawn(killed_erasure(origin.fork(), people.clone(), point, *passed, *asked));
        if kills.len() == 4 {
            kills.join_next().await.expect("runs").expect("holds");
        }
    }
    kills.join_all().await;
    note("person's erasure", passed_once.len());
}

async fn killed_erasure(
    mut vault: TestVault,
    people: Arc<[CreateSubjectResponse; 2]>,
    point: &'static str,
    passed: u32,
    asked: Asked,
) {
    let name = format!("{point}, passed {passed} times before");
    let [ann, ben] = &*people;
    let key = vault.canary();
    vault.run(&format!("{point}={passed}*off->return(kill);log_round=pause"));
    let answer = vault.erase(&ann.subject_id, &key).await;
    assert!(answer.is_err(), "{name}: killed before it could answer");
    vault.wait_for_death();
    if asked == Asked::Pending {
        vault.run_to_death("epoch_finished=return(kill)");
    }
    vault.run("");
    let read = async |person: &CreateSubjectResponse| {
        vault.read(&person.subject_id, &person.items[0].item_id).await.map(|_| ()).map_err(|e| reason(&e))
    };
    assert_eq!(read(ben).await, Ok(()), "{name}: the other person must be there");
    let expected = if asked == Asked::Not { Ok(()) } else { Err("ERASED".to_owned()) };
    assert_eq!(read(ann).await, expected, "{name}");

    // The same call again, with its key and without: one erasure, and the same bytes each time.
    let again = async |key: &str| vault.erase(&ann.subject_id, key).await.expect("is answered").receipt.expect("one");
    let (first, second) = (again(&key).await, again("").await);
    let fetched = vault.receipt(&first.receipt_id).await.expect("is there");
    for other in [&second, &fetched] {
        assert_eq!((&other.body, &other.signature), (&first.body, &first.signature), "{name}");
    }
    assert_eq!(read(ann).await, Err("ERASED".to_owned()), "{name}");
    assert!(vault.erase(&ben.subject_id, "").await.expect("erases").receipt.is_some(), "{name}");
    let status = vault.status().await;
    assert_eq!((status.state(), status.pending_erasure_count), (VaultState::Serving, 0), "{name}");
}

#[test]
fn every_named_point_of_the_sources_is_in_the_table() {
    let mut found = BTreeSet::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let kills = KILLS.iter().map(|(point, ..)| *point);
    let listed: BTreeSet<String> = kills.chain(ELSEWHERE.iter().map(|(point, _)| *point)).map(str::to_owned).collect();
    assert_eq!(found, listed);
}

fn collect(dir: &Path, points: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(dir).expect("a folder of the sources").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, points);
        } else {
            let text = std::fs::read_to_string(path).expect("a source file");
            let names = text.split("fault::point(\"").skip(1).filter_map(|rest| rest.split_once('"'));
            points.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}
