//! Recomputes a published log from nothing but its files, public keys, and checkpoints that were held elsewhere.
//!
//! One pass in the order of the log: every leaf hash against its tile, every leaf against the layout and its place,
//! every sealed detail against its leaf, every tile against the leaves, and the root at the size of every checkpoint.
//! Then the signatures, under the keys that are given and those which they hand over to. Memory does not grow with the
//! log: what is kept is the right edge of the tree, one bundle, and the checkpoints.

use std::fmt;

use super::checkpoint::Checkpoint;
use super::edge::Edge;
use super::handover::{self, Handover};
use super::leaf::{self, Leaf};
use super::note::{self, NoteError, VerifierKey};
use super::sidecar;
use super::tile::{Resource, TILE_LEVELS, TILE_WIDTH, TileId, decode_entries, decode_tile};
use super::tree::leaf_hash;
use crate::crypto::hash::{Digest, sha256};

/// Where the files of a log come from.
pub trait Published {
    /// Why one could not be read.
    type Error;

    /// A file, or the one that replaced it once there was more to hold: its width and its bytes. None if there is none.
    fn read(&self, resource: Resource) -> Result<Option<(u64, Vec<u8>)>, Self::Error>;

    /// Whether sealed details are published too. If so, all of them must be there.
    fn has_details(&self) -> bool;
}

/// A checkpoint that somebody kept, and what to call it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its file, say.
    pub name: String,
    /// The note.
    pub note: Vec<u8>,
}

/// What is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The first entry that it concerns.
    pub first: u64,
    /// The first entry after those that it may concern.
    pub until: u64,
    /// What it is.
    pub wrong: Wrong,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A file is missing.
    #[error("{0} is missing, or shorter than the log")]
    Missing(Resource),
    /// A file is not of its format.
    #[error("{0} is malformed")]
    Malformed(Resource),
    /// An entry is not the one in the tree.
    #[error("the entry is not the one whose hash is in {0}")]
    Entry(Resource),
    /// An entry's bytes are not what the vault writes.
    #[error("the entry is no leaf in its canonical form")]
    Leaf,
    /// An entry stands in another's place.
    #[error("the entry says that it is number {0}")]
    Sequence(u64),
    /// A sealed detail is not the one of its entry.
    #[error("the sealed detail is not the one that the entry commits to")]
    Detail,
    /// A tile is not what the leaves give.
    #[error("{0} is not what the entries hash to")]
    Tile(Resource),
    /// A checkpoint and the entries contradict one another.
    #[error("the checkpoint {0} has another root than the entries: some were changed, dropped or moved")]
    Root(String),
    /// A checkpoint covers what is not there.
    #[error("the checkpoint {0} covers more entries than there are: the end was cut off, or this is an older copy")]
    Short(String),
    /// A note is none of this log's.
    #[error("{0} is no checkpoint of this log")]
    Foreign(String),
    /// A signature is wrong, or missing.
    #[error("the checkpoint {0}: {1}")]
    Signature(String, NoteError),
    /// The signing key changed without the old key's word, or the new one's.
    #[error("the signing key is not handed over by a note that both keys signed over the entries before")]
    Handover,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.until == self.first + 1 {
            write!(f, "entry {}: {}", self.first, self.wrong)
        } else {
            write!(f, "entries {} to {}: {}", self.first, self.until.saturating_sub(1), self.wrong)
        }
    }
}

/// Why a log was not found to be whole.
#[derive(Debug, PartialEq, Eq)]
pub enum NotVerified<E> {
    /// Something is wrong with it.
    Found(Box<Finding>),
    /// A file could not be read.
    Unread(E),
}

impl<E> From<Finding> for NotVerified<E> {
    fn from(finding: Finding) -> Self {
        Self::Found(Box::new(finding))
    }
}

/// What was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The newest checkpoint.
    pub newest: Checkpoint,
    /// How many checkpoints agree with the entries and are signed.
    pub checkpoints: u64,
    /// How many sealed details are the ones that their entries commit to.
    pub details: u64,
    /// How many entries have a detail that is not published here.
    pub details_absent: u64,
    /// Where the signing key changed, with the key that signs from there on; none if that is not published here.
    pub handovers: Vec<(u64, Option<VerifierKey>)>,
}

