//! Checkpoints of a vault at work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::handover::Handover;
use crate::audit::leaf::tests::sample;
use crate::crypto::hash::sha256;
use crate::gate::open::tests::{Bench, OURS};
use crate::gate::open::{Parts, open};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::purge::Purge;
use crate::store::{self, Record};

fn start(bench: &Bench, change: impl FnOnce(&mut Parts) + Send + 'static) -> Result<Arc<Vault>, OpenError> {
    let mut parts = bench.parts(OURS, bench.key_file());
    std::thread::spawn(move || {
        change(&mut parts);
        open(parts)
    })
    .join()
    .expect("no panic")
}

/// An engine whose commits take a while, and fail once they are told to.
struct Moody {
    inner: Arc<dyn Engine>,
    pause: Duration,
    fails: Arc<AtomicBool>,
}

impl Engine for Moody {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, store::Error> {
        self.inner.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, store::Error> {
        self.inner.multi_get(space, keys)
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, store::Error> {
        self.inner.scan(space, prefix, from, limit)
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, store::Error> {
        self.inner.floor(space, key)
    }

    fn commit(&self, batch: Batch) -> Result<(), store::Error> {
        std::thread::sleep(self.pause);
        if self.fails.load(Ordering::SeqCst) { Err(store::Error::Failed) } else { self.inner.commit(batch) }
    }

    fn purge(&self, purge: &Purge) -> Result<Purge, store::Error> {
        self.inner.purge(purge)
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_asked_for_comes_at_once() {
    let bench = Bench::new();
    let vault = start(&bench, |_| ()).expect("opens");
    let began = Instant::now();
    for size in 1..=20 {
        vault.record(vec![sample()]).await.expect("recorded");
        let signed = vault.log().checkpoint(size).await.expect("signed");
        assert_eq!(signed.checkpoint.size, size);
        assert_eq!(
            Checkpoint::open(signed.note.as_bytes(), &[vault.log().key().clone()]).as_ref(),
            Ok(&signed.checkpoint)
        );
    }
    assert!(began.elapsed() < Duration::from_secs(10), "no period was waited for");
    assert_eq!(vault.verifiers().audit, vault.log().key().to_string());
}

#[tokio::test]
async fn a_log_that_has_grown_is_signed_by_itself() {
    let bench = Bench::new();
    let vault = start(&bench, |_| ()).expect("opens");
    vault.record(vec![sample(), sample()]).await.expect("recorded");
    let mut known = vault.log().known();
    let signed = tokio::time::timeout(Duration::from_secs(20), known.wait_for(|known| known.covers(2))).await;
    assert!(signed.expect("in time").is_ok());
}

#[tokio::test]
async fn a_restart_goes_on_from_what_is_stored() {
    let bench = Bench::new();
    for round in 1..=3u64 {
        let vault = start(&bench, |_| ()).expect("opens");
        vault.record(vec![sample(); 300]).await.expect("recorded");
        if round == 2 {
            vault.log().checkpoint(600).await.expect("signed");
            vault.record(vec![sample()]).await.expect("recorded");
        }
        vault.stop();
        let signed = vault.log().stored().checkpoint().expect("reads").expect("is there");
        assert_eq!(signed.checkpoint.size, 300 * round + u64::from(round > 1), "a clean stop signs everything");
    }
}

#[tokio::test]
async fn a_damaged_end_of_the_log_does_not_open() {
    let bench = Bench::new();
    let vault = start(&bench, |_| ()).expect("opens");
    vault.record(vec![sample(); 3]).await.expect("recorded");
    drop(vault);
    let mut batch = Batch::new();
    batch.put(Space::LogTile, [0; 9], [7; 96]);
    bench.engine.commit(batch).expect("stored");
    let refused = start(&bench, |_| ()).map(|_| ()).expect_err("refused");
    assert!(refused.to_string().starts_with("the audit log is damaged: its tiles are not those signed"), "{refused}");
}

#[tokio::test]
async fn storage_that_fails_ends_the_waiting() {
    let bench = Bench::new();
    let fails = Arc::new(AtomicBool::new(false));
    let told = fails.clone();
    let moody = move |parts: &mut Parts| {
        parts.engine = Arc::new(Moody { inner: parts.engine.clone(), pause: Duration::from_millis(30), fails: told });
    };
    let vault = start(&bench, moody).expect("opens");
    vault.record(vec![sample()]).await.expect("recorded");
    fails.store(true, Ordering::SeqCst);
    let refused = vault.log().checkpoint(1).await.map(|_| ()).expect_err("cannot be written");
    assert_eq!(refused, Unavailable::StorageFailed.into());
}

#[tokio::test]
async fn a_row_that_was_changed_long_before_the_end_is_noticed_soon_after_the_start() {
    let bench = Bench::new();
    let vault = start(&bench, |_| ()).expect("opens");
    vault.record(vec![sample(); 700]).await.expect("recorded");
    vault.stop();
    drop(vault);
    drop(start(&bench, |_| ()).expect("opens"));
    let mut batch = Batch::new();
    batch.put(Space::LogTile, [0; 9], [7; 256 * 32]);
    bench.engine.commit(batch).expect("stored");
    let vault = start(&bench, |_| ()).expect("opens: the end is as it was");
    let mut known = vault.log().known();
    let ended = tokio::time::timeout(Duration::from_secs(20), known.wait_for(|known| known.ended.is_some())).await;
    assert_eq!(ended.expect("in time").expect("told").ended, Some(Unavailable::Damaged));
    assert_eq!(vault.check(), Err(Unavailable::LogUnavailable));
}

#[tokio::test]
async fn a_new_key_takes_over_with_the_word_of_the_old_one() {
    let bench = Bench::new();
    let vault = start(&bench, |_| ()).expect("opens");
    vault.record(vec![sample(); 300]).await.expect("recorded");
    let (old, old_public) = (vault.log().key(), vault.log().keys().current().public);
    let before = vault.log().checkpoint(300).await.expect("signed");
    vault.record(vec![sample(); 5]).await.expect("recorded");
    let index = vault.log().rotate(old_public, sample()).await.expect("carried out").expect("is the key");
    assert_eq!(index, 305, "what was not signed yet is under the note too");
    let new = vault.log().key();
    assert_ne!(new, old);
    let after = vault.log().checkpoint(index + 1).await.expect("signed");
    assert_eq!(Checkpoint::open(before.note.as_bytes(), std::slice::from_ref(&old)).as_ref(), Ok(&before.checkpoint));
    assert_eq!(Checkpoint::open(after.note.as_bytes(), std::slice::from_ref(&new)).as_ref(), Ok(&after.checkpoint));
    assert!(Checkpoint::open(after.note.as_bytes(), std::slice::from_ref(&old)).is_err());
    assert_eq!(vault.verifiers().audit, new.to_string());
    assert_eq!(vault.log().rotate(old_public, sample()).await, Ok(None), "it was replaced");

    let log = vault.log().stored();
    let entries: Vec<_> = log.entries(index).expect("reads").map(|entry| entry.expect("reads").1).collect();
    let note = entries[0].1.clone().expect("the note");
    let handover = Handover::open(&note).expect("by both");
    assert_eq!((handover.old, handover.new, handover.before.size), (old, new, index));
    let leaf = crate::audit::leaf::decode(&entries[0].0).expect("a leaf");
    assert_eq!((leaf.operation.as_str(), leaf.detail_hash), ("LogKeyChanged", Some(sha256(&[&note]))));
    assert_eq!(entries.len(), 2, "and the call's own entry");
}

#[tokio::test]
async fn the_note_is_in_its_place_also_behind_an_entry_that_need_not_last_yet() {
    let bench = Bench::new();
    let vault = start(&bench, |_| ()).expect("opens");
    vault.record(vec![sample(); 3]).await.expect("recorded");
    let enter = |txn: &mut Txn<'_>| {
        txn.record(sample());
        Ok(())
    };
    vault.committer().commit_followed(enter).await.expect("is written");
    assert_eq!(vault.committer().log_size(), 3, "nobody is told of it yet");
    let public = vault.log().keys().current().public;
    let index = vault.log().rotate(public, sample()).await.expect("carried out").expect("is the key");
    assert_eq!((index, vault.committer().log_size()), (4, 6));
    let (bytes, _) = vault.log().stored().entry(index).expect("reads");
    let leaf = crate::audit::leaf::decode(&bytes).expect("a leaf");
    assert_eq!(leaf.operation.as_str(), "LogKeyChanged");
    assert_eq!(vault.log().keys().at_entry(index).public, vault.log().keys().current().public);
}

#[tokio::test]
async fn the_new_key_is_there_after_a_restart_also_before_it_has_signed() {
    let bench = Bench::new();
    let fails = Arc::new(AtomicBool::new(false));
    let told = fails.clone();
    let moody = move |parts: &mut Parts| {
        parts.engine = Arc::new(Moody { inner: parts.engine.clone(), pause: Duration::ZERO, fails: told });
    };
    let vault = start(&bench, moody).expect("opens");
    vault.record(vec![sample(); 3]).await.expect("recorded");
    vault.log().checkpoint(3).await.expect("signed");
    let old = vault.log().keys().current().public;
    vault.log().rotate(old, sample()).await.expect("carried out");
    fails.store(true, Ordering::SeqCst); // perhaps before the first checkpoint of the new key
    let new = vault.log().key();
    vault.stop();
    drop(vault);
    let vault = start(&bench, |_| ()).expect("opens, whichever key signed last");
    assert_eq!(vault.log().key(), new);
    let signed = vault.log().checkpoint(5).await.expect("signed");
    assert!(Checkpoint::open(signed.note.as_bytes(), &[new]).is_ok());
    assert_eq!(vault.log().keys().all().len(), 2);
    let retired = vault.log().keys().all()[0].retired;
    assert!(retired.is_some());
}

#[tokio::test]
async fn a_change_that_cannot_be_written_leaves_the_old_key_in_place() {
    let bench = Bench::new();
    let fails = Arc::new(AtomicBool::new(false));
    let told = fails.clone();
    let moody = move |parts: &mut Parts| {
        parts.engine = Arc::new(Moody { inner: parts.engine.clone(), pause: Duration::ZERO, fails: told });
    };
    let vault = start(&bench, moody).expect("opens");
    let (old, public) = (vault.log().key(), vault.log().keys().current().public);
    fails.store(true, Ordering::SeqCst);
    assert_eq!(vault.log().rotate(public, sample()).await, Err(Unavailable::StorageFailed.into()));
    assert_eq!(vault.log().key(), old);
    drop(vault);
    let vault = start(&bench, |_| ()).expect("opens");
    assert_eq!(vault.log().key(), old);
}

#[tokio::test]
async fn a_checkpoint_that_was_shown_is_never_followed_by_a_smaller_one() {
    let bench = Bench::new();
    let vault = start(&bench, |_| ()).expect("opens");
    vault.record(vec![sample(); 3]).await.expect("recorded");
    vault.log().checkpoint(3).await.expect("signed");
    let engine = bench.engine.clone();
    let before = engine.get(Space::Meta, b"log_checkpoint").expect("reads").expect("a row");
    vault.record(vec![sample(); 2]).await.expect("recorded");
    let shown = vault.log().checkpoint(5).await.expect("signed");
    vault.stop();
    drop(vault);
    // What the power took: the checkpoint, which was not waited for, but none of the entries.
    let mut lost = Batch::new();
    lost.put(Space::Meta, "log_checkpoint", before);
    engine.commit(lost).expect("written");
    let vault = start(&bench, |_| ()).expect("opens");
    let mut known = vault.log().known();
    let first = known.wait_for(|known| known.newest.is_some()).await.expect("goes on").newest.clone();
    let first = first.expect("is there");
    assert!(first.checkpoint.size >= 5);
    let again = vault.log().checkpoint(5).await.expect("signed");
    assert!(again.checkpoint.size > 5 || again.checkpoint == shown.checkpoint, "the same tree again");
}
