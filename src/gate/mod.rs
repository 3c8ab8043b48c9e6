//! Decide, record, commit: the only way from a request to the store and back.
//!
//! INVARIANT: nothing outside this folder commits to the engine, and no call goes past it without a decision and a
//! durable record.

pub mod call;
pub mod committer;
pub mod epoch;
pub mod intents;
pub mod open;
pub mod pages;
pub mod readings;
pub mod refusal;
pub mod slots;
pub mod status;
pub mod txn;
pub mod vault;
