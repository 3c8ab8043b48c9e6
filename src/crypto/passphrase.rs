//! Argon2id (RFC 9106): a passphrase into a key.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

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

/// For passwords: the first of the parameters that OWASP's Password Storage Cheat Sheet lists for Argon2id (19 MiB, two
/// passes, one lane). They are checked while somebody waits, and many at a time.
pub const PASSWORDS: Cost = Cost { memory_kib: 19 * 1024, passes: 2, lanes: 1 };

/// The stored cost is outside what Argon2id allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the passphrase parameters are out of range")]
pub struct BadCost;

/// Derives a key from a passphrase and a random salt. Takes a noticeable part of a second by design.
pub fn derive_key(passphrase: &[u8], salt: &[u8; 16], cost: Cost) -> Result<Key, BadCost> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).map_err(|_| BadCost)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    // Wiped: the blocks follow from the passphrase.
    let mut memory = Zeroizing::new(vec![Block::default(); argon2.params().block_count()]);
    Secret::filled(|key| {
        argon2.hash_password_into_with_memory(passphrase, salt, key, &mut *memory).map_err(|_| BadCost)
    })
}