/// Verifies a log up to its newest checkpoint, against that one and every one that was held.
///
/// `progress` is told how many entries are done, and of how many, after every bundle.
///
/// # Errors
/// The first thing that is wrong, in the order of the log; or that a file could not be read.
pub fn verify<P: Published>(
    published: &P,
    newest: Held,
    held: Vec<Held>,
    keys: &[VerifierKey],
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, NotVerified<P::Error>> {
    let note = newest.note.clone();
    let newest = Mark::read(newest, keys, None)?;
    let origin = newest.checkpoint.origin.clone();
    let held = held.into_iter().filter(|held| held.note != note).map(|held| Mark::read(held, keys, Some(&origin)));
    let mut marks = held.collect::<Result<Vec<_>, _>>()?;
    let (size, checkpoint) = (newest.checkpoint.size, newest.checkpoint.clone());
    marks.push(newest);
    marks.sort_by_key(|mark| mark.checkpoint.size);
    if let Some(longer) = marks.last().filter(|mark| mark.checkpoint.size > size) {
        let wrong = Wrong::Short(longer.name.clone());
        return Err(Finding { first: size, until: longer.checkpoint.size, wrong }.into());
    }
    let mut pass = Pass { marks: &marks, ..Pass::default() };
    pass.check_marks()?;
    while pass.edge.size() < size {
        pass.bundle(published, size)?;
        progress(pass.edge.size(), size);
    }
    pass.check_partial_tiles(published)?;
    let Pass { handovers, details, details_absent, .. } = pass;
    check_signatures(&marks, keys, &handovers)?;
    let handovers = handovers.into_iter().map(|(at, handover)| (at, handover.map(|handover| handover.new)));
    Ok(Report {
        newest: checkpoint,
        checkpoints: marks.len() as u64,
        details,
        details_absent,
        handovers: handovers.collect(),
    })
}

/// A checkpoint to compare with.
struct Mark {
    name: String,
    checkpoint: Checkpoint,
    /// Which of the given keys have signed it.
    signers: Vec<usize>,
    /// The note, while there may be more signers to be found out.
    note: Option<Vec<u8>>,
}

impl Mark {
    fn read(held: Held, keys: &[VerifierKey], origin: Option<&str>) -> Result<Self, Finding> {
        let found = |size, wrong| Finding { first: 0, until: size, wrong };
        let read = note::read(&held.note, keys).map_err(|error| {
            let wrong = match error {
                NoteError::BadSignature => Wrong::Signature(held.name.clone(), error),
                NoteError::Malformed | NoteError::UnknownSigner => Wrong::Foreign(held.name.clone()),
            };
            found(1, wrong)
        })?;
        let checkpoint = Checkpoint::parse(read.text).filter(|checkpoint| {
            origin.unwrap_or(&checkpoint.origin) == checkpoint.origin
                && keys.iter().all(|key| key.name() == checkpoint.origin)
        });
        let checkpoint = checkpoint.ok_or_else(|| found(1, Wrong::Foreign(held.name.clone())))?;
        let (signers, has_others) = (read.signers, read.has_others);
        Ok(Self { name: held.name, checkpoint, signers, note: has_others.then_some(held.note) })
    }
}

/// How far the pass over the log is.
#[derive(Default)]
struct Pass<'m> {
    edge: Edge,
    marks: &'m [Mark],
    /// How many of the checkpoints are passed.
    passed: usize,
    /// The size of the last of them.
    agreed: u64,
    handovers: Vec<(u64, Option<Handover>)>,
    details: u64,
    details_absent: u64,
}

