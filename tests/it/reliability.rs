//! Killed at random moments under load, again and again: every acknowledged write is there, and nothing that was
//! erased is.
//!
//! `LACUNA_CYCLES` sets how often, `LACUNA_SEED` repeats a run (threads still race: a seed repeats what is asked, not
//! what is hit), and `LACUNA_RELIABILITY` names the file that gets the figures; see `scripts/reliability`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::figures;
use crate::program::{contact, context, subject};
use crate::random::Random;
use crate::samples::{full_name, named};
use crate::vault::TestVault;

const WRITERS: usize = 8;
const CYCLES: usize = 15;
/// A writer with this many items deletes before it adds.
const ITEMS_MAX: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_kills_at_random_moments() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let cycles = number("LACUNA_CYCLES").unwrap_or(CYCLES);
    let (mut random, seed) = Random::seeded();
    let mut vault = TestVault::start();
    let mut records = begin(&vault, WRITERS, &mut random).await;
    let (mut wrong, mut restarts) = (Vec::new(), Vec::new());
    for cycle in 1..=cycles {
        let load = Duration::from_millis(random.below(250) as u64);
        records = write_until_killed(&mut vault, records, load).await;
        let start = Instant::now();
        vault.run("");
        restarts.push(start.elapsed());
        wrong.extend(check(&vault, &mut records).await);
        if cycle % 25 == 0 {
            let done: u64 = records.iter().map(|record| record.acknowledged).sum();
            eprintln!("{cycle} of {cycles} kills, {done} calls acknowledged, {} violations", wrong.len());
        }
        assert!(wrong.len() < 100, "seed {seed}: {wrong:#?}");
    }
    restarts.sort_unstable();
    let figures = serde_json::json!({
        "cycles": cycles,
        "acknowledged": records.iter().map(|record| record.acknowledged).sum::<u64>(),
        "lost": wrong.len(),
        "restart_p99_ms": restarts[(restarts.len() * 99).div_ceil(100) - 1].as_millis() as u64,
    });
    figures::note(1, "kill -9 at a random moment", Some(seed), figures);
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    assert!(records.iter().map(|record| record.erased.len()).sum::<usize>() > 0, "nothing was erased at all");
}

/// What one writer knows: of a subject of its own, and only from answers.
struct Record {
    number: usize,
    subject_id: String,
    random: Random,
    /// What must be readable, by item.
    items: BTreeMap<String, String>,
    /// What must never be readable again.
    erased: BTreeSet<String>,
    /// The call that was not answered, which may have been carried out.
    unanswered: Option<Change>,
    acknowledged: u64,
}

#[derive(Clone)]
enum Change {
    Put { name: String },
    Correct { item_id: String, name: String },
    Delete { item_id: String },
}

impl Record {
    fn next_change(&mut self) -> Change {
        let name = format!("writer {} value {}", self.number, self.random.next());
        let chosen = self.random.below(self.items.len().max(1));
        let item_id = self.items.keys().nth(chosen).cloned();
        match (self.random.below(10), item_id) {
            (0..5, Some(item_id)) if self.items.len() >= ITEMS_MAX => Change::Delete { item_id },
            (5..7, Some(item_id)) => Change::Correct { item_id, name },
            (7.., Some(item_id)) => Change::Delete { item_id },
            _ => Change::Put { name },
        }
    }

    /// What an answer proves.
    fn acknowledge(&mut self, change: Change, item_id: String) {
        self.acknowledged += 1;
        match change {
            Change::Put { name } | Change::Correct { name, .. } => {
                self.items.insert(item_id, name);
            }
            Change::Delete { .. } => {
                self.items.remove(&item_id);
                self.erased.insert(item_id);
            }
        }
    }

