//! Row 8: somebody who can write the store exchanges rows of any kind, and puts old ones back: pages, items, events, chunks of
//! documents, what holds keep, holds, index rows, receipts, records of repeated calls. Whatever the vault then answers is
//! what it would have answered, or a refusal: never another value, never anything that was forgotten. An older page of the
//! same generation hides what was added since, and does nothing else; `lacuna doctor --deep` finds it.
//!
//! `LACUNA_ATTACKS` sets how many of all are tried; see `scripts/reliability`.

pub mod observe;
pub mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use serde_json::json;
use tokio::task::JoinSet;

use crate::figures;
use crate::random::Random;
use crate::vault::TestVault;
use observe::{Observed, observe};
use scene::{Rows, Scene};

/// Attacks that the short form tries, and those at a time.
const ATTACKS: usize = 8;
const AT_A_TIME: usize = 3;

/// Rows that are written over.
struct Attack {
    name: String,
    /// On the vault at the second time; else in the end.
    on_second: bool,
    puts: Vec<(Space, Vec<u8>, Vec<u8>)>,
}

/// What became of an attack.
#[derive(Default)]
struct Outcome {
    name: String,
    /// Whether an older page of the same generation was put back.
    hides: bool,
    /// Whether the doctor finds that something is wrong.
    found: bool,
    /// Whether the vault did not start.
    did_not_start: bool,
    refused: usize,
    wrong: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanged_and_old_rows_of_any_kind_are_refused_or_make_no_difference() {
    let wanted = std::env::var("LACUNA_ATTACKS").ok().map(|text| text.parse().expect("a number")).unwrap_or(ATTACKS);
    let (mut random, seed) = Random::seeded();
    let scene = Arc::new(Scene::set().await);
    let baseline = Arc::new([of_copy(&scene, &scene.now, true).await, of_copy(&scene, &scene.then, false).await]);
    for observed in &*baseline {
        let answered = observed.values().filter(|answer| answer.is_ok()).count();
        assert!(answered > 60, "{observed:#?}");
    }
    let all = attacks(&scene, &mut random);
    let (kinds, possible) = (all.iter().map(|attack| attack.puts[0].0).collect::<BTreeSet<_>>().len(), all.len());
    let mut running = JoinSet::new();
    let mut outcomes = Vec::new();
    for attack in chosen(all, wanted, &mut random) {
        if running.len() == AT_A_TIME {
            outcomes.push(running.join_next().await.expect("runs").expect("holds"));
        }
        running.spawn(carried_out(scene.clone(), baseline.clone(), attack));
        if outcomes.len() % 100 == 99 {
            eprintln!("{} attacks", outcomes.len() + 1);
        }
    }
    outcomes.extend(running.join_all().await);
    let wrong: Vec<String> = outcomes
        .iter()
        .flat_map(|outcome| outcome.wrong.iter().map(|what| format!("{}: {what}", outcome.name)))
        .collect();
    let figures = json!({
        "kinds_of_rows": kinds, "possible": possible, "attempts": outcomes.len(),
        "did_not_start": outcomes.iter().filter(|outcome| outcome.did_not_start).count(),
        "answers_refused": outcomes.iter().map(|outcome| outcome.refused).sum::<usize>(),
        "made_no_difference": outcomes.iter().filter(|outcome| !outcome.did_not_start && outcome.refused == 0).count(),
        "accepted": wrong.len(),
        "older_pages": outcomes.iter().filter(|outcome| outcome.hides).count(),
        "older_pages_found": outcomes.iter().filter(|outcome| outcome.hides && outcome.found).count(),
        "found_by_doctor": outcomes.iter().filter(|outcome| outcome.found).count(),
    });
    let hidden = outcomes.iter().filter(|outcome| outcome.hides && !outcome.found).map(|outcome| &outcome.name);
    assert_eq!(hidden.collect::<Vec<_>>(), Vec::<&String>::new(), "seed {seed}: pages are older, and nobody is told");
    assert!(wrong.is_empty(), "seed {seed}: {figures}\n{}", wrong.join("\n"));
    figures::note(8, "rows of every kind exchanged and put back", Some(seed), figures);
}

/// One of each kind of rows at the least, then others at random.
fn chosen(mut all: Vec<Attack>, wanted: usize, random: &mut Random) -> Vec<Attack> {
    for at in (1..all.len()).rev() {
        all.swap(at, random.below(at + 1));
    }
    // In the short form, kinds of rows that hold what is a person's come first.
    let first: [Space; 8] = [
        Space::Receipt,
        Space::Kept,
        Space::Hold,
        Space::Index,
        Space::EventSegment,
        Space::Chunk,
        Space::Idempotency,
        Space::Page,
    ];
    let mut seen = BTreeSet::new();
    all.sort_by_key(|attack| match first.contains(&attack.puts[0].0) && seen.insert(attack.puts[0].0) {
        true => 0,
        false => 1,
    });
    all.truncate(wanted);
    all
}

fn attacks(scene: &Scene, random: &mut Random) -> Vec<Attack> {
    let mut all = Vec::new();
    for space in Space::ALL {
        exchanges(*space, &scene.third, random, &mut all);
        for (when, old) in [("first", &scene.first), ("second", &scene.second)] {
            put_back(*space, when, old, &scene.third, false, &mut all);
        }
        put_back(*space, "first", &scene.first, &scene.second, true, &mut all);
    }
    // Rows together with the pages of then, and all rows of then but those that only say how far the vault is.
    for (when, old) in [("first", &scene.first), ("second", &scene.second)] {
        let with = |name: &str, spaces: &dyn Fn(Space) -> bool| Attack {
            name: format!("{name} as it was at the {when} time"),
            on_second: false,
            puts: changed(old, &scene.third, spaces),
        };
        let is_how_far = |space: Space| matches!(space, Space::Meta | Space::Root);
        let is_log = |space: Space| space.name().starts_with("log");
        all.push(with("every item and page", &|space| matches!(space, Space::Item | Space::Page)));
        all.push(with("everything but the log and how far the vault is", &|s| !is_how_far(s) && !is_log(s)));
        all.push(with("everything but how far the vault is", &|space| !is_how_far(space)));
        all.push(with("everything with the root's rows", &|space| space != Space::Meta && !is_log(space)));
    }
    all.retain(|attack| !attack.puts.is_empty());
    all
}

/// So few rows of a kind are each exchanged with every other.
const FEW: usize = 8;

/// Each row under the key of every other one of its kind; where there are many, of another one.
fn exchanges(space: Space, rows: &Rows, random: &mut Random, all: &mut Vec<Attack>) {
    let of_kind: Vec<_> = rows.iter().filter(|((kind, _), _)| *kind == space).collect();
    for (at, ((_, key), row)) in of_kind.iter().enumerate() {
        let others =
            if of_kind.len() <= FEW { (at + 1..of_kind.len()).collect() } else { vec![random.below(of_kind.len())] };
        for other_at in others {
            let ((_, other), with) = &of_kind[other_at];
            if other_at != at && row != with {
                let puts = vec![(space, key.clone(), (*with).clone()), (space, other.clone(), (*row).clone())];
                let name = format!("{} exchanged: {at} and {other_at}", space.name());
                all.push(Attack { name, on_second: false, puts });
            }
        }
    }
}

/// Each row that has changed or is gone as it was; and all of them together.
fn put_back(space: Space, when: &str, old: &Rows, now: &Rows, on_second: bool, all: &mut Vec<Attack>) {
    let puts = changed(old, now, &|kind| kind == space);
    let name = |what: String| {
        format!("{} of the {when} time put back{}: {what}", space.name(), if on_second { " at the second" } else { "" })
    };
    for (at, put) in puts.iter().enumerate() {
        all.push(Attack { name: name(at.to_string()), on_second, puts: vec![put.clone()] });
    }
    if puts.len() > 1 {
        all.push(Attack { name: name("all".into()), on_second, puts });
    }
}

fn changed(old: &Rows, now: &Rows, of: &dyn Fn(Space) -> bool) -> Vec<(Space, Vec<u8>, Vec<u8>)> {
    let differs = |(place, row): &(&(Space, Vec<u8>), &Vec<u8>)| of(place.0) && now.get(*place) != Some(row);
    old.iter().filter(differs).map(|((space, key), row)| (*space, key.clone(), row.clone())).collect()
}

async fn carried_out(scene: Arc<Scene>, baseline: Arc<[Observed; 2]>, attack: Attack) -> Outcome {
    let mut vault = if attack.on_second { scene.then.fork() } else { scene.now.fork() };
    let mut batch = Batch::new();
    for (space, key, row) in &attack.puts {
        batch.put(*space, &key[..], &row[..]);
    }
    vault.tamper();
    vault.store().commit(batch).expect("is written");
    let rows = if attack.on_second { &scene.second } else { &scene.third };
    let is_older = |(space, key, row): &(Space, Vec<u8>, Vec<u8>)| {
        *space == Space::Page && rows.get(&(*space, key.clone())).is_some_and(|newest| newest != row)
    };
    let found = vault.doctor().is_none_or(|report| report["sound"] != true);
    let hides = attack.puts.iter().any(is_older);
    let mut outcome = Outcome { name: attack.name, hides, found, ..Outcome::default() };
    if !vault.starts() {
        let printed = vault.printed();
        let panicked = printed.contains("panicked");
        outcome.did_not_start = true;
        outcome.wrong.extend(panicked.then(|| format!("it panicked: {printed}")));
        return outcome;
    }
    let observed = observe(&scene, &vault, !attack.on_second).await;
    let expected = &baseline[usize::from(attack.on_second)];
    outcome.wrong = compare(expected, &observed, &mut outcome.refused);
    outcome.wrong.extend(vault.printed().contains("panicked").then(|| "it panicked".to_owned()));
    outcome
}

/// What is answered and should not be.
fn compare(expected: &Observed, observed: &Observed, refused: &mut usize) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, answer) in observed {
        match (expected.get(name), answer) {
            (Some(Ok(right)), Ok(found)) if right == found => {}
            (Some(Ok(_)), Ok(_)) => wrong.push(format!("{name}: another value")),
            (Some(Err(reason)), Ok(_)) => wrong.push(format!("{name}: an answer in place of {reason}")),
            (None, Ok(_)) => wrong.push(format!("{name}: nothing of the kind was there")),
            (Some(Ok(_)), Err(_)) => *refused += 1,
            (Some(Err(_)) | None, Err(_)) => {}
        }
    }
    *refused += expected.iter().filter(|(name, right)| right.is_ok() && !observed.contains_key(*name)).count();
    wrong
}

