//! Reading what an operator wrote: bounded, and keys only from files nobody else can read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::base::limits::{FILE_BYTES_MAX, POLICY_FILES_MAX};
use crate::base::secret::PlainValue;

/// Why a file was not read. The message tells what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// There is no such file.
    #[error("there is no such file; check the path (relative paths start at the configuration file)")]
    Missing,
    /// The process may not read it.
    #[error("permission denied; let the vault's user read it")]
    Denied,
    /// It is a directory or a device, or reading failed.
    #[error("cannot be read as a file")]
    Unreadable,
    /// It is larger than any file of its kind.
    #[error("is larger than 1 MiB; this is not the file meant")]
    TooLarge,
    /// It is not text.
    #[error("is not UTF-8 text")]
    NotText,
    /// A key that others can read or replace.
    #[error("other users can read or write it; run chmod 600 on it")]
    Exposed,
}

/// The text of a file that is not secret.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let (_, bytes) = read(path)?;
    String::from_utf8(bytes).map_err(|_| FileError::NotText)
}

/// The names and texts of the files of a directory that end in `.cedar`, by name.
///
/// # Errors
/// What is wrong with the directory, or with the first file that does not read.
pub fn read_policies(dir: &Path) -> Result<Vec<(String, String)>, FileError> {
    let mut policies = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| FileError::from(&e))? {
        let path = entry.map_err(|e| FileError::from(&e))?.path();
        if path.extension().is_some_and(|ending| ending == "cedar") {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            policies.push((name, read_text(&path)?));
        }
        if policies.len() > POLICY_FILES_MAX {
            return Err(FileError::TooLarge);
        }
    }
    policies.sort();
    Ok(policies)
}

/// The bytes of a file that holds a secret: nobody but its owner may have access to it.
///
/// # Errors
/// [`FileError::Exposed`] if the group or others have any permission.
pub fn read_secret(path: &Path) -> Result<PlainValue, FileError> {
    let (mode, bytes) = read(path)?;
    let secret = PlainValue::new(bytes);
    if mode & 0o077 == 0 { Ok(secret) } else { Err(FileError::Exposed) }
}

fn read(path: &Path) -> Result<(u32, Vec<u8>), FileError> {
    let file = File::open(path).map_err(|e| FileError::from(&e))?;
    // Checked on the open file, so that it cannot be exchanged in between.
    let metadata = file.metadata().map_err(|e| FileError::from(&e))?;
    if !metadata.is_file() {
        return Err(FileError::Unreadable);
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    // Enough room from the start: a buffer that grows leaves copies of a secret behind.
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| FileError::from(&e))?;
    Ok((metadata.mode(), bytes))
}

impl From<&io::Error> for FileError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Unreadable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_others_can_reach_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "secret").unwrap();
        for (mode, refused) in
            [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true), (0o601, true)]
        {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_secret(&path).err(), refused.then_some(FileError::Exposed), "{mode:o}");
        }
    }

    #[test]
    fn other_things_than_small_text_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read_text(&path), Err(FileError::Missing));
        assert_eq!(read_text(dir.path()), Err(FileError::Unreadable));
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(read_text(&path), Err(FileError::NotText));
        fs::write(&path, vec![b'a'; FILE_BYTES_MAX as usize + 1]).unwrap();
        assert_eq!(read_text(&path), Err(FileError::TooLarge));
    }
}
