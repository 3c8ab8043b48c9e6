//! The wire: gRPC messages in, domain types down, answers and refusals back.
//!
//! A method is the same five steps everywhere: who calls and why (`enter`), the message to domain types
//! ([`convert`]), one verb, its answer to a message, or its refusal to a status ([`status`]). Nothing is decided,
//! stored or opened here, and nothing below this folder sees a generated type.
//!
//! INVARIANT: every error a caller sees is built in [`status`], from a closed list of reasons and of field names:
//! no text that came with a request is in it.

mod approvals;
mod audit;
mod bearer;
pub mod codec;
pub mod convert;
mod documents;
mod enter;
mod events;
mod holds;
mod keys;
pub mod peer;
mod privacy;
pub mod proto;
mod reasoned;
pub mod reasons;
pub mod routes;
mod secrets;
pub mod status;
mod system;
mod vault;

#[cfg(test)]
mod tests;
