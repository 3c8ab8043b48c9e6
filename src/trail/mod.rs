//! The log as auditors read it: checkpoints, proofs, lists and tails, each opened by a call and itself recorded.
//!
//! Entries name people by tokens. What leads from a person to a token is the person's audit key, so a query about a
//! person works as long as that key exists, and nothing here leads from a token back to a person. INVARIANT: an entry
//! about the reading is durable before the first entry is revealed; an opened detail is a release of personal data,
//! with an entry of its own, durable before it.

mod details;
pub mod list;
pub mod model;
mod open;
pub mod proofs;
mod resume;
pub mod tail;
mod whose;

#[cfg(test)]
mod tests;
