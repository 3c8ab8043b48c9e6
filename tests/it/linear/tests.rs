//! The checker is shown histories that are right, and every kind of wrong one.

use std::collections::BTreeSet;
use std::time::Instant;

use super::model::{Call, Left, Listed, Said, Scope, State, Vault};
use super::{Event, Next, check};
use crate::random::Random;

/// A call from one place to another; from a place on, if it was not answered.
type At = (u64, u64, Call);

const NEVER: u64 = u64::MAX;

fn history(calls: &[At]) -> Vec<Event<Call>> {
    let event = |(invoked, answered, call): &At| {
        let answered = (*answered != NEVER).then_some(*answered);
        Event { call: call.clone(), invoked: *invoked, answered, likely: answered }
    };
    calls.iter().map(event).collect()
}

/// Whether it is linearizable, from a subject with the items 0 and 1, which have the values 10 and 11.
fn fits(calls: &[At]) -> bool {
    let checked = check::<Vault>(State::with([(0, 10), (1, 11)]), &history(calls));
    checked.map(|steps| steps.expect("is decided")).is_ok()
}

fn read(from: u64, to: u64, item: u32, version: u64, value: u32) -> At {
    (from, to, Call::Read { item, said: Said::Done((version, value)) })
}

fn correct(from: u64, to: u64, item: u32, value: u32, version: u64) -> At {
    let said = if to == NEVER { Said::Nothing } else { Said::Done(version) };
    (from, to, Call::Correct { act: from as u32, item, seen: None, value, said })
}

fn place(from: u64, to: u64, hold: u32, scope: Scope, said: Said<u64>) -> At {
    // Each under a matter of its own.
    (from, to, Call::Place { hold, matter: hold as usize, scope, said })
}

fn listed(known: &[(u32, u64)]) -> Said<Option<Listed>> {
    Said::Done(Some(Listed { known: known.iter().copied().collect::<BTreeSet<_>>(), others: 0 }))
}

/// An erasure whose receipt lists these, and what it is said to be.
fn erase(from: u64, to: u64, kept: &[(u32, u64)]) -> [At; 2] {
    [
        (from, to, Call::Erase { act: 900, said: listed(kept) }),
        (from, to, Call::Told { act: 900, kept: !kept.is_empty() }),
    ]
}

fn read_kept(from: u64, to: u64, item: u32, version: u64, said: Said<u32>) -> At {
    (from, to, Call::ReadKept { item, version, said })
}

fn release(from: u64, to: u64, hold: u32, left: Left) -> At {
    (from, to, Call::Release { hold, said: Said::Done(left) })
}

