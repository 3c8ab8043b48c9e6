//! The tamper-evident record of what happened.
//!
//! Events become leaves with a place in one sequence; leaves of one commit group are packed into one row of the same
//! synced batch that carries the changes they record. This folder fills batches and never commits them.
//!
//! The log is an RFC 6962 Merkle tree: `tree`, `proof` and `edge` compute, `tile`, `note` and `checkpoint` are the C2SP
//! formats in which it is published. These and `leaf` are pure.
//!
//! INVARIANT: nothing a caller chose is in a leaf. What a caller chose (item ids, ticket, address) is in the sealed
//! detail, of which the leaf carries only the hash.

pub mod bundle;
pub mod check;
pub mod checkpoint;
pub mod detail;
pub mod edge;
pub mod event;
pub mod handover;
pub mod integrate;
pub mod leaf;
pub mod note;
pub mod proof;
pub mod query;
pub mod sequence;
pub mod sidecar;
pub mod stored;
pub mod tile;
pub mod tree;
#[cfg(test)]
mod vectors;
pub mod verify;
