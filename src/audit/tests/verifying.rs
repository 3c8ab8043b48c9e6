use std::collections::HashMap;
use std::convert::Infallible;

use super::*;
use crate::audit::edge::FullTile;
use crate::audit::event::{Actor, Event};
use crate::audit::leaf::tests::sample;
use crate::audit::tile::{encode_entries, encode_tile, partial_tiles};
use crate::base::log_safe::SafeText;
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::sign::Signer;

const ORIGIN: &str = "log";

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&Secret::copied(&[seed; 32]))
}

fn key(seed: u8) -> VerifierKey {
    VerifierKey::new(ORIGIN, *signer(seed).public()).unwrap()
}

/// A log as it is published, entry by entry in memory.
#[derive(Clone, Default)]
struct Log {
    entries: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    tiles: HashMap<TileId, Vec<Digest>>,
    with_details: bool,
}

impl Log {
    /// Every third entry has no detail.
    fn of(size: u64) -> Self {
        let mut log = Self { with_details: true, ..Self::default() };
        (0..size).for_each(|n| log.push(Event { detail: (n % 3 > 0).then(|| n.to_be_bytes().to_vec()), ..sample() }));
        log.rebuild();
        log
    }

    fn push(&mut self, event: Event) {
        let sequence = self.entries.len() as u64;
        let leaf = leaf::encode(&event, sequence, Timestamp::from_millis(1_000));
        self.entries.push((leaf, event.detail));
    }

    /// Hands the key over in the next entry.
    fn hand_over(&mut self, old: u8, new: u8) {
        let note = Handover::sign(self.checkpoint(), &signer(old), &signer(new)).unwrap();
        let detail = Some(note.into_bytes());
        self.push(Event { actor: Actor::Vault, operation: SafeText::constant("LogKeyChanged"), detail, ..sample() });
        self.rebuild();
    }

    /// Makes all tiles anew, as somebody could who has the disk.
    fn rebuild(&mut self) {
        self.tiles.clear();
        let (edge, full) = self.edge();
        self.tiles.extend(full);
        self.tiles.extend(edge.partial().map(|(id, hashes)| (id, hashes.to_vec())));
    }

    fn edge(&self) -> (Edge, Vec<FullTile>) {
        let (mut edge, mut full) = (Edge::default(), Vec::new());
        self.entries.iter().for_each(|(leaf, _)| edge.push(leaf_hash(leaf), &mut full));
        (edge, full)
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: ORIGIN.into(), size: self.entries.len() as u64, root: self.edge().0.root() }
    }

    fn signed(&self, seed: u8) -> Held {
        let note = self.checkpoint().sign(&signer(seed)).unwrap();
        Held { name: format!("of {}", self.entries.len()), note: note.into_bytes() }
    }

    fn verify(&self, newest: Held, held: &[Held], keys: &[VerifierKey]) -> Result<Report, Finding> {
        verify(self, newest, held.to_vec(), keys, |_, _| ()).map_err(|error| match error {
            NotVerified::Found(finding) => *finding,
            NotVerified::Unread(never) => match never {},
        })
    }
}

impl Published for Log {
    type Error = Infallible;

    fn read(&self, resource: Resource) -> Result<Option<(u64, Vec<u8>)>, Infallible> {
        let bundle = |index: u64| {
            let from = self.entries.len().min((index * TILE_WIDTH) as usize);
            &self.entries[from..self.entries.len().min(from + TILE_WIDTH as usize)]
        };
        let found = match resource {
            Resource::Checkpoint => None,
            Resource::Tile(id, _) => self.tiles.get(&id).map(|tile| (tile.len() as u64, encode_tile(tile))),
            Resource::Entries(index, _) => {
                let leaves = bundle(index).iter().map(|(leaf, _)| &leaf[..]);
                Some((leaves.len() as u64, encode_entries(leaves).unwrap()))
            }
            Resource::Details(index, _) => {
                let details = bundle(index).iter().map(|(_, detail)| detail.as_deref());
                Some((details.len() as u64, sidecar::encode(details)))
            }
        };
        Ok(found.filter(|(width, _)| *width > 0))
    }

    fn has_details(&self) -> bool {
        self.with_details
    }
}

