//! The journal beside the file: how far the import is, so that it goes on where it was ended, whatever ended it.
//!
//! A batch is a function of file, mapping and number alone, and is sent under an idempotency key made of the import's id
//! and its number. So a batch of which the journal does not know whether it was stored is simply sent again, within the
//! day for which the vault remembers keys. The journal holds offsets and counts, and nothing of the rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::source::Place;
use crate::base::time::{Clock as _, SystemClock};
use crate::cli::failure::Failure;
use crate::crypto::hash::{Digest, Hasher};
use crate::crypto::rng;

/// For how long a batch may be sent again under its key: less than the day for which the vault remembers it.
const KEY_SECONDS: i64 = 23 * 3600;
const VERSION: u32 = 1;

/// What an import is of. Where it differs, it is another import.
#[derive(Serialize, Deserialize, PartialEq, Eq, Clone)]
struct Head {
    version: u32,
    import: String,
    /// The vault's id. Journals of the first release do not have it.
    #[serde(default)]
    vault: Option<String>,
    file_bytes: u64,
    /// A few bits of a hash of the whole file: enough to notice that it was changed, too few to try out what is in it.
    /// Journals of the first release do not have it.
    #[serde(default)]
    file_check: Option<u16>,
    mapping: String,
    batch_entries: usize,
    batch_bytes: usize,
}

/// By which a file is known again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Its length.
    pub bytes: u64,
    /// A few bits of its hash.
    pub check: u16,
}

impl Mark {
    /// Reads a whole file.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| about(path, error.kind());
        let mut file = File::open(path).map_err(failed)?;
        let (mut hasher, mut bytes, mut buffer) = (Hasher::default(), 0, vec![0; 1 << 20]);
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                let [first, second, ..] = hasher.finish();
                return Ok(Self { bytes, check: u16::from_be_bytes([first, second]) });
            }
            hasher.update(&buffer[..read]);
            bytes += read as u64;
        }
    }
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// A batch is about to be sent.
    Sending { batch: u64, time: i64 },
    /// A batch is done.
    Done { batch: u64, end: (u64, u64, u64), counts: Counts, rejects_bytes: u64 },
}

/// What became of rows.
#[derive(Serialize, Deserialize, Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Rows that were stored.
    pub stored: u64,
    /// Rows that were not, each named in the file of rejects.
    pub rejected: u64,
}

impl Counts {
    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.stored = self.stored.saturating_add(other.stored);
        self.rejected = self.rejected.saturating_add(other.rejected);
    }
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
    head: Head,
    /// Batches that are done although an earlier one is not.
    done: BTreeMap<u64, Place>,
    /// When batches were sent of which it is not known what became.
    sent: BTreeMap<u64, i64>,
    next: u64,
    from: Place,
    counts: Counts,
    rejects_bytes: u64,
}

impl Journal {
    /// Opens the journal of an import into a vault, or begins one. One process at a time has it.
    pub fn open(
        path: &Path,
        vault: &str,
        file: Mark,
        mapping: &Digest,
        (batch_entries, batch_bytes): (usize, usize),
    ) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| about(path, error.kind());
        let Mark { bytes: file_bytes, check: file_check } = file;
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        file.try_lock().map_err(|_| about(path, "another import works on this file"))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        // A line that was cut short is none.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let id: [u8; 16] = rng::make_bytes().map_err(|_| about(path, "the system's random source failed"))?;
        let mut head = Head {
            version: VERSION,
            import: hex(&id),
            vault: Some(vault.to_owned()),
            file_bytes,
            file_check: Some(file_check),
            mapping: hex(mapping),
            batch_entries,
            batch_bytes,
        };
        let mut lines = text[..whole].lines();
        let is_new = match lines.next() {
            None => true,
            Some(line) => {
                let known: Head = serde_json::from_str(line).map_err(|_| about(path, "is no journal of an import"))?;
                head.import = known.import.clone();
                if known.vault.as_ref().is_some_and(|known| known != vault) {
                    return Err(about(
                        path,
                        "belongs to an import into another vault; name another with --journal to import into this one",
                    ));
                }
                head.vault = known.vault.clone();
                head.file_check = head.file_check.filter(|_| known.file_check.is_some());
                if known != head {
                    return Err(about(
                        path,
                        "belongs to another file, mapping or release, or the file was changed since; to import other rows \
                         name another with --journal",
                    ));
                }
                false
            }
        };
        let mut journal = Self {
            path: path.to_owned(),
            file,
            head,
            done: BTreeMap::new(),
            sent: BTreeMap::new(),
            next: 0,
            from: Place::default(),
            counts: Counts::default(),
            rejects_bytes: 0,
        };
        if is_new {
            let head = serde_json::to_string(&journal.head).expect("a head is text and numbers");
            journal.write(&head)?;
            // Without the import's id nobody would know which keys its batches were sent under. What follows may be lost.
            journal.file.sync_all().map_err(|error| about(path, error.kind()))?;
        }
        for line in lines {
            journal.take(serde_json::from_str(line).map_err(|_| about(path, "is damaged"))?);
        }
        Ok(journal)
    }

    /// Where reading goes on, and with which batch.
    pub fn from(&self) -> (Place, u64) {
        (self.from, self.next)
    }

    /// What became of rows so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Bytes of the file of rejects that belong to batches that are done.
    pub fn rejects_bytes(&self) -> u64 {
        self.rejects_bytes
    }

    /// Whether a batch is done.
    pub fn is_done(&self, batch: u64) -> bool {
        batch < self.next || self.done.contains_key(&batch)
    }

    /// Whether a batch was sent so long ago that its key may be forgotten, and it is not known what became of it.
    pub fn is_in_doubt(&self, batch: u64) -> bool {
        self.sent.get(&batch).is_some_and(|time| now().saturating_sub(*time) > KEY_SECONDS)
    }

    /// The idempotency key of a batch.
    pub fn key(&self, batch: u64) -> String {
        format!("import-{}-{batch}", self.head.import)
    }

    /// Notes that a batch is about to be sent. Survives the end of the process.
    pub fn sending(&mut self, batch: u64) -> Result<(), Failure> {
        if self.sent.contains_key(&batch) {
            return Ok(());
        }
        self.note(Line::Sending { batch, time: now() })
    }

    /// Notes that a batch is done. Survives the end of the process.
    pub fn done(&mut self, batch: u64, end: Place, counts: Counts, rejects_bytes: u64) -> Result<(), Failure> {
        self.note(Line::Done { batch, end: (end.offset, end.line, end.row), counts, rejects_bytes })
    }

    fn note(&mut self, line: Line) -> Result<(), Failure> {
        let text = serde_json::to_string(&line).expect("a line is numbers");
        self.write(&text)?;
        self.take(line);
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        let line = [text, "\n"].concat();
        self.file.write_all(line.as_bytes()).map_err(|error| about(&self.path, error.kind()))
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Sending { batch, time } => {
                self.sent.insert(batch, time);
            }
            Line::Done { batch, end: (offset, line, row), counts, rejects_bytes } => {
                self.sent.remove(&batch);
                self.done.insert(batch, Place { offset, line, row });
                self.counts.add(counts);
                self.rejects_bytes = rejects_bytes;
                while let Some(place) = self.done.remove(&self.next) {
                    (self.from, self.next) = (place, self.next + 1);
                }
            }
        }
    }
}

