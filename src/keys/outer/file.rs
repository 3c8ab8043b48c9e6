//! O from a key file: 32 raw bytes, or 64 hexadecimal digits with at most one line feed after them.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{OuterError, OuterKey};
use crate::base::secret::{Key, Secret};
use crate::crypto::rng;

/// A key file, read anew each time the key is asked for.
///
/// A link is followed, as orchestrators mount secrets through one; the file it leads to has to be private.
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The key file at `path`, which is not read yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Creates a key file with a random key, readable by its owner alone.
    ///
    /// # Durability
    /// On return the key and the file's name survive power loss. A call that fails leaves no key in use: the file,
    /// if it is there, has to be removed first.
    ///
    /// # Errors
    /// [`OuterError::Exists`] when anything is at that path already; it is left as it is.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, OuterError> {
        let path = path.into();
        let key: Key = rng::make_secret().map_err(|_| OuterError::Random)?;
        let mut file =
            File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(|e| refusal(e.kind()))?;
        let written = file.write_all(key.expose()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(&path));
        written.map_err(|_| OuterError::Io)?;
        Ok(Self { path })
    }
}

impl OuterKey for KeyFile {
    fn key(&self) -> Result<Key, OuterError> {
        let (content, len) = read_private::<{ HEX_LEN + 1 }>(&self.path)?.ok_or(OuterError::NotAKey)?;
        parse(&content.expose()[..len]).ok_or(OuterError::NotAKey)
    }
}

/// Reads a file that only its owner may access, straight into memory that is wiped: the bytes and how many they
/// are, or `None` when there are more than `MAX`.
pub(super) fn read_private<const MAX: usize>(path: &Path) -> Result<Option<(Secret<MAX>, usize)>, OuterError> {
    // Without waiting, should the path lead to a pipe; on a plain file the flag means nothing.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = File::options().read(true).custom_flags(nonblocking).open(path);
    let mut file = opened.map_err(|error| refusal(error.kind()))?;
    let metadata = file.metadata().map_err(|_| OuterError::Io)?;
    if !metadata.is_file() || metadata.mode() & OTHERS != 0 {
        return Err(OuterError::NotPrivate);
    }
    let mut len = 0;
    let content = Secret::filled(|buffer: &mut [u8; MAX]| {
        while len < MAX {
            match file.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(OuterError::Io),
            }
        }
        Ok(())
    })?;
    let more = Secret::<1>::filled(|buffer| file.read(buffer).map(|count| len += count).map_err(|_| OuterError::Io));
    drop(more?);
    Ok((len <= MAX).then_some((content, len)))
}

fn parse(content: &[u8]) -> Option<Key> {
    if let Some(key) = Secret::from_slice(content) {
        return Some(key);
    }
    let digits = content.strip_suffix(b"\n").unwrap_or(content);
    let (pairs, rest) = digits.as_chunks::<2>();
    if digits.len() != HEX_LEN || !rest.is_empty() {
        return None;
    }
    Secret::filled(|key: &mut [u8; KEY_LEN]| {
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok::<(), OuterError>(())
    })
    .ok()
}

fn digit(character: u8) -> Result<u8, OuterError> {
    let value = char::from(character).to_digit(16).ok_or(OuterError::NotAKey)?;
    Ok(value as u8)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn refusal(kind: ErrorKind) -> OuterError {
    match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => OuterError::Missing,
        ErrorKind::AlreadyExists => OuterError::Exists,
        _ => OuterError::Io,
    }
}

const KEY_LEN: usize = 32;
const HEX_LEN: usize = 2 * KEY_LEN;
/// Any permission of the group or of others.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    const RAW: [u8; 32] = *b"\x00\x01\x02\x03\xfd\xfe\xff\x0aABCDEFGHIJKLMNOPQRSTUVWX";
    const HEX: &str = "00010203fdfeff0a4142434445464748494A4b4c4d4e4f505152535455565758";

    fn key_of(content: &[u8]) -> Result<[u8; 32], OuterError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("o.key");
        fs::write(&path, content).expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("mode");
        KeyFile::at(path).key().map(|key| *key.expose())
    }

    #[test]
    fn raw_bytes_and_hexadecimal_digits_give_the_same_key() {
        assert_eq!(key_of(&RAW), Ok(RAW));
        assert_eq!(key_of(HEX.as_bytes()), Ok(RAW));
        assert_eq!(key_of(HEX.to_uppercase().as_bytes()), Ok(RAW));
        assert_eq!(key_of(format!("{HEX}\n").as_bytes()), Ok(RAW));
    }

    #[test]
    fn any_other_content_is_refused() {
        let hex = HEX.as_bytes();
        let wrong: [Vec<u8>; 10] = [
            vec![],
            RAW[..31].to_vec(),
            [&RAW[..], b"\n"].concat(),
            hex[..63].to_vec(),
            [&hex[..63], b"\n"].concat(),
            [hex, b"0"].concat(),
            [hex, b"\n\n"].concat(),
            [hex, b"\r\n"].concat(),
            [&hex[..62], b"0g"].concat(),
            vec![b'0'; 4096],
        ];
        for content in wrong {
            assert_eq!(key_of(&content), Err(OuterError::NotAKey), "{} bytes", content.len());
        }
    }

    #[test]
    fn a_file_that_others_may_access_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("o.key");
        KeyFile::create(&path).expect("created");
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode");
            assert_eq!(KeyFile::at(&path).key().err(), Some(OuterError::NotPrivate), "{mode:o}");
        }
        for mode in [0o400, 0o600] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode");
            assert!(KeyFile::at(&path).key().is_ok(), "{mode:o}");
        }
        assert_eq!(KeyFile::at(dir.path()).key().err(), Some(OuterError::NotPrivate));
        assert_eq!(KeyFile::at(dir.path().join("none")).key().err(), Some(OuterError::Missing));
    }

    #[test]
    fn a_link_leads_to_the_key() {
        let dir = tempfile::tempdir().expect("a directory");
        KeyFile::create(dir.path().join("o.key")).expect("created");
        symlink("o.key", dir.path().join("link")).expect("linked");
        assert!(KeyFile::at(dir.path().join("link")).key().is_ok());
    }

    #[test]
    fn created_keys_are_random_private_and_never_overwritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let key = |path: &Path| *KeyFile::create(path).expect("created").key().expect("key").expose();
        let first = key(&a);
        assert_ne!(first, key(&b));
        assert_eq!(a.metadata().expect("metadata").mode() & 0o777, 0o600);
        assert_eq!(KeyFile::create(&a).err(), Some(OuterError::Exists));
        assert_eq!(KeyFile::at(&a).key().map(|key| *key.expose()), Ok(first));
    }
}
