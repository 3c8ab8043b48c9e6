//! Row 22: one greedy caller asks for twice what the vault can do, for a while, and waits for nobody. Others and those who
//! erase go on meanwhile at their own pace: what of theirs is refused, how long it takes, and how long the same took
//! before. Erasures go first, none is lost; memory stays bounded; and afterwards all is as before.
//!
//! `scripts/reliability 22` runs this; `LACUNA_SECONDS` sets for how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tonic::Status;
use tonic::transport::Channel;

use crate::figures;
use crate::program::{contact, context, subject};
use crate::samples::reason;
use crate::vault::{Recorded, TestVault};

/// Callers at their own pace, and the pause between two calls of one.
const OTHERS: usize = 8;
const PACE: Duration = Duration::from_millis(20);
/// People to whom the greedy caller adds.
const WRITTEN_TO: usize = 16;
/// A person is erased this often.
const ERASE_EVERY: Duration = Duration::from_millis(100);
/// Connections of the greedy caller, and calls at a time while it finds out how much the vault can do.
const CONNECTIONS: usize = 24;
const CAPACITY_CALLERS: usize = 64;
/// Time that the greedy caller gives each of its calls.
const GREEDY_PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute of the whole machine; scripts/reliability 22 runs it"]
async fn one_greedy_caller_at_twice_the_load_takes_nothing_down_and_erasures_go_on() {
    let seconds = std::env::var("LACUNA_SECONDS").map_or(15, |text| text.parse().expect("a number"));
    let span = Duration::from_secs(seconds);
    let mut vault = TestVault::start();
    vault.stop();
    vault.edit("lacuna.toml", |text| text.replace("level = \"trace\"", "level = \"warn\""));
    vault.run("");
    let mut people = people(&vault, 3 * (span.as_millis() / ERASE_EVERY.as_millis()) as usize + 3 * OTHERS).await;

    let alone = go_on(&vault, &mut people, span).await;
    // Of one person there are at most 100,000 items.
    let many = self::people(&vault, WRITTEN_TO).await;
    let capacity = capacity(&vault, &many, Duration::from_secs(5)).await;
    let memory_before = vault.program().memory_kib();
    let greedy = Arc::new(Greedy::default());
    let load = tokio::spawn(greedy.clone().load(clients(&vault), many.clone(), 2 * capacity));
    let watched = tokio::spawn(greedy.clone().watch_memory(vault.program().id()));
    let during = go_on(&vault, &mut people, span).await;
    greedy.over.store(true, Ordering::Relaxed);
    load.await.expect("ends");
    watched.await.expect("ends");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = go_on(&vault, &mut people, span / 3).await;
    let memory_after = vault.program().memory_kib();

    assert_eq!(vault.status().await.state(), VaultState::Serving);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let peak = count(&greedy.peak_kib).max(memory_after);
    let figures = json!({
        "sustained_per_s": capacity, "offered_per_s": 2 * capacity, "served_per_s": count(&greedy.served) / seconds,
        "shed": *greedy.refused.lock().expect("no panic"),
        "erasures": during.erasures.tell(), "erasures_alone": alone.erasures.tell(),
        "others_reads": during.reads.tell(), "others_reads_alone": alone.reads.tell(),
        "others_writes": during.writes.tell(), "others_writes_alone": alone.writes.tell(),
        "afterwards": { "erasures": after.erasures.tell(), "writes": after.writes.tell() },
        "memory_mib": { "before": memory_before >> 10, "peak": peak >> 10, "after": memory_after >> 10 },
    });
    println!("{figures:#}");
    for pace in [&alone, &during, &after] {
        assert_eq!(pace.erasures.refused, BTreeMap::new(), "no erasure is refused: {figures:#}");
    }
    assert_eq!((&after.reads.refused, &after.writes.refused), (&BTreeMap::new(), &BTreeMap::new()), "{figures:#}");
    // It holds as many calls as it may hold, and no more: far below what was offered.
    assert!(peak - memory_before < 512 << 10, "memory grows: {figures:#}");
    figures::note(22, "one greedy caller at twice the load", None, figures);
}

/// How calls of a kind went.
#[derive(Default)]
struct Times {
    millis: Vec<f64>,
    refused: BTreeMap<String, usize>,
}

impl Times {
    fn note(&mut self, began: Instant, outcome: Result<(), Status>) {
        match outcome {
            Ok(()) => self.millis.push(began.elapsed().as_secs_f64() * 1_000.0),
            Err(status) => *self.refused.entry(why(&status)).or_default() += 1,
        }
    }

    fn absorb(&mut self, other: Self) {
        self.millis.extend(other.millis);
        for (why, count) in other.refused {
            *self.refused.entry(why).or_default() += count;
        }
    }

    fn tell(&self) -> Value {
        let mut sorted = self.millis.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| sorted.get(((sorted.len() as f64 * part) as usize).min(sorted.len().max(1) - 1)).copied();
        let round = |millis: Option<f64>| millis.map(|millis| (millis * 10.0).round() / 10.0);
        json!({ "done": sorted.len(), "refused": self.refused, "p50_ms": round(at(0.5)), "p99_ms": round(at(0.99)) })
    }
}

/// Those at their own pace.
#[derive(Default)]
struct Pace {
    erasures: Times,
    reads: Times,
    writes: Times,
}

