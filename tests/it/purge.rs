//! Unreadable ciphertext leaves the live files, and what the log says of it is true.
//!
//! Rows are taken out of the store's log of writes as they were written; pieces of those that belong to people are then
//! looked for in every file of the store's directory, byte by byte: tables, logs of writes, manifest, everything.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use lacuna::api::proto::*;
use lacuna::base::id::{ItemId, SubjectId};
use serde_json::json;

use crate::attacker::Hoard;
use crate::documents::pdf;
use crate::events::visit;
use crate::figures;
use crate::vault::TestVault;

/// Bytes of ciphertext that are looked for.
const PIECE: usize = 32;
/// A document of several chunks, of which no log of writes has room for all.
const DOCUMENT_BYTES: usize = 1 << 20;

/// Pieces of sealed rows.
struct Pieces(BTreeSet<Vec<u8>>);

impl Pieces {
    /// Of every row that was ever written with one of these ids in its key.
    fn of(hoard: &Hoard, ids: &[[u8; 16]]) -> Self {
        let mut pieces = BTreeSet::new();
        for (key, value) in hoard.records() {
            let is_theirs = ids.iter().any(|id| key.windows(16).any(|part| part == id));
            // What is sealed is at the end of a row, whatever kind it is. What remains of a person is shorter.
            if is_theirs && value.len() >= 4 * PIECE {
                pieces.extend(value[value.len() - 2 * PIECE..].chunks(PIECE).map(<[u8]>::to_vec));
            }
        }
        Self(pieces)
    }

    /// Those that some file of a directory has.
    fn found(&self, dir: &Path) -> Found {
        let mut found = Found { files: 0, bytes: 0, pieces: BTreeSet::new() };
        let starts: HashSet<[u8; 8]> = self.0.iter().map(|piece| *piece.first_chunk().expect("long enough")).collect();
        for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
            let Ok(bytes) = std::fs::read(entry.path()) else { continue }; // it has just gone
            found.files += 1;
            found.bytes += bytes.len();
            for at in 0..(bytes.len() + 1).saturating_sub(PIECE) {
                let (start, piece) = (bytes[at..].first_chunk().expect("long enough"), &bytes[at..at + PIECE]);
                if starts.contains::<[u8; 8]>(start) && self.0.contains(piece) {
                    found.pieces.insert(piece.to_vec());
                }
            }
        }
        found
    }
}

struct Found {
    files: usize,
    bytes: usize,
    pieces: BTreeSet<Vec<u8>>,
}

impl TestVault {
    async fn start_purge(&self) -> Purge {
        let request = StartPurgeRequest { context: self.context("security") };
        self.system("operator").start_purge(request).await.expect("starts").into_inner().purge.expect("is told")
    }

