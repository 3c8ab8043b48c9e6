//! An engine for tests: an ordered map behind a lock. Nothing outlives the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::batch::Batch;
use super::keyspace::Space;
use super::purge::{Purge, Stage};
use super::{Engine, Error, Record};

/// Records in memory. Clones share them, so that dropping one clone and using another stands for a restart.
#[derive(Clone, Default)]
pub struct MemoryEngine(Arc<RwLock<Records>>);

type Records = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

impl MemoryEngine {
    /// An engine without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another with the same records, which shares nothing with this one.
    pub fn copy(&self) -> Self {
        Self(Arc::new(RwLock::new(self.0.read().clone())))
    }
}

impl Engine for MemoryEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.read().get(&(space, key.to_vec())).cloned())
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let records = self.0.read();
        Ok(keys.iter().map(|key| records.get(&(space, key.to_vec())).cloned()).collect())
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Error> {
        let records = self.0.read();
        let below = records
            .range((space, prefix.max(from).to_vec())..)
            .take_while(|((s, key), _)| *s == space && key.starts_with(prefix));
        Ok(below.take(limit).map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, Error> {
        let records = self.0.read();
        let last = records.range((space, Vec::new())..=(space, key.to_vec())).next_back();
        Ok(last.map(|((_, key), value)| (key.clone(), value.clone())))
    }

    /// # Durability
    /// None: the batch lives as long as the process.
    fn commit(&self, batch: Batch) -> Result<(), Error> {
        let mut records = self.0.write();
        for (space, key, value) in batch.expectations() {
            if records.get(&(space, key.to_vec())).map(Vec::as_slice) != value {
                return Err(Error::Precondition);
            }
        }
        for (space, prefix) in batch.emptied() {
            records.retain(|(of, key), _| *of != space || !key.starts_with(prefix));
        }
        for (space, key, value) in batch.changes() {
            let key = (space, key.to_vec());
            match value {
                Some(value) => records.insert(key, value.to_vec()),
                None => records.remove(&key),
            };
        }
        Ok(())
    }

    /// Nothing that was deleted is there, and there are no files.
    fn purge(&self, purge: &Purge) -> Result<Purge, Error> {
        Ok(purge.at(Stage::Done))
    }
}
