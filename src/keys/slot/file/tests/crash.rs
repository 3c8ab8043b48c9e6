//! Torn writes at every 64 bytes, flipped bytes, killed processes, a medium that fails.

use super::*;

/// Where torn writes are cut: far finer than any device does it.
fn cuts() -> impl Iterator<Item = usize> {
    (0..=BLOCK).step_by(64)
}

/// The first `cut` bytes of `front`, then the rest of `back`.
fn torn(front: &[u8], back: &[u8], cut: usize) -> Vec<u8> {
    [&front[..cut], &back[cut..]].concat()
}

#[test]
fn every_flipped_byte_is_detected() {
    let bench = Bench::created();
    bench.claim().stage(1, 2).expect("staged");
    let image = bench.bytes();
    assert!(!decode(&image).expect("whole").damaged());
    for at in 0..image.len() {
        let mut flipped = image.clone();
        flipped[at] ^= 1 << (at % 8);
        let contents = decode(&flipped).unwrap_or_else(|_| panic!("one flip at {at} leaves the slot usable"));
        assert!(contents.damaged(), "byte {at}");
        let expected = match at / BLOCK {
            0 | 1 => vec![1, 2],
            2 => vec![2],
            _ => vec![1],
        };
        assert_eq!(contents.epochs(), expected, "byte {at}");
        assert_eq!(contents.header.owner, OURS, "byte {at}");
    }
    for at in 0..BLOCK {
        let mut flipped = image.clone();
        flipped[at] ^= 0x80;
        flipped[BLOCK + at] ^= 0x80;
        assert_eq!(decode(&flipped).err(), Some(SlotError::Damaged), "byte {at} of both headers");
    }
}

#[test]
fn a_byte_set_in_an_erased_block_is_detected() {
    let bench = Bench::created();
    let image = bench.bytes();
    for at in (COPIES + 1) * BLOCK..FILE_LEN {
        let mut set = image.clone();
        set[at] = 1;
        assert!(decode(&set).expect("usable").damaged(), "byte {at}");
    }
}

#[test]
fn a_damaged_secret_is_told_from_an_epoch_that_was_never_there() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    assert_eq!(prf(&slot, 9), Err(SlotError::NoSuchEpoch));
    bench.put(COPIES * BLOCK + 30, &[0xff, 0x00]);
    assert_eq!(prf(&slot, 1), Err(SlotError::Damaged));
    assert_eq!(slot.stage(1, 2), Err(SlotError::Damaged));
    assert_eq!(slot.describe().map(|d| (d.epochs, d.damaged)), Ok((vec![], true)));
}

#[test]
fn a_block_counts_only_in_its_own_slot_and_place() {
    let (one, two) = (Bench::created(), Bench::created());
    let other = SlotId::from_bytes([0x12; 16]);
    let third = Bench::new();
    drop(FileSlot::create(&third.place, VAULT, other, OURS, 1).expect("created"));
    for (source, target) in [(one.block(COPIES), COPIES + 1), (third.block(COPIES), COPIES)] {
        two.put(target * BLOCK, &source);
        assert_eq!(two.claim().describe().map(|d| d.damaged), Ok(true), "block {target}");
    }
}

#[test]
fn a_torn_stage_keeps_the_epoch_in_force_and_can_be_repeated() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    let first = prf(&slot, 1);
    let at = (COPIES + 1) * BLOCK;
    slot.stage(1, 2).expect("staged");
    let abandoned = bench.block(COPIES + 1);
    slot.stage(1, 3).expect("staged");
    let staged = bench.block(COPIES + 1);
    for before in [&ERASED[..], &abandoned] {
        for cut in cuts() {
            for image in [torn(&staged, before, cut), torn(before, &staged, cut)] {
                bench.put(at, &image);
                let found = slot.describe().expect("described");
                let whole = image == staged || image == abandoned || image == ERASED;
                assert_eq!((found.damaged, prf(&slot, 1)), (!whole, first), "cut at {cut}");
                slot.stage(1, 3).expect("staged again");
                assert_eq!((epochs(&slot), prf(&slot, 1)), (vec![1, 3], first), "cut at {cut}");
                if image == staged {
                    assert_eq!(bench.block(COPIES + 1), staged);
                }
            }
        }
    }
}

#[test]
fn a_torn_destruction_keeps_the_new_epoch_and_is_finished_by_repeating_it() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    slot.stage(1, 2).expect("staged");
    let (old, second) = (bench.block(COPIES), prf(&slot, 2));
    for cut in cuts() {
        for image in [torn(&ERASED, &old, cut), torn(&old, &ERASED, cut)] {
            bench.put(COPIES * BLOCK, &image);
            assert_eq!(prf(&slot, 2), second);
            assert_eq!(prf(&slot, 1).is_ok(), image == old, "cut at {cut}");
            assert_eq!(slot.describe().map(|d| d.damaged), Ok(image != old && image != ERASED), "cut at {cut}");
            slot.destroy_except(2).expect("destroyed");
            assert_eq!((bench.block(COPIES), prf(&slot, 2)), (ERASED.to_vec(), second));
        }
    }
}

