//! Pages from the cache, then from the store.

use std::sync::Arc;

use crate::base::id::VaultId;
use crate::base::secret::Key;
use crate::keys::cache::OpenPages;
use crate::keys::page::{Page, PageId};
use crate::keys::tree::{Error, Pages};
use crate::store::Engine;
use crate::store::keyspace::Space;

/// The stored pages of one vault, behind a bounded cache of open ones.
pub struct StoredPages {
    vault: VaultId,
    engine: Arc<dyn Engine>,
    cache: OpenPages,
}

impl StoredPages {
    /// Over an engine, keeping `bytes_max` bytes of pages open.
    pub fn new(vault: VaultId, engine: Arc<dyn Engine>, bytes_max: usize) -> Self {
        Self { vault, engine, cache: OpenPages::new(bytes_max) }
    }

    /// The open pages.
    pub fn cache(&self) -> &OpenPages {
        &self.cache
    }

    fn load(&self, id: PageId, generation: u64, key: &Key) -> Result<Arc<Page>, Error> {
        let sealed = self.engine.get(Space::Page, &id.row_key(generation))?.ok_or(Error::Missing)?;
        let page = Page::open(&self.vault, id, generation, key, &sealed).map_err(|_| Error::Damaged)?;
        Ok(Arc::new(page))
    }
}

impl Pages for StoredPages {
    fn open(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        let stamp = match self.cache.look_up(id, generation) {
            Ok(page) => return Ok(page),
            Err(stamp) => stamp,
        };
        let page = self.load(id, generation, &key())?;
        self.cache.keep(id, generation, page.clone(), stamp);
        Ok(page)
    }

    fn glance(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        match self.cache.look_up(id, generation) {
            Ok(page) => Ok(page),
            Err(_) => self.load(id, generation, &key()),
        }
    }
}

/// The stored pages, past the cache: for a reader that found a row newer than the open pages.
pub struct Uncached<'a>(pub &'a StoredPages);

impl Pages for Uncached<'_> {
    fn open(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        self.0.load(id, generation, &key())
    }
}