    /// Compares what is readable with what must be. What the unanswered call did is known from then on.
    fn settle(&mut self, found: BTreeMap<String, String>) -> Vec<String> {
        let mut wrong = Vec::new();
        let unanswered = self.unanswered.take();
        for (item_id, name) in &self.items {
            let may_be_gone = matches!(&unanswered, Some(Change::Delete { item_id: id }) if id == item_id);
            let may_be = |found: &str| matches!(&unanswered, Some(Change::Correct { item_id: id, name }) if id == item_id && name == found);
            match found.get(item_id) {
                None if may_be_gone => drop(self.erased.insert(item_id.clone())),
                None => wrong.push(format!("writer {}: an acknowledged item is lost", self.number)),
                Some(found) if found == name || may_be(found) => {}
                Some(_) => wrong.push(format!("writer {}: an acknowledged value is lost", self.number)),
            }
        }
        let mut put_is_open = true;
        for (item_id, found) in found.iter().filter(|(item_id, _)| !self.items.contains_key(*item_id)) {
            let was_put = matches!(&unanswered, Some(Change::Put { name }) if name == found);
            if self.erased.contains(item_id) {
                wrong.push(format!("writer {}: an erased item is back", self.number));
            } else if was_put && put_is_open {
                put_is_open = false;
            } else {
                wrong.push(format!("writer {}: an item that nobody wrote", self.number));
            }
        }
        self.items = found;
        wrong
    }
}

async fn begin(vault: &TestVault, writers: usize, random: &mut Random) -> Vec<Record> {
    let mut records = Vec::new();
    for number in 0..writers {
        let request = CreateSubjectRequest { context: context(), ..Default::default() };
        let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
        records.push(Record {
            number,
            subject_id: created.subject_id,
            random: Random::from(random.next()),
            items: BTreeMap::new(),
            erased: BTreeSet::new(),
            unanswered: None,
            acknowledged: 1,
        });
    }
    records
}

/// Lets all writers write for a while, and kills the program under them.
async fn write_until_killed(vault: &mut TestVault, records: Vec<Record>, load: Duration) -> Vec<Record> {
    let mut writers = JoinSet::new();
    for mut record in records {
        let mut service = vault.client("service");
        writers.spawn(async move {
            loop {
                let change = record.next_change();
                record.unanswered = Some(change.clone());
                let answer = carry_out(&mut service, &record.subject_id, &change).await;
                match answer {
                    Ok(item_id) => record.acknowledge(change, item_id),
                    Err(status) => {
                        let cut = matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Cancelled);
                        assert!(cut, "refused: {status:?}");
                        return record;
                    }
                }
                record.unanswered = None;
            }
        });
    }
    tokio::time::sleep(load).await;
    vault.kill();
    writers.join_all().await
}

async fn carry_out(
    service: &mut vault_client::VaultClient<crate::vault::Recorded>,
    subject_id: &str,
    change: &Change,
) -> Result<String, Status> {
    let (context, subject) = (context(), subject(subject_id));
    match change.clone() {
        Change::Put { name } => {
            let put = PutItemRequest { context, subject, item: Some(contact(&name)) };
            Ok(service.put_item(put).await?.into_inner().item.expect("is named").item_id)
        }
        Change::Correct { item_id, name } => {
            let (id, value) = (item_id.clone(), Some(named(&name)));
            let update = UpdateItemRequest { context, subject, item_id: id, value, ..Default::default() };
            service.update_item(update).await.map(|_| item_id)
        }
        Change::Delete { item_id } => {
            let id = item_id.clone();
            let delete = DeleteItemRequest { context, subject, item_id: id, ..Default::default() };
            service.delete_item(delete).await.map(|_| item_id)
        }
    }
}

/// Reads everything and says what is wrong. The log must have an entry for each acknowledged call, too.
async fn check(vault: &TestVault, records: &mut [Record]) -> Vec<String> {
    let mut wrong = Vec::new();
    for record in &mut *records {
        match readable(vault, record).await {
            Ok(found) => wrong.extend(record.settle(found)),
            Err(status) => wrong.push(format!("writer {}: cannot be read: {status:?}", record.number)),
        }
    }
    let acknowledged: u64 = records.iter().map(|record| record.acknowledged).sum();
    let logged = vault.status().await.log.expect("is told").entry_count;
    if logged < acknowledged {
        wrong.push(format!("{logged} entries in the log for {acknowledged} acknowledged calls"));
    }
    wrong
}

