//! A small volume that is filled up, for real. Needs root, to mount it: `scripts/reliability 6` runs this.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lacuna::api::proto::*;
use lacuna::base::limits::{ENGINE_FREE_BYTES, ERASURE_RESERVE_BYTES, READ_RESERVE_BYTES};
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use lacuna::store::rocks::{RocksEngine, RocksOptions};
use lacuna::store::{Engine as _, Error};
use serde_json::json;

use crate::figures;
use crate::program::{contact, context, subject};
use crate::samples::reason;
use crate::vault::TestVault;

const MIB: u64 = 1 << 20;
const ERASURES: u64 = 100;
const READS: u64 = 2_000;

/// An ext4 of its own on a file; unmounted when dropped.
struct Volume {
    at: PathBuf,
}

impl Volume {
    fn mount(image: &Path, at: &Path, bytes: u64) -> Self {
        File::create(image).and_then(|file| file.set_len(bytes)).expect("a sparse file");
        let run = |program: &str, arguments: &[&Path]| {
            let done = Command::new(program).args(arguments).status().expect("it starts");
            assert!(done.success(), "{program} needs root");
        };
        run("mkfs.ext4", &[Path::new("-q"), Path::new("-m"), Path::new("0"), image]);
        std::fs::create_dir_all(at).expect("a directory");
        run("mount", &[Path::new("-o"), Path::new("loop"), image, at]);
        Self { at: at.to_owned() }
    }

    fn free(&self) -> u64 {
        let volume = rustix::fs::statvfs(&self.at).expect("a volume");
        volume.f_bavail * volume.f_frsize
    }

