//! Sealing and opening one item version, as every put and every get does.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::base::id::VaultId;
use lacuna::base::secret::Secret;
use lacuna::keys::envelope::{Envelope, Kind, Part, Place};

const VAULT: VaultId = VaultId::from_bytes([1; 16]);
const PLACE: Place<'_> = Place { vault: &VAULT, owner: &[2; 16], class: "contact", version: 1, generation: 1 };
const VALUE: &[u8] = &[3; 300];
const METADATA: &[u8] = &[4; 160];

fn envelopes(c: &mut Criterion) {
    let key = Secret::copied(&[5; 32]);
    let envelope = Envelope::derive(Kind::Item, &key);
    let sealed = envelope.seal(PLACE, Part::Value, VALUE).expect("a nonce");
    let code = envelope.authenticate(PLACE, METADATA);

    c.bench_function("envelope/derive", |b| b.iter(|| Envelope::derive(Kind::Item, black_box(&key))));
    c.bench_function("envelope/seal", |b| b.iter(|| envelope.seal(PLACE, Part::Value, black_box(VALUE))));
    c.bench_function("envelope/open", |b| {
        b.iter(|| envelope.open(PLACE, Part::Value, envelope.commitment(), black_box(&sealed)).expect("its own"));
    });
    c.bench_function("envelope/check", |b| {
        b.iter(|| envelope.check(PLACE, black_box(METADATA), &code).expect("its own"));
    });
}

criterion_group!(benches, envelopes);
criterion_main!(benches);