    /// Waits until what was forgotten by an epoch has left.
    async fn purged(&self, through: u64) -> Purge {
        for _ in 0..2_400 {
            let purge = self.status().await.store.and_then(|store| store.purge).expect("is told");
            if purge.through_epoch >= through {
                return purge;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the purge does not end");
    }

    async fn found_of(&self, receipt_id: &str) -> VerifyErasureResponse {
        let target = Some(verify_erasure_request::Target::ReceiptId(receipt_id.into()));
        let request = VerifyErasureRequest { context: self.context("legal_compliance"), target };
        self.privacy("privacy-officer").verify_erasure(request).await.expect("looks").into_inner()
    }
}

/// Somebody with items, a document and events.
async fn populate(vault: &TestVault) -> CreateSubjectResponse {
    let person = vault.create(&["contact", "payment", "communication"]).await;
    vault.store_document(&person.subject_id, &pdf(vault, DOCUMENT_BYTES)).await;
    let events = (0..5).map(|second| visit(vault, &person.subject_id, -second, "/")).collect();
    let batch = RecordEventsRequest { context: vault.delivery(), batch_key: vault.canary(), events };
    let mut answers =
        vault.client("service").record_events(tokio_stream::once(batch)).await.expect("answers").into_inner();
    answers.message().await.expect("is stored").expect("is answered");
    person
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_is_in_no_live_file_after_a_purge() {
    let mut vault = TestVault::start();
    let store = vault.dir().join("data/db");
    let mut hoard = Hoard::of(store.clone());
    let (ann, ben, cleo) = (populate(&vault).await, populate(&vault).await, populate(&vault).await);
    hoard.gather();
    vault.stop(); // what is in the log of writes goes into tables
    vault.run("");

    let erased = vault.erase(&ann.subject_id, "").await.expect("erases").receipt.expect("a receipt");
    vault.delete(&ben.subject_id, &ben.items[0].item_id).await.expect("deletes");
    hoard.gather();
    let (ann, cleo): (SubjectId, SubjectId) = (id(&ann.subject_id), id(&cleo.subject_id));
    let item: ItemId = id(&ben.items[0].item_id);
    let gone = Pieces::of(&hoard, &[*ann.as_bytes(), *item.as_bytes()]);
    let stays = Pieces::of(&hoard, &[*cleo.as_bytes()]);
    let before = gone.found(&store);
    assert!(before.pieces.len() > 20, "{} pieces of what was forgotten are in live files", before.pieces.len());
    assert!(!vault.found_of(&erased.receipt_id).await.purged);

    let began = Instant::now();
    let started = vault.start_purge().await;
    assert!(started.running && started.through_epoch < started.running_through_epoch);
    let done = vault.purged(started.running_through_epoch).await;
    let took = began.elapsed();
    assert!(!done.running);
    let (after, others) = (gone.found(&store), stays.found(&store));
    assert_eq!(after.pieces.len(), 0, "of {} before", before.pieces.len());
    assert!(others.pieces.len() > 20, "what is there is found");

    assert!(vault.found_of(&erased.receipt_id).await.purged);
    let receipt = vault.receipt(&erased.receipt_id).await.expect("is there");
    assert!(receipt.purged.is_some() && receipt.body == erased.body);
    let store_status = vault.status().await.store.expect("is told");
    assert!(store_status.unpurged_since_time.is_none(), "nothing was forgotten since");
    // And as it was, after a restart.
    vault.stop();
    assert_eq!(gone.found(&store).pieces.len(), 0);
    vault.run("");
    assert_eq!(gone.found(&store).pieces.len(), 0);
    let read = vault.read(&ben.subject_id, &ben.items[1].item_id).await;
    assert!(read.is_ok(), "what is there is read");

    let figures = json!({
        "pieces": gone.0.len(),
        "found_before": before.pieces.len(),
        "found_after": after.pieces.len(),
        "files": after.files,
        "bytes": after.bytes,
        "purge_ms": took.as_millis() as u64,
    });
    figures::note(16, "ciphertext of what was forgotten, in live files, before and after a purge", None, figures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_is_killed_at_any_step_goes_on_and_says_so_once() {
    let mut vault = TestVault::start();
    let store = vault.dir().join("data/db");
    let mut hoard = Hoard::of(store.clone());
    let ann = populate(&vault).await;
    for point in ["purge_step", "purge_stepped", "purge_noted"] {
        let person = populate(&vault).await;
        vault.stop();
        vault.run(&format!("{point}=return(kill)"));
        let erased = vault.erase(&person.subject_id, "").await.expect("erases").receipt.expect("a receipt");
        hoard.gather();
        let person: SubjectId = id(&person.subject_id);
        let gone = Pieces::of(&hoard, &[*person.as_bytes()]);
        assert!(!gone.found(&store).pieces.is_empty(), "{point}");
        let through = vault.start_purge().await.running_through_epoch;
        vault.wait_for_death();
        vault.run("");
        vault.purged(through).await;
        assert_eq!(gone.found(&store).pieces.len(), 0, "{point}");
        assert!(vault.found_of(&erased.receipt_id).await.purged, "{point}");
    }
    assert!(vault.read(&ann.subject_id, &ann.items[0].item_id).await.is_ok());
    assert_eq!(vault.status().await.state(), VaultState::Serving);
}

fn id<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("an id")
}