/// Lets them go on for a while. Who is erased is taken from the people.
async fn go_on(vault: &TestVault, people: &mut Vec<CreateSubjectResponse>, span: Duration) -> Pace {
    let mut pace = Pace::default();
    let until = Instant::now() + span;
    let mut others = JoinSet::new();
    for _ in 0..OTHERS {
        let (service, person) = (vault.service(Some("service")), people.pop().expect("enough"));
        others.spawn(other(VaultClient::new(service), person, until));
    }
    let officer = PrivacyClient::new(vault.service(Some("privacy-officer")));
    let mut erasing = JoinSet::new();
    let mut ticks = tokio::time::interval(ERASE_EVERY);
    while Instant::now() < until && people.len() > 1 {
        ticks.tick().await;
        let (mut officer, person) = (officer.clone(), people.pop().expect("enough"));
        erasing.spawn(async move {
            let began = Instant::now();
            let purpose = CallContext { purpose: "legal_compliance".into(), ..Default::default() };
            let (context, subject) = (Some(purpose), subject(&person.subject_id));
            let request = EraseSubjectRequest { context, subject, ..Default::default() };
            let answer = officer.erase_subject(request).await.map(tonic::Response::into_inner);
            let mut times = Times::default();
            let outcome = answer.map(|answer| {
                assert_eq!(answer.erasure.expect("is stated").state(), ErasureState::Erased);
                assert!(answer.receipt.is_some());
            });
            times.note(began, outcome);
            times
        });
    }
    for times in erasing.join_all().await {
        pace.erasures.absorb(times);
    }
    for (reads, writes) in others.join_all().await {
        pace.reads.absorb(reads);
        pace.writes.absorb(writes);
    }
    pace
}

/// Reads and writes in turns.
async fn other(mut service: VaultClient<Recorded>, person: CreateSubjectResponse, until: Instant) -> (Times, Times) {
    let (mut reads, mut writes) = (Times::default(), Times::default());
    let subject = || subject(&person.subject_id);
    while Instant::now() < until {
        let item_id = person.items[0].item_id.clone();
        let request = GetItemRequest { context: context(), subject: subject(), item_id, ..Default::default() };
        let began = Instant::now();
        reads.note(began, service.get_item(request).await.map(drop));
        tokio::time::sleep(PACE).await;
        let request = PutItemRequest { context: context(), subject: subject(), item: Some(contact("Somebody")) };
        let began = Instant::now();
        writes.note(began, service.put_item(request).await.map(drop));
        tokio::time::sleep(PACE).await;
    }
    (reads, writes)
}

/// What the greedy caller is told.
#[derive(Default)]
struct Greedy {
    over: AtomicBool,
    served: AtomicU64,
    peak_kib: AtomicU64,
    refused: std::sync::Mutex<BTreeMap<String, usize>>,
}

impl Greedy {
    /// Calls at a rate, whatever becomes of them.
    async fn load(
        self: Arc<Self>,
        clients: Vec<VaultClient<Channel>>,
        many: Vec<CreateSubjectResponse>,
        per_second: u64,
    ) {
        let mut calls = JoinSet::new();
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let (began, mut sent) = (Instant::now(), 0);
        while !self.over.load(Ordering::Relaxed) {
            ticks.tick().await;
            let due = (began.elapsed().as_secs_f64() * per_second as f64) as u64;
            while sent < due {
                let (mut client, greedy) = (clients[sent as usize % clients.len()].clone(), self.clone());
                let mut request = tonic::Request::new(one_more(&many[sent as usize % many.len()]));
                request.set_timeout(GREEDY_PATIENCE);
                calls.spawn(async move {
                    match client.put_item(request).await {
                        Ok(_) => drop(greedy.served.fetch_add(1, Ordering::Relaxed)),
                        Err(status) => {
                            *greedy.refused.lock().expect("no panic").entry(why(&status)).or_default() += 1;
                        }
                    }
                });
                sent += 1;
            }
            while calls.try_join_next().is_some() {}
        }
        calls.join_all().await;
    }

    async fn watch_memory(self: Arc<Self>, process: u32) {
        while !self.over.load(Ordering::Relaxed) {
            self.peak_kib.fetch_max(crate::program::memory_kib(process), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// How many calls a second the vault does for callers who wait for their answers.
async fn capacity(vault: &TestVault, many: &[CreateSubjectResponse], span: Duration) -> u64 {
    let (clients, until) = (clients(vault), Instant::now() + span);
    let mut callers = JoinSet::new();
    for number in 0..CAPACITY_CALLERS {
        let (mut client, person) = (clients[number % clients.len()].clone(), many[number % many.len()].clone());
        callers.spawn(async move {
            let mut done = 0u64;
            while Instant::now() < until {
                client.put_item(one_more(&person)).await.expect("is served");
                done += 1;
            }
            done
        });
    }
    callers.join_all().await.iter().sum::<u64>() / span.as_secs()
}

fn clients(vault: &TestVault) -> Vec<VaultClient<Channel>> {
    (0..CONNECTIONS).map(|_| VaultClient::new(vault.program().endpoint(Some("service")).connect_lazy())).collect()
}

fn one_more(person: &CreateSubjectResponse) -> PutItemRequest {
    PutItemRequest { context: context(), subject: subject(&person.subject_id), item: Some(contact("Somebody else")) }
}

async fn people(vault: &TestVault, count: usize) -> Vec<CreateSubjectResponse> {
    let mut making = JoinSet::new();
    let client = vault.client("service");
    let mut people = Vec::new();
    for _ in 0..count {
        if making.len() == 32 {
            people.push(making.join_next().await.expect("runs").expect("creates"));
        }
        let mut client = client.clone();
        making.spawn(async move {
            let request =
                CreateSubjectRequest { context: context(), items: vec![contact("Somebody")], ..Default::default() };
            client.create_subject(request).await.expect("creates").into_inner()
        });
    }
    people.extend(making.join_all().await);
    people
}

fn why(status: &Status) -> String {
    let reason = reason(status);
    if reason.is_empty() { format!("{:?}", status.code()) } else { reason }
}
