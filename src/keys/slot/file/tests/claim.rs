//! Whose slot it is, and which files are slots at all.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::keys::slot::grade::Grade;

#[test]
fn a_claimed_slot_is_refused_to_everybody_else() {
    let bench = Bench::new();
    let slot = bench.create().expect("created");
    let before = bench.bytes();
    assert_eq!(FileSlot::claim(&bench.place, VAULT, OURS).err(), Some(SlotError::InUse));
    assert_eq!(FileSlot::claim(&bench.place, VAULT, THEIRS).err(), Some(SlotError::InUse));
    assert_eq!(FileSlot::take_over(&bench.place, VAULT, THEIRS).err(), Some(SlotError::InUse));
    assert_eq!(bench.bytes(), before);
    drop(slot);
    assert!(FileSlot::claim(&bench.place, VAULT, OURS).is_ok());
}

#[test]
fn a_second_process_is_refused_until_the_first_lets_go() {
    let bench = Bench::new();
    let slot = bench.create().expect("created");
    assert_eq!(run_elsewhere(&bench, "claim", None), Some(41));
    drop(slot);
    assert_eq!(run_elsewhere(&bench, "claim", None), Some(40));
}

#[test]
fn letting_go_does_not_wait_for_a_forked_child() {
    let bench = Bench::new();
    let slot = bench.create().expect("created");
    // What a child holds between fork and exec: the same open file, lock included.
    let inherited = slot.view.medium.file().try_clone().expect("duplicated");
    drop(slot);
    assert!(FileSlot::claim(&bench.place, VAULT, OURS).is_ok());
    drop(inherited);
}

#[test]
fn a_take_over_is_explicit_and_stays_within_the_vault() {
    let bench = Bench::created();
    let before = bench.bytes();
    let elsewhere = VaultId::from_bytes([0x23; 16]);
    assert_eq!(FileSlot::claim(&bench.place, elsewhere, OURS).err(), Some(SlotError::WrongVault));
    assert_eq!(FileSlot::take_over(&bench.place, elsewhere, OURS).err(), Some(SlotError::WrongVault));
    let refused = FileSlot::claim(&bench.place, VAULT, THEIRS).err();
    assert_eq!(refused, Some(SlotError::NotOurs { owner: OURS }));
    assert_eq!(bench.bytes(), before);

    let first = prf(&bench.claim(), 1);
    let taken = FileSlot::take_over(&bench.place, VAULT, THEIRS).expect("taken over");
    assert_eq!((taken.describe().map(|d| (d.owner, d.slot)), prf(&taken, 1)), (Ok((THEIRS, SLOT)), first));
    drop(taken);
    let refused = FileSlot::claim(&bench.place, VAULT, OURS).err();
    assert_eq!(refused, Some(SlotError::NotOurs { owner: THEIRS }));
    assert!(FileSlot::claim(&bench.place, VAULT, THEIRS).is_ok());
}

#[test]
fn a_view_reads_what_the_slot_reads_and_changes_nothing() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    let before = bench.bytes();
    let view = SlotView::inspect(&bench.place).expect("beside a claim");
    assert_eq!(view.describe(), slot.describe());
    assert_eq!(view.read(1, &[b"context"]).map(|s| *s.expose()), prf(&slot, 1));
    assert_eq!(view.read(2, &[]).err(), Some(SlotError::NoSuchEpoch));
    assert_eq!(bench.bytes(), before);
    slot.stage(1, 2).expect("staged");
    assert_eq!(view.describe().map(|d| d.epochs), Ok(vec![1, 2]), "each call reads the medium");
    fs::set_permissions(&bench.place.path, Permissions::from_mode(0o400)).expect("mode");
    assert!(SlotView::inspect(&bench.place).is_ok(), "reading needs no right to write");
}

#[test]
fn only_a_private_plain_file_is_a_slot() {
    let bench = Bench::created();
    let path = |name: &str| bench.place.path.with_file_name(name);
    let refused = |path: PathBuf| {
        let place = Place::new(path, &[]);
        assert_eq!(FileSlot::claim(&place, VAULT, OURS).err(), SlotView::inspect(&place).err());
        FileSlot::claim(&place, VAULT, OURS).err()
    };
    symlink(&bench.place.path, path("link")).expect("linked");
    fs::create_dir(path("folder")).expect("made");
    rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).expect("made");
    for name in ["link", "folder", "pipe"] {
        assert_eq!(refused(path(name)), Some(SlotError::NotPrivate), "{name}");
    }
    assert_eq!(refused(path("none")), Some(SlotError::Missing));
    assert_eq!(refused(bench.place.path.join("below")), Some(SlotError::Missing));
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601] {
        fs::set_permissions(&bench.place.path, Permissions::from_mode(mode)).expect("mode");
        assert_eq!(refused(bench.place.path.clone()), Some(SlotError::NotPrivate), "{mode:o}");
    }
}

