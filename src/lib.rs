//! Lacuna: a personal-data vault that can prove it forgot.
//!
//! The modules are listed in tiers. A module imports only from tiers above it in this list, never from a
//! neighbour in its own tier; a test holds that. `docs/architecture.md` is the map.

#![forbid(unsafe_code)]

// T0: the words every tier uses
pub mod base;
// T1: what may be held; ciphers; records
pub mod catalog;
pub mod crypto;
pub mod store;
// T2: who may; people's tokens; the key tree; the record of it
pub mod audit;
pub mod bearer;
pub mod keys;
pub mod policy;
// T3: decide, record, commit
pub mod gate;
// T4: what keeps an item besides the account
pub mod keep;
// T5: one verb per file
pub mod items;
// T6: the log, as auditors read it; persons erased, and the evidence
pub mod erasure;
pub mod holds;
pub mod trail;
// T7: the store, looked through
pub mod doctor;
// T8: what ends by itself
pub mod retention;
// T9: the wire
pub mod api;
// T10: wiring, listeners, loops
pub mod server;
// T11: the command line
pub mod cli;
