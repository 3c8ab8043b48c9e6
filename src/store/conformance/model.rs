//! Random histories, compared with a plain ordered map after every step.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::super::batch::Batch;
use super::super::keyspace::Space;
use super::super::{Engine, Error, Record};
use super::{Check, Fault, Place, Verdict, same};

pub(super) const ALL: &[Check] = &[("an engine behaves like an ordered map", like_an_ordered_map)];

const SPACES: [Space; 2] = [Space::Item, Space::Log];

type Key = (Space, Vec<u8>);
type Model = BTreeMap<Key, Vec<u8>>;

#[derive(Debug, Clone)]
enum Step {
    /// Prefixes that are emptied, changes, and keys expected to be as they are (`true`) or otherwise.
    Commit(Vec<Key>, Vec<(Key, Option<Vec<u8>>)>, Vec<(Key, bool)>),
    Get(Vec<Key>),
    Scan(Space, Vec<u8>, Vec<u8>, usize),
    Reopen,
}

fn like_an_ordered_map(place: &dyn Place) -> Verdict {
    // One place serves all histories, each starting with nothing: a new store costs more than a history.
    let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::with_cases(64) };
    let histories = prop::collection::vec(step(), 1..24);
    let outcome = TestRunner::new(config)
        .run(&histories, |steps| history(place, steps).map_err(|Fault(text)| TestCaseError::fail(text)));
    outcome.map_err(|error| Fault(error.to_string().chars().take(600).collect()))
}

fn history(place: &dyn Place, steps: Vec<Step>) -> Verdict {
    let mut engine = place.open();
    clear(&*engine)?;
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Commit(emptied, changes, expectations) => {
                commit(&*engine, &mut model, emptied, changes, expectations)?;
            }
            Step::Get(keys) => get(&*engine, &model, &keys)?,
            Step::Scan(space, prefix, from, limit) => {
                let expected = scan(&model, space, &prefix, &from, limit);
                same("scan", engine.scan(space, &prefix, &from, limit)?, expected)?;
            }
            Step::Reopen => {
                drop(engine);
                engine = place.open();
            }
        }
    }
    for space in SPACES {
        same("all records", engine.scan(space, b"", b"", usize::MAX)?, scan(&model, space, b"", b"", usize::MAX))?;
    }
    Ok(())
}

fn clear(engine: &dyn Engine) -> Result<(), Error> {
    let mut batch = Batch::new();
    for space in SPACES {
        for (key, _) in engine.scan(space, b"", b"", usize::MAX)? {
            batch.delete(space, key);
        }
    }
    engine.commit(batch)
}

fn commit(
    engine: &dyn Engine,
    model: &mut Model,
    emptied: Vec<Key>,
    changes: Vec<(Key, Option<Vec<u8>>)>,
    expectations: Vec<(Key, bool)>,
) -> Verdict {
    let mut batch = Batch::new();
    for (space, prefix) in &emptied {
        batch.delete_below(*space, prefix.clone());
    }
    for ((space, key), value) in &changes {
        match value {
            Some(value) => batch.put(*space, key.clone(), value.clone()),
            None => batch.delete(*space, key.clone()),
        }
    }
    let holds = expectations.iter().all(|(_, as_is)| *as_is);
    for (key, as_is) in expectations {
        let found = model.get(&key).cloned();
        let other = found.is_none().then(|| b"other".to_vec());
        batch.expect(key.0, key.1, if as_is { found } else { other });
    }
    same("commit", engine.commit(batch), if holds { Ok(()) } else { Err(Error::Precondition) })?;
    if holds {
        for (space, prefix) in emptied {
            model.retain(|(of, key), _| *of != space || !key.starts_with(&prefix));
        }
        for (key, value) in changes {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
    }
    Ok(())
}

fn get(engine: &dyn Engine, model: &Model, keys: &[Key]) -> Verdict {
    for space in SPACES {
        let here = || keys.iter().filter(|key| key.0 == space);
        let asked: Vec<&[u8]> = here().map(|key| &key.1[..]).collect();
        let expected: Vec<_> = here().map(|key| model.get(key).cloned()).collect();
        same("multi_get", engine.multi_get(space, &asked)?, expected.clone())?;
        let one_by_one: Result<Vec<_>, _> = asked.iter().map(|key| engine.get(space, key)).collect();
        same("get", one_by_one?, expected)?;
    }
    Ok(())
}

/// The contract word for word, without any shortcut.
fn scan(model: &Model, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Vec<Record> {
    let all = model.iter().filter(|((s, key), _)| *s == space && key.starts_with(prefix) && &key[..] >= from);
    all.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect()
}

fn step() -> impl Strategy<Value = Step> {
    let change = (key(), prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..20)));
    let expectation = (key(), prop::bool::weighted(0.8));
    let prefix = key().prop_filter("no prefix is empty", |(_, prefix)| !prefix.is_empty());
    let emptied = prop::collection::vec(prefix, 0..2);
    let commits = (emptied, prop::collection::vec(change, 0..8), prop::collection::vec(expectation, 0..3));
    let scans = (prop::sample::select(&SPACES[..]), bytes(), bytes(), 0..10usize);
    prop_oneof![
        8 => commits.prop_map(|(emptied, changes, expectations)| Step::Commit(emptied, changes, expectations)),
        4 => prop::collection::vec(key(), 0..8).prop_map(Step::Get),
        6 => scans.prop_map(|(space, prefix, from, limit)| Step::Scan(space, prefix, from, limit)),
        1 => Just(Step::Reopen),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    (prop::sample::select(&SPACES[..]), bytes())
}

/// Few, short keys over the bytes at the edges, so that they meet often.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&[0, 1, 0x7f, 0xfe, 0xff][..]), 0..4)
}