/// What is readable: the list, and what was erased last, asked for by name.
async fn readable(vault: &TestVault, record: &Record) -> Result<BTreeMap<String, String>, Status> {
    let mut service = vault.client("service");
    let mut found = BTreeMap::new();
    let list = ListItemsRequest {
        context: context(),
        subject: subject(&record.subject_id),
        page_size: 2 * ITEMS_MAX as u32,
        ..Default::default()
    };
    let mut items = service.list_items(list).await?.into_inner().items;
    for item_id in record.erased.iter().take(20) {
        let get = GetItemRequest {
            context: context(),
            subject: subject(&record.subject_id),
            item_id: item_id.clone(),
            ..Default::default()
        };
        match service.get_item(get).await {
            Ok(answer) => items.extend(answer.into_inner().item),
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status),
        }
    }
    for item in items {
        let name = full_name(&item).unwrap_or_default().to_owned();
        found.insert(item.item_id, name);
    }
    Ok(found)
}

fn known(items: &[(&str, &str)], erased: &[&str], unanswered: Option<Change>) -> Record {
    Record {
        number: 0,
        subject_id: String::new(),
        random: Random::from(0),
        items: items.iter().map(|(id, name)| (id.to_string(), name.to_string())).collect(),
        erased: erased.iter().map(|id| id.to_string()).collect(),
        unanswered,
        acknowledged: 0,
    }
}

#[test]
fn the_comparison_finds_what_is_lost_and_what_is_back() {
    let put = || Some(Change::Put { name: "new".into() });
    let correct = || Some(Change::Correct { item_id: "a".into(), name: "new".into() });
    let delete = || Some(Change::Delete { item_id: "a".into() });
    /// What happened; the call without an answer; what is readable; how much of that is wrong.
    type Case = (&'static str, Option<Change>, &'static [(&'static str, &'static str)], usize);
    let cases: [Case; 13] = [
        ("as it was", None, &[("a", "1"), ("b", "2")], 0),
        ("an item lost", None, &[("a", "1")], 1),
        ("a value lost", None, &[("a", "1"), ("b", "0")], 1),
        ("an erased item back", None, &[("a", "1"), ("b", "2"), ("gone", "3")], 1),
        ("an item of nobody's", None, &[("a", "1"), ("b", "2"), ("c", "3")], 1),
        ("an unanswered put, done", put(), &[("a", "1"), ("b", "2"), ("c", "new")], 0),
        ("an unanswered put, done twice", put(), &[("a", "1"), ("b", "2"), ("c", "new"), ("d", "new")], 1),
        ("an unanswered put, with a wrong value", put(), &[("a", "1"), ("b", "2"), ("c", "other")], 1),
        ("an unanswered correction, done", correct(), &[("a", "new"), ("b", "2")], 0),
        ("an unanswered correction, of another item", correct(), &[("a", "1"), ("b", "new")], 1),
        ("an unanswered correction, and the item gone", correct(), &[("b", "2")], 1),
        ("an unanswered deletion, done", delete(), &[("b", "2")], 0),
        ("an unanswered deletion, of another item", delete(), &[("a", "1")], 1),
    ];
    for (name, unanswered, found, wrong) in cases {
        let mut record = known(&[("a", "1"), ("b", "2")], &["gone"], unanswered);
        let found: BTreeMap<_, _> = found.iter().map(|(id, name)| (id.to_string(), name.to_string())).collect();
        assert_eq!(record.settle(found.clone()).len(), wrong, "{name}");
        assert_eq!(record.settle(found).len(), 0, "{name}: it is told once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_that_is_planted_is_found() {
    let mut vault = TestVault::start();
    let mut records = begin(&vault, 2, &mut Random::from(1)).await;
    let put = Change::Put { name: "to be lost".into() };
    let item_id = carry_out(&mut vault.client("service"), &records[1].subject_id, &put).await.expect("puts");
    records[1].acknowledge(put, item_id);
    vault.kill();
    vault.tamper();
    let mut batch = Batch::new();
    let store = vault.store();
    let id: lacuna::base::id::SubjectId = records[1].subject_id.parse().expect("an id");
    let rows = store.scan(Space::Item, id.as_bytes(), &[], 1).expect("reads");
    batch.delete(Space::Item, &rows[0].0[..]);
    store.commit(batch).expect("is written");
    drop(store);
    vault.run("");
    let wrong = check(&vault, &mut records).await;
    assert_eq!(wrong, ["writer 1: an acknowledged item is lost"]);
}
