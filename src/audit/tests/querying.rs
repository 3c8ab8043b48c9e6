use proptest::prelude::*;

use super::*;
use crate::audit::event::{Actor, Event};
use crate::audit::integrate::Integrator;
use crate::audit::leaf::tests::sample;
use crate::audit::note::VerifierKey;
use crate::audit::sequence::Head;
use crate::base::log_safe::SafeText;
use crate::base::secret::Secret;
use crate::crypto::sign::Signer;
use crate::store::Engine as _;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::memory::MemoryEngine;

const ROLES: [&str; 3] = ["service", "support", "auditor"];
const OPERATIONS: [&str; 3] = ["GetItem", "PutItem", "ItemErased"];
const PURPOSES: [&str; 2] = ["service_delivery", "security"];
const CLASSES: [&str; 3] = ["", "contact", "payment"];
const DECISIONS: [Decision; 3] = [Decision::Permitted, Decision::Denied, Decision::NotAsked];
const OUTCOMES: [Outcome; 3] = [Outcome::Done, Outcome::Refused, Outcome::Started];

/// One entry of a made-up log: a number for each of its words, and how much later than the one before.
type Made = ([u8; 8], i8);

fn event(made: &Made) -> Event {
    let [who, role, operation, purpose, class, ended, about, request] = made.0;
    let pick = |words: &[&'static str], number: u8| SafeText::constant(words[number as usize % words.len()]);
    Event {
        actor: match who % 4 {
            0 => Actor::Unknown,
            1 => Actor::Vault,
            2 => Actor::Person([2; 16]),
            _ => Actor::Service(SafeText::constant("spiffe://example.org/a")),
        },
        role: pick(&ROLES, role),
        operation: pick(&OPERATIONS, operation),
        purpose: pick(&PURPOSES, purpose),
        class: pick(&CLASSES, class),
        decision: DECISIONS[ended as usize % 3],
        outcome: OUTCOMES[ended as usize / 3 % 3],
        about: match about % 8 {
            0 => About::Nobody,
            1 => About::Erasure(ReceiptId::from_bytes([about / 8 % 3; 16])),
            token => About::Subject([token; 16]),
        },
        request: RequestId::from_bytes([request % 50; 16]),
        detail: (who > 100).then(|| vec![who; usize::from(role)]),
        ..sample()
    }
}

/// A log with these entries, in groups of these sizes, integrated whole. The times go forth and back.
fn log_of(made: &[Made], groups: &[usize]) -> (MemoryEngine, Vec<Leaf>) {
    let (engine, mut head, mut at) = (MemoryEngine::new(), Head::EMPTY, 1_000i64);
    let (mut rest, mut groups) = (made, groups.iter().cycle());
    while !rest.is_empty() {
        let (group, after) = rest.split_at((*groups.next().expect("a group")).min(rest.len()));
        let events: Vec<Event> = group.iter().map(event).collect();
        at += i64::from(group[0].1);
        let mut batch = Batch::new();
        head = head.append(&mut batch, Timestamp::from_millis(at), &events);
        engine.commit(batch).expect("stores");
        rest = after;
    }
    let signer = Signer::from_seed(&Secret::copied(&[3; 32]));
    let key = VerifierKey::new("log", *signer.public()).expect("a name");
    let mut integrator = Integrator::resume(StoredLog(&engine), &key, Head::EMPTY).expect("resumes");
    let mut batch = integrator.step(StoredLog(&engine), head.size(), head.size()).expect("integrates");
    integrator.seal(&mut batch, "log", &signer).expect("signs");
    engine.commit(batch).expect("stores");
    let entries = StoredLog(&engine).entries(0).expect("reads");
    let leaves = entries.map(|entry| leaf::decode(&entry.expect("reads").1.0).expect("decodes")).collect();
    (engine, leaves)
}

/// What a filter says, spelled out in another way than the code's.
fn is_wanted(filter: &Filter, leaf: &Leaf) -> bool {
    fn any<T>(wanted: &[T], is_it: impl Fn(&T) -> bool) -> bool {
        wanted.is_empty() || wanted.iter().filter(|wanted| is_it(wanted)).count() > 0
    }
    let tokens = match (&filter.tokens, &leaf.about) {
        (None, _) => true,
        (Some(tokens), About::Subject(token)) => tokens.contains(token),
        (Some(_), _) => false,
    };
    let receipt = match (filter.receipt, leaf.about) {
        (None, _) => true,
        (Some(wanted), About::Erasure(receipt)) => wanted == receipt,
        (Some(_), _) => false,
    };
    let start = filter.start.map_or(i64::MIN, Timestamp::as_millis);
    let end = filter.end.map_or(i64::MAX, Timestamp::as_millis);
    let parts = [
        tokens,
        receipt,
        any(&filter.actors, |actor| *actor == (leaf.actor_kind, leaf.actor.clone())),
        any(&filter.roles, |role| *role == leaf.role),
        any(&filter.operations, |operation| *operation == leaf.operation),
        any(&filter.purposes, |purpose| *purpose == leaf.purpose),
        any(&filter.classes, |class| *class == leaf.class),
        any(&filter.decisions, |decision| *decision == leaf.decision),
        any(&filter.outcomes, |outcome| *outcome == leaf.outcome),
        filter.request.unwrap_or(leaf.request) == leaf.request,
        (start..end).contains(&leaf.time.as_millis()),
    ];
    parts.iter().all(|part| *part)
}

/// Sometimes some of these.
fn some<T: Clone + std::fmt::Debug + 'static>(words: Vec<T>) -> impl Strategy<Value = Vec<T>> {
    let most = words.len();
    prop_oneof![3 => Just(Vec::new()), 1 => proptest::sample::subsequence(words, 1..=most)]
}

