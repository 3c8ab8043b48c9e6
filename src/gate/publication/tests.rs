//! What is handed out, to whom, and what of that is in the log.

use std::time::Duration;

use super::*;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::event::Outcome;
use crate::audit::leaf::{self, tests::sample};
use crate::audit::tile::{decode_entries, decode_tile};
use crate::audit::tree::leaf_hash;
use crate::base::reason::Reason;
use crate::crypto::hash::sha256;
use crate::gate::open::tests::{Bench, OURS};

fn reader(roles: &[RoleId]) -> Reader {
    let caller = Caller { identity: "dns:reader".parse().expect("a name"), roles: roles.to_vec(), person: None };
    Reader { right: Right::Held(Some(Arc::new(caller))), peer: "127.0.0.1:1".into() }
}

fn open() -> (Bench, Arc<Vault>) {
    let bench = Bench::new();
    let vault = std::thread::scope(|scope| {
        scope.spawn(|| bench.open(OURS, bench.key_file()).expect("opens")).join().expect("no panic")
    });
    (bench, vault)
}

fn leaves(vault: &Vault) -> Vec<leaf::Leaf> {
    let entries = vault.log().stored().entries(0).expect("reads");
    entries.map(|entry| leaf::decode(&entry.expect("reads").1.0).expect("a leaf")).collect()
}

#[tokio::test]
async fn what_is_covered_is_handed_out_and_fits_together() {
    let (_bench, vault) = open();
    vault.record(vec![sample(); 300]).await.expect("recorded");
    vault.log().checkpoint(300).await.expect("signed");
    let reader = Reader { right: Right::Open, peer: String::new() };
    let read = async |resource| vault.published(&reader, resource).await.expect("served");
    let note = read(Resource::Checkpoint).await.expect("is there");
    let checkpoint = Checkpoint::open(&note, &[vault.log().key().clone()]).expect("is signed");
    assert!(checkpoint.size >= 300);
    for (index, width) in [(0, 256), (0, 1), (0, 255), (1, 44), (1, 7)] {
        let tile = read(Resource::Tile(TileId { level: 0, index }, width)).await.expect("is there");
        let tile = decode_tile(&tile, width).expect("a tile");
        let entries = read(Resource::Entries(index, width)).await.expect("is there");
        let entries = decode_entries(&entries, width).expect("a bundle");
        let details = read(Resource::Details(index, width)).await.expect("is there");
        let details = sidecar::decode(&details, width).expect("details");
        for ((entry, hash), detail) in entries.iter().zip(tile).zip(details) {
            assert_eq!(leaf_hash(entry), hash);
            assert_eq!(leaf::decode(entry).expect("a leaf").detail_hash, detail.map(|detail| sha256(&[detail])));
        }
    }
    let beyond = [
        Resource::Tile(TileId { level: 0, index: 1 }, 256),
        Resource::Tile(TileId { level: 1, index: 0 }, 2),
        Resource::Tile(TileId { level: 9, index: 0 }, 1),
        Resource::Entries(1, 256),
        Resource::Entries(u64::MAX, 1),
        Resource::Details(2, 1),
    ];
    for resource in beyond {
        assert_eq!(read(resource).await, None, "{resource}");
    }
}

#[tokio::test]
async fn a_reader_is_recorded_once_in_a_while_and_before_it_gets_anything() {
    let (_bench, vault) = open();
    vault.record(vec![sample(); 3]).await.expect("recorded");
    vault.log().checkpoint(3).await.expect("signed");
    let before = vault.committer().log_size();
    let monitor = reader(&[RoleId::Auditor, RoleId::Monitor]);
    for _ in 0..50 {
        assert!(vault.published(&monitor, Resource::Checkpoint).await.expect("served").is_some());
        assert!(vault.published(&monitor, Resource::Entries(0, 2)).await.expect("served").is_some());
    }
    let leaves = leaves(&vault);
    assert_eq!(leaves.len() as u64, before + 2);
    let told = |leaf: &leaf::Leaf| (leaf.operation.clone(), leaf.role.clone(), leaf.outcome, leaf.count);
    assert_eq!(told(&leaves[leaves.len() - 2]), ("ReadCheckpoint".into(), "monitor".into(), Outcome::Done, 1));
    assert_eq!(told(&leaves[leaves.len() - 1]), ("ReadTiles".into(), "monitor".into(), Outcome::Done, 1));
    assert_eq!(leaves[leaves.len() - 1].actor, b"dns:reader");
}

#[test]
fn after_a_while_the_next_read_is_recorded_with_the_count_of_those_before() {
    let (readers, start) = (Readers::default(), Instant::now());
    let reading = || (None, Kind::Tiles, false);
    assert_eq!(readers.due(&reading(), start), Some(1));
    assert_eq!(readers.due(&reading(), start), Some(1), "nothing is durable yet");
    readers.recorded(reading(), start);
    for second in 0..59 {
        assert_eq!(readers.due(&reading(), start + Duration::from_secs(second)), None);
    }
    assert_eq!(readers.due(&(None, Kind::Checkpoint, false), start), Some(1));
    assert_eq!(readers.due(&reading(), start + PUBLISHED_READ_PERIOD), Some(60));
}

#[test]
fn the_memory_of_readers_is_bounded() {
    let (readers, start) = (Readers::default(), Instant::now());
    let reading = |n: usize| (Some(format!("dns:r{n}").parse().expect("a name")), Kind::Tiles, false);
    (0..PUBLISHED_READERS_MAX + 5).for_each(|n| readers.recorded(reading(n), start));
    assert_eq!(readers.0.lock().len(), PUBLISHED_READERS_MAX);
    assert_eq!(readers.due(&reading(PUBLISHED_READERS_MAX + 1), start), Some(1), "recorded each time");
    readers.recorded(reading(PUBLISHED_READERS_MAX + 1), start + PUBLISHED_READ_PERIOD);
    assert_eq!(readers.0.lock().len(), 1);
}

#[tokio::test]
async fn others_are_refused_and_that_is_recorded() {
    let (_bench, vault) = open();
    vault.record(vec![sample()]).await.expect("recorded");
    vault.log().checkpoint(1).await.expect("signed");
    let cases = [
        (reader(&[RoleId::Operator, RoleId::Service]), Resource::Checkpoint, Access::RoleNotHeld),
        (reader(&[]), Resource::Entries(0, 1), Access::RoleNotHeld),
        (reader(&[RoleId::Monitor]), Resource::Details(0, 1), Access::RoleNotHeld),
        (Reader { right: Right::Held(None), peer: String::new() }, Resource::Checkpoint, Access::Unauthenticated),
    ];
    for (reader, resource, expected) in cases {
        for _ in 0..3 {
            assert_eq!(vault.published(&reader, resource).await, Err(expected.clone().into()), "{resource}");
        }
        let last = leaves(&vault).pop().expect("an entry");
        assert_eq!((last.outcome, last.count, last.role.as_str()), (Outcome::Refused, 1, "unknown"));
        assert!([Reason::RoleNotHeld, Reason::CallerUnknown].map(Reason::number).contains(&last.reason));
    }
    assert_eq!(leaves(&vault).iter().filter(|leaf| leaf.outcome == Outcome::Refused).count(), 1 + 4, "one is a sample");
}
