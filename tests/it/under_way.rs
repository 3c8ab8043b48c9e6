//! Row 8: somebody who can write the store changes, exchanges, puts back or takes away rows of erasures that are under way.
//! Nothing else is ever forgotten by them, and nothing is said to be erased that is not. Once the rows are back as they were,
//! the erasures end as they would have.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use serde_json::json;
use tokio::task::JoinSet;

use crate::figures;
use crate::holds::{LEGAL, kept, named, open, placed};
use crate::program::subject;
use crate::samples::reason;
use crate::vault::TestVault;

/// Rows of erasures that are under way, and the row that says which there are.
type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

const LEDGER: &[u8] = b"intent_next";

/// A vault in which the erasure of Ann and the deletion of two of Ben's items wait for a slot. Dora was erased long ago; Eve
/// came after that, and has the place that Dora had in the tree.
struct Scene {
    ann: CreateSubjectResponse,
    ben: CreateSubjectResponse,
    eve: CreateSubjectResponse,
    /// The receipts of Ann's erasure, and of both deletions; a hold keeps what the second is about.
    receipts: [String; 3],
    /// The rows when Dora's erasure was asked for.
    old: Rows,
    /// The rows now.
    now: Rows,
    /// It waits.
    asked: TestVault,
    /// The new tree is durable.
    prepared: TestVault,
}

impl Scene {
    async fn set() -> Self {
        let mut vault = TestVault::start();
        let dora = vault.create(&["contact"]).await;
        let [ann, ben] = [vault.create(&["contact"]).await, vault.create(&["contact", "contact", "contact"]).await];
        let matter = open(&vault).await;
        placed(&vault, &matter, &ben.subject_id, named(&[(&ben.items[1].item_id, 0)])).await;
        without_a_slot(&mut vault);
        erase(&vault, &dora).await;
        let old = with_the_slot(&mut vault);
        vault.run("");
        let erased = vault.erase(&dora.subject_id, "").await.expect("is answered").erasure.expect("is stated");
        assert_eq!(erased.state(), ErasureState::Erased);
        let eve = vault.create(&["contact"]).await;
        without_a_slot(&mut vault);
        let mut receipts = vec![erase(&vault, &ann).await];
        for item in 0..2 {
            let delete = DeleteItemRequest {
                context: vault.delivery(),
                subject: subject(&ben.subject_id),
                item_id: ben.items[item].item_id.clone(),
                wait: Wait::Logical.into(),
                ..Default::default()
            };
            let deleted = vault.client("service").delete_item(delete).await.expect("deletes").into_inner();
            receipts.push(deleted.erasure.expect("is stated").receipt_id);
        }
        let now = with_the_slot(&mut vault);
        let mut prepared = vault.fork();
        prepared.run_to_death("epoch_prepared=return(kill)");
        let receipts = receipts.try_into().expect("three");
        Self { ann, ben, eve, receipts, old, now, asked: vault, prepared }
    }

    /// Intents by their number.
    fn intents(&self) -> Vec<(&Vec<u8>, &Vec<u8>)> {
        let intents = self.now.iter().filter(|((space, _), _)| *space == Space::Intent);
        intents.map(|((_, key), row)| (key, row)).collect()
    }

    fn old_intent(&self) -> (&Vec<u8>, &Vec<u8>) {
        let found = self.old.iter().find(|((space, _), _)| *space == Space::Intent);
        found.map(|((_, key), row)| (key, row)).expect("Dora's")
    }

    /// Everything stays readable that was not asked to be erased, and nothing else does.
    async fn is_right(&self, vault: &TestVault, name: &str) {
        for (person, item) in [(&self.eve, 0), (&self.ben, 2)] {
            let read = vault.read(&person.subject_id, &person.items[item].item_id).await;
            assert_eq!(read.map(drop).map_err(|status| reason(&status)), Ok(()), "{name}");
        }
        let told = kept(vault, LEGAL, &self.ben.items[1].item_id, 0).await;
        assert_eq!(told.map(drop).map_err(|status| reason(&status)), Ok(()), "{name}: what a hold keeps");
        for (person, item) in [(&self.ann, 0), (&self.ben, 0), (&self.ben, 1)] {
            let read = vault.read(&person.subject_id, &person.items[item].item_id).await;
            assert!(read.is_err(), "{name}: what is to be erased is read");
        }
    }