fn texts(words: &[&str]) -> impl Strategy<Value = Vec<String>> + use<> {
    some(words.iter().map(|word| (*word).to_owned()).collect())
}

fn filters() -> impl Strategy<Value = Filter> {
    let service = b"spiffe://example.org/a".to_vec();
    let actors = vec![(0u8, vec![]), (3, vec![]), (2, vec![2; 16]), (1, service), (1, vec![9])];
    let tokens = prop_oneof![
        2 => Just(None),
        3 => proptest::collection::vec((0u8..10).prop_map(|token| [token; 16]), 0..4).prop_map(Some),
    ];
    let words = (texts(&ROLES), texts(&OPERATIONS), texts(&PURPOSES), texts(&CLASSES), some(actors));
    let ended = (some(DECISIONS.to_vec()), some(OUTCOMES.to_vec()));
    let id = |most| proptest::option::weighted(0.1, (0u8..most).prop_map(|n| [n; 16]));
    let time = || proptest::option::weighted(0.3, (0i64..4_000).prop_map(Timestamp::from_millis));
    let parts = (tokens, words, ended, id(50), id(4), time(), time());
    parts.prop_map(|(tokens, words, (decisions, outcomes), request, receipt, start, end)| {
        let (roles, operations, purposes, classes, actors) = words;
        let (request, receipt) = (request.map(RequestId::from_bytes), receipt.map(ReceiptId::from_bytes));
        Filter {
            tokens,
            actors,
            roles,
            purposes,
            classes,
            operations,
            decisions,
            outcomes,
            request,
            receipt,
            start,
            end,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Every filter, in both directions, over any range, begun anew after every step of any size.
    #[test]
    fn a_search_finds_exactly_what_the_filter_says(
        made in proptest::collection::vec(any::<Made>(), 1..1_500),
        groups in proptest::collection::vec(prop_oneof![1usize..4, 1usize..70, 500usize..900], 1..6),
        filters in proptest::collection::vec(filters(), 1..8),
        bounds: (u16, u16),
        newest_first: bool,
        hits_max in prop_oneof![1usize..5, Just(usize::MAX)],
        bytes_max in prop_oneof![Just(1usize), 500usize..5_000, Just(usize::MAX)],
    ) {
        let (engine, leaves) = log_of(&made, &groups);
        let size = leaves.len() as u64;
        let (a, b) = (u64::from(bounds.0) % (size + 1), u64::from(bounds.1) % (size + 1));
        for filter in filters.into_iter().chain([Filter::default()]) {
            let range = a.min(b)..a.max(b);
            let wanted = range.clone().filter(|index| is_wanted(&filter, &leaves[*index as usize]));
            let mut wanted: Vec<u64> = wanted.collect();
            if newest_first {
                wanted.reverse();
            }
            let (mut rest, mut found) = (range, Vec::new());
            while !rest.is_empty() {
                let mut search = Search::new(filter.clone(), rest.clone(), newest_first);
                let hits = search.step(StoredLog(&engine), hits_max, bytes_max).expect("reads");
                prop_assert!(hits.len() <= hits_max);
                prop_assert!(hits.iter().rev().skip(1).map(Hit::size).sum::<usize>() < bytes_max);
                for hit in hits {
                    prop_assert_eq!(&hit.leaf, &leaves[hit.index as usize]);
                    found.push(hit.index);
                }
                prop_assert!(search.rest() != rest, "a step gets on");
                rest = search.rest();
            }
            prop_assert_eq!(found, wanted, "{:?}", filter);
        }
    }
}

#[test]
fn a_subject_with_very_many_entries_is_found_whole_in_both_directions() {
    let made: Vec<Made> = (0..6_000u32).map(|n| ([0, 0, 0, 0, 0, 0, if n % 3 == 0 { 7 } else { 2 }, 0], 1)).collect();
    let (engine, _) = log_of(&made, &[1, 40, 700]);
    for newest_first in [false, true] {
        let filter = Filter { tokens: Some(vec![[9; 16], [7; 16]]), ..Filter::default() };
        let mut search = Search::new(filter, 0..6_000, newest_first);
        let mut found = Vec::new();
        while !search.rest().is_empty() {
            let hits = search.step(StoredLog(&engine), usize::MAX, usize::MAX).expect("reads");
            found.extend(hits.iter().map(|hit| hit.index));
        }
        let mut wanted: Vec<u64> = (0..6_000).filter(|n| n % 3 == 0).collect();
        if newest_first {
            wanted.reverse();
        }
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_log_with_a_missing_row_is_damaged_and_never_short() {
    let made: Vec<Made> = (0..600).map(|_| ([0; 8], 1)).collect();
    for (space, key) in [(Space::Log, 300u64), (Space::LogBundle, 1)] {
        let (engine, _) = log_of(&made, &[10]);
        let mut batch = Batch::new();
        batch.delete(space, key.to_be_bytes());
        engine.commit(batch).expect("commits");
        for newest_first in [false, true] {
            let mut search = Search::new(Filter::default(), 0..600, newest_first);
            let outcome = loop {
                match search.step(StoredLog(&engine), usize::MAX, usize::MAX) {
                    Ok(_) if search.rest().is_empty() => break Ok(()),
                    Ok(_) => {}
                    Err(error) => break Err(error),
                }
            };
            assert!(matches!(outcome, Err(Error::Damaged(_))), "{space:?}");
        }
    }
}
