use super::*;
use crate::audit::check;
use crate::audit::event::Event;
use crate::audit::leaf::tests::sample;
use crate::audit::stored::Rows;
use crate::audit::tile::{TileHashes, TileId};
use crate::audit::tree::{WholeTree, root};
use crate::base::limits::{LOG_ROUND_LEAVES, LOG_STEP_LEAVES};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::store::Engine;
use crate::store::memory::MemoryEngine;

/// A log in memory.
struct Bench {
    engine: MemoryEngine,
    head: Head,
}

fn signer() -> Signer {
    Signer::from_seed(&Secret::copied(&[3; 32]))
}

fn key() -> VerifierKey {
    VerifierKey::new("log", *signer().public()).unwrap()
}

/// Every fifth entry is about the same subject.
fn event(n: u64) -> Event {
    let token = if n.is_multiple_of(5) { [5; 16] } else { [(n % 200) as u8; 16] };
    Event { about: About::Subject(token), count: n as u32, ..sample() }
}

impl Bench {
    fn new() -> Self {
        Self { engine: MemoryEngine::new(), head: Head::EMPTY }
    }

    fn log(&self) -> StoredLog<'_> {
        StoredLog(&self.engine)
    }

    /// Commits groups of these sizes.
    fn append(&mut self, groups: &[u64]) {
        for group in groups {
            let events: Vec<Event> = (self.head.size()..self.head.size() + group).map(event).collect();
            let mut batch = Batch::new();
            self.head = self.head.append(&mut batch, Timestamp::from_millis(1_000 + self.head.size() as i64), &events);
            self.engine.commit(batch).unwrap();
        }
    }

    fn resume(&self) -> Result<Integrator, Error> {
        Integrator::resume(self.log(), &key(), self.head)
    }

    /// One round; after `steps` steps the power fails.
    fn integrate(&self, integrator: &mut Integrator, steps: usize) -> Option<SignedCheckpoint> {
        for _ in 0..steps {
            let mut batch = integrator.step(self.log(), self.head.size(), LOG_STEP_LEAVES).unwrap();
            let is_last = integrator.size() == self.head.size();
            let signed = is_last.then(|| integrator.seal(&mut batch, "log", &signer()).unwrap());
            self.engine.commit(batch).unwrap();
            if signed.is_some() {
                return signed;
            }
        }
        None
    }

    fn leaves(&self) -> Vec<Vec<u8>> {
        Rows::new(self.log(), 0).flat_map(|row| row.unwrap().1).map(|(leaf, _)| leaf).collect()
    }

    /// Checks everything that the integrator has written against the leaves.
    fn check(&self) {
        let signed = self.log().checkpoint().unwrap().unwrap();
        let size = signed.checkpoint.size;
        assert_eq!(Checkpoint::open(signed.note.as_bytes(), &[key()]).unwrap(), signed.checkpoint);
        let tree = WholeTree::new(self.leaves().iter().map(|leaf| leaf_hash(leaf)).collect());
        assert_eq!(signed.checkpoint.root, root(&tree, size).unwrap(), "size {size}");
        assert_eq!(root(&TileHashes::new(&self.log()), size).unwrap(), signed.checkpoint.root);
        for (n, bundle) in self.log().bundles(0, usize::MAX).unwrap() {
            let (_, (leaf, _)) = self.log().entries(n * TILE_WIDTH).unwrap().next().unwrap().unwrap();
            assert_eq!(leaf::decode(&leaf).unwrap().sequence, n * TILE_WIDTH);
            assert!(bundle.row <= n * TILE_WIDTH && bundle.oldest <= bundle.newest);
        }
        let fifths: Vec<u64> = (0..size).filter(|n| n % 5 == 0 || n % 200 == 5).collect();
        assert_eq!(self.log().with_token(&[5; 16], 0, usize::MAX).unwrap(), fifths);
    }

    fn damage(&self, space: Space, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) {
        let (mut batch, key) = (Batch::new(), key.into());
        match value {
            Some(value) => batch.put(space, key, value),
            None => batch.delete(space, key),
        }
        self.engine.commit(batch).unwrap();
    }
}

