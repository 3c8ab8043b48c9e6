//! What commands read: a file, or standard input for `-`.
//!
//! Personal data comes in here and never on the command line, where the process list and the shell's history show it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::Failure;
use crate::base::secret::PlainValue;

/// Largest input: a little more than the largest message that the vault takes.
const BYTES_MAX: u64 = 5 << 20;

static STDIN_TAKEN: AtomicBool = AtomicBool::new(false);

/// The bytes of a file, or of standard input for `-`.
pub fn read(path: &Path) -> Result<PlainValue, Failure> {
    read_up_to(path, BYTES_MAX)
}

/// The same for what may be larger than any value that a vault takes.
pub fn read_up_to(path: &Path, max: u64) -> Result<PlainValue, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {}", name(path), error.kind()));
    if path != Path::new("-") {
        return read_all(File::open(path).map_err(failed)?, path, max);
    }
    if STDIN_TAKEN.swap(true, Ordering::Relaxed) {
        return Err(Failure::Usage("two options name standard input (-); put one of them into a file".into()));
    }
    read_all(io::stdin().lock(), path, max)
}

/// What errors call an input.
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

fn read_all(source: impl Read, path: &Path, max: u64) -> Result<PlainValue, Failure> {
    let mut bytes = Vec::new();
    source
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::failed(format!("{}: {}", name(path), error.kind())))?;
    let bytes = PlainValue::new(bytes);
    if bytes.expose().len() as u64 > max {
        return Err(Failure::failed(format!("{}: is larger than {} MiB", name(path), max >> 20)));
    }
    Ok(bytes)
}
