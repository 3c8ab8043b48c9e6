//! The key tree: the one place that holds clear keys.
//!
//! A small erasable secret in every root slot opens R_e; R_e opens the root page; pages open pages, down to the key of
//! one item version. Forgetting replaces the keys on a path and then the slots' secrets, so that no byte written
//! before can lead to what was forgotten. Nothing here commits: pages and rows go into the caller's batch.
//!
//! INVARIANT: a clear key leaves this folder only inside a type that wipes it.

pub mod cache;
pub mod chunks;
pub mod envelope;
pub mod epoch;
pub mod index;
pub mod outer;
pub mod page;
pub mod root;
pub mod segments;
pub mod slot;
pub mod tally;
pub mod tree;