#[test]
fn what_one_vault_could_have_answered_is_accepted() {
    let all: &[(u32, u64)] = &[(0, 1), (1, 1)];
    let [erased, told] = erase(5, 8, &[]);
    let [kept_erased, kept_told] = erase(5, 8, all);
    let unanswered_erase = (5, NEVER, Call::Erase { act: 7, said: Said::Nothing });
    let cases: Vec<(&str, Vec<At>)> = vec![
        ("nothing", vec![]),
        (
            "a read while a correction runs sees either",
            vec![correct(1, 6, 0, 20, 2), read(2, 3, 0, 1, 10), read(4, 5, 0, 2, 20)],
        ),
        (
            "two corrections at once, in some order",
            vec![correct(1, 9, 0, 20, 3), correct(2, 8, 0, 21, 2), read(10, 11, 0, 3, 20)],
        ),
        (
            "an unanswered correction that took effect late",
            vec![correct(1, NEVER, 0, 20, 0), read(2, 3, 0, 1, 10), read(4, 5, 0, 2, 20)],
        ),
        ("an unanswered correction that never did", vec![correct(1, NEVER, 0, 20, 0), correct(2, 3, 0, 21, 2)]),
        (
            "a hold that came first",
            vec![
                place(1, 2, 1, Scope::Future, Said::Done(2)),
                kept_erased.clone(),
                kept_told.clone(),
                read_kept(9, 10, 0, 1, Said::Done(10)),
                release(11, 12, 1, Left::Gone),
                read_kept(13, 14, 0, 1, Said::Absent),
            ],
        ),
        (
            "a hold while it is erased: the hold wins",
            vec![place(6, 7, 1, Scope::Future, Said::Done(2)), kept_erased.clone(), kept_told.clone()],
        ),
        (
            "a hold while it is erased: the erasure wins",
            vec![place(6, 7, 1, Scope::Future, Said::Erased), erased.clone(), told.clone()],
        ),
        (
            "an answer that is later than a release",
            vec![
                place(1, 2, 1, Scope::Future, Said::Done(2)),
                kept_erased.clone(),
                release(6, 7, 1, Left::Gone),
                told.clone(),
            ],
        ),
        (
            "a hold of what there is does not cover what comes",
            vec![
                place(1, 2, 1, Scope::Present, Said::Done(2)),
                correct(3, 4, 0, 20, 2),
                read_kept(5, 6, 0, 1, Said::Done(10)),
                correct(7, 8, 0, 21, 3),
                read_kept(9, 10, 0, 2, Said::Absent),
            ],
        ),
        (
            "two holds keep it until both let go",
            vec![
                place(1, 2, 1, Scope::Item(0), Said::Done(1)),
                place(1, 2, 2, Scope::Future, Said::Done(2)),
                correct(3, 4, 0, 20, 2),
                release(5, 6, 1, Left::Kept),
                read_kept(7, 8, 0, 1, Said::Done(10)),
                release(9, 10, 2, Left::Gone),
                read_kept(11, 12, 0, 1, Said::Absent),
            ],
        ),
        (
            "an unanswered erasure that was carried out, and its repeat",
            vec![
                unanswered_erase.clone(),
                (9, 10, Call::Read { item: 0, said: Said::Erased }),
                (11, 12, Call::Erase { act: 900, said: listed(&[]) }),
                (13, 14, Call::Erase { act: 900, said: listed(&[]) }),
            ],
        ),
        ("an unanswered erasure that was not", vec![unanswered_erase, read(9, 10, 0, 1, 10)]),
    ];
    for (name, calls) in cases {
        assert!(fits(&calls), "{name}");
    }
}

#[test]
fn every_kind_of_violation_is_found() {
    let future = |from, to| place(from, to, 1, Scope::Future, Said::Done(2));
    let with = |more: Vec<At>, erasure: [At; 2]| [more, erasure.to_vec()].concat();
    let all: &[(u32, u64)] = &[(0, 1), (1, 1)];
    let cases: Vec<(&str, Vec<At>)> = vec![
        ("the old value after a completed correction", vec![correct(1, 2, 0, 20, 2), read(3, 4, 0, 1, 10)]),
        (
            "the new value and then the old one",
            vec![correct(1, 9, 0, 20, 2), read(2, 3, 0, 2, 20), read(4, 5, 0, 1, 10)],
        ),
        ("a lost update", vec![correct(1, 4, 0, 20, 2), correct(2, 3, 0, 21, 2)]),
        (
            "a correction that was acknowledged and is not there",
            vec![correct(1, 2, 0, 20, 2), correct(3, 4, 0, 21, 3), read(5, 6, 0, 2, 20)],
        ),
        (
            "a correction of what has changed since it was seen",
            vec![
                correct(1, 2, 0, 20, 2),
                (3, 4, Call::Correct { act: 3, item: 0, seen: Some(1), value: 21, said: Said::Done(3) }),
            ],
        ),
        ("a value read after the person was erased", with(vec![read(9, 10, 0, 1, 10)], erase(1, 2, &[]))),
        (
            "the same by the caller's id",
            with(vec![(9, 10, Call::ReadNamed { item: 0, said: Said::Done((1, 10)) })], erase(1, 2, &[])),
        ),
        (
            "a value read after its deletion",
            vec![(1, 2, Call::Delete { act: 1, item: 0, said: Said::Done(()) }), read(3, 4, 0, 1, 10)],
        ),
        (
            "an item listed after its deletion",
            vec![
                (1, 2, Call::Delete { act: 1, item: 0, said: Said::Done(()) }),
                (3, 4, Call::List { said: Said::Done([(0, 1), (1, 1)].into()) }),
            ],
        ),
        ("a hold that returned before, and nothing kept", with(vec![future(1, 2)], erase(3, 4, &[]))),
        ("and one version less kept", with(vec![future(1, 2)], erase(3, 4, &[(0, 1)]))),
        ("hold and erasure both win", with(vec![future(1, 9)], erase(2, 8, &[]))),
        ("hold and erasure both lose", with(vec![place(1, 9, 1, Scope::Future, Said::Erased)], erase(2, 8, all))),
        ("a hold placed after the erasure", with(vec![future(5, 6)], erase(1, 2, &[]))),
        ("kept, and gone", with(vec![future(1, 2), read_kept(5, 6, 0, 1, Said::Absent)], erase(3, 4, all))),
        ("kept without a hold", with(vec![read_kept(5, 6, 0, 1, Said::Done(10))], erase(3, 4, &[]))),
        (
            "kept after the release of the hold",
            with(
                vec![future(1, 2), release(5, 6, 1, Left::Gone), read_kept(7, 8, 0, 1, Said::Done(10))],
                erase(3, 4, all),
            ),
        ),
        ("another value kept", with(vec![future(1, 2), read_kept(5, 6, 0, 1, Said::Done(11))], erase(3, 4, all))),
        (
            "said to be gone while it is kept",
            vec![
                future(1, 2),
                (3, 4, Call::Delete { act: 3, item: 0, said: Said::Done(()) }),
                (3, 4, Call::Told { act: 3, kept: false }),
            ],
        ),
        (
            "said to be kept when nothing keeps it",
            vec![
                (3, 4, Call::Delete { act: 3, item: 0, said: Said::Done(()) }),
                (3, 4, Call::Told { act: 3, kept: true }),
            ],
        ),
        (
            "a release that takes what another hold keeps",
            vec![
                future(1, 2),
                place(1, 2, 2, Scope::Item(0), Said::Done(1)),
                correct(3, 4, 0, 20, 2),
                release(5, 6, 1, Left::Gone),
            ],
        ),
        (
            "two statements of one erasure",
            vec![
                (1, 2, Call::Erase { act: 900, said: listed(&[]) }),
                (3, 4, Call::Erase { act: 901, said: listed(&[]) }),
            ],
        ),
        (
            "a hold that counts what is deleted",
            vec![(1, 2, Call::Delete { act: 1, item: 0, said: Said::Done(()) }), future(3, 4)],
        ),
        (
            "an item that comes back",
            vec![
                (1, NEVER, Call::Delete { act: 1, item: 0, said: Said::Nothing }),
                (2, 3, Call::Read { item: 0, said: Said::Absent }),
                read(4, 5, 0, 1, 10),
            ],
        ),
        (
            "a write to a person who is erased",
            with(vec![(5, 6, Call::Put { item: 2, value: 12, said: Said::Done(()) })], erase(1, 2, &[])),
        ),
    ];
    for (name, calls) in cases {
        assert!(!fits(&calls), "{name}");
    }
}