    /// Fills the volume until so many bytes are free; a file in the way of everything else.
    fn fill_to(&self, free: u64) {
        let ballast = File::options().append(true).create(true).open(self.ballast()).expect("a file");
        let block = vec![0x5a; MIB as usize];
        while self.free() > free {
            let more = (self.free() - free).min(MIB) as usize;
            let at = ballast.metadata().expect("a file").len();
            if ballast.write_all_at(&block[..more], at).is_err() || ballast.sync_all().is_err() {
                break; // full
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("is removed");
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

/// Waits until readiness says so: it looks four times a second.
fn becomes(vault: &TestVault, state: &str) {
    let began = Instant::now();
    loop {
        let answer = vault.program().operations("/readyz");
        let found = String::from_utf8_lossy(&answer).lines().last().unwrap_or_default().to_owned();
        if found == state {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{found}, not {state}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As it was within the last quarter of a second. `GetStatus` would need room.
fn free_bytes(vault: &TestVault) -> u64 {
    std::thread::sleep(Duration::from_millis(300));
    vault.program().metric("lacuna_store_free_bytes")
}

/// Whether the whole person is erased, or an item.
fn is_whole(number: usize) -> bool {
    number % 2 == 1
}

async fn read(vault: &TestVault, person: &CreateSubjectResponse) -> Result<(), String> {
    let read = vault.read(&person.subject_id, &person.items[0].item_id).await;
    read.map(drop).map_err(|status| format!("{:?} {}", status.code(), reason(&status)))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a volume: needs root; scripts/reliability 6 runs it"]
async fn a_volume_that_fills_up_stops_writes_then_reads_then_erasures_and_recovers() {
    let mut vault = TestVault::start();
    vault.stop();
    let data = vault.dir().join("data");
    std::fs::remove_dir_all(&data).expect("is removed");
    std::fs::remove_dir_all(vault.dir().join("slots")).expect("is removed");
    std::fs::create_dir(vault.dir().join("slots")).expect("is made");
    let image = tempfile::tempdir().expect("a directory");
    let volume = Volume::mount(&image.path().join("image"), &data, 768 * MIB);
    vault.edit("lacuna.toml", |text| {
        text.replace(
            "dir = \"data\"",
            &format!("dir = \"data\"\nreserve_erasures = {ERASURES}\nreserve_reads = {READS}"),
        )
    });
    vault.run("");
    let mut people = Vec::new();
    for _ in 0..4 * ERASURES {
        people.push(vault.create(&["contact"]).await);
    }
    let erasures_mark = ENGINE_FREE_BYTES + ERASURES * ERASURE_RESERVE_BYTES;
    let mark = erasures_mark + READS * READ_RESERVE_BYTES;
    let spare = vault.status().await.store.expect("is told").free_bytes;
    volume.fill_to(volume.free() - (spare - mark - MIB));

    // Writes stop first.
    let mut service = vault.client("service");
    let (mut put, mut stopped) = (Vec::new(), None);
    for _ in 0..20_000 {
        let item = Some(contact(&"x".repeat(200)));
        let request = PutItemRequest { context: context(), subject: subject(&people[0].subject_id), item };
        match service.put_item(request).await {
            Ok(answer) => put.push(answer.into_inner().item.expect("is named").item_id),
            Err(status) => {
                stopped = Some(format!("{:?} {}", status.code(), reason(&status)));
                break;
            }
        }
    }
    assert_eq!(stopped.as_deref(), Some("ResourceExhausted STORAGE_FULL"), "after {} writes", put.len());
    becomes(&vault, "read only");
    assert_eq!(vault.status().await.state(), VaultState::ReadOnly);

    // Then reads, after as many as the reserve is for.
    let (mut reads, mut stopped) = (0, None);
    while stopped.is_none() {
        match read(&vault, &people[0]).await {
            Ok(()) => reads += 1,
            Err(refused) => {
                stopped = Some(refused);
                break;
            }
        }
        assert!(reads < 100 * READS, "reads do not stop");
        if reads == 2 * READS {
            // It pays for more than it promises: another program takes the rest of the reads' share.
            volume.fill_to(volume.free() - (free_bytes(&vault) - erasures_mark));
        }
    }
    assert_eq!(stopped.as_deref(), Some("Unavailable LOG_UNAVAILABLE"));
    assert!(reads >= READS, "{reads} reads");
    becomes(&vault, "not serving");

    // Then erasures: of items and of whole persons, in turns, the latter with their receipts.
    let room = free_bytes(&vault);
    let (mut erased, mut taken, mut stopped) = (0usize, 0, None);
    let mut receipts = Vec::new();
    for (number, person) in people[1..].iter().enumerate() {
        let outcome = if is_whole(number) {
            let answer = vault.erase(&person.subject_id, "").await;
            answer.map(|answer| {
                receipts.extend(answer.receipt);
                answer.erasure.expect("is stated")
            })
        } else {
            vault.delete(&person.subject_id, &person.items[0].item_id).await
        };
        match outcome {
            Ok(erasure) => assert_eq!(erasure.state(), ErasureState::Erased),
            Err(status) => {
                stopped = Some(reason(&status));
                break;
            }
        }
        erased += 1;
        assert_eq!(receipts.len(), erased / 2, "a person's erasure comes with its receipt");
        if erased as u64 == 2 * ERASURES {
            taken = room - free_bytes(&vault);
            volume.fill_to(volume.free() - (room - taken - ENGINE_FREE_BYTES));
        }
    }
    assert!(erased as u64 >= ERASURES, "{erased} erasures");
    assert_eq!(stopped.as_deref(), Some("LOG_UNAVAILABLE"), "after {erased} erasures");

    // It starts on the full volume, which writes what was in memory to tables, a little smaller. Without that little it
    // serves nothing, and it serves everything once there is room.
    vault.kill();
    vault.run("");
    let gained = free_bytes(&vault).saturating_sub(ENGINE_FREE_BYTES);
    volume.fill_to(volume.free() - gained - MIB);
    becomes(&vault, "not serving");
    assert_eq!(read(&vault, &people[0]).await, Err("Unavailable LOG_UNAVAILABLE".into()));
    volume.make_room();
    let began = Instant::now();
    while read(&vault, &people[0]).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not recover");
        std::thread::sleep(Duration::from_millis(5));
    }
    let recovery = began.elapsed();
    vault.create(&["contact"]).await;
    for item in &put {
        vault.read(&people[0].subject_id, item).await.expect("acknowledged writes are there");
    }
    for (number, person) in people[1..=erased].iter().enumerate() {
        let expected = if is_whole(number) { "FailedPrecondition ERASED" } else { "NotFound NOT_FOUND" };
        assert_eq!(read(&vault, person).await, Err(expected.into()), "what was erased stays erased");
    }
    for receipt in &receipts {
        let same = vault.receipt(&receipt.receipt_id).await.expect("is there");
        assert_eq!((&same.body, &same.signature), (&receipt.body, &receipt.signature), "a statement never changes");
        assert!(same.requested.is_some() && same.erased.is_some(), "and is proved");
    }
    for person in &people[erased + 2..] {
        assert_eq!(read(&vault, person).await, Ok(()));
    }
    assert!(!vault.printed().contains("takes writes again"), "the engine met a full medium");
    vault.stop();
    drop(volume);
    figures::note(
        6,
        "the volume fills up",
        None,
        json!({
            "reserve_mib": (mark - ENGINE_FREE_BYTES) as f64 / MIB as f64,
            "erasures_promised": ERASURES, "erasures_paid_for": erased, "of_whole_persons": receipts.len(),
            "an_erasure_takes_kib": taken as f64 / (2 * ERASURES * 1024) as f64,
            "reads_promised": READS, "reads_paid_for": reads,
            "recovery_ms": recovery.as_millis() as u64,
        }),
    );
}

#[test]
#[ignore = "mounts a volume: needs root; scripts/reliability 6 runs it"]
fn an_engine_that_met_a_full_medium_loses_nothing_and_writes_again_by_itself() {
    let image = tempfile::tempdir().expect("a directory");
    let volume = Volume::mount(&image.path().join("image"), &image.path().join("mounted"), 96 * MIB);
    let options = RocksOptions { create: true, ..RocksOptions::default() };
    let path = volume.at.join("db");
    let engine = RocksEngine::open(&path, &options).expect("opens");
    let put = |engine: &RocksEngine, number: u64| {
        let mut batch = Batch::new();
        let value: Vec<u8> =
            (0..4_000u64).flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number).to_le_bytes()).collect();
        batch.put(Space::Item, number.to_be_bytes(), value);
        batch.put(Space::Log, number.to_be_bytes(), number.to_le_bytes());
        engine.commit(batch)
    };
    let mut acknowledged = Vec::new();
    let mut number = 0;
    let mut recoveries = Vec::new();
    for round in 0..3 {
        volume.fill_to(2 * MIB);
        let mut full = 0;
        while full < 5 {
            number += 1;
            match put(&engine, number) {
                Ok(()) => acknowledged.push(number),
                Err(error) => {
                    assert_eq!(error, Error::Full, "round {round}");
                    full += 1;
                }
            }
            assert!(number < 100_000, "it does not fill up");
        }
        check(&engine, &acknowledged, number);
        if round == 1 {
            // Killed while it is full: a copy of its files is what a crash leaves.
            let copy = image.path().join("copy");
            std::fs::create_dir(&copy).expect("a directory");
            crate::vault::copy(&path, &copy);
            check(&RocksEngine::open(&copy, &RocksOptions::default()).expect("opens"), &acknowledged, number);
        }
        volume.make_room();
        let began = Instant::now();
        loop {
            number += 1;
            match put(&engine, number) {
                Ok(()) => break acknowledged.push(number),
                Err(error) => assert_eq!(error, Error::Full),
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not write again");
            std::thread::sleep(Duration::from_millis(50));
        }
        recoveries.push(began.elapsed().as_millis() as u64);
        check(&engine, &acknowledged, number);
    }
    drop(engine);
    check(&RocksEngine::open(&path, &RocksOptions::default()).expect("opens"), &acknowledged, number);
    figures::note(
        6,
        "the engine meets a full medium",
        None,
        json!({ "rounds": recoveries.len(), "acknowledged": acknowledged.len(), "lost": 0, "recovery_ms": recoveries }),
    );
}

/// Everything acknowledged is there, and of the rest both rows or neither.
fn check(engine: &RocksEngine, acknowledged: &[u64], most: u64) {
    for number in acknowledged {
        let row = engine.get(Space::Log, &number.to_be_bytes());
        assert_eq!(row, Ok(Some(number.to_le_bytes().to_vec())), "an acknowledged batch is lost");
    }
    for number in 1..=most {
        let key = number.to_be_bytes();
        let there = [Space::Log, Space::Item].map(|space| engine.get(space, &key).expect("reads").is_some());
        assert_eq!(there[0], there[1], "a batch was cut in half");
    }
}
