//! One access decision, as every call asks for at least two.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::catalog::classes::class_of;
use lacuna::catalog::registry::{self, Registry};
use lacuna::policy::action::Action;
use lacuna::policy::caller::RoleId;
use lacuna::policy::decide::decide;

fn decisions(c: &mut Criterion) {
    let registry = Registry::parse(registry::DEFAULT).expect("the shipped registry");
    let purpose = registry.purpose("service_delivery").expect("shipped").id.clone();
    let contact = class_of("contact").map(|class| class.id);
    c.bench_function("decide/action", |b| {
        b.iter(|| decide(&registry, RoleId::Service, black_box(&purpose), Action::GetItem, None));
    });
    c.bench_function("decide/class", |b| {
        b.iter(|| decide(&registry, RoleId::Service, black_box(&purpose), Action::GetItem, contact));
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
