//! Engines with one planted fault each, to show that the suite would notice.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::super::batch::Batch;
use super::super::keyspace::Space;
use super::super::memory::MemoryEngine;
use super::super::purge::{Purge, Stage};
use super::super::{Engine, Error, Record};
use parking_lot::Mutex;

use super::Place;

/// What is wrong with an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlantedFault {
    InventsValues,
    IgnoresDeletes,
    FirstWriteStays,
    DropsLastChange,
    EmptiesNothing,
    EmptiesLast,
    EmptyIsAbsent,
    KeysEndAtZero,
    CutsLargeValues,
    MixesSpaces,
    MultiGetSorted,
    ScanPastPrefix,
    ScanSkipsFrom,
    ScanIgnoresFrom,
    ScanOneMore,
    ScanBackwards,
    FloorExcludesKey,
    IgnoresPreconditions,
    ChecksAfterApplying,
    AppliesRefusedHalf,
    SkipsBatchesWithoutChanges,
    TwoSteps,
    ChecksOutsideLock,
    ForgetsOnReopen,
    ForgetsLastOnReopen,
    ForgetsSpaceOnReopen(Space),
    DropsDerived,
    SkipsSpace(Space),
    SkipsSpaceOfDerived(Space),
    PurgesNothing,
    PurgeSkipsSpace,
    PurgeLeavesReplaced,
    PurgeLosesRecord,
}

use PlantedFault::*;

impl PlantedFault {
    /// Every fault, and the check that must notice it (others may too).
    pub(super) const ALL: &[(PlantedFault, &str)] = &[
        (InventsValues, "an absent key has no value"),
        (IgnoresDeletes, "a put is read back, overwritten and deleted"),
        (FirstWriteStays, "a put is read back, overwritten and deleted"),
        (FirstWriteStays, "an engine behaves like an ordered map"),
        (IgnoresDeletes, "the last change of a key in a batch wins"),
        (DropsLastChange, "every change of a batch is applied"),
        (EmptiesNothing, "what is below an emptied prefix goes, and no more"),
        (EmptiesNothing, "an engine behaves like an ordered map"),
        (EmptiesLast, "what is below an emptied prefix goes, and no more"),
        (EmptyIsAbsent, "an empty value is not an absent one"),
        (KeysEndAtZero, "keys may hold any bytes"),
        (CutsLargeValues, "a large value comes back whole"),
        (MixesSpaces, "spaces are apart"),
        (MultiGetSorted, "multi_get answers in the order of its keys"),
        (ScanPastPrefix, "a scan stays below its prefix"),
        (ScanSkipsFrom, "a scan starts at from"),
        (ScanIgnoresFrom, "a scan starts at from"),
        (ScanOneMore, "a scan ends at its limit"),
        (ScanBackwards, "a scan is in key order"),
        (FloorExcludesKey, "a floor is the last key at or before"),
        (IgnoresPreconditions, "a precondition compares the value before the batch"),
        (ChecksAfterApplying, "a precondition compares the value before the batch"),
        (AppliesRefusedHalf, "a refused batch writes nothing"),
        (SkipsBatchesWithoutChanges, "a batch of preconditions alone is checked"),
        (TwoSteps, "readers never see half a batch"),
        (ChecksOutsideLock, "of two commits on the same precondition one succeeds"),
        (ForgetsOnReopen, "what was committed is there after reopening"),
        (ForgetsLastOnReopen, "what was committed is there after reopening"),
        (DropsDerived, "so is what was committed as derived"),
        (ForgetsSpaceOnReopen(Space::Expiry), "what was committed is there after reopening"),
        (SkipsSpace(Space::Expiry), "every change of a batch is applied"),
        (SkipsSpaceOfDerived(Space::Expiry), "so is what was committed as derived"),
        (PurgesNothing, "what was deleted before a purge is in no file after it"),
        (PurgeSkipsSpace, "what was deleted before a purge is in no file after it"),
        (PurgeLeavesReplaced, "what was deleted before a purge is in no file after it"),
        (PurgeLosesRecord, "a purge loses nothing"),
    ];
}

/// A place whose engines have the fault, or none.
pub(super) struct BrokenPlace {
    fault: Option<PlantedFault>,
    stored: Cell<MemoryEngine>,
    files: Files,
}

