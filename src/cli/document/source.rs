//! The file that is uploaded: read twice, first to know its hash, then piece by piece.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::{about, size_max};
use crate::base::limits::{DOCUMENT_BYTES_MAX, DOCUMENT_MESSAGE_BYTES_MAX};
use crate::base::secret::PlainValue;
use crate::catalog::media::{HEAD_BYTES, MediaType};
use crate::cli::failure::Failure;
use crate::crypto::hash::{Digest, Hasher};

/// An open file with what is announced of it.
pub struct Source {
    path: PathBuf,
    file: File,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// The type that it begins as.
    pub media: Option<MediaType>,
}

impl Source {
    /// Opens a file and reads it once.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| about(path, error.kind());
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(about(path, "is no file; an upload needs one, to go on with it after an interruption"));
        }
        let size = metadata.len();
        if size == 0 {
            return Err(about(path, "is empty, and so is of no type that a vault takes"));
        }
        if size > DOCUMENT_BYTES_MAX {
            return Err(about(path, format!("is larger than the {} that a document may have", size_max())));
        }
        let mut source = Self { path: path.to_owned(), file, size, sha256: [0; 32], media: None };
        let (mut hasher, mut at) = (Hasher::default(), 0);
        while at < size {
            let piece = source.piece(at)?;
            // Exposed to be hashed, and to see what it begins as.
            hasher.update(piece.expose());
            if at == 0 {
                let head = &piece.expose()[..piece.len().min(HEAD_BYTES)];
                source.media = MediaType::ALL.into_iter().find(|media| media.fits(head));
            }
            at += piece.len() as u64;
        }
        source.sha256 = hasher.finish();
        Ok(source)
    }

    /// The bytes from an offset on that go into one message: at least one, unless the offset is the end.
    pub fn piece(&self, offset: u64) -> Result<PlainValue, Failure> {
        let len = self.size.saturating_sub(offset).min(DOCUMENT_MESSAGE_BYTES_MAX as u64);
        let mut bytes = vec![0; len as usize];
        let read = self.file.read_exact_at(&mut bytes, offset);
        let bytes = PlainValue::new(bytes);
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => about(&self.path, "became shorter while it was read"),
            other => about(&self.path, other),
        })?;
        Ok(bytes)
    }

    /// Its name without the folders.
    pub fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}