impl Pass<'_> {
    /// Takes in the next bundle, as far as the log goes.
    fn bundle<P: Published>(&mut self, published: &P, size: u64) -> Result<(), NotVerified<P::Error>> {
        let first = self.edge.size();
        let (index, width) = (first / TILE_WIDTH, TILE_WIDTH.min(size - first));
        let id = TileId { level: 0, index };
        let all = |wrong| Finding { first, until: first + width, wrong };
        let name = Resource::Entries(index, width);
        let (count, bytes) = fetch(published, name, all)?;
        let entries = decode_entries(&bytes, count).map_err(|_| all(Wrong::Malformed(name)))?;
        let tile = read_tile(published, id, width, all)?;
        let name = Resource::Details(index, width);
        let sidecar = if published.has_details() { Some(fetch(published, name, all)?) } else { None };
        let details = match &sidecar {
            None => None,
            Some((count, bytes)) => Some(sidecar::decode(bytes, *count).map_err(|_| all(Wrong::Malformed(name)))?),
        };
        let mut full = Vec::new();
        for (place, (entry, expected)) in entries.iter().zip(&tile).enumerate() {
            let detail = details.as_ref().map(|details| details.get(place).copied().flatten());
            let hash = leaf_hash(entry);
            if hash != *expected {
                return Err(self.here(Wrong::Entry(Resource::Tile(id, width))).into());
            }
            self.entry(entry, detail)?;
            self.edge.push(hash, &mut full);
            for tile in full.drain(..) {
                check_tile(published, tile.0, &tile.1)?;
            }
            self.check_marks()?;
        }
        Ok(())
    }

    fn entry(&mut self, bytes: &[u8], detail: Option<Option<&[u8]>>) -> Result<(), Finding> {
        let index = self.edge.size();
        let leaf = leaf::decode(bytes).ok().filter(is_canonical).ok_or_else(|| self.here(Wrong::Leaf))?;
        if leaf.sequence != index {
            return Err(self.here(Wrong::Sequence(leaf.sequence)));
        }
        match detail {
            Some(detail) if detail.map(|detail| sha256(&[detail])) != leaf.detail_hash => {
                return Err(self.here(Wrong::Detail));
            }
            Some(detail) => self.details += u64::from(detail.is_some()),
            None => self.details_absent += u64::from(leaf.detail_hash.is_some()),
        }
        if leaf.operation == handover::OPERATION && leaf.actor_kind == VAULT {
            let read = match detail {
                None => None,
                Some(note) => Some(self.handover(note.unwrap_or_default())?),
            };
            self.handovers.push((index, read));
        }
        Ok(())
    }

    fn handover(&self, note: &[u8]) -> Result<Handover, Finding> {
        let handover = Handover::open(note).map_err(|_| self.here(Wrong::Handover))?;
        let before = (handover.before.size, handover.before.root);
        let origin = self.marks.first().map(|mark| &mark.checkpoint.origin);
        let is_here = before == (self.edge.size(), self.edge.root()) && origin == Some(&handover.before.origin);
        if is_here { Ok(handover) } else { Err(self.here(Wrong::Handover)) }
    }

    /// Compares the root with every checkpoint of this size.
    fn check_marks(&mut self) -> Result<(), Finding> {
        while let Some(mark) = self.marks.get(self.passed).filter(|mark| mark.checkpoint.size == self.edge.size()) {
            if mark.checkpoint.root != self.edge.root() {
                let until = mark.checkpoint.size.max(1);
                return Err(Finding { first: self.agreed, until, wrong: Wrong::Root(mark.name.clone()) });
            }
            self.agreed = mark.checkpoint.size;
            self.passed += 1;
        }
        Ok(())
    }

    fn check_partial_tiles<P: Published>(&self, published: &P) -> Result<(), NotVerified<P::Error>> {
        self.edge.partial().try_for_each(|(id, hashes)| check_tile(published, id, hashes))
    }

    fn here(&self, wrong: Wrong) -> Finding {
        let first = self.edge.size();
        Finding { first, until: first + 1, wrong }
    }
}

/// A tile above the leaves against what the leaves give. Those of the leaves have been compared one by one.
fn check_tile<P: Published>(published: &P, id: TileId, hashes: &[Digest]) -> Result<(), NotVerified<P::Error>> {
    if id.level == 0 {
        return Ok(());
    }
    let leaves = |place: u64| (id.index * TILE_WIDTH + place) << (TILE_LEVELS * id.level);
    let width = hashes.len() as u64;
    let between = |from, to, wrong| Finding { first: leaves(from), until: leaves(to), wrong };
    let found = read_tile(published, id, width, |wrong| between(0, width, wrong))?;
    match found.iter().zip(hashes).position(|(found, computed)| found != computed) {
        None => Ok(()),
        Some(place) => {
            let wrong = Wrong::Tile(Resource::Tile(id, width));
            Err(between(place as u64, place as u64 + 1, wrong).into())
        }
    }
}