/// Histories as long as those that are recorded, made by one vault under many callers, and the same with one answer
/// exchanged: none of the first is refused, and each of the second is, within a bounded search.
#[test]
fn long_histories_are_judged_quickly_and_rightly() {
    use super::Model as _;
    let began = Instant::now();
    for seed in 0..20 {
        let mut random = Random::from(seed);
        let (mut state, mut calls, mut version) = (State::with([(0, 10), (1, 11)]), Vec::new(), 1);
        for number in 0..300u64 {
            // Takes effect at its own place, and lasts from up to eight calls before to up to eight after.
            let at = 100 + 10 * number;
            let (from, to) = (at - random.below(80) as u64, at + random.below(80) as u64 + 1);
            let call = match random.below(4) {
                0 => {
                    version += 1;
                    correct(from, to, 0, 1_000 + number as u32, version)
                }
                _ => {
                    let value = calls.iter().rev().find_map(|(_, _, call)| match call {
                        Call::Correct { value, .. } => Some(*value),
                        _ => None,
                    });
                    read(from, to, 0, version, value.unwrap_or(10))
                }
            };
            match Vault::step(&state, &call.2).expect("is what one vault answers") {
                Next::Changed(next) => state = next,
                Next::Same => {}
            }
            calls.push(call);
        }
        let steps =
            check::<Vault>(State::with([(0, 10), (1, 11)]), &history(&calls)).expect("is right").expect("is decided");
        assert!(steps < 1_000_000, "seed {seed}: {steps} steps");
        let reads = calls.iter_mut().skip(150).find_map(|(_, _, call)| match call {
            Call::Read { said: Said::Done(found), .. } => Some(found),
            _ => None,
        });
        reads.expect("somebody reads").1 = 10;
        assert!(!fits(&calls), "seed {seed}: a value of long ago");
    }
    assert!(began.elapsed().as_secs() < 60);
}
