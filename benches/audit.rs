//! The record of a call: its leaf, a commit group's leaves packed into one row, and rows turned into tiles and index.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::audit::event::{About, Actor, Decision, Event, Outcome};
use lacuna::audit::integrate::Integrator;
use lacuna::audit::leaf;
use lacuna::audit::note::VerifierKey;
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

criterion_group!(benches, leaves, integration);
criterion_main!(benches);
