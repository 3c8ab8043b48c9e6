//! Open pages in memory: bounded, wiped when they leave, never older than the store.
//!
//! Two generations of entries stand in for a recency list: when the young half is full it becomes the old half, and
//! the former old half is dropped. A hit in the old half moves the page to the young one.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;

use super::page::{Page, PageId};

type PageKey = (PageId, u64);
type PageMap = HashMap<PageKey, Arc<Page>, BuildHasherDefault<PlaceHasher>>;

/// A bounded set of open pages, by place and generation.
pub struct OpenPages {
    shards: Vec<Mutex<Shard>>,
    /// Bytes of a young half.
    half: usize,
}

#[derive(Default)]
struct Shard {
    young: PageMap,
    old: PageMap,
    /// What the young half takes.
    bytes: usize,
    /// Counts publications and removals, so that a slower reader cannot put back what they replaced.
    changes: u64,
}

/// Proof of when a reader looked: what it then read from the store may be cached only if nothing changed since.
#[derive(Clone, Copy)]
pub struct Stamp(u64);

const SHARDS: usize = 16;
/// What keeping a page takes beside its content: its place in a map that is partly empty, and its header.
const BESIDE: usize = 192;

impl OpenPages {
    /// Room for pages that take so many bytes, with what it takes to keep them.
    pub fn new(bytes_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, half: bytes_max / SHARDS / 2 }
    }

    /// The page, or a stamp to hand in with what the store says.
    pub fn look_up(&self, id: PageId, generation: u64) -> Result<Arc<Page>, Stamp> {
        let key = (id, generation);
        let mut shard = self.shard(id).lock();
        if let Some(page) = shard.young.get(&key) {
            return Ok(page.clone());
        }
        match shard.old.remove(&key) {
            Some(page) => {
                shard.insert(key, page.clone(), self.half);
                Ok(page)
            }
            None => Err(Stamp(shard.changes)),
        }
    }

    /// Keeps a page that was read from the store, unless a newer content was published meanwhile.
    pub fn keep(&self, id: PageId, generation: u64, page: Arc<Page>, stamp: Stamp) {
        let mut shard = self.shard(id).lock();
        if shard.changes == stamp.0 {
            shard.insert((id, generation), page, self.half);
        }
    }

    /// Replaces a page's content after its row was committed.
    pub fn publish(&self, id: PageId, generation: u64, page: Arc<Page>) {
        let mut shard = self.shard(id).lock();
        shard.changes += 1;
        shard.old.remove(&(id, generation));
        shard.insert((id, generation), page, self.half);
    }

    /// Drops a page that an epoch re-keyed or forgot.
    pub fn remove(&self, id: PageId, generation: u64) {
        let mut shard = self.shard(id).lock();
        shard.changes += 1;
        shard.remove_young(&(id, generation));
        shard.old.remove(&(id, generation));
    }

    /// Drops everything, when the vault is sealed.
    pub fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.changes += 1;
            shard.young.clear();
            shard.old.clear();
            shard.bytes = 0;
        }
    }

    fn shard(&self, id: PageId) -> &Mutex<Shard> {
        // From bits that the maps, which look at the highest and the lowest, make little of.
        let hash = BuildHasherDefault::<PlaceHasher>::default().hash_one(id) >> 32;
        &self.shards[hash as usize % SHARDS]
    }
}

impl Shard {
    fn insert(&mut self, key: PageKey, page: Arc<Page>, half: usize) {
        self.remove_young(&key);
        let bytes = BESIDE + page.capacity();
        if self.bytes + bytes > half {
            let room = PageMap::with_capacity_and_hasher(self.young.len(), BuildHasherDefault::default());
            self.old = std::mem::replace(&mut self.young, room);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(key, page);
    }

    fn remove_young(&mut self, key: &PageKey) {
        if let Some(page) = self.young.remove(key) {
            self.bytes -= BESIDE + page.capacity();
        }
    }
}

/// Hashes places of pages, several of them per call. Nobody outside chooses one: positions are handed out in order and
/// ids are random, so a hash that resists chosen keys would be wasted here.
#[derive(Default)]
struct PlaceHasher(u64);

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(ODD);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::page::Tree;

    fn place(index: u64) -> PageId {
        PageId { tree: Tree::Subjects, level: 0, index }
    }

    #[test]
    fn a_slow_reader_cannot_put_back_an_older_page() {
        let cache = OpenPages::new(1 << 20);
        let Err(stamp) = cache.look_up(place(1), 1) else { panic!("empty") };
        let newer = Arc::new(Page::empty());
        cache.publish(place(1), 1, newer.clone());
        cache.keep(place(1), 1, Arc::new(Page::empty()), stamp);
        assert!(cache.look_up(place(1), 1).is_ok_and(|page| Arc::ptr_eq(&page, &newer)));
    }

    #[test]
    fn a_removed_page_stays_away() {
        let cache = OpenPages::new(1 << 20);
        let Err(stamp) = cache.look_up(place(1), 1) else { panic!("empty") };
        cache.remove(place(1), 1);
        cache.keep(place(1), 1, Arc::new(Page::empty()), stamp);
        assert!(cache.look_up(place(1), 1).is_err());
    }

    #[test]
    fn the_cache_is_bounded_in_bytes_and_keeps_what_is_used() {
        let room = SHARDS * 32 * (BESIDE + Page::empty().capacity());
        let cache = OpenPages::new(room);
        for index in 0..10_000 {
            let page = if index % 2 == 0 { Page::empty() } else { Page::empty().compact() };
            cache.publish(place(index), 1, Arc::new(page));
            assert!(index == 0 || cache.look_up(place(0), 1).is_ok());
        }
        let sizes = |map: &PageMap| map.values().map(|page| BESIDE + page.capacity()).sum::<usize>();
        let of_both = |shard: &Shard| sizes(&shard.young) + sizes(&shard.old);
        let kept: usize = cache.shards.iter().map(|shard| of_both(&shard.lock())).sum();
        assert!(kept <= room && kept > room / 4, "{kept} of {room}");
    }

    #[test]
    fn what_is_replaced_or_removed_takes_no_room() {
        let cache = OpenPages::new(1 << 20);
        for _ in 0..10_000 {
            cache.publish(place(1), 1, Arc::new(Page::empty()));
            cache.publish(place(2), 1, Arc::new(Page::empty()));
            cache.remove(place(2), 1);
        }
        let taken: usize = cache.shards.iter().map(|shard| shard.lock().bytes).sum();
        assert_eq!(taken, BESIDE + Page::empty().capacity());
    }
}