fn now() -> i64 {
    SystemClock.now().as_millis() / 1000
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn about(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: Digest = [7; 32];
    const FILE: Mark = Mark { bytes: 100, check: 5 };

    fn open(path: &Path) -> Result<Journal, Failure> {
        Journal::open(path, "vlt_a", FILE, &MAPPING, (10, 20))
    }

    fn place(row: u64) -> Place {
        Place { offset: row * 10, line: row, row }
    }

    #[test]
    fn an_import_goes_on_after_the_last_batch_before_which_all_are_done() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.import");
        let mut journal = open(&path).ok().expect("opens");
        assert!(open(&path).is_err(), "one at a time");
        let key = journal.key(1);
        for batch in 0..4 {
            journal.sending(batch).ok().expect("notes");
        }
        for (batch, stored) in [(0, 5), (2, 4), (3, 3)] {
            let counts = Counts { stored, rejected: 1 };
            journal.done(batch, place(10 * (batch + 1)), counts, batch * 100).ok().expect("notes");
        }
        drop(journal);
        let cut = std::fs::read_to_string(&path).expect("reads") + "{\"done\":{\"batch\":1,";
        std::fs::write(&path, cut).expect("is written");
        let mut journal = open(&path).ok().expect("opens again");
        assert_eq!((journal.from(), journal.key(1)), ((place(10), 1), key));
        assert_eq!((journal.counts(), journal.rejects_bytes()), (Counts { stored: 12, rejected: 3 }, 300));
        assert_eq!([0, 1, 2, 3, 4].map(|batch| journal.is_done(batch)), [true, false, true, true, false]);
        assert!(!journal.is_in_doubt(1));
        journal.done(1, place(20), Counts::default(), 300).ok().expect("notes");
        assert_eq!(journal.from(), (place(40), 4));
    }

    #[test]
    fn a_batch_that_was_sent_a_day_ago_is_in_doubt_until_it_is_done() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.import");
        drop(open(&path));
        let old = serde_json::to_string(&Line::Sending { batch: 0, time: now() - 24 * 3600 }).expect("a line");
        let text = std::fs::read_to_string(&path).expect("reads") + &old + "\n";
        std::fs::write(&path, text).expect("is written");
        let mut journal = open(&path).ok().expect("opens");
        assert!(journal.is_in_doubt(0) && !journal.is_in_doubt(1));
        journal.done(0, place(1), Counts::default(), 0).ok().expect("notes");
        assert!(!journal.is_in_doubt(0));
    }

    #[test]
    fn another_file_mapping_or_vault_is_another_import() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.import");
        drop(open(&path));
        for file in [Mark { bytes: 101, ..FILE }, Mark { check: 6, ..FILE }] {
            assert!(Journal::open(&path, "vlt_a", file, &MAPPING, (10, 20)).is_err());
        }
        assert!(Journal::open(&path, "vlt_a", FILE, &[8; 32], (10, 20)).is_err());
        assert!(Journal::open(&path, "vlt_b", FILE, &MAPPING, (10, 20)).is_err());
        assert!(open(&path).is_ok());
        // As the first release wrote it.
        let text = std::fs::read_to_string(&path).expect("reads");
        let first = text.replace("\"vault\":\"vlt_a\",", "").replace("\"file_check\":5,", "");
        assert!(!first.contains("vault") && !first.contains("file_check"));
        std::fs::write(&path, first).expect("is written");
        assert!(open(&path).is_ok());
        std::fs::write(&path, "something else\n").expect("is written");
        assert!(open(&path).is_err());
    }
}