/// What a copy of a stopped vault answers.
pub async fn of_copy(scene: &Scene, of: &TestVault, in_the_end: bool) -> Observed {
    let mut vault = of.fork();
    vault.run("");
    observe(scene, &vault, in_the_end).await
}

#[test]
fn the_comparison_finds_what_is_wrong() {
    let observed = |answers: &[(&str, Result<&str, &str>)]| -> Observed {
        let owned = |answer: &Result<&str, &str>| answer.map(str::to_owned).map_err(str::to_owned);
        answers.iter().map(|(name, answer)| ((*name).to_owned(), owned(answer))).collect::<BTreeMap<_, _>>()
    };
    let expected = observed(&[("a", Ok("1")), ("gone", Err("NOT_FOUND")), ("list: x", Ok("2"))]);
    for (found, wrong, refused) in [
        (vec![("a", Ok("1")), ("gone", Err("NOT_FOUND")), ("list: x", Ok("2"))], 0, 0),
        (vec![("a", Err("DATA_CORRUPT")), ("gone", Err("DATA_CORRUPT"))], 0, 2),
        (vec![("a", Ok("2")), ("list: x", Ok("2"))], 1, 0),
        (vec![("a", Ok("1")), ("gone", Ok("3")), ("list: x", Ok("2"))], 1, 0),
        (vec![("a", Ok("1")), ("list: x", Ok("2")), ("list: y", Ok("2"))], 1, 0),
    ] {
        let mut count = 0;
        assert_eq!(compare(&expected, &observed(&found), &mut count).len(), wrong, "{found:?}");
        assert_eq!(count, refused, "{found:?}");
    }
}
