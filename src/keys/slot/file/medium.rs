//! The file itself: opened without following a link, locked, overwritten in place, read past the page cache.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::layout::{BLOCK, FILE_LEN};
use crate::base::secret::Secret;
use crate::keys::slot::SlotError;

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and overwriting.
    ReadWrite,
}

/// An open slot file.
pub struct Medium {
    path: PathBuf,
    file: File,
    /// Device and inode of `file`, so that a file put in its place later is noticed.
    inode: (u64, u64),
}

/// All bytes of a slot file, wiped when dropped.
pub struct Image {
    /// Larger than the file, so that an aligned run of its length lies inside: `O_DIRECT` needs one.
    buffer: Secret<{ FILE_LEN + BLOCK }>,
    start: usize,
}

impl Image {
    /// The blocks of the file, in order.
    pub fn blocks(&self) -> [&[u8; BLOCK]; FILE_LEN / BLOCK] {
        let (blocks, _) = self.buffer.expose()[self.start..].as_chunks();
        std::array::from_fn(|index| &blocks[index])
    }
}

impl Medium {
    /// Opens an existing file.
    ///
    /// # Errors
    /// [`SlotError::Missing`], [`SlotError::NotPrivate`].
    pub fn open(path: &Path, access: Access) -> Result<Self, SlotError> {
        let flags = if access == Access::Read { OFlags::RDONLY } else { OFlags::RDWR };
        Self::checked(path, open_plain(path, flags, Mode::empty()).map_err(refusal)?)
    }

    /// Creates the file, for its owner alone.
    ///
    /// # Errors
    /// [`SlotError::Exists`] when anything, a dangling link included, is at that path.
    pub fn create(path: &Path) -> Result<Self, SlotError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Self::checked(path, open_plain(path, flags, Mode::RUSR | Mode::WUSR).map_err(refusal)?)
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes the exclusive lock, at once or not at all. It lives as long as this value or this process.
    pub fn lock(&self) -> Result<(), SlotError> {
        rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
            Errno::WOULDBLOCK => SlotError::InUse,
            _ => SlotError::Io,
        })
    }

    /// Reads the whole file from the medium.
    ///
    /// The file is opened a second time with `O_DIRECT`, so that the bytes come from the block device and not from
    /// the page cache; a device's own write cache is beyond reach. Where that is not offered, the cached pages are
    /// given up first with `posix_fadvise`, which the kernel may ignore: the read-back then shows no more than that
    /// the kernel accepted the write.
    ///
    /// # Errors
    /// [`SlotError::Missing`] when the path no longer leads to this file, [`SlotError::Damaged`] when its length is
    /// not that of a slot.
    pub fn read(&self) -> Result<Image, SlotError> {
        if self.file.metadata().map_err(|_| SlotError::Io)?.len() != FILE_LEN as u64 {
            return Err(SlotError::Damaged);
        }
        match self.read_through(OFlags::DIRECT) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => self.read_through(OFlags::empty()),
            done => done,
        }
        .map_err(refusal)
    }

    /// Overwrites one block in place. Durable only after [`Medium::sync`].
    pub fn write(&self, index: usize, block: &[u8; BLOCK]) -> Result<(), SlotError> {
        self.file.write_all_at(block, (index * BLOCK) as u64).map_err(|_| SlotError::Io)
    }

    /// `fdatasync`. After a failure nothing about this file may be believed until it is opened and read again.
    pub fn sync(&self) -> Result<(), SlotError> {
        self.file.sync_data().map_err(|_| SlotError::Io)
    }

    /// Makes a new file durable, then the entry that names it.
    pub fn sync_name(&self) -> Result<(), SlotError> {
        self.file.sync_all().map_err(|_| SlotError::Io)?;
        let folder = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(|_| SlotError::Io)?;
        folder.sync_all().map_err(|_| SlotError::Io)
    }

    /// Removes a file that could not be created whole; its secret was never used. Hands the reason through.
    pub fn discard(&self, reason: SlotError) -> SlotError {
        // A file that stays is damaged as a whole, and creating again says that it exists.
        let _ = std::fs::remove_file(&self.path);
        reason
    }

    fn checked(path: &Path, file: File) -> Result<Self, SlotError> {
        let metadata = file.metadata().map_err(|_| SlotError::Io)?;
        if !metadata.is_file() || metadata.mode() & OTHERS != 0 {
            return Err(SlotError::NotPrivate);
        }
        Ok(Self { path: path.into(), inode: (metadata.dev(), metadata.ino()), file })
    }

    fn read_through(&self, extra: OFlags) -> Result<Image, Errno> {
        let file = open_plain(&self.path, OFlags::RDONLY | extra, Mode::empty())?;
        let metadata = file.metadata().map_err(|_| Errno::IO)?;
        if (metadata.dev(), metadata.ino()) != self.inode {
            return Err(Errno::NOENT);
        }
        if !extra.contains(OFlags::DIRECT) {
            // Only advice: its failure changes nothing that could be relied on.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
        }
        let mut start = 0;
        let buffer = Secret::filled(|buffer: &mut [u8; FILE_LEN + BLOCK]| {
            let address = buffer.as_ptr().addr();
            start = address.next_multiple_of(BLOCK) - address;
            read_exactly(&file, &mut buffer[start..start + FILE_LEN])
        })?;
        Ok(Image { buffer, start })
    }
}

impl Drop for Medium {
    /// Unlocks by name. Closing alone would leave the lock with a child process that was forked meanwhile, until it
    /// starts its own program.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn read_exactly(file: &File, target: &mut [u8]) -> Result<(), Errno> {
    let mut done = 0;
    while done < target.len() {
        match rustix::io::pread(file, &mut target[done..], done as u64) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => done += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Opens without following a link at the end of the path, and without waiting for the far end of a pipe.
fn open_plain(path: &Path, flags: OFlags, mode: Mode) -> Result<File, Errno> {
    rustix::fs::open(path, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, mode).map(File::from)
}

fn refusal(errno: Errno) -> SlotError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => SlotError::Missing,
        Errno::EXIST => SlotError::Exists,
        Errno::LOOP | Errno::ISDIR | Errno::NXIO => SlotError::NotPrivate,
        _ => SlotError::Io,
    }
}

/// Any permission of the group or of others.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_past_the_cache_and_through_it_agree() {
        let dir = tempfile::tempdir().expect("a directory");
        let medium = Medium::create(&dir.path().join("slot")).expect("created");
        for index in 0..FILE_LEN / BLOCK {
            medium.write(index, &[index as u8 + 1; BLOCK]).expect("written");
        }
        medium.sync_name().expect("synced");
        let cached = medium.read_through(OFlags::empty()).expect("read");
        let read = medium.read().expect("read");
        for (index, block) in read.blocks().iter().enumerate() {
            assert_eq!(**block, [index as u8 + 1; BLOCK]);
            assert_eq!(*block, cached.blocks()[index]);
        }
    }
}
