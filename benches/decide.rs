//! One access decision, as every call asks for several: made by Cedar, and found again.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::catalog::classes::class_of;
use lacuna::policy::action::Action;
use lacuna::policy::caller::RoleId;
use lacuna::policy::question::{Question, Resource, Standing};
use lacuna::policy::rules::Rules;

fn decisions(c: &mut Criterion) {
    let rules = Rules::shipped().expect("the shipped rules");
    let class = class_of("contact").expect("a class").id;
    let question = |region: u64| Question {
        caller: "spiffe://example.org/checkout".parse().expect("an identity"),
        role: RoleId::Service,
        purpose: rules.registry().purpose("service_delivery").expect("shipped").id.clone(),
        action: Action::GetItem,
        ticket: false,
        resource: Resource::Data {
            class,
            standing: Standing {
                labels: [("region".into(), region.to_string())].into(),
                restricted: false,
                own: false,
            },
            objected: false,
            kept: false,
        },
    };
    let mut next = 0;
    c.bench_function("decide/new", |b| {
        b.iter(|| {
            next += 1;
            rules.decide(&question(next))
        });
    });
    let known = question(0);
    c.bench_function("decide/known", |b| b.iter(|| rules.decide(black_box(&known))));
}

criterion_group!(benches, decisions);
criterion_main!(benches);
