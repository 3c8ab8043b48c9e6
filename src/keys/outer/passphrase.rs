//! O from a passphrase in a file, through Argon2id.

use std::path::PathBuf;

use super::file::read_private;
use super::{OuterError, OuterKey};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::secret::{Key, Secret};
use crate::crypto::passphrase::{self, Cost};
use crate::crypto::rng::{self, RandomFailed};

/// Bytes of a passphrase, without the line feed.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;

/// How a passphrase becomes a key: stored in clear beside what the key seals.
///
/// Changing it only gives another key, so a forged one is noticed as a wrong O; its cost is bounded so that it
/// cannot exhaust the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kdf {
    /// Random, made once per vault.
    pub salt: [u8; 16],
    /// Memory, passes and lanes of Argon2id.
    pub cost: Cost,
}

impl Kdf {
    /// A random salt with the given cost.
    pub fn make(cost: Cost) -> Result<Self, RandomFailed> {
        Ok(Self { salt: rng::make_bytes()?, cost })
    }

    /// Version 1: the version byte, the salt, then memory in KiB, passes and lanes in 4 bytes each.
    pub fn encode(&self) -> Vec<u8> {
        let Cost { memory_kib, passes, lanes } = self.cost;
        Writer::new().u8(KDF_VERSION).raw(&self.salt).u32(memory_kib).u32(passes).u32(lanes).finish()
    }

    /// Reads what [`Kdf::encode`] wrote. The cost is checked when a key is asked for.
    pub fn decode(record: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(record);
        if reader.u8()? != KDF_VERSION {
            return Err(Malformed);
        }
        let salt = reader.array()?;
        let cost = Cost { memory_kib: reader.u32()?, passes: reader.u32()?, lanes: reader.u32()? };
        reader.finish()?;
        Ok(Self { salt, cost })
    }
}

/// A passphrase file, read anew each time the key is asked for.
///
/// The passphrase is the file's bytes, without the line feed at the end if there is one. It is not normalised:
/// the same text in another encoding is another passphrase.
pub struct Passphrase {
    path: PathBuf,
    kdf: Kdf,
}

impl Passphrase {
    /// The passphrase in the file at `path`, which is not read yet.
    pub fn at(path: impl Into<PathBuf>, kdf: Kdf) -> Self {
        Self { path: path.into(), kdf }
    }
}

impl OuterKey for Passphrase {
    fn key(&self) -> Result<Key, OuterError> {
        let Cost { memory_kib, passes, lanes } = self.kdf.cost;
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
            return Err(OuterError::BadCost);
        }
        let read: Option<(Secret<{ PASSPHRASE_BYTES_MAX + 1 }>, usize)> = read_private(&self.path)?;
        let (content, len) = read.ok_or(OuterError::NotAPassphrase)?;
        let content = &content.expose()[..len];
        let phrase = content.strip_suffix(b"\n").unwrap_or(content);
        if phrase.is_empty() || phrase.len() > PASSPHRASE_BYTES_MAX {
            return Err(OuterError::NotAPassphrase);
        }
        passphrase::derive_key(phrase, &self.kdf.salt, self.kdf.cost).map_err(|_| OuterError::BadCost)
    }
}

const KDF_VERSION: u8 = 1;
/// One GiB: sixteen times the recommended memory.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    const KDF: Kdf = Kdf { salt: *b"sixteen byte sal", cost: CHEAP };

    fn key_of(content: &[u8], kdf: Kdf) -> Result<[u8; 32], OuterError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("phrase");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("mode");
        Passphrase::at(path, kdf).key().map(|key| *key.expose())
    }

    #[test]
    fn the_key_depends_on_passphrase_salt_and_cost_and_on_nothing_else() {
        let key = key_of(b"correct horse", KDF).expect("key");
        assert_eq!(key_of(b"correct horse", KDF), Ok(key));
        assert_eq!(key_of(b"correct horse\n", KDF), Ok(key));
        assert_ne!(key_of(b"correct horse\n\n", KDF), Ok(key));
        assert_ne!(key_of(b"correct horsf", KDF), Ok(key));
        assert_ne!(key_of(b"correct horse", Kdf { salt: [0; 16], ..KDF }), Ok(key));
        let dearer = Kdf { cost: Cost { passes: 2, ..CHEAP }, ..KDF };
        assert_ne!(key_of(b"correct horse", dearer), Ok(key));
    }

    #[test]
    fn an_empty_or_endless_passphrase_is_refused() {
        let longest = [b'x'; PASSPHRASE_BYTES_MAX];
        assert!(key_of(&longest, KDF).is_ok());
        assert_eq!(key_of(&[&longest[..], b"\n"].concat(), KDF), key_of(&longest, KDF));
        for content in [&b""[..], b"\n", &[&longest[..], b"x"].concat(), &[&longest[..], b"\nx"].concat()] {
            assert_eq!(key_of(content, KDF), Err(OuterError::NotAPassphrase), "{} bytes", content.len());
        }
    }

    #[test]
    fn a_stored_cost_cannot_exhaust_the_machine() {
        for cost in [
            Cost { memory_kib: u32::MAX, ..CHEAP },
            Cost { passes: u32::MAX, ..CHEAP },
            Cost { lanes: u32::MAX, ..CHEAP },
            Cost { passes: 0, ..CHEAP },
            Cost { lanes: 0, ..CHEAP },
            Cost { memory_kib: 0, ..CHEAP },
        ] {
            assert_eq!(key_of(b"phrase", Kdf { cost, ..KDF }), Err(OuterError::BadCost), "{cost:?}");
        }
    }

    #[test]
    fn the_stored_form_is_frozen_and_has_one_encoding() {
        let kdf = Kdf { salt: [0xab; 16], cost: Cost { memory_kib: 0x1_0000, passes: 3, lanes: 4 } };
        let frozen = [&[1][..], &[0xab; 16], &[0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4]].concat();
        assert_eq!(kdf.encode(), frozen);
        assert_eq!(Kdf::decode(&frozen), Ok(kdf));
        assert_eq!(Kdf::decode(&[&frozen[..], &[0]].concat()), Err(Malformed));
        assert_eq!(Kdf::decode(&[&[2], &frozen[1..]].concat()), Err(Malformed));
        for len in 0..frozen.len() {
            assert_eq!(Kdf::decode(&frozen[..len]), Err(Malformed));
        }
    }

    #[test]
    fn every_vault_gets_its_own_salt() {
        let make = || Kdf::make(CHEAP).expect("random").salt;
        assert_ne!(make(), make());
    }
}
