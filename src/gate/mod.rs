//! Decide, record, commit: the only way from a request to the store and back.
//!
//! INVARIANT: nothing outside this folder commits to the engine, and no call goes past it without a decision and a
//! durable record.

pub mod refusal;
pub mod pages;
pub mod txn;
pub mod committer;
pub mod readings;
pub mod intents;
pub mod slots;
pub mod epoch;
pub mod vault;
pub mod open;
pub mod call;
pub mod status;
