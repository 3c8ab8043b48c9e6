//! The file slot: its life, and the workbench that the other tests share.

mod claim;
mod crash;

use std::fs;
use std::os::unix::fs::FileExt as _;

use super::layout::{ERASED, FILE_LEN};
use super::*;

const VAULT: VaultId = VaultId::from_bytes([0x22; 16]);
const SLOT: SlotId = SlotId::from_bytes([0x11; 16]);
const OURS: InstanceId = InstanceId::from_bytes([0x33; 16]);
const THEIRS: InstanceId = InstanceId::from_bytes([0x44; 16]);

struct Bench {
    _dir: tempfile::TempDir,
    place: Place,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place::new(dir.path().join("one.slot"), &[]);
        Self { _dir: dir, place }
    }

    /// A slot whose secret in force is of epoch 1.
    fn created() -> Self {
        let bench = Self::new();
        drop(bench.create().expect("created"));
        bench
    }

    fn create(&self) -> Result<FileSlot, SlotError> {
        FileSlot::create(&self.place, VAULT, SLOT, OURS, 1)
    }

    fn claim(&self) -> FileSlot {
        FileSlot::claim(&self.place, VAULT, OURS).expect("claimed")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.place.path).expect("read")
    }

    /// Overwrites bytes of the file behind the slot's back.
    fn put(&self, offset: usize, bytes: &[u8]) {
        put(&self.place.path, offset, bytes);
    }

    fn block(&self, index: usize) -> Vec<u8> {
        self.bytes()[index * BLOCK..][..BLOCK].to_vec()
    }
}

fn put(path: &Path, offset: usize, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(path).expect("opened");
    file.write_all_at(bytes, offset as u64).expect("written");
}

fn prf(slot: &impl RootSlot, epoch: u64) -> Result<[u8; 32], SlotError> {
    slot.read(epoch, &[b"context"]).map(|secret| *secret.expose())
}

fn epochs(slot: &impl RootSlot) -> Vec<u64> {
    slot.describe().expect("described").epochs
}