#[test]
fn a_file_of_another_size_or_content_is_damaged() {
    for content in [vec![], vec![0; FILE_LEN], vec![0x5a; FILE_LEN], vec![0; 512]] {
        let bench = Bench::created();
        fs::write(&bench.place.path, content).expect("written");
        assert_eq!(FileSlot::claim(&bench.place, VAULT, OURS).err(), Some(SlotError::Damaged));
    }
    let bench = Bench::created();
    for len in [FILE_LEN + 1, FILE_LEN - 1, FILE_LEN / 2] {
        fs::File::options().write(true).open(&bench.place.path).and_then(|f| f.set_len(len as u64)).expect("resized");
        assert_eq!(FileSlot::claim(&bench.place, VAULT, OURS).err(), Some(SlotError::Damaged), "{len} bytes");
    }
}

#[test]
fn a_later_format_is_refused_as_such() {
    let bench = Bench::created();
    let mut later = bench.block(1);
    later[11] = 2;
    let text = label::SLOT_FILE.as_bytes();
    let framed = (text.len() as u64).to_be_bytes();
    let checksum = crate::crypto::hash::sha256(&[&framed, text, &later[..BLOCK - 32]]);
    later[BLOCK - 32..].copy_from_slice(&checksum);
    bench.put(BLOCK, &later);
    let before = bench.bytes();
    assert_eq!(FileSlot::claim(&bench.place, VAULT, OURS).err(), Some(SlotError::UnknownFormat));
    assert_eq!(FileSlot::take_over(&bench.place, VAULT, OURS).err(), Some(SlotError::UnknownFormat));
    assert_eq!(bench.bytes(), before);
}

#[test]
fn creating_never_replaces_what_is_there() {
    let bench = Bench::created();
    let before = bench.bytes();
    assert_eq!(bench.create().err(), Some(SlotError::Exists));
    assert_eq!(bench.bytes(), before);
    assert_eq!(fs::metadata(&bench.place.path).expect("metadata").permissions().mode() & 0o777, 0o600);
    let dangling = bench.place.path.with_file_name("dangling");
    symlink("nowhere", &dangling).expect("linked");
    let place = Place::new(dangling, &[]);
    assert_eq!(FileSlot::create(&place, VAULT, SLOT, OURS, 1).err(), Some(SlotError::Exists));
}

#[test]
fn a_slot_replaced_or_removed_while_claimed_is_missing() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    fs::copy(&bench.place.path, bench.place.path.with_extension("copy")).expect("copied");
    fs::rename(bench.place.path.with_extension("copy"), &bench.place.path).expect("renamed");
    assert_eq!(prf(&slot, 1), Err(SlotError::Missing));
    fs::remove_file(&bench.place.path).expect("removed");
    assert_eq!((slot.describe().err(), slot.stage(1, 2)), (Some(SlotError::Missing), Err(SlotError::Missing)));
}

#[test]
fn a_changed_owner_is_noticed_by_whoever_claimed_the_slot() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    let header = Header { turn: 2, slot: SLOT, vault: VAULT, owner: THEIRS };
    bench.put(0, &header.encode());
    bench.put(BLOCK, &header.encode());
    assert_eq!(slot.stage(1, 2), Err(SlotError::NotOurs { owner: THEIRS }));
    assert_eq!(slot.destroy_except(1), Err(SlotError::NotOurs { owner: THEIRS }));
}

#[test]
fn what_shares_a_volume_with_the_store_is_graded_e0() {
    let bench = Bench::created();
    let folder = bench.place.path.parent().expect("a folder").to_path_buf();
    let place = Place { apart_from: vec![folder.join("data")], ..bench.place.clone() };
    let found = SlotView::inspect(&place).and_then(|view| view.describe()).expect("described");
    assert_eq!(found.grade, Grade::E0);
    assert_eq!(found.grade_reason, "shares a volume with the store or a backup");
}
