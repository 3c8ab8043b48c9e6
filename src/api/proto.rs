//! The generated code, and nothing else.
//!
//! Messages that hold personal data or a secret, directly or further down, have no `Debug`.

pub use generated::lacuna::v1::*;

/// The messages that the protocol itself brings.
pub mod well_known {
    pub use super::generated::google::protobuf::{Duration, Timestamp};
}

/// The descriptors of the contract, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[expect(clippy::large_enum_variant, reason = "generated: a oneof lives as long as its one message")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/proto.rs"));
}