fn decode(image: &[u8]) -> Result<Contents, SlotError> {
    let (blocks, _) = image.as_chunks::<BLOCK>();
    Contents::decode(std::array::from_fn(|i| &blocks[i]))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn an_epoch_is_staged_read_back_and_replaces_the_old_one() {
    let bench = Bench::new();
    let mut slot = bench.create().expect("created");
    let first = prf(&slot, 1).expect("epoch 1");
    slot.stage(1, 2).expect("staged");
    assert_eq!((epochs(&slot), prf(&slot, 1)), (vec![1, 2], Ok(first)));
    let second = prf(&slot, 2).expect("epoch 2");
    assert_ne!(first, second);
    drop(slot);

    let mut slot = bench.claim();
    assert_eq!((prf(&slot, 1), prf(&slot, 2)), (Ok(first), Ok(second)));
    slot.destroy_except(2).expect("destroyed");
    assert_eq!((epochs(&slot), prf(&slot, 1), prf(&slot, 2)), (vec![2], Err(SlotError::NoSuchEpoch), Ok(second)));
    slot.destroy_except(2).expect("destroying again changes nothing");
    slot.stage(2, 3).expect("the freed block serves the next epoch");
    slot.destroy_except(3).expect("destroyed");
    assert_eq!((epochs(&slot), slot.describe().map(|d| d.damaged)), (vec![3], Ok(false)));
}

#[test]
fn the_answer_is_a_keyed_function_of_secret_and_context() {
    let bench = Bench::created();
    let slot = bench.claim();
    let secret = Secret::from_slice(&bench.block(COPIES)[16..48]).expect("32 bytes");
    let expected = mac::prf(&secret, label::SLOT_PRF, &[b"a", b"b"]);
    assert_eq!(slot.read(1, &[b"a", b"b"]).map(|s| *s.expose()), Ok(*expected.expose()));
    assert_ne!(slot.read(1, &[b"ab"]).map(|s| *s.expose()), Ok(*expected.expose()));
    assert!(!contains(expected.expose(), secret.expose()));
}

#[test]
fn a_destroyed_secret_is_nowhere_in_the_file() {
    let bench = Bench::created();
    let old = bench.block(COPIES);
    let mut slot = bench.claim();
    slot.stage(1, 2).expect("staged");
    assert!(contains(&bench.bytes(), &old[16..48]), "the search finds a secret that is there");
    slot.destroy_except(2).expect("destroyed");
    let now = bench.bytes();
    assert_eq!(now.len(), FILE_LEN);
    for piece in old[16..48].chunks(8).chain(old[BLOCK - 32..].chunks(8)) {
        assert!(!contains(&now, piece), "a piece of the secret or of its checksum is left");
    }
    assert!(now[COPIES * BLOCK..][..BLOCK].iter().all(|byte| *byte == 0));
}

#[test]
fn the_next_secret_takes_the_place_of_the_old_one_with_one_write() {
    let bench = Bench::created();
    let old = bench.block(COPIES);
    let mut slot = bench.claim();
    slot.stage(1, 2).expect("staged");
    let (second, answer) = (prf(&slot, 2), slot.read(2, &[b"context"]).expect("answers"));
    let keep = Answered { epoch: 2, context: &[b"context"], answer: &answer };
    let refused = slot.destroy_and_read((&keep, Some(2)), []).map(drop);
    assert_eq!((refused, epochs(&slot)), (Err(SlotError::NotNewer), vec![1, 2]));
    let asked = [(1, &[&b""[..]][..]), (3, &[b"a", b"b"])];
    let (seen, [first, third]) = slot.destroy_and_read((&keep, Some(3)), asked).expect("destroyed");
    assert_eq!((seen.epochs, seen.damaged), (vec![2, 3], false));
    assert_eq!(first.map(drop), Err(SlotError::NoSuchEpoch));
    let again = slot.read(3, &[b"a", b"b"]).expect("is staged");
    assert_eq!(third.expect("is staged").expose(), again.expose(), "what it answered is what it holds");
    let third = prf(&slot, 3).expect("is staged");
    assert_eq!(prf(&slot, 2), second);
    let now = bench.bytes();
    for piece in old[16..48].chunks(8).chain(old[BLOCK - 32..].chunks(8)) {
        assert!(!contains(&now, piece), "a piece of the secret or of its checksum is left");
    }
    drop(slot);

    let mut slot = bench.claim();
    assert_eq!(prf(&slot, 3), Ok(third));
    slot.stage(2, 3).expect("is there already");
    assert_eq!(prf(&slot, 3), Ok(third), "staging keeps it");
}

#[test]
fn staging_the_same_epoch_again_keeps_its_secret() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    slot.stage(1, 2).expect("staged");
    let before = bench.bytes();
    slot.stage(1, 2).expect("staged already");
    drop(slot);
    bench.claim().stage(1, 2).expect("staged already, by an earlier claim");
    assert_eq!(bench.bytes(), before);
}

#[test]
fn staging_never_touches_the_epoch_in_force_nor_goes_back() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    slot.stage(1, 5).expect("staged");
    let before = bench.bytes();
    for (current, next, expected) in [
        (1, 1, SlotError::NotNewer),
        (1, 0, SlotError::NotNewer),
        (1, 4, SlotError::NotNewer), // the slot has seen a later epoch than the caller
        (5, 5, SlotError::NotNewer),
        (5, 6, SlotError::StillThere), // epoch 1 was not destroyed
        (2, 6, SlotError::NoSuchEpoch),
        (6, 7, SlotError::NoSuchEpoch),
    ] {
        assert_eq!(slot.stage(current, next), Err(expected), "{current} {next}");
        assert_eq!(bench.bytes(), before);
    }
}

#[test]
fn an_abandoned_epoch_is_replaced_by_a_later_one_or_discarded() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    let first = prf(&slot, 1);
    slot.stage(1, 2).expect("staged");
    let abandoned = bench.block(COPIES + 1);
    slot.stage(1, 3).expect("staged over the abandoned one");
    assert_eq!((epochs(&slot), prf(&slot, 1)), (vec![1, 3], first));
    assert!(!contains(&bench.bytes(), &abandoned[16..48]));
    slot.destroy_except(1).expect("discarded");
    assert_eq!((epochs(&slot), prf(&slot, 1)), (vec![1], first));
    assert_eq!(bench.block(COPIES + 1), ERASED);
}