#[test]
fn tiles_index_and_checkpoint_follow_the_leaves() {
    let mut bench = Bench::new();
    let mut integrator = bench.resume().unwrap();
    for groups in [&[][..], &[1], &[1, 2, 252], &[1], &[255, 1], &[300, 7, 1_000], &[600, 600, 600]] {
        bench.append(groups);
        let signed = bench.integrate(&mut integrator, 100).unwrap();
        assert_eq!(signed.checkpoint.size, bench.head.size());
        bench.check();
        assert_eq!(bench.resume().unwrap().edge, integrator.edge);
    }
}

#[test]
fn a_crash_after_any_step_is_made_good() {
    let mut groups = vec![100u64, 3];
    groups.extend([40; 60]);
    for steps in 0..6 {
        let mut bench = Bench::new();
        bench.append(&groups[..2]);
        bench.integrate(&mut bench.resume().unwrap(), 100).unwrap();
        bench.append(&groups[2..]);
        assert!(bench.integrate(&mut bench.resume().unwrap(), steps.min(4)).is_none());
        let mut resumed = bench.resume().unwrap();
        assert_eq!(resumed.size(), 103, "what was not signed is done again");
        bench.append(&[9]);
        bench.integrate(&mut resumed, 100).unwrap();
        bench.check();
    }
}

#[test]
fn entries_are_found_before_and_after_the_checkpoint() {
    let mut bench = Bench::new();
    bench.append(&[300, 20]);
    bench.integrate(&mut bench.resume().unwrap(), 100).unwrap();
    bench.append(&[5, 600]);
    for from in [0, 1, 255, 256, 299, 300, 319, 320, 324, 325, 511, 512, 700, 924] {
        let indices: Vec<u64> = bench.log().entries(from).unwrap().map(|entry| entry.unwrap().0).collect();
        assert_eq!(indices, (from..925).collect::<Vec<_>>());
    }
    assert_eq!(bench.log().entries(925).unwrap().count(), 0);
}

