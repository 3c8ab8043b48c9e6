//! The record of a call: its leaf, and a commit group's leaves packed into one row.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::audit::event::{About, Actor, Decision, Event, Outcome};
use lacuna::audit::leaf;
use lacuna::audit::sequence::Head;
use lacuna::base::id::RequestId;
use lacuna::base::log_safe::SafeText;
use lacuna::base::time::Timestamp;
use lacuna::store::batch::Batch;

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

criterion_group!(benches, leaves);
criterion_main!(benches);