#[test]
fn nothing_is_destroyed_unless_the_epoch_to_keep_is_there() {
    let bench = Bench::created();
    let mut slot = bench.claim();
    slot.stage(1, 2).expect("staged");
    let before = bench.bytes();
    assert_eq!(slot.destroy_except(3), Err(SlotError::NoSuchEpoch));
    assert_eq!(slot.destroy_except(0), Err(SlotError::NoSuchEpoch));
    assert_eq!(bench.bytes(), before);
    bench.put((COPIES + 1) * BLOCK + 20, b"?");
    assert_eq!(slot.destroy_except(2), Err(SlotError::Damaged));
    assert!(prf(&slot, 1).is_ok());
}

/// The part of a test that runs in a process of its own: does what the environment says, reports by its exit code.
#[test]
fn another_process() {
    let (Some(path), Ok(work)) = (std::env::var_os("LACUNA_TEST_SLOT"), std::env::var("LACUNA_TEST_WORK")) else {
        return;
    };
    fault::arm();
    let place = Place::new(path, &[]);
    let claim = || FileSlot::claim(&place, VAULT, OURS);
    let done = match work.as_str() {
        "claim" => claim().map(drop),
        "stage" => claim().and_then(|mut slot| slot.stage(1, 2)),
        "destroy" => claim().and_then(|mut slot| slot.destroy_except(2)),
        "destroy on a medium that forgets" => {
            // The old block comes back between the overwriting and the read-back, as from a write that was lost.
            let old = fs::read(&place.path).expect("read")[COPIES * BLOCK..][..BLOCK].to_vec();
            let back = place.path.clone();
            let forget = move || put(&back, COPIES * BLOCK, &old);
            fail::cfg_callback("slot_destroy_after", forget).expect("armed");
            claim().and_then(|mut slot| slot.destroy_except(2))
        }
        _ => FileSlot::take_over(&place, VAULT, THEIRS).map(drop),
    };
    std::process::exit(match done {
        Ok(()) => 40,
        Err(SlotError::InUse) => 41,
        Err(SlotError::StillThere) => 42,
        Err(_) => 43,
    });
}

/// Runs [`another_process`], killed at the named point if there is one. Answers its exit code, `None` if killed.
fn run_elsewhere(bench: &Bench, work: &str, killed_at: Option<&str>) -> Option<i32> {
    let mut child = std::process::Command::new(std::env::current_exe().expect("this test"));
    child.args(["--exact", "keys::slot::file::tests::another_process"]);
    child.env("LACUNA_TEST_SLOT", &bench.place.path).env("LACUNA_TEST_WORK", work);
    child.env("FAILPOINTS", killed_at.map(|point| format!("{point}=return(kill)")).unwrap_or_default());
    child.output().expect("run").status.code()
}

#[test]
fn the_frozen_file_is_written_and_read_byte_for_byte() {
    let text = include_str!("../../../../../tests/vectors/slot-file-v1.txt");
    let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
    };
    let (mut image, mut answer) = (vec![], vec![]);
    for (name, value) in rows {
        match name {
            "length" => image.resize(value.parse().expect("a number"), 0),
            "prf" => answer = bytes(value),
            _ => image[usize::from_str_radix(name, 16).expect("hex")..][..16].copy_from_slice(&bytes(value)),
        }
    }
    let header = Header { turn: 5, slot: SLOT, vault: VAULT, owner: OURS };
    let secret = |from: u8| Secret::copied(&std::array::from_fn(|i| from + i as u8));
    let written = [
        header.encode(),
        header.encode(),
        *layout::encode_secret(&header, 0, 7, &secret(0)).expose(),
        *layout::encode_secret(&header, 1, 0x0102_0304_0506_0708, &secret(0xe0)).expose(),
    ];
    assert_eq!(written.concat(), image);

    let bench = Bench::created();
    bench.put(0, &image);
    let slot = bench.claim();
    assert_eq!(epochs(&slot), [7, 0x0102_0304_0506_0708]);
    assert_eq!(slot.read(7, &[b"context", b""]).map(|s| s.expose().to_vec()), Ok(answer));
}
