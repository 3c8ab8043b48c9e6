//! The tamper-evident record of what happened.
//!
//! Events become leaves with a place in one sequence; leaves of one commit group are packed into one row of the same
//! synced batch that carries the changes they record. This folder fills batches and never commits them.
//!
//! INVARIANT: nothing a caller chose is in a leaf. What a caller chose (item ids, ticket, address) is in the sealed
//! detail, of which the leaf carries only the hash.

pub mod checkpoint;
pub mod detail;
pub mod event;
pub mod leaf;
pub mod sequence;
