//! Room on the store's volume: writes stop at a mark, before the engine meets a full medium; a reserve below it pays
//! for reads' entries and for erasures; the rest is the engine's own.
//!
//! ```text
//! free   |--- engine's own ---|--- erasures ---|--- reads' entries ---|--- new data ...
//!        0                  floor            reads                  mark
//! ```

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use super::refusal::Unavailable;
use crate::base::limits::{
    ENGINE_FREE_BYTES, ERASURE_RESERVE_BYTES, READ_RESERVE_BYTES, RESERVE_ERASURES, RESERVE_READS, ROOM_LOOK,
};
use crate::policy::action::Draw;

/// How far the volume is filled. Each step serves less than the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Everything is served.
    Open,
    /// Nothing new is taken.
    ReadOnly,
    /// Reads have stopped too: the last of the reserve is for what persons and courts are owed.
    DutiesOnly,
    /// Nothing is served.
    Full,
}

/// The free bytes at which each step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Below it nothing new is taken.
    pub data: u64,
    /// Below it nothing is read.
    pub reads: u64,
    /// Below it nothing is served.
    pub floor: u64,
}

impl Marks {
    /// The marks of a reserve for so many erasures and, on top of it, so many reads of one item.
    pub const fn of_reserve(erasures: u64, reads: u64) -> Self {
        let floor = ENGINE_FREE_BYTES;
        let reads_mark = floor + erasures * ERASURE_RESERVE_BYTES;
        Self { data: reads_mark + reads * READ_RESERVE_BYTES, reads: reads_mark, floor }
    }

    fn level(&self, free: u64) -> Level {
        match free {
            _ if free >= self.data => Level::Open,
            _ if free >= self.reads => Level::ReadOnly,
            _ if free >= self.floor => Level::DutiesOnly,
            _ => Level::Full,
        }
    }
}

impl Default for Marks {
    fn default() -> Self {
        Self::of_reserve(RESERVE_ERASURES, RESERVE_READS)
    }
}

/// The room there is, as it was when somebody last looked.
///
/// Who looks: the writer after it wrote, calls that would be refused, and the server every so often, so that the room
/// comes back although nobody calls.
pub struct Room {
    marks: Marks,
    free: Box<dyn Fn() -> Option<u64> + Send + Sync>,
    begun: Instant,
    /// Milliseconds from the beginning to the last look.
    looked: AtomicU64,
    free_bytes: AtomicU64,
    level: AtomicU8,
    /// The engine said that the medium is full, and has written nothing since.
    engine_full: AtomicBool,
}

impl Room {
    /// Looks for the first time. `free` tells the free bytes of the store's volume; none if it cannot be asked.
    pub fn new(marks: Marks, free: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        let room = Self {
            marks,
            free: Box::new(free),
            begun: Instant::now(),
            looked: AtomicU64::new(0),
            free_bytes: AtomicU64::new(u64::MAX),
            level: AtomicU8::new(Level::Open as u8),
            engine_full: AtomicBool::new(false),
        };
        room.look();
        room
    }

    /// Room without end, where the store is on no volume.
    pub fn endless() -> Self {
        Self::new(Marks::default(), || Some(u64::MAX))
    }

    /// How far the volume is filled, as far as is known.
    pub fn level(&self) -> Level {
        if self.engine_full.load(Ordering::Acquire) {
            return Level::Full;
        }
        match self.level.load(Ordering::Acquire) {
            0 => Level::Open,
            1 => Level::ReadOnly,
            2 => Level::DutiesOnly,
            _ => Level::Full,
        }
    }

    /// Free bytes when somebody last looked.
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes.load(Ordering::Relaxed)
    }

    /// The marks.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Whether a call that takes this of the volume may go on.
    ///
    /// # Errors
    /// Why not: new data finds no room, or what it does could not be recorded.
    pub fn admit(&self, draw: Draw) -> Result<(), Unavailable> {
        let known = refusal(self.level(), draw);
        if known.is_some() && self.look_again() {
            return refusal(self.level(), draw).map_or(Ok(()), Err);
        }
        known.map_or(Ok(()), Err)
    }

    /// Looks, unless somebody just did. Whether it did.
    pub fn look_again(&self) -> bool {
        let now = self.begun.elapsed().as_millis() as u64;
        let due = now.saturating_sub(self.looked.load(Ordering::Relaxed)) >= ROOM_LOOK.as_millis() as u64;
        if due {
            self.look();
        }
        due
    }

    /// Looks now.
    pub fn look(&self) {
        self.looked.store(self.begun.elapsed().as_millis() as u64, Ordering::Relaxed);
        // A volume that cannot be asked now is as it was: if it has failed, the engine finds out.
        let Some(free) = (self.free)() else { return };
        self.free_bytes.store(free, Ordering::Relaxed);
        let level = self.marks.level(free);
        let before = self.level.swap(level as u8, Ordering::AcqRel);
        if before != level as u8 {
            tell(level, free);
        }
    }

    /// The engine refused a batch since the medium is full.
    pub(super) fn engine_is_full(&self) {
        if !self.engine_full.swap(true, Ordering::AcqRel) {
            tracing::error!("the store's volume is full; nothing is served until it takes a write again");
        }
    }

    /// Whether the engine refused a batch and has written nothing since.
    pub(super) fn is_engine_full(&self) -> bool {
        self.engine_full.load(Ordering::Acquire)
    }

    /// The engine has written.
    pub(super) fn engine_writes(&self) {
        if self.is_engine_full() {
            self.engine_full.store(false, Ordering::Release);
            tracing::warn!("the store's volume takes writes again");
        }
        self.look_again();
    }
}

fn refusal(level: Level, draw: Draw) -> Option<Unavailable> {
    match (level, draw) {
        (Level::Open, _) | (Level::ReadOnly, Draw::Entry | Draw::Duty) | (Level::DutiesOnly, Draw::Duty) => None,
        (_, Draw::Data) => Some(Unavailable::StorageFull),
        (Level::DutiesOnly | Level::Full, Draw::Entry) | (Level::Full, Draw::Duty) => Some(Unavailable::LogUnavailable),
    }
}

fn tell(level: Level, free: u64) {
    match level {
        Level::Open => tracing::warn!(free, "there is room on the store's volume again: everything is served"),
        Level::ReadOnly => tracing::error!(free, "the store's volume is filling up: nothing new is taken"),
        Level::DutiesOnly => tracing::error!(free, "the store's volume is nearly full: reads have stopped too"),
        Level::Full => tracing::error!(free, "the reserve of the store's volume is used up: nothing is served"),
    }
}

#[cfg(test)]
mod tests;
