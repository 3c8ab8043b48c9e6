//! Rows as many and as long as a vault's, found by the ids that callers name.

use std::path::Path;
use std::sync::Arc;

use lacuna::base::id::{ItemId, SubjectId};
use lacuna::base::secret::Key;
use lacuna::crypto::{aead, rng};
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use lacuna::store::rocks::{RocksEngine, RocksOptions};

use crate::Error;
use crate::data::ITEMS;

/// What the rows of the data set take in a vault, about.
const SUBJECT_BYTES: usize = 150;
const VALUE_BYTES: usize = 420;
const SUBJECTS_PER_BATCH: usize = 1000;

/// The rows.
pub struct Rows {
    engine: Arc<RocksEngine>,
    key: Key,
    subjects: u64,
}

impl Rows {
    /// Makes a store with so many subjects.
    pub fn create(path: &Path, cache_mib: u32, subjects: usize) -> Result<Self, Error> {
        let cache = usize::try_from(cache_mib)? << 20;
        let options = RocksOptions { create: true, block_cache_bytes: cache, ..RocksOptions::default() };
        let engine = Arc::new(RocksEngine::open(path, &options)?);
        let key: Key = rng::make_secret().map_err(|_| "no random numbers")?;
        let rows = Self { engine, key, subjects: subjects as u64 };
        for first in (0..subjects).step_by(SUBJECTS_PER_BATCH) {
            let mut batch = Batch::new();
            for number in first..subjects.min(first + SUBJECTS_PER_BATCH) {
                let subject = subject_key(number as u64);
                batch.put(Space::Subject, subject, [7; SUBJECT_BYTES]);
                for item in 0..ITEMS as u8 {
                    batch.put(Space::Item, item_key(subject, item), rows.seal(&[number as u8; VALUE_BYTES])?);
                }
            }
            rows.engine.commit(batch)?;
        }
        Ok(rows)
    }

    /// The engine.
    pub fn engine(&self) -> Arc<RocksEngine> {
        self.engine.clone()
    }

    /// The value for two ids, any: the same rows for the same ids.
    pub fn read(&self, subject: &str, item: &str) -> Option<Vec<u8>> {
        let (subject, item): (SubjectId, ItemId) = (subject.parse().ok()?, item.parse().ok()?);
        let named = u64::from_be_bytes(subject.as_bytes()[..8].try_into().ok()?);
        let subject = subject_key(named % self.subjects);
        self.engine.get(Space::Subject, &subject).ok()??;
        let item = item_key(subject, item.as_bytes()[0] % ITEMS as u8);
        let sealed = self.engine.get(Space::Item, &item).ok()??;
        Some(aead::open(&self.key, b"least", &sealed).ok()?.expose().to_vec())
    }

    fn seal(&self, value: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(aead::seal(&self.key, b"least", value).map_err(|_| "no random numbers")?)
    }
}

/// Spread as random ids are.
fn subject_key(number: u64) -> [u8; 16] {
    let spread = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    spread.to_be_bytes()
}

fn item_key(subject: [u8; 16], item: u8) -> Vec<u8> {
    [&subject[..], &[item; 16]].concat()
}
