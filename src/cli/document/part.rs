//! A download that is not whole yet: a hidden file beside its target, named after item and version.
//!
//! The target's name holds the whole document or what it held before.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::about;
use crate::base::id::ItemId;
use crate::base::secret::PlainValue;
use crate::cli::failure::Failure;
use crate::crypto::hash::{Digest, Hasher};

/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// A part of one version of an item; one process at a time has it.
pub struct Part {
    path: PathBuf,
    file: File,
    /// The version.
    pub version: u64,
    /// Bytes that are there.
    pub bytes: u64,
    hasher: Hasher,
}

impl Part {
    /// The part that an earlier run left in a folder: of that version, or of any if it is 0.
    pub fn find(folder: &Path, item: &ItemId, version: u64) -> Result<Option<Self>, Failure> {
        let entries = std::fs::read_dir(folder).map_err(|error| about(folder, error.kind()))?;
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let found = names.filter_map(|name| version_in(&name, item)).filter(|found| version == 0 || *found == version);
        found.max().map(|version| Self::open(folder, item, version)).transpose()
    }

    /// Opens the part of a version, or begins one.
    pub fn open(folder: &Path, item: &ItemId, version: u64) -> Result<Self, Failure> {
        let path = folder.join(name(item, version));
        let failed = |error: std::io::Error| about(&path, error.kind());
        let file = File::options().read(true).append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => about(&path, "another download of this document is under way"),
            TryLockError::Error(error) => failed(error),
        })?;
        let (mut hasher, mut bytes) = (Hasher::default(), 0);
        let mut buffer = PlainBuffer::new();
        loop {
            let piece = buffer.fill(&file).map_err(failed)?;
            if piece.is_empty() {
                break;
            }
            hasher.update(piece);
            bytes += piece.len() as u64;
        }
        Ok(Self { path, file, version, bytes, hasher })
    }

    /// Adds what comes next.
    pub fn add(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.file.write_all(piece).map_err(|error| about(&self.path, error.kind()))?;
        self.hasher.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// Gives it the name of its target, if it is the whole of what was stored; else it is removed.
    ///
    /// # Durability
    /// On `Ok` the target survives power loss.
    pub fn finish(self, size: u64, sha256: &Digest, target: &Path, replace: bool) -> Result<(), Failure> {
        let Self { path, file, bytes, hasher, .. } = self;
        if bytes != size || hasher.finish() != *sha256 {
            let _ = std::fs::remove_file(&path);
            return Err(Failure::failed(
                "what arrived is not what is stored; it was removed, run the same command again",
            ));
        }
        file.sync_all().map_err(|error| about(&path, error.kind()))?;
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        renameat_with(CWD, &path, CWD, target, flags).map_err(|error| match error {
            rustix::io::Errno::EXIST => exists(target),
            other => {
                about(target, format!("{}; the content is in {}", std::io::Error::from(other).kind(), path.display()))
            }
        })?;
        let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| about(folder, error.kind()))
    }

    /// Removes it: its content is not to be had any more.
    pub fn remove(self) -> Result<(), Failure> {
        std::fs::remove_file(&self.path).map_err(|error| about(&self.path, error.kind()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// That something is there which nobody asked to be replaced.
pub fn exists(target: &Path) -> Failure {
    about(target, "is there already; name another with --to, or replace it with --force")
}

fn name(item: &ItemId, version: u64) -> String {
    format!(".{item}.v{version}.part")
}

fn version_in(name: &str, item: &ItemId) -> Option<u64> {
    name.strip_prefix(&format!(".{item}.v"))?.strip_suffix(".part")?.parse().ok()
}

/// Room for a piece of a file, wiped when dropped.
struct PlainBuffer(zeroize::Zeroizing<Vec<u8>>);

impl PlainBuffer {
    fn new() -> Self {
        Self(PlainValue::new(vec![0; READ_BYTES]).into_exposed())
    }

    fn fill(&mut self, mut file: &File) -> std::io::Result<&[u8]> {
        let len = file.read(&mut self.0)?;
        Ok(&self.0[..len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::sha256;

    const ITEM: ItemId = ItemId::from_bytes([1; 16]);

    #[test]
    fn what_arrived_in_several_runs_becomes_the_target_whole_and_replaces_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let (folder, target) = (dir.path(), dir.path().join("scan.pdf"));
        let mut part = Part::open(folder, &ITEM, 3).ok().expect("opens");
        part.add(b"first ").ok().expect("is added");
        assert!(Part::open(folder, &ITEM, 3).is_err(), "one at a time");
        drop(part);
        assert!(Part::find(folder, &ITEM, 2).ok().expect("looks").is_none());
        assert!(Part::find(folder, &ItemId::from_bytes([2; 16]), 0).ok().expect("looks").is_none());
        let mut part = Part::find(folder, &ITEM, 0).ok().expect("looks").expect("is there");
        assert_eq!((part.version, part.bytes), (3, 6));
        part.add(b"second").ok().expect("is added");
        let whole = sha256(&[b"first second"]);
        std::fs::write(&target, "another").expect("is written");
        assert!(part.finish(12, &whole, &target, false).is_err());
        assert_eq!(std::fs::read(&target).expect("reads"), b"another");
        let part = Part::find(folder, &ITEM, 3).ok().expect("looks").expect("is still there");
        part.finish(12, &whole, &target, true).ok().expect("is put there");
        assert_eq!(std::fs::read(&target).expect("reads"), b"first second");
        assert!(Part::find(folder, &ITEM, 0).ok().expect("looks").is_none());
    }

    #[test]
    fn what_is_not_what_was_stored_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        for (size, sha256) in [(3, sha256(&[b"two"])), (4, sha256(&[b"one"]))] {
            let mut part = Part::open(dir.path(), &ITEM, 1).ok().expect("opens");
            part.add(b"one").ok().expect("is added");
            assert!(part.finish(size, &sha256, &dir.path().join("scan.pdf"), false).is_err());
            assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0);
        }
    }
}
