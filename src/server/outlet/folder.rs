//! Checkpoints in a folder: `checkpoint` is the newest, `history/<day>/<size>` each one that was published.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{Outlet, OutletError, RootAt};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::note;
use crate::audit::stored::SignedCheckpoint;
use crate::base::time::Timestamp;

/// A folder that is written and never cleaned: whoever reads it decides what is kept.
///
/// INVARIANT: a checkpoint that the log contradicts is never written over.
pub struct FolderOutlet(PathBuf);

impl FolderOutlet {
    /// At this path; made when the first checkpoint is published.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The checkpoint that is there, as far as it can be read.
    fn published(&self) -> Result<Option<Checkpoint>, OutletError> {
        match fs::read(self.0.join("checkpoint")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
            Ok(bytes) => {
                let read = note::read(&bytes, &[]).ok().and_then(|read| Checkpoint::parse(read.text));
                read.map(Some).ok_or(OutletError::Foreign)
            }
        }
    }
}

impl Outlet for FolderOutlet {
    fn name(&self) -> &'static str {
        "folder"
    }

    /// # Durability
    /// On `Ok` both files survive power loss, as far as the file system keeps what it says.
    fn publish(&mut self, signed: &SignedCheckpoint, now: Timestamp, root_at: &RootAt<'_>) -> Result<(), OutletError> {
        let new = &signed.checkpoint;
        if let Some(old) = self.published()? {
            if old.origin != new.origin {
                return Err(OutletError::Foreign);
            }
            if root_at(old.size) != Some(old.root) {
                return Err(OutletError::Contradiction);
            }
        }
        let day = now.to_string().chars().take("2026-01-31".len()).collect::<String>();
        let history = self.0.join("history").join(day);
        fs::create_dir_all(&history)?;
        put(&history, &new.size.to_string(), signed.note.as_bytes())?;
        put(&self.0, "checkpoint", signed.note.as_bytes())
    }
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), OutletError> {
    let unfinished = folder.join(format!("{name}.new"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(name))?;
    Ok(File::open(folder)?.sync_all()?)
}
