//! An export as a folder: the files of `tlog-tiles` under their own paths, sealed details beside them, and every
//! checkpoint that was ever fetched.
//!
//! ```text
//! checkpoint              the newest; everything it covers is there
//! checkpoints/<size>      each one that an export has seen
//! tile/...  details/...   see docs/audit-format.md
//! ```
//! Files appear whole, under their last name, by renaming. A partial tile or bundle goes when a wider one is there.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::remote::about;
use crate::audit::note::NOTE_BYTES_MAX;
use crate::audit::tile::{Resource, TILE_WIDTH};
use crate::audit::verify::{Held, Published};
use crate::base::limits::{HELD_CHECKPOINTS_MAX, PUBLISHED_FILE_BYTES_MAX};

/// A folder with an export.
pub struct Folder(PathBuf);

impl Folder {
    /// At this path, whether it is there or not.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The newest checkpoint's note; none in a new folder.
    pub fn newest(&self) -> Result<Option<Held>, Failure> {
        let path = self.0.join("checkpoint");
        if path.exists() { held(&path).map(Some) } else { Ok(None) }
    }

    /// Every checkpoint that was ever fetched.
    pub fn history(&self) -> Result<Vec<Held>, Failure> {
        let path = self.0.join("checkpoints");
        if path.exists() { checkpoints(&path) } else { Ok(Vec::new()) }
    }

    /// Whether a file is there in this width.
    pub fn has(&self, resource: Resource) -> bool {
        let expected = match resource {
            Resource::Tile(_, width) => Some(width * 32),
            Resource::Checkpoint | Resource::Entries(..) | Resource::Details(..) => None,
        };
        // A file that a crash of the machine left empty is not there.
        let fits = |len: u64| expected.map_or(len > 0, |expected| len == expected);
        fs::metadata(self.at(resource)).is_ok_and(|found| found.is_file() && fits(found.len()))
    }

    /// Puts a file in its place, and removes the narrower ones that it replaces.
    pub fn write(&self, resource: Resource, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.at(resource);
        put(&path, bytes)?;
        let parts = match width(resource) {
            Some(TILE_WIDTH) => path.with_file_name(format!("{}.p", file_name(&path))),
            Some(_) => path.parent().unwrap_or(&self.0).to_owned(),
            None => return Ok(()),
        };
        // Where removing fails, the folder is a little larger than it has to be.
        for (other, at) in partials(&parts).unwrap_or_default() {
            if width(resource).is_some_and(|width| other < width) {
                let _ = fs::remove_file(at);
            }
        }
        if width(resource) == Some(TILE_WIDTH) {
            let _ = fs::remove_dir(parts);
        }
        Ok(())
    }

    /// Makes a checkpoint the newest.
    pub fn finish(&self, size: u64, note: &[u8]) -> Result<(), Failure> {
        put(&self.0.join("checkpoints").join(size.to_string()), note)?;
        put(&self.0.join("checkpoint"), note)
    }

    fn at(&self, resource: Resource) -> PathBuf {
        self.0.join(resource.to_string())
    }
}

impl Published for Folder {
    type Error = Failure;

    fn read(&self, resource: Resource) -> Result<Option<(u64, Vec<u8>)>, Failure> {
        let path = self.at(resource);
        let Some(wanted) = width(resource) else { return read(&path).map(|bytes| bytes.map(|bytes| (0, bytes))) };
        if let Some(bytes) = read(&path)? {
            return Ok(Some((wanted, bytes)));
        }
        if wanted == TILE_WIDTH {
            return Ok(None);
        }
        let parts = path.parent().unwrap_or(&self.0).to_owned();
        let whole = parts.with_extension("");
        if let Some(bytes) = read(&whole)? {
            return Ok(Some((TILE_WIDTH, bytes)));
        }
        let wider = partials(&parts).map_err(|error| about(&parts, error.kind()))?;
        match wider.into_iter().filter(|(width, _)| *width >= wanted).min() {
            Some((width, path)) => Ok(read(&path)?.map(|bytes| (width, bytes))),
            None => Ok(None),
        }
    }

    fn has_details(&self) -> bool {
        self.0.join("details").is_dir()
    }
}

/// The checkpoint in a file, or all in a folder and the folders in it.
pub fn checkpoints(path: &Path) -> Result<Vec<Held>, Failure> {
    let (mut found, mut folders) = (Vec::new(), vec![path.to_owned()]);
    while let Some(path) = folders.pop() {
        let unreadable = |error: io::Error| about(&path, error.kind());
        if !path.is_dir() {
            found.push(held(&path)?);
            continue;
        }
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            folders.push(entry.map_err(unreadable)?.path());
        }
        if folders.len() + found.len() > HELD_CHECKPOINTS_MAX {
            return Err(about(&path, format_args!("holds more than {HELD_CHECKPOINTS_MAX} checkpoints")));
        }
    }
    Ok(found)
}

fn held(path: &Path) -> Result<Held, Failure> {
    let found = fs::metadata(path).map_err(|error| about(path, error.kind()))?;
    if !found.is_file() || found.len() > NOTE_BYTES_MAX as u64 {
        return Err(about(path, "is no checkpoint"));
    }
    let note = fs::read(path).map_err(|error| about(path, error.kind()))?;
    Ok(Held { name: path.display().to_string(), note })
}

fn width(resource: Resource) -> Option<u64> {
    match resource {
        Resource::Checkpoint => None,
        Resource::Tile(_, width) | Resource::Entries(_, width) | Resource::Details(_, width) => Some(width),
    }
}

/// The files of a folder of partial tiles, by width.
fn partials(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    if folder.extension().is_none_or(|ending| ending != "p") || !folder.is_dir() {
        return Ok(Vec::new());
    }
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let numbered = paths.into_iter().filter_map(|path| Some((file_name(&path).parse::<u64>().ok()?, path)));
    Ok(numbered.filter(|(width, path)| file_name(path) == width.to_string()).collect())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    match fs::metadata(path) {
        Ok(found) if found.len() > PUBLISHED_FILE_BYTES_MAX as u64 => {
            return Err(about(path, "is larger than any file of a log"));
        }
        Ok(found) if found.is_dir() => return Ok(None),
        Ok(_) | Err(_) => {}
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(about(path, error.kind())),
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let unwritten = |error: io::Error| about(path, error.kind());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(unwritten)?;
    let unfinished = path.with_file_name(format!("{}.new", file_name(path)));
    fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, path)).map_err(unwritten)
}
