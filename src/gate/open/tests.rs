//! Which outer key opens which vault, and what a refusal leaves behind: nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::base::time::{ManualClock, Timestamp};
use crate::gate::intents::{Intent, What};
use crate::gate::refusal::Unavailable;
use crate::keys::outer::file::KeyFile;
use crate::store::Record;
use crate::store::memory::MemoryEngine;

const LEDGER: &[u8] = b"intent_next";

pub const OURS: InstanceId = InstanceId::from_bytes([1; 16]);
pub const THEIRS: InstanceId = InstanceId::from_bytes([2; 16]);

/// A store in memory, two slots, a key file and two passphrases in a folder of their own.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub engine: MemoryEngine,
}

impl Bench {
    pub fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().expect("a folder"), engine: MemoryEngine::new() };
        KeyFile::create(bench.path("outer.key")).expect("created");
        KeyFile::create(bench.path("other.key")).expect("created");
        for name in ["phrase", "other phrase"] {
            fs::write(bench.path(name), name).expect("written");
            fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o600)).expect("mode");
        }
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn key_file(&self) -> Source {
        Source::KeyFile(self.path("outer.key"))
    }

    fn passphrase(&self, name: &str) -> Source {
        Source::Passphrase(self.path(name))
    }

    pub fn parts(&self, instance: InstanceId, outer: Source) -> Parts {
        Parts {
            engine: Arc::new(self.engine.clone()),
            store_bytes: Box::new(|| 0),
            room: Room::endless(),
            slots: vec![self.path("slot-a"), self.path("slot-b")],
            accepts_e0: true,
            apart_from: vec![],
            published: None,
            instance,
            outer,
            rules: Rules::shipped().expect("the shipped rules"),
            clock: Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000))),
            patience: Patience { drain: Duration::ZERO, epoch_delay: Duration::ZERO, finds_per_minute: 100 },
        }
    }

    pub fn open(&self, instance: InstanceId, outer: Source) -> Result<Arc<Vault>, OpenError> {
        open(self.parts(instance, outer))
    }

    /// Writes a row over, or takes it away. What was there.
    fn write(&self, key: &[u8], row: Option<&[u8]>) -> Option<Vec<u8>> {
        let before = self.engine.get(Space::Meta, key).expect("reads");
        let mut batch = Batch::new();
        match row {
            Some(row) => batch.put(Space::Meta, key, row),
            None => batch.delete(Space::Meta, key),
        }
        self.engine.commit(batch).expect("writes");
        before
    }

    /// Every byte that a refusal must leave alone: the store's rows and the slots' files.
    pub fn bytes(&self) -> (Vec<Vec<Record>>, [Option<Vec<u8>>; 2]) {
        let rows = |space: &Space| self.engine.scan(*space, &[], &[], usize::MAX).expect("rows");
        let slot = |name| fs::read(self.path(name)).ok();
        (Space::ALL.iter().map(rows).collect(), [slot("slot-a"), slot("slot-b")])
    }

    /// Asserts that opening fails with these words and changes nothing.
    pub fn refused(&self, instance: InstanceId, outer: Source, words: &str) {
        let before = self.bytes();
        let error = self.open(instance, outer).err().expect("is refused").to_string();
        assert!(error.contains(words), "{error:?} should say {words:?}");
        assert!(self.bytes() == before, "{error}: something was changed");
    }
}

#[test]
fn a_vault_with_a_passphrase_opens_with_that_passphrase_alone() {
    let bench = Bench::new();
    let id = *bench.open(OURS, bench.passphrase("phrase")).expect("created").id();
    assert_eq!(bench.open(OURS, bench.passphrase("phrase")).expect("opens").id(), &id);
    bench.refused(OURS, bench.passphrase("other phrase"), "the outer key is not this vault's");
    bench.refused(
        OURS,
        bench.key_file(),
        "created with a passphrase, not with a key file; set [outer_key] passphrase_file",
    );
    bench.refused(OURS, bench.passphrase("none"), "missing: check [outer_key]");
}

#[test]
fn a_vault_with_a_key_file_opens_with_that_file_alone() {
    let bench = Bench::new();
    drop(bench.open(OURS, bench.key_file()).expect("created"));
    assert!(bench.open(OURS, bench.key_file()).is_ok());
    bench.refused(OURS, Source::KeyFile(bench.path("other.key")), "the outer key is not this vault's");
    bench.refused(
        OURS,
        bench.passphrase("phrase"),
        "created with a key file, not with a passphrase; set [outer_key] file",
    );
}

#[test]
fn the_salt_is_random_and_stored_with_the_vault() {
    let salt = |bench: &Bench| {
        drop(bench.open(OURS, bench.passphrase("phrase")).expect("created"));
        let row = bench.engine.get(Space::Meta, OUTER_KDF).expect("reads").expect("is there");
        Kdf::decode(&row).expect("decodes").salt
    };
    assert_ne!(salt(&Bench::new()), salt(&Bench::new()));
}

#[test]
fn a_new_vault_without_its_outer_key_leaves_nothing_behind() {
    let bench = Bench::new();
    bench.refused(OURS, bench.passphrase("none"), "missing");
    bench.refused(OURS, Source::KeyFile(bench.path("none")), "missing");
    assert!(!Path::exists(&bench.path("slot-a")));
}

#[test]
fn where_the_ledger_is_missing_a_vault_opens_and_nothing_is_to_be_forgotten_until_it_is_back() {
    let bench = Bench::new();
    let lodged = || {
        let vault = bench.open(OURS, bench.key_file()).expect("opens");
        vault.committer().commit_blocking(|txn| Intent::of_own(What::Slots)?.lodge(txn), true)
    };
    drop(bench.open(OURS, bench.key_file()).expect("created"));
    let first = bench.engine.get(Space::Meta, LEDGER).expect("reads").expect("is there from the first batch on");
    for row in [None, Some(&1u64.to_be_bytes()[..]), Some(&first[1..])] {
        let before = bench.write(LEDGER, row);
        assert_eq!(lodged(), Err(Unavailable::Damaged.into()), "{row:?}");
        bench.write(LEDGER, before.as_deref());
    }
    assert_eq!(lodged(), Ok(1));
}

#[test]
fn an_empty_store_beside_slots_is_refused_with_care() {
    let bench = Bench::new();
    drop(bench.open(OURS, bench.key_file()).expect("created"));
    let lost = Bench { engine: MemoryEngine::new(), ..bench };
    lost.refused(OURS, lost.key_file(), "the store is empty: if this vault is not new, its store is elsewhere");
}
