//! The file of rows that were not stored: which row, which column and field, why; never what was in it.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::rows::Reject;
use crate::cli::failure::Failure;

/// An open file of rejects. Made with the first reject.
pub struct Rejects {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Rejects {
    /// Goes on after so many bytes: what stands after them is of batches that are done again.
    pub fn open(path: &Path, bytes: u64) -> Result<Self, Failure> {
        let mut rejects = Self { path: path.to_owned(), file: None, bytes };
        if bytes > 0 || path.exists() {
            rejects.cut()?;
        }
        Ok(rejects)
    }

    /// Adds rejects. The length of the file with them.
    pub fn add(&mut self, rejects: &[Reject]) -> Result<u64, Failure> {
        if rejects.is_empty() {
            return Ok(self.bytes);
        }
        if self.file.is_none() {
            self.cut()?;
        }
        let mut text = String::new();
        for Reject { row, column, field, reason } in rejects {
            let reason = reason.as_str_name().trim_start_matches("ERROR_REASON_");
            let line = serde_json::json!({ "row": row, "column": column, "field": field, "reason": reason });
            text.push_str(&line.to_string());
            text.push('\n');
        }
        if let Some(file) = &mut self.file {
            file.write_all(text.as_bytes()).map_err(|error| about(&self.path, error))?;
        }
        self.bytes += text.len() as u64;
        Ok(self.bytes)
    }

    fn cut(&mut self) -> Result<(), Failure> {
        let failed = |error| about(&self.path, error);
        let mut file = File::options().write(true).create(true).truncate(false).open(&self.path).map_err(failed)?;
        file.set_len(self.bytes).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        self.file = Some(file);
        Ok(())
    }
}

fn about(path: &Path, error: std::io::Error) -> Failure {
    Failure::failed(format!("{}: {}", path.display(), error.kind()))
}
