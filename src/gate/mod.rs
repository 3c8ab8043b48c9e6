//! Decide, record, commit: the only way from a request to the store and back.
//!
//! INVARIANT: nothing outside this folder commits to the engine, and no call goes past it without a decision and a
//! durable record.

mod advice;
pub mod approvals;
pub mod buffers;
pub mod call;
pub mod chore;
pub mod committer;
pub mod days;
pub mod end_users;
pub mod epoch;
pub mod former;
pub mod hashing;
mod held;
pub mod index;
pub mod intents;
pub mod jumps;
pub mod ledger;
pub mod log;
pub mod on_behalf;
pub mod once;
pub mod open;
pub mod pages;
mod periods;
pub mod persons;
mod places;
pub mod publication;
pub mod purge;
pub mod rates;
pub mod readings;
pub mod receipts;
pub mod record;
pub mod refusal;
pub mod room;
pub mod rotations;
pub mod service_keys;
pub mod signing;
pub mod slot_changes;
pub mod slots;
pub mod standpoint;
pub mod status;
pub mod still;
pub mod take_over;
mod tally;
pub mod throw_away;
pub mod tokens;
pub mod tries;
pub mod txn;
#[cfg(feature = "unrecorded")]
mod unrecorded;
pub mod uploads;
pub mod vault;
