//! Argon2id (RFC 9106): a passphrase into a key.

use argon2::{Algorithm, Argon2, Params, Version};

use crate::base::secret::{Key, Secret};

/// Cost of one derivation. Stored beside the salt, so that a later release may raise it for new vaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// RFC 9106 section 4, the second recommended option (64 MiB, three passes, four lanes).
pub const RECOMMENDED: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };

/// The stored cost is outside what Argon2id allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the passphrase parameters are out of range")]
pub struct BadCost;

/// Derives a key from a passphrase and a random salt. Takes a noticeable part of a second by design.
pub fn derive_key(passphrase: &[u8], salt: &[u8; 16], cost: Cost) -> Result<Key, BadCost> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|_| BadCost)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Secret::filled(|key| argon2.hash_password_into(passphrase, salt, key).map_err(|_| BadCost))
}
