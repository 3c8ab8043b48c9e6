//! What a slot's new secret has to show before the old one is destroyed.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::base::limits::EPOCH_RETRY;
use crate::crypto::rng;
use crate::gate::intents::{Intent, What};
use crate::gate::open::tests::{Bench, OURS};
use crate::gate::open::{Parts, open};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;
use crate::keys::root;
use crate::keys::slot::file::layout::{self, BLOCK, COPIES, Contents};
use crate::keys::tree::ROOT_PAGE;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::memory::MemoryEngine;
use crate::store::purge::Purge;
use crate::store::{Error, Record};

/// Does something between the batch that prepares an epoch and the slots, once.
#[derive(Default)]
struct Meddling {
    inner: MemoryEngine,
    once_prepared: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Engine for Meddling {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.inner.multi_get(space, keys)
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Error> {
        self.inner.scan(space, prefix, from, limit)
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, Error> {
        self.inner.floor(space, key)
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        let prepares = batch.changes().any(|(space, _, row)| space == Space::Root && row.is_some());
        self.inner.commit(batch)?;
        if prepares && let Some(meddle) = self.once_prepared.lock().take() {
            meddle();
        }
        Ok(())
    }

    fn purge(&self, purge: &Purge) -> Result<Purge, Error> {
        self.inner.purge(purge)
    }
}

/// A vault with two slots, which is asked for an epoch.
struct Scene {
    bench: Bench,
    engine: Arc<Meddling>,
    vault: Arc<Vault>,
}

impl Scene {
    fn new() -> Self {
        let (bench, engine) = (Bench::new(), Arc::new(Meddling::default()));
        let parts = Parts { engine: engine.clone(), ..bench.parts(OURS, bench.key_file()) };
        let vault = open(parts).expect("created");
        Self { bench, engine, vault }
    }

    /// Lodges something that an epoch is to carry out.
    fn lodge(&self) {
        let lodge = |txn: &mut Txn<'_>| Intent::of_own(What::Slots)?.lodge(txn);
        self.vault.committer().commit_blocking(lodge, true).expect("is lodged");
    }

    /// Asks for an epoch in which `meddle` comes between. Returns when it has come to a halt.
    fn halted_by(&self, meddle: impl FnOnce() + Send + 'static) {
        *self.engine.once_prepared.lock() = Some(Box::new(meddle));
        self.lodge();
        self.vault.forget_now();
        self.wait(|| self.engine.once_prepared.lock().is_none() && self.vault.epochs().phase().is_none());
        // And once again, by itself.
        std::thread::sleep(EPOCH_RETRY + Duration::from_millis(100));
        self.wait(|| self.vault.epochs().phase().is_none());
        assert_eq!(self.vault.epochs().pending(), 1, "it is pending");
    }

    fn completes(&self) {
        self.wait(|| self.vault.epochs().pending() == 0 && self.vault.epochs().phase().is_none());
    }

    fn wait(&self, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "not in time");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The epochs of which a slot holds the secret.
    fn held(&self, slot: &str) -> Vec<u64> {
        contents(&fs::read(self.bench.path(slot)).expect("a slot")).epochs()
    }
}

fn contents(file: &[u8]) -> Contents {
    let (blocks, _) = file.as_chunks::<BLOCK>();
    Contents::decode(std::array::from_fn(|at| &blocks[at])).expect("a slot")
}

/// The file of a slot with another secret of that epoch, as valid as the one that was there.
fn with_another_secret(file: &[u8], epoch: u64) -> Vec<u8> {
    let found = contents(file);
    let at = found.position(epoch).expect("holds it");
    let other = layout::encode_secret(&found.header, at, epoch, &rng::make_secret().expect("random"));
    let mut file = file.to_vec();
    file[(COPIES + at) * BLOCK..][..BLOCK].copy_from_slice(other.expose());
    file
}

#[test]
fn a_slot_whose_new_secret_reads_back_as_another_keeps_the_old_one_until_it_reads_right() {
    let scene = Scene::new();
    let path = scene.bench.path("slot-a");
    let right = Arc::new(Mutex::new(Vec::new()));
    let (file, as_staged) = (path.clone(), right.clone());
    scene.halted_by(move || {
        *as_staged.lock() = fs::read(&file).expect("a slot");
        let other = with_another_secret(&as_staged.lock(), 2);
        overwrite(&file, &other);
    });
    assert_eq!(scene.held("slot-a"), [1, 2], "nothing of it is destroyed");

    overwrite(&path, &right.lock());
    scene.completes();
    assert_eq!([scene.held("slot-a"), scene.held("slot-b")].map(|held| held[0]), [2, 2]);
}

#[test]
fn no_slot_destroys_a_secret_before_the_new_root_opens_through_each() {
    let scene = Scene::new();
    let slot = contents(&fs::read(scene.bench.path("slot-b")).expect("a slot")).header.slot;
    destroys_nothing_while_damaged(&scene, Space::Root, root::row_key(2, &slot));
}

#[test]
fn no_slot_destroys_a_secret_before_the_top_page_opens_under_the_new_root() {
    destroys_nothing_while_damaged(&Scene::new(), Space::Page, ROOT_PAGE.row_key(2));
}

#[test]
fn what_was_asked_for_stays_pending_while_it_is_not_known_what_is_under_way() {
    let scene = Scene::new();
    scene.lodge();
    let rows = [(Space::Meta, b"intent_next".to_vec()), (Space::Intent, 1u64.to_be_bytes().to_vec())];
    let engine = &scene.engine.inner;
    let stored = rows.clone().map(|(space, key)| engine.get(space, &key).expect("reads").expect("is there"));
    let mut taken = Batch::new();
    rows.iter().for_each(|(space, key)| taken.delete(*space, &key[..]));
    engine.commit(taken).expect("written");
    scene.vault.forget_now();
    std::thread::sleep(EPOCH_RETRY + Duration::from_millis(100));
    assert_eq!((scene.vault.epochs().pending(), scene.vault.epoch()), (1, 1));

    let mut back = Batch::new();
    rows.into_iter().zip(stored).for_each(|((space, key), row)| back.put(space, key, row));
    engine.commit(back).expect("written");
    scene.completes();
    assert_eq!(scene.vault.epoch(), 2, "it is carried out");
}

/// One bit of a row flips once the epoch is prepared, and flips back.
fn destroys_nothing_while_damaged(scene: &Scene, space: Space, key: Vec<u8>) {
    let (engine, row_key) = (scene.engine.inner.clone(), key.clone());
    scene.halted_by(move || flip(&engine, space, &row_key));
    assert_eq!([scene.held("slot-a"), scene.held("slot-b")], [[1, 2]; 2], "nothing is destroyed");

    flip(&scene.engine.inner, space, &key);
    scene.completes();
    assert_eq!([scene.held("slot-a"), scene.held("slot-b")].map(|held| held[0]), [2, 2]);
}

/// In place, as slots are written.
fn overwrite(path: &Path, bytes: &[u8]) {
    fs::File::options().write(true).open(path).and_then(|mut file| file.write_all(bytes)).expect("written");
}

fn flip(engine: &MemoryEngine, space: Space, key: &[u8]) {
    let mut row = engine.get(space, key).expect("reads").expect("is there");
    row[20] ^= 1;
    let mut batch = Batch::new();
    batch.put(space, key, row);
    engine.commit(batch).expect("written");
}
