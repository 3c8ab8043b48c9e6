//! What every engine must do, as one suite that each engine runs.
//!
//! A check is a function from a place for a store to a verdict; nothing in it knows which engine it drives. The
//! suite is itself tested: each fault in [`broken`] must make it fail, and by the check that is meant for it.

mod broken;
mod checks;
mod model;

use std::fmt::Debug;

use super::keyspace::Space;
use super::{Engine, Error};

/// A place for one store.
pub trait Place {
    /// Opens the store that is here, or a new one. The engine opened before has been dropped.
    fn open(&self) -> Box<dyn Engine>;

    /// Whether the bytes are in some file of the store, or whatever the engine has instead.
    fn holds(&self, bytes: &[u8]) -> bool;
}

/// Why a check failed.
#[derive(Debug)]
pub struct Fault(String);

/// The outcome of a check.
pub type Verdict = Result<(), Fault>;

/// The checks that an engine fails, each in a place of its own, with what went wrong.
pub fn failing<P: Place + 'static>(new_place: impl Fn() -> P) -> Vec<(&'static str, Fault)> {
    all().filter_map(|(name, check)| Some((*name, check(&new_place()).err()?))).collect()
}

fn all() -> impl Iterator<Item = &'static Check> {
    checks::ALL.iter().chain(model::ALL)
}

/// Runs the whole suite.
///
/// # Panics
/// If the engine fails any check, with the names of all that it fails.
pub fn run<P: Place + 'static>(new_place: impl Fn() -> P) {
    let failing = failing(new_place);
    assert!(failing.is_empty(), "the engine does not conform: {failing:?}");
}

type Check = (&'static str, fn(&dyn Place) -> Verdict);

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault(format!("refused: {error}"))
    }
}

/// Whether some record has the bytes in its value.
fn held_by(engine: &dyn Engine, bytes: &[u8]) -> bool {
    let records = |space: &Space| engine.scan(*space, b"", b"", usize::MAX).expect("scans");
    Space::ALL.iter().flat_map(records).any(|(_, value)| value.windows(bytes.len()).any(|part| part == bytes))
}

fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Verdict {
    if found == expected {
        return Ok(());
    }
    let text = format!("{what}: found {found:?}, expected {expected:?}");
    Err(Fault(text.chars().take(600).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::super::rocks::{RocksEngine, RocksOptions};
    use super::broken::{BrokenPlace, PlantedFault};
    use super::*;

    struct InMemory(MemoryEngine);

    impl Place for InMemory {
        fn open(&self) -> Box<dyn Engine> {
            Box::new(self.0.clone())
        }

        fn holds(&self, bytes: &[u8]) -> bool {
            held_by(&self.0, bytes)
        }
    }

    struct OnDisk(tempfile::TempDir);

    impl Place for OnDisk {
        fn open(&self) -> Box<dyn Engine> {
            let options = RocksOptions { create: true, ..RocksOptions::default() };
            Box::new(RocksEngine::open(self.0.path(), &options).expect("a fresh directory"))
        }

        fn holds(&self, bytes: &[u8]) -> bool {
            let files = std::fs::read_dir(self.0.path()).expect("a directory").flatten();
            let holds = |file: Vec<u8>| file.windows(bytes.len()).any(|part| part == bytes);
            files.filter_map(|entry| std::fs::read(entry.path()).ok()).any(holds)
        }
    }

    #[test]
    fn the_memory_engine_conforms() {
        run(|| InMemory(MemoryEngine::new()));
    }

    #[test]
    fn the_rocksdb_engine_conforms() {
        run(|| OnDisk(tempfile::tempdir().unwrap()));
    }

    #[test]
    fn an_engine_with_a_planted_fault_is_rejected() {
        run(|| BrokenPlace::new(None));
        PlantedFault::ALL.iter().for_each(|(fault, name)| rejected(*fault, name));
    }

    #[test]
    fn an_engine_that_leaves_one_space_out_is_rejected_whichever_it_is() {
        for space in Space::ALL {
            rejected(PlantedFault::SkipsSpace(*space), "every change of a batch is applied");
            rejected(PlantedFault::SkipsSpaceOfDerived(*space), "so is what was committed as derived");
            rejected(PlantedFault::ForgetsSpaceOnReopen(*space), "what was committed is there after reopening");
        }
    }

    fn rejected(fault: PlantedFault, name: &str) {
        let (_, check) = all().find(|(check, _)| *check == name).expect("a check");
        assert!(check(&BrokenPlace::new(Some(fault))).is_err(), "{fault:?} must fail {name}");
    }

    #[test]
    fn every_check_rejects_some_planted_fault() {
        for (name, _) in all() {
            let rejects = PlantedFault::ALL.iter().any(|(_, check)| check == name);
            assert!(rejects, "no planted fault shows that {name} can fail");
        }
    }
}
