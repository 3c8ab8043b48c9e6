//! Which kind of outer key the configuration names, and whether it is the kind that the vault was created with.
//!
//! A key file needs nothing remembered. A passphrase becomes a key through a salt and a cost that the vault keeps in
//! clear; so what the vault remembers also says which kind it was created with.

use std::path::PathBuf;

use super::file::KeyFile;
use super::passphrase::{Kdf, Passphrase};
use super::{OuterError, OuterKey as _};
use crate::base::secret::Key;
use crate::crypto::passphrase::RECOMMENDED;

/// Where the outer key comes from.
pub enum Source {
    /// The key itself, which somebody fetched already; the same to a vault as a key file.
    Key(Key),
    /// A file that holds the key.
    KeyFile(PathBuf),
    /// A file that holds a passphrase.
    Passphrase(PathBuf),
}

impl Source {
    /// What a new vault has to remember: nothing for a key file, a random salt and the cost for a passphrase.
    pub fn make_kdf(&self) -> Result<Option<Kdf>, OuterError> {
        match self {
            Self::Key(_) | Self::KeyFile(_) => Ok(None),
            Self::Passphrase(_) => Kdf::make(RECOMMENDED).map(Some).map_err(|_| OuterError::Random),
        }
    }

    /// The outer key of a vault that remembers `kdf`, read now. Takes a good part of a second for a passphrase.
    ///
    /// # Errors
    /// [`OuterError::NeedsPassphrase`] or [`OuterError::NeedsKeyFile`] when the vault was created with the other kind;
    /// then nothing is read.
    pub fn key(&self, kdf: Option<Kdf>) -> Result<Key, OuterError> {
        match (self, kdf) {
            (Self::Key(key), None) => Ok(key.duplicate()),
            (Self::KeyFile(path), None) => KeyFile::at(path).key(),
            (Self::Passphrase(path), Some(kdf)) => Passphrase::at(path, kdf).key(),
            (Self::Key(_) | Self::KeyFile(_), Some(_)) => Err(OuterError::NeedsPassphrase),
            (Self::Passphrase(_), None) => Err(OuterError::NeedsKeyFile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn each_kind_gives_its_key_and_refuses_a_vault_of_the_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let [key, phrase] = ["o.key", "phrase"].map(|name| dir.path().join(name));
        KeyFile::create(&key).expect("created");
        std::fs::write(&phrase, "correct horse battery staple\n").expect("written");
        std::fs::set_permissions(&phrase, std::fs::Permissions::from_mode(0o600)).expect("mode");
        let (file, passphrase) = (Source::KeyFile(key), Source::Passphrase(phrase));

        assert_eq!(file.make_kdf(), Ok(None));
        let kdf = passphrase.make_kdf().expect("made");
        assert_ne!(kdf, passphrase.make_kdf().expect("made"), "the salt is random");
        assert!(file.key(None).is_ok());
        let derived = |kdf| passphrase.key(kdf).map(|key| *key.expose());
        assert_eq!(derived(kdf), derived(kdf));
        assert!(derived(kdf).is_ok());
        assert_eq!(file.key(kdf).err(), Some(OuterError::NeedsPassphrase));
        assert_eq!(passphrase.key(None).err(), Some(OuterError::NeedsKeyFile));
    }
}
