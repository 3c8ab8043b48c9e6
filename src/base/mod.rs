//! The words every tier uses.
//!
//! No behaviour of the vault lives here, no I/O and no async. INVARIANT: nothing in this folder can print a
//! secret, a value or a caller's identifier.

pub mod codec;
pub mod fault;
pub mod id;
pub mod limits;
pub mod log_safe;
pub mod protobuf;
pub mod reason;
pub mod secret;
pub mod time;