fn read_tile<P: Published>(
    published: &P,
    id: TileId,
    width: u64,
    found: impl Fn(Wrong) -> Finding,
) -> Result<Vec<Digest>, NotVerified<P::Error>> {
    let name = Resource::Tile(id, width);
    let (count, bytes) = fetch(published, name, &found)?;
    let mut hashes = decode_tile(&bytes, count).map_err(|_| found(Wrong::Malformed(name)))?;
    hashes.truncate(width as usize);
    Ok(hashes)
}

fn fetch<P: Published>(
    published: &P,
    resource: Resource,
    found: impl Fn(Wrong) -> Finding,
) -> Result<(u64, Vec<u8>), NotVerified<P::Error>> {
    let width = match resource {
        Resource::Checkpoint => 0,
        Resource::Tile(_, width) | Resource::Entries(_, width) | Resource::Details(_, width) => width,
    };
    let read = published.read(resource).map_err(NotVerified::Unread)?;
    read.filter(|(count, _)| *count >= width).ok_or_else(|| found(Wrong::Missing(resource)).into())
}

/// Whether a leaf that decodes is one that the vault can have written.
fn is_canonical(leaf: &Leaf) -> bool {
    let actor_fits = match leaf.actor_kind {
        0 | VAULT => leaf.actor.is_empty(),
        1 => std::str::from_utf8(&leaf.actor).is_ok(),
        2 => leaf.actor.len() == 16,
        _ => false,
    };
    actor_fits && leaf.view <= VIEW_MAX
}

/// Every checkpoint must be signed by the key whose turn it was.
fn check_signatures(
    marks: &[Mark],
    keys: &[VerifierKey],
    handovers: &[(u64, Option<Handover>)],
) -> Result<(), Finding> {
    let chain: Option<Vec<&Handover>> = handovers.iter().map(|(_, handover)| handover.as_ref()).collect();
    // Without the notes nobody can tell whose turn it was: then any of the given keys will do.
    let chain = chain.unwrap_or_default();
    for (pair, (at, _)) in chain.windows(2).zip(handovers.iter().skip(1)) {
        if pair[0].new != pair[1].old {
            return Err(Finding { first: *at, until: at + 1, wrong: Wrong::Handover });
        }
    }
    // Each handover is signed by both, so one key that is known vouches for all.
    let vouched = chain.iter().any(|handover| keys.contains(&handover.old) || keys.contains(&handover.new));
    if let (Some(handover), false) = (chain.first(), vouched) {
        let at = handover.before.size;
        return Err(Finding { first: at, until: at + 1, wrong: Wrong::Handover });
    }
    for mark in marks {
        let Checkpoint { size, .. } = mark.checkpoint;
        let turn = chain.iter().rev().find(|handover| size > handover.before.size).map(|handover| &handover.new);
        let turn = turn.or(chain.first().map(|handover| &handover.old));
        let is_signed = match (turn, &mark.note) {
            (None, _) => !mark.signers.is_empty(),
            (Some(key), _) if mark.signers.iter().any(|signer| keys[*signer] == *key) => true,
            (Some(key), Some(note)) => note::open(note, std::slice::from_ref(key)).is_ok(),
            (Some(_), None) => false,
        };
        if !is_signed {
            let wrong = Wrong::Signature(mark.name.clone(), NoteError::UnknownSigner);
            return Err(Finding { first: 0, until: size.max(1), wrong });
        }
    }
    Ok(())
}

/// The vault's own work, as a leaf's actor.
const VAULT: u8 = 3;
/// The highest view that a leaf can state.
const VIEW_MAX: u8 = 4;

#[cfg(test)]
#[path = "tests/verifying.rs"]
mod tests;
