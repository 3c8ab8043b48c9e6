//! An export as a folder: the files of `tlog-tiles` under their own paths, sealed details beside them, and every
//! checkpoint that was ever fetched.
//!
//! ```text
//! checkpoint              the newest; everything it covers is there
//! checkpoints/<size>      each one that an export has seen
//! tile/...  details/...   see docs/audit-format.md
//! ```
//! Files appear whole and durable, under their last name, by renaming. A partial tile or bundle goes when a wider one is
//! there. INVARIANT: what `checkpoint` covers is there after a crash of the machine, too.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::remote::about;
use crate::audit::note::NOTE_BYTES_MAX;
use crate::audit::tile::{Resource, TILE_WIDTH};
use crate::audit::verify::{Held, Published};
use crate::base::fault;
use crate::base::limits::{HELD_CHECKPOINTS_MAX, PUBLISHED_FILE_BYTES_MAX};

/// A folder with an export.
pub struct Folder {
    path: PathBuf,
    /// Folders in it that hold files of this export, to be synced before it counts as done. Also what an earlier run that
    /// was cut short put there.
    within: RefCell<BTreeSet<PathBuf>>,
}

impl Folder {
    /// At this path, whether it is there or not.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), within: RefCell::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest checkpoint's note; none in a new folder.
    pub fn newest(&self) -> Result<Option<Held>, Failure> {
        let path = self.path.join("checkpoint");
        if path.exists() { held(&path).map(Some) } else { Ok(None) }
    }

    /// Every checkpoint that was ever fetched.
    pub fn history(&self) -> Result<Vec<Held>, Failure> {
        let path = self.path.join("checkpoints");
        if path.exists() { checkpoints(&path) } else { Ok(Vec::new()) }
    }

    /// A file, if it is there in this width. Whoever trusts it looks whether it is whole.
    pub fn kept(&self, resource: Resource) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.at(resource);
        self.holds(&path);
        read(&path)
    }

    /// Puts a file in its place, and removes the narrower ones that it replaces.
    pub fn write(&self, resource: Resource, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.at(resource);
        self.holds(&path);
        put(&path, bytes)?;
        let parts = match width(resource) {
            Some(TILE_WIDTH) => path.with_file_name(format!("{}.p", file_name(&path))),
            Some(_) => path.parent().unwrap_or(&self.path).to_owned(),
            None => return Ok(()),
        };
        // Where removing fails, the folder is a little larger than it has to be.
        for (other, at) in partials(&parts).unwrap_or_default() {
            if width(resource).is_some_and(|width| other < width) {
                let _ = fs::remove_file(at);
            }
        }
        for at in unfinished(&parts).unwrap_or_default() {
            let _ = fs::remove_file(at);
        }
        if width(resource) == Some(TILE_WIDTH) {
            let _ = fs::remove_dir(parts);
        }
        Ok(())
    }

    /// Makes a checkpoint the newest.
    ///
    /// # Durability
    /// On `Ok` it survives power loss, and before it everything that was written or found to be there.
    pub fn finish(&self, size: u64, note: &[u8]) -> Result<(), Failure> {
        let kept = self.path.join("checkpoints").join(size.to_string());
        self.holds(&kept);
        put(&kept, note)?;
        for folder in self.within.borrow().iter() {
            match sync(folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => {} // partial tiles that made room for a full one
                synced => synced.map_err(|error| about(folder, error.kind()))?,
            }
        }
        put(&self.path.join("checkpoint"), note)?;
        sync(&self.path).map_err(|error| about(&self.path, error.kind()))
    }

    /// Notes the folders on the way to a file.
    fn holds(&self, path: &Path) {
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.path));
        self.within.borrow_mut().extend(above.map(Path::to_owned));
    }

    fn at(&self, resource: Resource) -> PathBuf {
        self.path.join(resource.to_string())
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
        let parts = path.parent().unwrap_or(&self.path).to_owned();
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
        self.path.join("details").is_dir()
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

/// What runs that were cut short left in a folder of partial tiles.
fn unfinished(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if folder.extension().is_none_or(|ending| ending != "p") || !folder.is_dir() {
        return Ok(Vec::new());
    }
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| file_name(path).ends_with(UNFINISHED)).collect())
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

/// # Durability
/// On `Ok` the content survives power loss; its name does once the folder is synced.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let unwritten = |error: io::Error| about(path, error.kind());
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(unwritten)?;
    let unfinished = path.with_file_name(format!("{}{UNFINISHED}", file_name(path)));
    let mut file = File::create(&unfinished).map_err(unwritten)?;
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(unwritten)?;
    fault::point("export_file");
    fs::rename(&unfinished, path).map_err(unwritten)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What the name of a file ends in until it is whole.
const UNFINISHED: &str = ".new";