#[test]
fn a_torn_take_over_leaves_one_owner_or_the_other_and_can_be_repeated() {
    let bench = Bench::created();
    let old = bench.block(0);
    drop(FileSlot::take_over(&bench.place, VAULT, THEIRS).expect("taken over"));
    let new = bench.block(0);
    assert_eq!((bench.block(1), old.len()), (new.clone(), BLOCK));
    for cut in cuts() {
        // The spare copy is written first and made durable; only then is the other one.
        let halfway = [(old.clone(), torn(&new, &old, cut)), (torn(&new, &old, cut), new.clone())];
        for (i, (first, second)) in halfway.into_iter().enumerate() {
            bench.put(0, &first);
            bench.put(BLOCK, &second);
            let view = SlotView::inspect(&bench.place).expect("one copy is whole").describe().expect("described");
            let theirs = i == 1 || second == new;
            assert_eq!(view.owner == THEIRS, theirs, "cut at {cut}");
            assert_eq!(view.damaged, first != second, "cut at {cut}");
            let (owner, refused) = if theirs { (THEIRS, OURS) } else { (OURS, THEIRS) };
            drop(FileSlot::claim(&bench.place, VAULT, owner).expect("claimed"));
            assert_eq!(FileSlot::claim(&bench.place, VAULT, refused).err(), Some(SlotError::NotOurs { owner }));
            let again = FileSlot::take_over(&bench.place, VAULT, THEIRS).expect("taken over again");
            assert_eq!(again.describe().map(|d| (d.owner, d.damaged)), Ok((THEIRS, false)));
            assert!(prf(&again, 1).is_ok());
        }
    }
}

#[test]
fn a_process_killed_while_staging_or_destroying_leaves_the_slot_to_be_reclaimed() {
    let bench = Bench::created();
    let first = prf(&bench.claim(), 1);
    for (work, point, held) in [
        ("stage", "slot_stage_before", vec![1]),
        ("stage", "slot_stage_after", vec![1, 2]),
        ("destroy", "slot_destroy_before", vec![1, 2]),
        ("destroy", "slot_destroy_after", vec![2]),
    ] {
        assert_eq!(run_elsewhere(&bench, work, Some(point)), None, "{point} kills");
        let slot = bench.claim();
        assert_eq!(slot.describe().map(|d| (d.epochs, d.damaged)), Ok((held.clone(), false)), "{point}");
        assert_eq!(prf(&slot, 1).is_ok_and(|answer| Ok(answer) == first), held.contains(&1), "{point}");
    }
}

#[test]
fn a_secret_that_comes_back_after_the_overwriting_is_reported() {
    let bench = Bench::created();
    bench.claim().stage(1, 2).expect("staged");
    assert_eq!(run_elsewhere(&bench, "destroy on a medium that forgets", None), Some(42));
    assert_eq!(epochs(&bench.claim()), [1, 2], "the medium did forget");
    assert_eq!(run_elsewhere(&bench, "destroy", None), Some(40));
    assert_eq!(epochs(&bench.claim()), [2]);
}

#[test]
fn a_take_over_killed_halfway_has_changed_the_spare_copy_alone() {
    let bench = Bench::created();
    let before = bench.block(0);
    for spare in [1, 0] {
        assert_eq!(run_elsewhere(&bench, "take over", Some("slot_take_over")), None);
        let changed = decode(&bench.bytes()).expect("one copy is whole");
        assert_eq!((changed.header.owner, changed.copy, changed.header_settled), (THEIRS, spare, false));
        assert_eq!(bench.block(0) == before, spare == 1, "the copy in force is overwritten last");
    }
    assert_eq!(run_elsewhere(&bench, "take over", None), Some(40));
    assert_eq!(SlotView::inspect(&bench.place).and_then(|view| view.describe()).map(|d| d.damaged), Ok(false));
}

#[test]
fn after_a_failed_write_the_claim_refuses_everything() {
    let bench = Bench::created();
    // A descriptor opened for reading fails the write as a broken medium would.
    let view = SlotView::inspect(&bench.place).expect("opened");
    let mut slot = FileSlot { view, owner: OURS, vault: VAULT, failed: false };
    assert!(prf(&slot, 1).is_ok());
    assert_eq!(slot.stage(1, 2), Err(SlotError::Io));
    assert_eq!((prf(&slot, 1), slot.describe().err()), (Err(SlotError::Io), Some(SlotError::Io)));
    assert_eq!((slot.stage(1, 2), slot.destroy_except(1)), (Err(SlotError::Io), Err(SlotError::Io)));
    assert_eq!(epochs(&bench.claim()), [1]);
}
