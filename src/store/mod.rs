//! Ordered records and atomic batches.
//!
//! An engine stores opaque keys and values. It knows nothing of items, keys or subjects, and erasure never relies
//! on it forgetting anything: only the root slots have to. INVARIANT: every engine passes the one suite in
//! `conformance`, so that nobody above can tell engines apart but by what survives the process.

pub mod batch;
#[cfg(test)]
pub mod conformance;
pub mod format;
pub mod keyspace;
pub mod memory;
pub mod purge;
pub mod rocks;

use batch::Batch;
use keyspace::Space;
use purge::Purge;

/// One record: its key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Why an engine refused.
///
/// INVARIANT: carries no key and no value, only the kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A precondition of the batch did not hold; nothing was written.
    #[error("a precondition of the batch does not hold")]
    Precondition,
    /// The medium is full; nothing was written.
    #[error("the storage medium is full")]
    Full,
    /// There is no store at the given place, and none was to be created.
    #[error("there is no store at this place")]
    Missing,
    /// Another process has the store open.
    #[error("another process has the store open")]
    Locked,
    /// Stored bytes do not match their checksum.
    #[error("stored data is damaged")]
    Corrupt,
    /// Anything else went wrong. Fatal: the engine may not be used again, since a failed sync must not be retried.
    #[error("storage failed")]
    Failed,
}

/// An ordered key-value store with atomic, durable batches.
///
/// Calls block for microseconds (reads) or one disk flush (`commit`).
pub trait Engine: Send + Sync + 'static {
    /// The value of a key, or `None`.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// The values of several keys, in order.
    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error>;

    /// Up to `limit` records of `space` whose key starts with `prefix` and is at or after `from`, in key order.
    /// `from` is a whole key, prefix included; an empty one starts at the first.
    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Error>;

    /// The last record of `space` whose key is at or before this one, or `None`.
    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, Error>;

    /// Applies a batch: all of it or nothing, preconditions first.
    ///
    /// # Durability
    /// When this returns `Ok`, the batch survives `kill -9` and power loss.
    fn commit(&self, batch: Batch) -> Result<(), Error>;

    /// As [`Engine::commit`], without waiting for the medium: for what can be made anew from what is durable, and for what
    /// nobody is told of before a later `commit`.
    ///
    /// # Durability
    /// When this returns `Ok`, every read sees the batch. It survives `kill -9`, and power loss once a later `commit` does;
    /// until then either all of it is there or nothing.
    fn commit_derived(&self, batch: Batch) -> Result<(), Error> {
        self.commit(batch)
    }

    /// Takes one step of a purge, and says how far it is then; unchanged where it has to be tried again later.
    ///
    /// Once it is done, no value that was deleted or written over before its first step is in any file of the store.
    /// Keys may be, and bytes of files that were deleted. A step takes no longer than it takes to rewrite some megabytes;
    /// reads and commits go on meanwhile.
    ///
    /// # Durability
    /// What a step has removed stays so: a purge is taken up where it was, by another engine on the same store too.
    fn purge(&self, purge: &Purge) -> Result<Purge, Error>;
}