#[test]
fn a_whole_log_verifies_at_every_size() {
    let mut held = Vec::new();
    for size in (0..=40).chain([255, 256, 257, 511, 512, 513, 700]) {
        let log = Log::of(size);
        held.push(log.signed(1));
        let report = log.verify(log.signed(1), &held, &[key(1)]).unwrap_or_else(|found| panic!("{size}: {found}"));
        assert_eq!((report.newest.size, report.details), (size, size - size.div_ceil(3)));
        assert_eq!((report.checkpoints, report.details_absent), (held.len() as u64, 0), "one of them is the newest");
    }
}

#[test]
fn a_log_of_more_than_one_level_of_tiles_verifies() {
    let log = Log::of(66_000);
    assert_eq!(partial_tiles(66_000).count(), 3);
    let mut done = Vec::new();
    verify(&log, log.signed(1), vec![], &[key(1)], |n, _| done.push(n)).expect("verifies");
    assert_eq!((done.len(), done.last()), (258, Some(&66_000)));
}

#[test]
fn without_details_the_leaves_alone_verify() {
    let log = Log { with_details: false, ..Log::of(30) };
    let report = log.verify(log.signed(1), &[], &[key(1)]).unwrap();
    assert_eq!((report.details, report.details_absent), (0, 20));
}