/// What an engine that appends has in its files: every record that was put and not purged.
type Files = Arc<Mutex<Vec<(Space, Vec<u8>, Vec<u8>)>>>;

impl BrokenPlace {
    pub(super) fn new(fault: Option<PlantedFault>) -> Self {
        Self { fault, stored: Cell::default(), files: Files::default() }
    }
}

impl Place for BrokenPlace {
    fn open(&self) -> Box<dyn Engine> {
        let mut stored = self.stored.take();
        if self.fault == Some(ForgetsOnReopen) {
            stored = MemoryEngine::new();
        }
        if self.fault == Some(ForgetsLastOnReopen) {
            forget_last(&stored);
        }
        if let Some(ForgetsSpaceOnReopen(space)) = self.fault {
            forget_space(&stored, space);
        }
        self.stored.set(stored.clone());
        Box::new(Broken { fault: self.fault, inner: stored, files: self.files.clone() })
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.files.lock().iter().any(|(_, _, value)| value.windows(bytes.len()).any(|part| part == bytes))
    }
}

struct Broken {
    fault: Option<PlantedFault>,
    inner: MemoryEngine,
    files: Files,
}

impl Broken {
    fn has(&self, fault: PlantedFault) -> bool {
        self.fault == Some(fault)
    }

    fn space(&self, space: Space) -> Space {
        if self.has(MixesSpaces) && space == Space::Log { Space::Page } else { space }
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        let end = key.iter().position(|byte| *byte == 0).filter(|_| self.has(KeysEndAtZero));
        key[..end.unwrap_or(key.len())].to_vec()
    }

    /// The batch as this engine sees it.
    fn distorted(&self, batch: &Batch) -> Result<Batch, Error> {
        let mut seen = Batch::new();
        if !self.has(EmptiesNothing) && !self.has(EmptiesLast) {
            empty(&mut seen, batch);
        }
        let count = batch.changes().count();
        for (i, (space, key, value)) in batch.changes().enumerate() {
            let (space, key) = (self.space(space), self.key(key));
            let dropped = self.has(DropsLastChange) && i + 1 == count
                || self.has(SkipsSpace(space))
                || self.has(IgnoresDeletes) && value.is_none()
                || self.has(FirstWriteStays) && value.is_some() && self.inner.get(space, &key)?.is_some();
            match value {
                _ if dropped => {}
                Some([]) if self.has(EmptyIsAbsent) => seen.delete(space, key),
                Some(value) if self.has(CutsLargeValues) => seen.put(space, key, &value[..value.len().min(1 << 22)]),
                Some(value) => seen.put(space, key, value),
                None => seen.delete(space, key),
            }
        }
        if self.has(EmptiesLast) {
            empty(&mut seen, batch);
        }
        if !self.has(IgnoresPreconditions) && !self.has(ChecksOutsideLock) {
            for (space, key, value) in batch.expectations() {
                seen.expect(self.space(space), self.key(key), value.map(<[u8]>::to_vec));
            }
        }
        Ok(seen)
    }