#[test]
fn a_tail_that_does_not_fit_is_refused_and_says_why() {
    let mut bench = Bench::new();
    bench.append(&[300, 20]);
    bench.integrate(&mut bench.resume().unwrap(), 100).unwrap();
    bench.append(&[5, 6]);
    let row = |bench: &Bench, key: u64| bench.engine.get(Space::Log, &key.to_be_bytes()).unwrap().unwrap();
    let changed = |mut bytes: Vec<u8>, place: usize| {
        bytes[place] ^= 1;
        Some(bytes)
    };
    let tile = |level| tile_key(TileId { level, index: if level == 0 { 1 } else { 0 } });
    let stored = |bench: &Bench, space, key: &[u8]| bench.engine.get(space, key).unwrap().unwrap();
    let checkpoint = bench.log().checkpoint().unwrap().unwrap();
    let other = Checkpoint { root: [0; 32], ..checkpoint.checkpoint.clone() };
    let forged = SignedCheckpoint { checkpoint: other, note: checkpoint.note.clone() };
    let own = Checkpoint { size: 319, ..checkpoint.checkpoint.clone() };
    let replaced = SignedCheckpoint { note: own.sign(&signer()).unwrap(), checkpoint: own };

    type Damage<'b> = Box<dyn Fn(&Bench) + 'b>;
    let cases: Vec<(&str, Damage<'_>)> = vec![
        ("a row is missing", Box::new(|b| b.damage(Space::Log, 320u64.to_be_bytes(), None))),
        ("a row is missing", Box::new(|b| b.damage(Space::Log, 300u64.to_be_bytes(), None))),
        ("a row does not read", Box::new(|b| b.damage(Space::Log, 325u64.to_be_bytes(), Some(vec![1])))),
        (
            "an entry is not in its place",
            Box::new(|b| b.damage(Space::Log, 325u64.to_be_bytes(), changed(row(b, 325), 17))),
        ),
        (
            "an entry is not the one signed",
            Box::new(|b| b.damage(Space::Log, 300u64.to_be_bytes(), changed(row(b, 300), 40))),
        ),
        ("a tile is missing", Box::new(|b| b.damage(Space::LogTile, tile(0), None))),
        (
            "its tiles are not those signed",
            Box::new(|b| b.damage(Space::LogTile, tile(0), changed(stored(b, Space::LogTile, &tile(0)), 9))),
        ),
        (
            "its tiles are not those signed",
            Box::new(|b| b.damage(Space::LogTile, tile(1), changed(stored(b, Space::LogTile, &tile(1)), 9))),
        ),
        ("a bundle's row is missing", Box::new(|b| b.damage(Space::LogBundle, 1u64.to_be_bytes(), None))),
        ("a bundle's row does not read", Box::new(|b| b.damage(Space::LogBundle, 1u64.to_be_bytes(), Some(vec![2])))),
        ("its checkpoint does not read", Box::new(|b| b.damage(Space::Meta, CHECKPOINT, Some(vec![1])))),
        (
            "its checkpoint is not signed by this vault",
            Box::new(|b| b.damage(Space::Meta, CHECKPOINT, Some(forged.encode()))),
        ),
        ("its tiles are not those signed", Box::new(|b| b.damage(Space::Meta, CHECKPOINT, Some(replaced.encode())))),
    ];
    let whole = dump(&bench);
    assert!(bench.resume().is_ok());
    for (n, (expected, damage)) in cases.iter().enumerate() {
        damage(&bench);
        assert_eq!(bench.resume().err(), Some(Error::Damaged(expected)), "case {n}");
        whole.iter().for_each(|(space, key, value)| bench.damage(*space, &key[..], Some(value.clone())));
    }
    assert!(bench.resume().is_ok());
    let truncated = Head::load(&bench.engine).unwrap();
    assert_eq!(truncated.size(), 331);
    let other = VerifierKey::new("log", [1; 32]).unwrap();
    let unsigned = Some(Error::Damaged("its checkpoint is not signed by this vault"));
    assert_eq!(Integrator::resume(bench.log(), &other, bench.head).err(), unsigned);
    let short = Some(Error::Damaged("its checkpoint covers more than there is"));
    assert_eq!(Integrator::resume(bench.log(), &key(), Head::EMPTY).err(), short);
}

/// A row of some space: its key and its value.
type Row = (Space, Vec<u8>, Vec<u8>);

/// Changes one row that matters, if that changes anything: flips a bit, drops it, or puts another one's value there.
///
/// The row as it was, and what was done to it.
fn change_a_row(bench: &Bench, size: u64, mut random: impl FnMut(usize) -> usize) -> Option<(Row, &'static str)> {
    let is_below = |key: &[u8], from: usize| u64::from_be_bytes(key[from..].try_into().unwrap()) < size;
    let rows: Vec<Row> = dump(bench)
        .into_iter()
        // What is not signed yet, nobody can tell from what it should be.
        .filter(|(space, key, _)| match space {
            Space::Log => is_below(key, 0),
            Space::LogSubject => is_below(key, 16),
            Space::LogTile | Space::LogBundle | Space::Meta => true,
            _ => false,
        })
        .collect();
    let space = [Space::Log, Space::LogTile, Space::LogBundle, Space::LogSubject, Space::Meta][random(5)];
    let rows: Vec<_> = rows.iter().filter(|(other, ..)| *other == space).collect();
    let (_, key, value) = rows[random(rows.len())];
    let mut changed = Some(value.clone());
    let what = match random(3) {
        0 if !value.is_empty() => {
            changed.as_mut().unwrap()[random(value.len())] ^= 1 << random(8);
            "flipped"
        }
        1 => {
            changed = Some(rows[random(rows.len())].2.clone());
            "exchanged"
        }
        // A log without a checkpoint is signed anew from its beginning: only checkpoints held elsewhere tell.
        _ if space == Space::Meta => return None,
        _ => {
            changed = None;
            "dropped"
        }
    };
    let last = (size / TILE_WIDTH).to_be_bytes();
    let is_harmless = |new: &[u8]| {
        // A bundle that is not full may err towards yes.
        let [new, old] = [new, value].map(Bundle::decode);
        space == Space::LogBundle && key[..] == last && matches!((new, old), (Ok(new), Ok(old)) if new.covers(&old))
    };
    if changed.as_ref() == Some(value) || changed.as_ref().is_some_and(|new| is_harmless(new)) {
        return None;
    }
    bench.damage(space, &key[..], changed);
    Some(((space, key.clone(), value.clone()), what))
}