/// What is done to a log, and where it is found.
type Damage = (&'static str, fn(&mut Log), u64, u64);

#[test]
fn the_first_bad_entry_is_named() {
    let honest = Log::of(600);
    let held: Vec<Held> = [100, 300, 400].map(|size| Log::of(size).signed(1)).to_vec();
    let cases: [Damage; 12] = [
        ("an entry changed", |log| log.entries[350].0[60] ^= 1, 350, 351),
        (
            "an entry of no layout, with its tiles",
            |log| {
                log.entries[350].0[0] = 9;
                log.rebuild()
            },
            350,
            351,
        ),
        (
            "an entry changed, with its tiles",
            |log| {
                log.entries[350].0[60] ^= 1;
                log.rebuild()
            },
            300,
            400,
        ),
        (
            "two entries exchanged, with their tiles",
            |log| {
                log.entries.swap(40, 41);
                log.rebuild()
            },
            40,
            41,
        ),
        (
            "an entry dropped, with its tiles",
            |log| {
                log.entries.remove(350);
                log.rebuild()
            },
            350,
            351,
        ),
        ("a detail changed", |log| log.entries[350].1 = Some(vec![1]), 350, 351),
        ("a detail dropped", |log| log.entries[350].1 = None, 350, 351),
        ("a detail added", |log| log.entries[351].1 = Some(vec![]), 351, 352),
        ("a leaf's hash changed", |log| tile(log, 0, 1)[94][0] ^= 1, 350, 351),
        ("a hash above changed", |log| tile(log, 1, 0)[1][0] ^= 1, 256, 512),
        (
            "a tile cut",
            |log| {
                tile(log, 0, 1).pop();
            },
            256,
            512,
        ),
        (
            "a tile dropped",
            |log| {
                log.tiles.remove(&TileId { level: 1, index: 0 });
            },
            0,
            512,
        ),
    ];
    for (what, damage, first, until) in cases {
        let mut log = honest.clone();
        damage(&mut log);
        let found = log.verify(honest.signed(1), &held, &[key(1)]).expect_err(what);
        assert_eq!((found.first, found.until), (first, until), "{what}: {found}");
    }
}

fn tile(log: &mut Log, level: u8, index: u64) -> &mut Vec<Digest> {
    log.tiles.get_mut(&TileId { level, index }).unwrap()
}

#[test]
fn a_log_that_was_written_anew_fails_by_what_others_hold() {
    let (honest, mut other) = (Log::of(300), Log::of(300));
    other.entries.truncate(200);
    (200..300).for_each(|_| other.push(sample()));
    other.rebuild();
    assert!(other.verify(other.signed(1), &[], &[key(1)]).is_ok(), "with the key, one can write anything");
    let found = other.verify(other.signed(1), &[Log::of(100).signed(1), honest.signed(1)], &[key(1)]).unwrap_err();
    assert_eq!((found.first, found.until, found.wrong), (100, 300, Wrong::Root("of 300".into())));
    let short = Log::of(250);
    let found = short.verify(short.signed(1), &[honest.signed(1)], &[key(1)]).unwrap_err();
    assert_eq!((found.first, found.wrong), (250, Wrong::Short("of 300".into())));
}

#[test]
fn a_checkpoint_by_nobody_known_is_refused() {
    let log = Log::of(10);
    let by_other = log.verify(log.signed(2), &[], &[key(1)]).unwrap_err();
    assert_eq!(by_other.wrong, Wrong::Signature("of 10".into(), NoteError::UnknownSigner));
    let mut forged = log.signed(1);
    let at = forged.note.len() - 10;
    forged.note[at] ^= 1;
    let found = log.verify(forged, &[], &[key(1)]).unwrap_err();
    assert!(matches!(found.wrong, Wrong::Signature(_, NoteError::BadSignature) | Wrong::Foreign(_)), "{found}");
    let foreign = Checkpoint { origin: "other".into(), ..log.checkpoint() }.sign(&signer(1)).unwrap();
    let foreign = Held { name: "theirs".into(), note: foreign.into_bytes() };
    assert_eq!(log.verify(log.signed(1), &[foreign], &[key(1)]).unwrap_err().wrong, Wrong::Foreign("theirs".into()));
    let junk = Held { name: "junk".into(), note: b"junk".to_vec() };
    assert_eq!(log.verify(junk, &[], &[key(1)]).unwrap_err().wrong, Wrong::Foreign("junk".into()));
}

/// A log whose key changed from 1 to 2 in entry 300, and from 2 to 3 in entry 401; checkpoints of the time.
fn handed_over() -> (Log, Vec<Held>) {
    let mut log = Log::of(300);
    let mut held = vec![Log::of(100).signed(1), log.signed(1)];
    log.hand_over(1, 2);
    held.push(log.signed(2));
    (0..100).for_each(|_| log.push(sample()));
    held.push(log.signed(2));
    log.hand_over(2, 3);
    (log, held)
}

#[test]
fn any_one_key_leads_to_the_others() {
    let (log, held) = handed_over();
    for known in [vec![1], vec![2], vec![3], vec![3, 1]] {
        let keys: Vec<VerifierKey> = known.iter().map(|seed| key(*seed)).collect();
        let report = log.verify(log.signed(3), &held, &keys).unwrap_or_else(|found| panic!("{known:?}: {found}"));
        assert_eq!(report.handovers, [(300, Some(key(2))), (401, Some(key(3)))]);
    }
    let found = log.verify(log.signed(3), &held, &[key(4)]).unwrap_err();
    assert_eq!((found.first, found.wrong), (300, Wrong::Handover));
}

#[test]
fn a_key_signs_in_its_own_time_only() {
    let (log, held) = handed_over();
    let keys = [key(1), key(2), key(3)];
    for late in [1, 2] {
        let found = log.verify(log.signed(late), &held, &keys).unwrap_err();
        assert_eq!(found.wrong, Wrong::Signature("of 402".into(), NoteError::UnknownSigner), "key {late}");
    }
    let early = Log::of(200).signed(2);
    assert!(log.verify(log.signed(3), &[early], &keys).is_err());
}

#[test]
fn without_their_notes_changes_of_the_key_are_told_and_all_keys_must_be_given() {
    let (log, held) = handed_over();
    let log = Log { with_details: false, ..log };
    let report = log.verify(log.signed(3), &held, &[key(1), key(2), key(3)]).unwrap();
    assert_eq!(report.handovers, [(300, None), (401, None)]);
    assert!(log.verify(log.signed(3), &held, &[key(1), key(3)]).is_err());
}

#[test]
fn a_handover_of_another_place_or_by_one_key_is_found() {
    let forge = |note: String| {
        let mut log = Log::of(300);
        let detail = Some(note.into_bytes());
        log.push(Event { actor: Actor::Vault, operation: SafeText::constant("LogKeyChanged"), detail, ..sample() });
        log.rebuild();
        log.verify(log.signed(2), &[], &[key(1)]).unwrap_err()
    };
    let elsewhere = Handover::sign(Log::of(299).checkpoint(), &signer(1), &signer(2)).unwrap();
    let other_root = Checkpoint { root: [1; 32], ..Log::of(300).checkpoint() };
    let other_root = Handover::sign(other_root, &signer(1), &signer(2)).unwrap();
    let right = Handover::sign(Log::of(300).checkpoint(), &signer(1), &signer(2)).unwrap();
    let by_one = right[..right.rfind('\u{2014}').unwrap()].to_owned();
    let by_thief = Handover::sign(Log::of(300).checkpoint(), &signer(9), &signer(2)).unwrap();
    for note in [elsewhere, other_root, by_one, by_thief, "junk".into()] {
        let found = forge(note);
        assert_eq!((found.first, found.wrong), (300, Wrong::Handover));
    }
}
