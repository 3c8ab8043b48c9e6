//! Commits: on what they depend, and that they are seen whole or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{S, put, put_keys, scans_to};
use crate::store::Error;
use crate::store::batch::Batch;
use crate::store::conformance::{Place, Verdict, same};
use crate::store::keyspace::Space;

pub(super) fn preconditions(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put(&*engine, &[(b"k", b"one")])?;
    let commit = |key: &str, expected: Option<&[u8]>| {
        let mut batch = Batch::new();
        batch.put(S, "k", "one");
        batch.expect(S, key, expected.map(<[u8]>::to_vec));
        engine.commit(batch)
    };
    same("equal", commit("k", Some(b"one")), Ok(()))?;
    same("different", commit("k", Some(b"two")), Err(Error::Precondition))?;
    same("shorter", commit("k", Some(b"on")), Err(Error::Precondition))?;
    same("longer", commit("k", Some(b"one ")), Err(Error::Precondition))?;
    same("present, expected absent", commit("k", None), Err(Error::Precondition))?;
    same("absent", commit("new", None), Ok(()))?;
    same("absent, expected present", commit("new", Some(b"one")), Err(Error::Precondition))?;
    let mut batch = Batch::new();
    batch.expect(Space::Page, "k", None);
    batch.expect(S, "k", Some(b"one".to_vec()));
    batch.put(Space::Page, "k", "one");
    batch.put(S, "k", "two");
    same("in each its own space, before the changes", engine.commit(batch), Ok(()))?;
    let mut batch = Batch::new();
    batch.expect(S, "k", Some(b"one".to_vec()));
    batch.put(S, "k", "one");
    same("what the batch itself writes", engine.commit(batch), Err(Error::Precondition))?;
    let mut batch = Batch::new();
    batch.expect(S, "k", Some(b"two".to_vec()));
    batch.expect(S, "new", Some(b"one".to_vec()));
    same("the last of several", engine.commit(batch), Err(Error::Precondition))
}

pub(super) fn refused_batch(place: &dyn Place) -> Verdict {
    let engine = place.open();
    put_keys(&*engine, &[b"deleted", b"k"])?;
    let mut batch = Batch::new();
    for key in ["a", "b", "c", "d"] {
        batch.put(S, key, "");
        batch.put(Space::Log, key, "");
    }
    batch.put(S, "k", "changed");
    batch.delete(S, "deleted");
    batch.expect(S, "k", None);
    same("commit", engine.commit(batch), Err(Error::Precondition))?;
    same("another space", engine.scan(Space::Log, b"", b"", 10)?, vec![])?;
    same("k", engine.get(S, b"k")?, Some(b"k".to_vec()))?;
    scans_to(&*engine, [b"", b""], 10, &[b"deleted", b"k"])?;
    put_keys(&*engine, &[b"later"])?;
    drop(engine);
    scans_to(&*place.open(), [b"", b""], 10, &[b"deleted", b"k", b"later"])
}

pub(super) fn preconditions_alone(place: &dyn Place) -> Verdict {
    let engine = place.open();
    for (expected, outcome) in [(None, Ok(())), (Some(b"v".to_vec()), Err(Error::Precondition))] {
        let mut batch = Batch::new();
        batch.expect(S, "k", expected);
        same("commit", engine.commit(batch), outcome)?;
    }
    Ok(())
}

/// One writer sets all keys to the same number, batch after batch; readers must never find two numbers.
pub(super) fn whole_batches_seen(place: &dyn Place) -> Verdict {
    const KEYS: u8 = 16;
    let engine = place.open();
    let engine = &*engine;
    let write = |number: u32| {
        let mut batch = Batch::new();
        (0..KEYS).for_each(|key| batch.put(S, [key], number.to_be_bytes()));
        engine.commit(batch)
    };
    let done = AtomicBool::new(false);
    let read = || -> Verdict {
        let keys: Vec<[u8; 1]> = (0..KEYS).map(|key| [key]).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        while !done.load(Ordering::SeqCst) {
            let found = engine.multi_get(S, &keys)?;
            same("numbers in one multi_get", found.iter().all(|value| *value == found[0]), true)?;
            let found = engine.scan(S, b"", b"", usize::MAX)?;
            same("records in one scan", found.len(), KEYS.into())?;
            same("numbers in one scan", found.iter().all(|(_, value)| *value == found[0].1), true)?;
        }
        Ok(())
    };
    write(0)?;
    thread::scope(|scope| {
        let readers = [scope.spawn(read), scope.spawn(read)];
        let written = (1..300).try_for_each(write);
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.join().expect("readers return their verdict")?;
        }
        Ok(written?)
    })
}

/// Threads count together, each by a precondition on the number it read: no count is lost or made twice.
pub(super) fn one_winner(place: &dyn Place) -> Verdict {
    const THREADS: u32 = 4;
    const ROUNDS: u32 = 25;
    let engine = place.open();
    let engine = &*engine;
    put(engine, &[(b"count", &0u32.to_be_bytes())])?;
    let count_up = || -> Verdict {
        let mut won = 0;
        // A refusal means that another thread won in between, so there are fewer attempts than wins of all.
        for _ in 0..THREADS * ROUNDS {
            let before = engine.get(S, b"count")?.unwrap_or_default();
            let number = before.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
            let mut batch = Batch::new();
            batch.expect(S, "count", Some(before));
            thread::yield_now();
            batch.put(S, "count", (number + 1).to_be_bytes());
            match engine.commit(batch) {
                Err(Error::Precondition) => {}
                other => other.map(|()| won += 1)?,
            }
            if won == ROUNDS {
                return Ok(());
            }
        }
        same("wins of one thread", won, ROUNDS)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(count_up)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("threads return their verdict"))
    })?;
    same("count", engine.get(S, b"count")?, Some((THREADS * ROUNDS).to_be_bytes().to_vec()))
}
