//! What is there after reopening, and what is in no file after a purge.

use std::thread;
use std::time::Duration;

use super::{S, put_keys, scans_to};
use crate::store::batch::Batch;
use crate::store::conformance::{Fault, Place, Verdict, same};
use crate::store::keyspace::Space;
use crate::store::purge::Purge;
use crate::store::{Engine, Error};

pub(super) fn derived(place: &dyn Place) -> Verdict {
    let engine = place.open();
    let (mut refused, mut batch) = (Batch::new(), Batch::new());
    refused.expect(S, "a", Some(b"something".to_vec()));
    refused.put(S, "b", "b");
    same("a precondition", engine.commit_derived(refused), Err(Error::Precondition))?;
    Space::ALL.iter().for_each(|space| batch.put(*space, "a", "a"));
    engine.commit_derived(batch)?;
    scans_to(&*engine, [b"", b""], 10, &[b"a"])?;
    in_each_space(&*engine, "a")?;
    drop(engine);
    in_each_space(&*place.open(), "a")
}

pub(super) fn reopen(place: &dyn Place) -> Verdict {
    put_keys(&*place.open(), &[b"a", b"b"])?;
    let engine = place.open();
    scans_to(&*engine, [b"", b""], 10, &[b"a", b"b"])?;
    let mut batch = Batch::new();
    batch.delete(S, "a");
    batch.put(S, "b", "changed");
    Space::ALL.iter().for_each(|space| batch.put(*space, "c", "c"));
    engine.commit(batch)?;
    drop(engine);
    for _ in 0..2 {
        let engine = place.open();
        same("after deleting", engine.get(S, b"a")?, None)?;
        same("after changing", engine.get(S, b"b")?, Some(b"changed".to_vec()))?;
        in_each_space(&*engine, "c")?;
    }
    Ok(())
}

/// Whether every space has this key, with itself as the value.
fn in_each_space(engine: &dyn Engine, key: &str) -> Verdict {
    let found = |space: &Space| same(space.name(), engine.get(*space, key.as_bytes())?, Some(key.into()));
    Space::ALL.iter().try_for_each(found)
}

pub(super) fn purged(place: &dyn Place) -> Verdict {
    let value = |space: Space, what: u8| noise(u64::from(space as u8) << 8 | u64::from(what));
    let [deleted, replaced, below, stays] = [0, 1, 2, 3];
    let put_all = |engine: &dyn Engine| {
        let mut batch = Batch::new();
        for space in Space::ALL {
            let keys = [(deleted, "deleted"), (replaced, "replaced"), (below, "below/1"), (stays, "stays")];
            keys.iter().for_each(|(what, key)| batch.put(*space, *key, value(*space, *what)));
        }
        engine.commit(batch)
    };
    // What is deleted is in files that are not written any more, and what deletes it is in later ones.
    put_all(&*place.open())?;
    let engine = place.open();
    for _ in 0..2 {
        for space in Space::ALL {
            same("a search of the files finds what is there", place.holds(&value(*space, stays)), true)?;
            let mut batch = Batch::new();
            batch.delete(*space, "deleted");
            batch.put(*space, "replaced", "by this");
            batch.delete_below(*space, "below/");
            engine.commit(batch)?;
        }
        purge(&*engine, Purge::new())?;
        for space in Space::ALL {
            let found = [deleted, replaced, below, stays].map(|what| place.holds(&value(*space, what)));
            same(space.name(), found, [false, false, false, true])?;
        }
        // And once more, of what is written and deleted while the engine is open.
        put_all(&*engine)?;
    }
    Ok(())
}

pub(super) fn purge_keeps(place: &dyn Place) -> Verdict {
    let mut engine = place.open();
    for round in 0..3u64 {
        let mut batch = Batch::new();
        Space::ALL.iter().for_each(|space| batch.put(*space, round.to_be_bytes(), noise(round)));
        engine.commit(batch)?;
        // Half of it, and the rest by another engine on the same store.
        let mut half = Purge::new();
        for _ in 0..Space::ALL.len() / 2 {
            half = engine.purge(&half)?;
        }
        drop(engine);
        engine = place.open();
        put_keys(&*engine, &[b"meanwhile"])?;
        purge(&*engine, Purge::decode(&half.encode()).map_err(|error| Fault(error.to_string()))?)?;
    }
    // One that begins before anything is written, and during which something is.
    drop(engine);
    let engine = place.open();
    let begun = engine.purge(&Purge::new())?;
    put_keys(&*engine, &[b"after it began"])?;
    purge(&*engine, begun)?;
    for space in Space::ALL {
        let found =
            engine.multi_get(*space, &[0u64, 1, 2].each_ref().map(|n| n.to_be_bytes()).each_ref().map(|k| &k[..]))?;
        same(space.name(), found, (0..3).map(|round| Some(noise(round))).collect())?;
    }
    same("written meanwhile", engine.get(S, b"meanwhile")?, Some(b"meanwhile".to_vec()))
}

/// To its end. Files that somebody still reads are waited for.
fn purge(engine: &dyn Engine, mut purge: Purge) -> Verdict {
    for _ in 0..10_000 {
        if purge.is_done() {
            return Ok(());
        }
        let further = engine.purge(&purge)?;
        if further == purge {
            thread::sleep(Duration::from_millis(1));
        }
        purge = further;
    }
    Err(Fault("a purge does not end".into()))
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..64).map(|_| next()).collect()
}
