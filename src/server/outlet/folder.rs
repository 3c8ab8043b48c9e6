//! Checkpoints in a folder: `checkpoint` is the newest, `history/<day>/<size>` each one that was published.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{Outlet, OutletError, RootAt, history, may_follow};
use crate::audit::stored::SignedCheckpoint;
use crate::base::time::Timestamp;

/// The newest checkpoint in a folder; none if it cannot be read.
pub fn newest_in(folder: &Path) -> Option<Vec<u8>> {
    fs::read(folder.join(NEWEST)).ok()
}

const NEWEST: &str = "checkpoint";

/// A folder that is written and never cleaned: whoever reads it decides what is kept.
///
/// INVARIANT: a checkpoint that the log contradicts is never written over.
pub struct FolderOutlet(PathBuf);

impl FolderOutlet {
    /// At this path; made when the first checkpoint is published.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Outlet for FolderOutlet {
    fn name(&self) -> &'static str {
        "folder"
    }

    /// # Durability
    /// On `Ok` both files survive power loss, as far as the file system keeps what it says.
    fn publish(&mut self, signed: &SignedCheckpoint, now: Timestamp, root_at: &RootAt<'_>) -> Result<(), OutletError> {
        let (day, size) = history(signed, now);
        let history = self.0.join("history").join(day);
        for place in [self.0.join(NEWEST), history.join(&size)] {
            if let Some(old) = published(&place)? {
                may_follow(&old, &signed.checkpoint, root_at)?;
            }
        }
        fs::create_dir_all(&history)?;
        put(&history, &size, signed.note.as_bytes())?;
        put(&self.0, NEWEST, signed.note.as_bytes())
    }
}

/// The note that is there.
fn published(place: &Path) -> Result<Option<Vec<u8>>, OutletError> {
    match fs::read(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
        Ok(note) => Ok(Some(note)),
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
