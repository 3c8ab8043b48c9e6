//! The journal beside a file that is uploaded: which upload it is, so that another run goes on with it.
//!
//! It holds hashes of the content and of what was stated of it, since an upload is of one content and one statement
//! only; and nothing that names anybody.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{about, hex};
use crate::base::limits::FILE_BYTES_MAX;
use crate::cli::failure::Failure;
use crate::crypto::hash::{Digest, sha256};

const VERSION: u32 = 1;

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    version: u32,
    upload: String,
    content: String,
    stated: String,
}

/// An open journal; one process at a time has it.
pub struct Journal {
    path: PathBuf,
    file: File,
    content: String,
    stated: String,
    upload: Option<String>,
}

impl Journal {
    /// Opens the journal of an upload, or begins one. `stated` is the encoded opening.
    pub fn open(path: &Path, content: &Digest, stated: &[u8]) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| about(path, error.kind());
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| about(path, format!("{}; --journal names another place", error.kind())))?;
        file.try_lock().map_err(|_| about(path, "another upload of this file is under way"))?;
        let mut text = String::new();
        (&mut file).take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        // Whoever does not know the content cannot try names on this.
        let stated = hex(&sha256(&[content, stated]));
        let content = hex(content);
        let upload = match text.is_empty() {
            true => None,
            false => Some(known(path, &text, &content, &stated)?),
        };
        Ok(Self { path: path.to_owned(), file, content, stated, upload })
    }

    /// The upload to go on with.
    pub fn upload(&self) -> Option<&str> {
        self.upload.as_deref()
    }

    /// Notes which upload it is. Survives the end of the process.
    pub fn note(&mut self, upload: &str) -> Result<(), Failure> {
        if self.upload() == Some(upload) {
            return Ok(());
        }
        let known = Known {
            version: VERSION,
            upload: upload.to_owned(),
            content: self.content.clone(),
            stated: self.stated.clone(),
        };
        let text = serde_json::to_string(&known).map_err(|_| about(&self.path, "cannot be written"))? + "\n";
        let written = self.file.rewind().and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| about(&self.path, error.kind()))?;
        self.upload = Some(upload.to_owned());
        Ok(())
    }

    /// Ends it: the upload is done, or will never be.
    pub fn remove(mut self) {
        self.upload = None;
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.upload.is_none() {
            // There is nothing to go on with. Should it stay, the next run says what it is.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The upload that a journal is of, if that is of this content and of what is stated now.
fn known(path: &Path, text: &str, content: &str, stated: &str) -> Result<String, Failure> {
    let known: Known = serde_json::from_str(text).map_err(|_| about(path, "is no journal of an upload"))?;
    if known.version != VERSION {
        return Err(about(path, "is of another release; remove it to begin from the start"));
    }
    if known.content != content {
        return Err(about(path, "the file is not what it was when its upload began; remove this to begin anew"));
    }
    if known.stated != stated {
        return Err(about(path, "is of an upload with other options; remove it to begin anew with these"));
    }
    Ok(known.upload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: Digest = [7; 32];

    #[test]
    fn an_upload_is_gone_on_with_only_with_the_same_content_and_the_same_statement() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("scan.pdf.upload");
        let mut journal = Journal::open(&path, &CONTENT, b"open").ok().expect("opens");
        assert!(journal.upload().is_none());
        assert!(Journal::open(&path, &CONTENT, b"open").is_err(), "one at a time");
        journal.note("upl_a").ok().expect("notes");
        drop(journal);
        let again = Journal::open(&path, &CONTENT, b"open").ok().expect("opens again");
        assert_eq!(again.upload(), Some("upl_a"));
        drop(again);
        assert!(Journal::open(&path, &[8; 32], b"open").is_err());
        assert!(Journal::open(&path, &CONTENT, b"other").is_err());
        Journal::open(&path, &CONTENT, b"open").ok().expect("opens").remove();
        assert!(!path.exists());
        drop(Journal::open(&path, &CONTENT, b"open").ok().expect("opens"));
        assert!(!path.exists(), "nor does one stay that names no upload");
        std::fs::write(&path, "something else\n").expect("is written");
        assert!(Journal::open(&path, &CONTENT, b"open").is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("reads"), "something else\n");
    }
}
