//! The record of a call: its leaf, a commit group's leaves packed into one row, and rows turned into tiles and index.
//!
//! With LACUNA_BENCH_LARGE=1 also searches in a log of a million entries, which takes a minute to make.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::audit::event::{About, Actor, Decision, Event, Outcome};
use lacuna::audit::integrate::Integrator;
use lacuna::audit::leaf;
use lacuna::audit::note::VerifierKey;
use lacuna::audit::query::{Filter, Search};
use lacuna::audit::sequence::Head;
use lacuna::audit::stored::StoredLog;
use lacuna::base::id::RequestId;
use lacuna::base::log_safe::SafeText;
use lacuna::base::secret::Secret;
use lacuna::base::time::Timestamp;
use lacuna::crypto::sign::Signer;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::memory::MemoryEngine;
use lacuna::store::rocks::{RocksEngine, RocksOptions};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn read() -> Event {
    Event {
        actor: Actor::Service(SafeText::constant("spiffe://example.org/billing")),
        on_behalf: None,
        role: SafeText::constant("service"),
        operation: SafeText::constant("GetItem"),
        purpose: SafeText::constant("service_delivery"),
        class: SafeText::constant("contact"),
        view: 4,
        decision: Decision::Permitted,
        rule: SafeText::constant("service-delivers"),
        policy: [1; 8],
        outcome: Outcome::Done,
        reason: None,
        count: 1,
        epoch: 1,
        request: RequestId::from_bytes([1; 16]),
        about: About::Subject([2; 16]),
        receipt_hash: None,
        detail: Some(vec![3; 120]),
    }
}

fn leaves(c: &mut Criterion) {
    let event = read();
    c.bench_function("audit/leaf", |b| b.iter(|| leaf::encode(black_box(&event), 42, NOW)));
    let group = vec![event; 64];
    c.bench_function("audit/append_64", |b| {
        b.iter(|| {
            let mut batch = Batch::new();
            Head::EMPTY.append(&mut batch, NOW, black_box(&group));
            batch
        });
    });
}

fn integration(c: &mut Criterion) {
    let (engine, mut head) = (MemoryEngine::new(), Head::EMPTY);
    for _ in 0..64 {
        let mut batch = Batch::new();
        head = head.append(&mut batch, NOW, &vec![read(); 64]);
        engine.commit(batch).expect("stores");
    }
    let signer = Signer::from_seed(&Secret::copied(&[1; 32]));
    let key = VerifierKey::new("log", *signer.public()).expect("a name");
    let resume = || Integrator::resume(StoredLog(&engine), &key, Head::EMPTY).expect("an empty log");
    c.bench_function("audit/integrate_4096", |b| {
        b.iter(|| resume().step(StoredLog(&engine), head.size(), head.size()).expect("integrates"));
    });
    let mut grown = resume();
    grown.step(StoredLog(&engine), 4_000, 4_000).expect("integrates");
    c.bench_function("audit/seal", |b| b.iter(|| grown.seal(&mut Batch::new(), "log", &signer).expect("signs")));
}

const MILLION: u64 = 1_000_000;
/// So each has a hundred entries.
const SUBJECTS: u64 = 10_000;

fn token(subject: u64) -> [u8; 16] {
    let mut token = [7; 16];
    token[..8].copy_from_slice(&subject.to_be_bytes());
    token
}

/// A million reads in groups of 250, about ten thousand subjects in turn, integrated.
fn make_large(engine: &RocksEngine) {
    let (signer, mut head) = (Signer::from_seed(&Secret::copied(&[1; 32])), Head::EMPTY);
    let key = VerifierKey::new("log", *signer.public()).expect("a name");
    let mut integrator = Integrator::resume(StoredLog(engine), &key, head).expect("an empty log");
    while head.size() < MILLION {
        let about = |n: u64| About::Subject(token(n * 7_919 % SUBJECTS));
        let events = (head.size()..head.size() + 250).map(|n| Event { about: about(n), ..read() });
        let (mut batch, events) = (Batch::new(), events.collect::<Vec<_>>());
        head = head.append(&mut batch, Timestamp::from_millis(NOW.as_millis() + head.size() as i64), &events);
        engine.commit(batch).expect("stores");
        engine.commit(integrator.step(StoredLog(engine), head.size(), 250).expect("integrates")).expect("stores");
    }
    let mut batch = Batch::new();
    integrator.seal(&mut batch, "log", &signer).expect("signs");
    engine.commit(batch).expect("stores");
}

fn found(engine: &RocksEngine, filter: Filter, newest_first: bool) -> usize {
    let (mut search, mut count) = (Search::new(filter, 0..MILLION, newest_first), 0);
    while !search.rest().is_empty() {
        count += search.step(StoredLog(engine), usize::MAX, usize::MAX).expect("reads").len();
    }
    count
}

fn large(c: &mut Criterion) {
    if std::env::var_os("LACUNA_BENCH_LARGE").is_none_or(|value| value != "1") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let engine = RocksEngine::open(&dir.path().join("db"), &RocksOptions { create: true, ..RocksOptions::default() })
        .expect("a store");
    make_large(&engine);
    // As for two years: a token for each of 26 periods, one of which has all entries.
    let tokens = |subject: u64| (0..25).map(|n| token(SUBJECTS + n)).chain([token(subject)]).collect();
    let mut group = c.benchmark_group("audit/million");
    group.sample_size(10);
    let mut subject = 0;
    for newest_first in [false, true] {
        let name = if newest_first { "by_subject_newest_first" } else { "by_subject" };
        group.bench_function(name, |b| {
            b.iter(|| {
                subject = (subject + 1) % SUBJECTS;
                let filter = Filter { tokens: Some(tokens(subject)), ..Filter::default() };
                assert_eq!(found(&engine, filter, newest_first), 100);
            });
        });
    }
    group.bench_function("by_absent_operation", |b| {
        b.iter(|| {
            let filter = Filter { operations: vec!["ReleaseHold".into()], ..Filter::default() };
            assert_eq!(found(&engine, filter, false), 0);
        });
    });
    group.bench_function("by_request", |b| {
        b.iter(|| {
            let filter = Filter { request: Some(RequestId::from_bytes([9; 16])), ..Filter::default() };
            assert_eq!(found(&engine, filter, false), 0);
        });
    });
}

criterion_group!(benches, leaves, integration, large);
criterion_main!(benches);
