//! The version of what is on disk, and the one place where it may change.
//!
//! A store is stamped in the batch that creates it and checked whenever it is opened, before anything else is read.
//! A release that changes the format of any record raises [`FORMAT`] and adds its migration here: a function from
//! one version to the next that commits its own batches, the stamp with the last of them.

use super::batch::Batch;
use super::keyspace::Space;
use super::{Engine, Error};
use crate::base::codec::{Reader, Writer};

/// The format that this release writes and reads.
pub const FORMAT: u32 = 1;

/// What kind of store was found, if it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Nothing is stored yet.
    New,
    /// A store in the format of this release.
    Current,
}

/// Why a store cannot be used by this release. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// An older release wrote the store, and no migration leads from there.
    #[error("the store was written by an older release, in format {found}; this release reads format {FORMAT}")]
    Older {
        /// The format of the store.
        found: u32,
    },
    /// A newer release wrote the store.
    #[error("the store was written by a newer release, in format {found}; this release reads format {FORMAT}")]
    Newer {
        /// The format of the store.
        found: u32,
    },
    /// There are records, but the row that states their format is absent or malformed.
    #[error("the store does not say in which format it was written: it is damaged or not a vault's")]
    Unknown,
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] Error),
}

/// Adds the stamp to the batch that creates a store, under the precondition that there is none.
pub fn stamp(batch: &mut Batch) {
    batch.expect(Space::Meta, KEY, None);
    batch.put(Space::Meta, KEY, Writer::new().u32(FORMAT).finish());
}

/// Tells a new store from one that this release can use, and refuses every other.
///
/// # Errors
/// [`FormatError`], in words an operator can act on.
pub fn check(engine: &dyn Engine) -> Result<Found, FormatError> {
    let Some(row) = engine.get(Space::Meta, KEY)? else {
        for space in Space::ALL {
            if !engine.scan(*space, b"", b"", 1)?.is_empty() {
                return Err(FormatError::Unknown);
            }
        }
        return Ok(Found::New);
    };
    let mut reader = Reader::new(&row);
    match (reader.u32(), reader.finish()) {
        (Ok(FORMAT), Ok(())) => Ok(Found::Current),
        // A newer release may have more to say in this row; the number stays first.
        (Ok(found), _) if found > FORMAT => Err(FormatError::Newer { found }),
        (Ok(found), Ok(())) => Err(FormatError::Older { found }),
        (Ok(_) | Err(_), _) => Err(FormatError::Unknown),
    }
}

/// The row's key in [`Space::Meta`]. Permanent: every release looks here first.
const KEY: &[u8] = b"format";

#[cfg(test)]
mod tests {
    use super::super::memory::MemoryEngine;
    use super::*;

    fn with_row(row: &[u8]) -> MemoryEngine {
        let engine = MemoryEngine::new();
        let mut batch = Batch::new();
        batch.put(Space::Meta, KEY, row);
        engine.commit(batch).unwrap();
        engine
    }

    fn stamped() -> Batch {
        let mut batch = Batch::new();
        stamp(&mut batch);
        batch
    }

    #[test]
    fn an_empty_store_is_new_and_a_stamped_one_current() {
        let engine = MemoryEngine::new();
        assert_eq!(check(&engine), Ok(Found::New));
        engine.commit(stamped()).unwrap();
        assert_eq!(check(&engine), Ok(Found::Current));
    }

    #[test]
    fn a_store_is_stamped_once() {
        let engine = with_row(&[0, 0, 0, 9]);
        assert_eq!(engine.commit(stamped()), Err(Error::Precondition));
        assert_eq!(check(&engine), Err(FormatError::Newer { found: 9 }));
    }

    #[test]
    fn other_releases_stores_are_refused_by_name() {
        let newer = check(&with_row(&[0, 0, 0, 2, 7])).unwrap_err();
        assert_eq!(newer, FormatError::Newer { found: 2 });
        assert!(newer.to_string().contains("newer release, in format 2; this release reads format 1"));
        let older = check(&with_row(&[0, 0, 0, 0])).unwrap_err();
        assert_eq!(older, FormatError::Older { found: 0 });
        assert!(older.to_string().contains("older release, in format 0"));
    }

    #[test]
    fn a_malformed_or_absent_stamp_is_refused() {
        for row in [&b""[..], &[0, 0, 1], &[0, 0, 0, 1, 0], &[0, 0, 0, 0, 0]] {
            assert_eq!(check(&with_row(row)), Err(FormatError::Unknown), "{row:?}");
        }
        for space in Space::ALL {
            let engine = MemoryEngine::new();
            let mut batch = Batch::new();
            batch.put(*space, "other", "");
            engine.commit(batch).unwrap();
            assert_eq!(check(&engine), Err(FormatError::Unknown), "{space:?}");
        }
    }

    #[test]
    fn the_stamp_on_disk_never_changes() {
        let batch = stamped();
        let rows: Vec<_> = batch.changes().collect();
        assert_eq!(rows, [(Space::Meta, &b"format"[..], Some(&[0, 0, 0, 1][..]))]);
    }
}