    /// What the vault says of each.
    async fn verdicts(&self, vault: &TestVault) -> Vec<Result<ErasureVerdict, String>> {
        let mut verdicts = Vec::new();
        for receipt in &self.receipts {
            let target = Some(verify_erasure_request::Target::ReceiptId(receipt.clone()));
            let request = VerifyErasureRequest { context: vault.context("legal_compliance"), target };
            let found = vault.privacy("privacy-officer").verify_erasure(request).await;
            verdicts.push(found.map(|found| found.into_inner().verdict()).map_err(|status| reason(&status)));
        }
        verdicts
    }

    async fn is_done(&self, vault: &TestVault, name: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        let done = [ErasureVerdict::Erased, ErasureVerdict::Erased, ErasureVerdict::PartlyKept].map(Ok);
        while self.verdicts(vault).await != done {
            assert!(Instant::now() < until, "{name}: {:?}\n{}", self.verdicts(vault).await, vault.printed());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.is_right(vault, name).await;
    }
}

/// Starts it with a slot out of reach: what is asked for waits.
fn without_a_slot(vault: &mut TestVault) {
    vault.stop();
    std::fs::rename(vault.dir().join("slots/b"), vault.dir().join("away")).expect("is moved");
    vault.run("");
}

/// Stops it and puts the slot back. What is under way.
fn with_the_slot(vault: &mut TestVault) -> Rows {
    vault.stop();
    std::fs::rename(vault.dir().join("away"), vault.dir().join("slots/b")).expect("is moved back");
    let store = vault.store();
    let intents = store.scan(Space::Intent, &[], &[], usize::MAX).expect("reads").into_iter();
    let ledger = store.get(Space::Meta, LEDGER).expect("reads").expect("is there");
    let rows = intents.map(|(key, row)| ((Space::Intent, key), row));
    rows.chain([((Space::Meta, LEDGER.to_vec()), ledger)]).collect()
}

async fn erase(vault: &TestVault, person: &CreateSubjectResponse) -> String {
    let request = EraseSubjectRequest {
        context: vault.context("legal_compliance"),
        subject: subject(&person.subject_id),
        wait: Wait::Logical.into(),
        ..Default::default()
    };
    let answer = vault.privacy("privacy-officer").erase_subject(request).await.expect("is durable").into_inner();
    let erasure = answer.erasure.expect("is stated");
    assert_eq!(erasure.state(), ErasureState::Pending);
    erasure.receipt_id
}

/// What is written over; none to take the row away.
type Change = (Space, Vec<u8>, Option<Vec<u8>>);

struct Attack {
    name: String,
    changes: Vec<Change>,
    /// Whether the erasures end as if nothing had been changed.
    harmless: bool,
}

fn attacks(scene: &Scene) -> Vec<Attack> {
    let intents = scene.intents();
    let [(ann, of_ann), (one, of_one), (two, of_two)] = intents[..] else { panic!("three") };
    let (dora, of_dora) = scene.old_intent();
    let mut all = Vec::new();
    let mut attack = |name: &str, harmless: bool, changes: Vec<(&Vec<u8>, Option<&Vec<u8>>)>| {
        let changes = changes.into_iter().map(|(key, row)| (Space::Intent, key.clone(), row.cloned())).collect();
        all.push(Attack { name: name.into(), changes, harmless });
    };
    let flipped: Vec<(usize, Vec<u8>)> = (0..of_ann.len())
        .step_by(of_ann.len() / 6)
        .map(|at| (at, of_ann))
        .map(|(at, row)| {
            let mut row = row.clone();
            row[at] ^= 1;
            (at, row)
        })
        .collect();
    for (at, row) in &flipped {
        attack(&format!("byte {at} changed"), false, vec![(ann, Some(row))]);
    }
    attack("exchanged: a person and an item", false, vec![(ann, Some(of_one)), (one, Some(of_ann))]);
    attack(
        "exchanged: an item that is kept and one that is not",
        false,
        vec![(one, Some(of_two)), (two, Some(of_one))],
    );
    attack("another's in its place", false, vec![(one, Some(of_two))]);
    attack("an old one put back", true, vec![(dora, Some(of_dora))]);
    attack("an old one in the place of a new one", false, vec![(ann, Some(of_dora))]);
    attack("the first taken away", false, vec![(ann, None)]);
    attack("the last taken away", false, vec![(two, None)]);
    attack("all taken away", false, vec![(ann, None), (one, None), (two, None)]);
    let ledger = |rows: &Rows| rows[&(Space::Meta, LEDGER.to_vec())].clone();
    let meta = |row: Option<Vec<u8>>| (Space::Meta, LEDGER.to_vec(), row);
    let old = vec![meta(Some(ledger(&scene.old))), (Space::Intent, dora.clone(), Some(of_dora.clone()))];
    let alone = [ann, one, two].map(|key| (Space::Intent, key.clone(), None));
    let alone = old.iter().cloned().chain(alone).collect();
    all.push(Attack { name: "an old ledger with its intent".into(), changes: old, harmless: false });
    all.push(Attack { name: "an old ledger with its intent alone".into(), changes: alone, harmless: false });
    all.push(Attack { name: "no ledger".into(), changes: vec![meta(None)], harmless: false });
    let as_before = meta(Some(2u64.to_be_bytes().to_vec()));
    all.push(Attack {
        name: "a ledger of an earlier release".into(),
        changes: vec![as_before.clone()],
        harmless: false,
    });
    for (name, ledger) in [("no ledger, and no rows", meta(None)), ("a ledger of an earlier release alone", as_before)]
    {
        let rows = [ann, one, two].map(|key| (Space::Intent, key.clone(), None));
        let changes = std::iter::once(ledger).chain(rows).collect();
        all.push(Attack { name: name.into(), changes, harmless: false });
    }
    let mut changed = ledger(&scene.now);
    changed[20] ^= 1;
    all.push(Attack { name: "the ledger changed".into(), changes: vec![meta(Some(changed))], harmless: false });
    all
}

fn change(vault: &TestVault, changes: &[Change]) {
    let mut batch = Batch::new();
    for (space, key, row) in changes {
        match row {
            Some(row) => batch.put(*space, &key[..], &row[..]),
            None => batch.delete(*space, &key[..]),
        }
    }
    vault.store().commit(batch).expect("is written");
}

/// Changes rows of a stopped vault, looks at what it does, and puts the rows back.
async fn carried_out(scene: Arc<Scene>, attack: Attack, is_prepared: bool) {
    let mut vault = if is_prepared { scene.prepared.fork() } else { scene.asked.fork() };
    let name = format!("{}{}", attack.name, if is_prepared { ", the new tree being durable" } else { "" });
    let before = vault.store();
    let rows =
        attack.changes.iter().map(|(space, key, _)| (*space, key.clone(), before.get(*space, key).expect("reads")));
    let rows: Vec<Change> = rows.collect();
    drop(before);
    change(&vault, &attack.changes);
    vault.run("");
    if attack.harmless {
        return scene.is_done(&vault, &name).await;
    }
    let until = Instant::now() + Duration::from_secs(20);
    while !vault.printed().contains("erasures are pending: ") && !vault.printed().contains("erasures stay pending") {
        assert!(Instant::now() < until, "{name}: {}", vault.printed());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let verdicts = scene.verdicts(&vault).await;
    let is_refused = |verdict: &Result<_, String>| match verdict {
        Ok(verdict) => *verdict == ErasureVerdict::Pending,
        Err(reason) => reason == "DATA_CORRUPT",
    };
    assert!(verdicts.iter().all(is_refused), "{name}: {verdicts:?}");
    let gone = attack.changes.iter().filter(|(_, _, row)| row.is_none()).count();
    let missed = verdicts.iter().filter(|verdict| verdict.is_err()).count();
    assert!(missed >= gone.min(3) || attack.name == "no ledger", "{name}: what is missing is told: {verdicts:?}");
    scene.is_right(&vault, &name).await;
    vault.stop();
    change(&vault, &rows);
    vault.run("");
    scene.is_done(&vault, &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_erasures_under_way_that_somebody_changed_are_refused() {
    let scene = Arc::new(Scene::set().await);
    let mut running = JoinSet::new();
    let mut count = 0;
    for is_prepared in [false, true] {
        for attack in attacks(&scene) {
            if running.len() == 3 {
                running.join_next().await.expect("runs").expect("holds");
            }
            running.spawn(carried_out(scene.clone(), attack, is_prepared));
            count += 1;
        }
    }
    running.join_all().await;
    figures::note(
        8,
        "rows of erasures under way changed, exchanged, put back and taken away",
        None,
        json!({
            "attempts": count, "accepted": 0,
        }),
    );
}
