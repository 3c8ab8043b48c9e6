//! The only home of cipher, hash, signature and random crates.
//!
//! It knows bytes, keys and labels; it does not know what the bytes are, where they are stored or who asks.
//! INVARIANT: every key that passes through here is wiped when its holder drops it, the signing keys of
//! [`sign`] excepted (ring keeps a copy for the life of the process).

pub mod aead;
pub mod hash;
pub mod kdf;
pub mod label;
pub mod mac;
pub mod passphrase;
pub mod public_key;
pub mod rng;
pub mod sign;