#[test]
fn a_row_that_was_changed_is_found_at_the_start_or_when_the_log_is_read_whole() {
    let mut bench = Bench::new();
    bench.append(&[300, 20, 700]);
    bench.integrate(&mut bench.resume().unwrap(), 100).unwrap();
    bench.append(&[5, 6]);
    let check = || -> Result<bool, Error> {
        let head = Head::load(&bench.engine)?;
        Integrator::resume(bench.log(), &key(), head)?;
        let signed = bench.log().checkpoint()?.ok_or(Error::Damaged("no checkpoint"))?;
        check::whole(bench.log(), &signed.checkpoint, || true)
    };
    assert_eq!(check(), Ok(true));
    let mut state = 7u64;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut spaces = std::collections::BTreeSet::new();
    for _ in 0..150 {
        let Some(((space, key, value), what)) = change_a_row(&bench, 1_020, &mut random) else { continue };
        assert!(check().is_err(), "not found: {what} {space:?} {key:?}");
        spaces.insert(space);
        bench.damage(space, key, Some(value));
    }
    assert_eq!(check(), Ok(true));
    assert_eq!(spaces.len(), 5, "{spaces:?}");
}

#[test]
fn an_index_row_that_names_a_wrong_entry_is_found() {
    let mut bench = Bench::new();
    bench.append(&[600]);
    let signed = bench.integrate(&mut bench.resume().unwrap(), 100).unwrap();
    assert_eq!(check::whole(bench.log(), &signed.checkpoint, || true), Ok(true));
    assert_eq!(check::whole(bench.log(), &signed.checkpoint, || false), Ok(false));
    bench.damage(Space::LogSubject, subject_key(&[9; 16], 3), Some(vec![]));
    let wrong = Err(Error::Damaged("its index names entries that are not there"));
    assert_eq!(check::whole(bench.log(), &signed.checkpoint, || true), wrong);
}

/// Also where no tile is full yet, which would show it.
#[test]
fn any_byte_that_was_changed_in_an_entry_or_its_detail_is_found_when_the_log_is_read_whole() {
    let mut bench = Bench::new();
    bench.append(&[3]);
    let signed = bench.integrate(&mut bench.resume().unwrap(), 100).unwrap();
    let (key, row) = bench.engine.scan(Space::Log, &[], &[], 1).unwrap().remove(0);
    let check = || check::whole(bench.log(), &signed.checkpoint, || true);
    assert_eq!(check(), Ok(true));
    for at in 0..row.len() {
        let mut changed = row.clone();
        changed[at] ^= 1 << (at % 8);
        bench.damage(Space::Log, &key[..], Some(changed));
        assert!(check().is_err(), "byte {at}");
    }
    bench.damage(Space::Log, &key[..], Some(row));
    assert_eq!(check(), Ok(true));
}

fn dump(bench: &Bench) -> Vec<Row> {
    let rows = |space: &Space| bench.engine.scan(*space, &[], &[], usize::MAX).unwrap();
    Space::ALL.iter().flat_map(|space| rows(space).into_iter().map(|(key, value)| (*space, key, value))).collect()
}

#[test]
fn only_what_is_final_is_written_between_checkpoints() {
    let mut bench = Bench::new();
    bench.append(&[100; 20]);
    let mut integrator = bench.resume().unwrap();
    let batch = integrator.step(bench.log(), LOG_ROUND_LEAVES.min(bench.head.size()), LOG_STEP_LEAVES).unwrap();
    assert_eq!(integrator.size(), 600, "whole rows");
    let count = |space| batch.changes().filter(|(other, _, _)| *other == space).count();
    assert_eq!((count(Space::LogTile), count(Space::LogBundle), count(Space::Meta)), (2, 2, 0));
    assert_eq!(count(Space::LogSubject), 600);
}
