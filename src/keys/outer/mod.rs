//! The outer key O: a static secret outside the store that every sealed root and signing key depends on.
//!
//! What lives here: the [`OuterKey`] contract, one file per source, and [`source`], which tells them apart. What may not: the slots, what is sealed under
//! O, and whether an O is the right one (the sealed signing keys tell, before anything is touched).
//!
//! O is not erasable and need not be: it hides the root from somebody who has the store and the slots, while the
//! slots hide what was forgotten from somebody who has everything else. INVARIANT: O and the passphrase are read
//! into memory that is wiped, and no error says anything about them.

pub mod file;
pub mod passphrase;
pub mod source;

use crate::base::secret::Key;

/// A source of the outer key.
pub trait OuterKey: Send + Sync {
    /// The outer key, fetched now and not kept. May take a good part of a second.
    fn key(&self) -> Result<Key, OuterError>;
}

/// Why the outer key could not be had.
///
/// INVARIANT: carries no secret and no inner error text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OuterError {
    /// There is no file at the configured path.
    #[error("the file of the outer key is missing")]
    Missing,
    /// A key file was to be created where something already is.
    #[error("something already exists where the key file is to be created")]
    Exists,
    /// The path does not lead to a plain file, or its mode gives the group or others access.
    #[error("the file of the outer key must be a plain file that only its owner may access")]
    NotPrivate,
    /// The key file is neither 32 raw bytes nor 64 hexadecimal digits.
    #[error("the key file must hold 32 raw bytes or 64 hexadecimal digits")]
    NotAKey,
    /// The passphrase file is empty or longer than a passphrase may be.
    #[error("the passphrase file is empty or too long")]
    NotAPassphrase,
    /// The configuration names a key file, and the vault's key comes from a passphrase.
    #[error("the vault was created with a passphrase, not with a key file; set [outer_key] passphrase_file")]
    NeedsPassphrase,
    /// The configuration names a passphrase, and the vault's key comes from a key file.
    #[error("the vault was created with a key file, not with a passphrase; set [outer_key] file")]
    NeedsKeyFile,
    /// The stored Argon2id cost is outside what this release accepts.
    #[error("the passphrase parameters are out of range")]
    BadCost,
    /// The system's random source failed.
    #[error("the system random source failed")]
    Random,
    /// The file could not be read or written.
    #[error("the file of the outer key could not be read or written")]
    Io,
}