    fn expectations_hold(&self, batch: &Batch) -> Result<bool, Error> {
        for (space, key, value) in batch.expectations() {
            if self.inner.get(space, key)?.as_deref() != value {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Engine for Broken {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let found = self.inner.get(self.space(space), &self.key(key))?;
        Ok(if self.has(InventsValues) { found.or(Some(vec![])) } else { found })
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let mut keys: Vec<Vec<u8>> = keys.iter().map(|key| self.key(key)).collect();
        if self.has(MultiGetSorted) {
            keys.sort();
        }
        self.inner.multi_get(self.space(space), &keys.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Error> {
        let start = if self.has(ScanIgnoresFrom) { prefix } else { prefix.max(from) };
        let below = if self.has(ScanPastPrefix) { b"" } else { prefix };
        let limit = if self.has(ScanOneMore) { limit.saturating_add(1) } else { limit };
        let mut records = self.inner.scan(self.space(space), below, start, limit)?;
        if self.has(ScanSkipsFrom) {
            records.retain(|(key, _)| key != from);
        }
        if self.has(ScanBackwards) {
            records.reverse();
        }
        Ok(records)
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, Error> {
        if self.has(FloorExcludesKey) {
            let before = self.inner.scan(self.space(space), b"", b"", usize::MAX)?;
            return Ok(before.into_iter().rev().find(|(other, _)| other[..] < *key));
        }
        self.inner.floor(self.space(space), key)
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        if self.has(SkipsBatchesWithoutChanges) && batch.is_empty() {
            return Ok(());
        }
        let seen = self.distorted(&batch)?;
        let puts = seen.changes().filter_map(|(space, key, value)| Some((space, key.to_vec(), value?.to_vec())));
        self.files.lock().extend(puts);
        let [first, second] = halves(&seen);
        if self.has(ChecksAfterApplying) {
            self.inner.commit(changes_of(&seen))?;
            return if self.expectations_hold(&batch)? { Ok(()) } else { Err(Error::Precondition) };
        }
        if self.has(ChecksOutsideLock) {
            if !self.expectations_hold(&batch)? {
                return Err(Error::Precondition);
            }
            thread::sleep(Duration::from_micros(50));
        }
        if self.has(TwoSteps) {
            self.inner.commit(first)?;
            thread::sleep(Duration::from_micros(50));
            return self.inner.commit(second);
        }
        let outcome = self.inner.commit(seen);
        if outcome.is_err() && self.has(AppliesRefusedHalf) {
            self.inner.commit(first)?;
        }
        outcome
    }

    fn commit_derived(&self, batch: Batch) -> Result<(), Error> {
        match self.fault {
            Some(DropsDerived) => Ok(()),
            Some(SkipsSpaceOfDerived(space)) => self.commit(without(&batch, space)),
            _ => self.commit(batch),
        }
    }

    fn purge(&self, purge: &Purge) -> Result<Purge, Error> {
        if self.has(PurgesNothing) {
            return Ok(purge.at(Stage::Done));
        }
        let stays = |space: Space, key: &[u8], value: &[u8]| {
            let found = self.inner.get(space, key).expect("memory does not fail");
            let is_left = found.is_some() && self.has(PurgeLeavesReplaced);
            is_left || self.has(PurgeSkipsSpace) && space == Space::Chunk || found.as_deref() == Some(value)
        };
        self.files.lock().retain(|(space, key, value)| stays(*space, key, value));
        if self.has(PurgeLosesRecord) {
            forget_last(&self.inner);
        }
        Ok(purge.at(Stage::Done))
    }
}

fn empty(seen: &mut Batch, batch: &Batch) {
    for (space, prefix) in batch.emptied() {
        seen.delete_below(space, prefix);
    }
}

fn changes_of(batch: &Batch) -> Batch {
    let [mut first, second] = halves(batch);
    first.absorb(second);
    first
}

/// The changes without the preconditions, in two batches.
fn halves(batch: &Batch) -> [Batch; 2] {
    let mut halves = [Batch::new(), Batch::new()];
    empty(&mut halves[0], batch);
    let middle = batch.changes().count() / 2;
    for (i, (space, key, value)) in batch.changes().enumerate() {
        let half = &mut halves[usize::from(i >= middle)];
        match value {
            Some(value) => half.put(space, key, value),
            None => half.delete(space, key),
        }
    }
    halves
}

/// The batch without the changes of one space.
fn without(batch: &Batch, skipped: Space) -> Batch {
    let mut rest = Batch::new();
    empty(&mut rest, batch);
    for (space, key, value) in batch.changes().filter(|(space, ..)| *space != skipped) {
        match value {
            Some(value) => rest.put(space, key, value),
            None => rest.delete(space, key),
        }
    }
    for (space, key, value) in batch.expectations() {
        rest.expect(space, key, value.map(<[u8]>::to_vec));
    }
    rest
}

fn forget_space(stored: &MemoryEngine, space: Space) {
    let mut batch = Batch::new();
    for (key, _) in stored.scan(space, b"", b"", usize::MAX).expect("memory does not fail") {
        batch.delete(space, key);
    }
    stored.commit(batch).expect("memory does not fail");
}

fn forget_last(stored: &MemoryEngine) {
    let last = Space::ALL.iter().rev().find_map(|space| {
        let records = stored.scan(*space, b"", b"", usize::MAX).ok()?;
        Some((*space, records.last()?.0.clone()))
    });
    if let Some((space, key)) = last {
        let mut batch = Batch::new();
        batch.delete(space, key);
        stored.commit(batch).expect("memory does not fail");
    }
}
