//! The embedded engine: RocksDB, one column family per kind of record. Blocking calls end here.
//!
//! No other folder names the `rocksdb` crate, and nothing here knows what a record means. INVARIANT: after the first
//! storage error other than "full", RocksDB is not called again: a sync that failed once may succeed when retried
//! although its data is gone. INVARIANT: no text of RocksDB, which may quote keys, leaves this folder.

mod logs;
mod options;
mod purge;
#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rocksdb::properties::CUR_SIZE_ALL_MEM_TABLES;
use rocksdb::{ColumnFamily, DB, ErrorKind, Options, ReadOptions, WriteBatch, WriteOptions};

use super::batch::Batch;
use super::keyspace::Space;
use super::purge::Purge;
use super::{Engine, Error, Record};

pub use options::RocksOptions;

/// Records in a directory of their own, held by one process at a time.
pub struct RocksEngine {
    db: DB,
    path: PathBuf,
    read: ReadOptions,
    write: WriteOptions,
    write_derived: WriteOptions,
    log_bytes_max: u64,
    /// INVARIANT: held from the check of a batch's preconditions until its changes are visible.
    commits: Mutex<()>,
    failed: AtomicBool,
}

impl RocksEngine {
    /// Opens the store in a directory, and creates it if the options say so.
    ///
    /// # Durability
    /// Everything acknowledged before a crash is there; a batch cut by it is not.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no store and none was to be created (nothing is written then),
    /// [`Error::Locked`] where another engine holds it, [`Error::Corrupt`] where its log or its tables are damaged.
    pub fn open(path: &Path, options: &RocksOptions) -> Result<Self, Error> {
        // RocksDB would create the directory before it refuses.
        if !options.create && !path.join("CURRENT").exists() {
            return Err(Error::Missing);
        }
        if path.exists()
            && let Some(file) = logs::damaged(path).map_err(|_| Error::Failed)?
        {
            tracing::error!(file, "a file of the store is damaged");
            return Err(Error::Corrupt);
        }
        Self::open_with(path, options, &options::database(options))
    }

    fn open_with(path: &Path, options: &RocksOptions, database: &Options) -> Result<Self, Error> {
        // Fails for a new store; for one that is locked or damaged, opening it says what is wrong.
        let present = DB::list_cf(database, path).unwrap_or_default();
        let families = options::column_families(options, &present);
        let db = DB::open_cf_descriptors(database, path, families).map_err(|e| {
            let meant = told(&e);
            if meant == Error::Corrupt
                && let Some(file) = logs::with_wrong_sum(path)
            {
                tracing::error!(file, "a file of the store is damaged");
            }
            meant
        })?;
        Ok(Self {
            db,
            path: path.to_owned(),
            read: options::read(),
            write: options::write(),
            write_derived: options::write_derived(),
            log_bytes_max: options::log_bytes_max(options),
            commits: Mutex::new(()),
            failed: AtomicBool::new(false),
        })
    }

    /// Bytes of the store's tables and write-ahead log, as the directory shows them.
    ///
    /// # Errors
    /// [`Error::Failed`] where the directory cannot be read, or the engine has failed.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        self.usable()?;
        self.sum_of_files().map_err(|_| self.fail(Error::Failed))
    }

    /// Bytes of the store's volume that are left for more: free now, less what the write-ahead log may still grow by,
    /// and less what is in memory and will be in tables.
    ///
    /// That way the number falls with what is stored, and not with the log, which comes and goes.
    ///
    /// # Errors
    /// [`Error::Failed`] where the volume does not say.
    pub fn spare_bytes(&self) -> Result<u64, Error> {
        let volume = rustix::fs::statvfs(&self.path).map_err(|_| Error::Failed)?;
        let free = volume.f_bavail.saturating_mul(volume.f_frsize);
        let log = self.allocated_to_log().map_err(|_| Error::Failed)?;
        Ok(free.saturating_sub(self.log_bytes_max.saturating_sub(log)).saturating_sub(self.unflushed_bytes()))
    }

    /// What the write-ahead log takes of the volume, allocated ahead or written.
    fn allocated_to_log(&self) -> io::Result<u64> {
        let mut sum = 0;
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if Path::new(&entry.file_name()).extension().is_some_and(|e| e == "log") {
                // One that is deleted meanwhile takes nothing.
                sum += entry.metadata().map_or(0, |metadata| metadata.blocks() * 512);
            }
        }
        Ok(sum)
    }

    fn unflushed_bytes(&self) -> u64 {
        let of = |space: &Space| self.db.property_int_value_cf(self.family(*space), CUR_SIZE_ALL_MEM_TABLES);
        Space::ALL.iter().map(|space| of(space).ok().flatten().unwrap_or(0)).sum()
    }

    fn sum_of_files(&self) -> io::Result<u64> {
        let mut sum = 0;
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if Path::new(&entry.file_name()).extension().is_some_and(|e| e == "sst" || e == "log") {
                match entry.metadata() {
                    Ok(metadata) => sum += metadata.len(),
                    // Flushes and compactions delete files while we look.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(sum)
    }

    fn family(&self, space: Space) -> &ColumnFamily {
        self.db.cf_handle(space.name()).expect("open creates one column family per space")
    }

    fn usable(&self) -> Result<(), Error> {
        if self.failed.load(Ordering::SeqCst) { Err(Error::Failed) } else { Ok(()) }
    }

    /// Passes an answer of RocksDB on; the first failure other than "full" is the last.
    fn checked<T>(&self, answer: Result<T, rocksdb::Error>) -> Result<T, Error> {
        answer.map_err(|e| self.fail(told(&e)))
    }

    fn fail(&self, error: Error) -> Error {
        if error != Error::Full {
            self.failed.store(true, Ordering::SeqCst);
        }
        error
    }

    fn preconditions_hold(&self, batch: &Batch) -> Result<bool, Error> {
        for (space, key, expected) in batch.expectations() {
            let found = self.checked(self.db.get_pinned_cf_opt(self.family(space), key, &self.read))?;
            if found.as_deref() != expected {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn apply(&self, batch: &Batch, options: &WriteOptions) -> Result<(), Error> {
        let _one_at_a_time = self.commits.lock();
        self.usable()?;
        if !self.preconditions_hold(batch)? {
            return Err(Error::Precondition);
        }
        if batch.is_empty() {
            return Ok(()); // what the preconditions saw is there already
        }
        let mut write = WriteBatch::default();
        for (space, prefix) in batch.emptied() {
            match first_after(prefix) {
                Some(end) => write.delete_range_cf(self.family(space), prefix, &end),
                // Nothing comes after such a prefix that could be the end of a range.
                None => {
                    for (key, _) in self.scan(space, prefix, &[], usize::MAX)? {
                        write.delete_cf(self.family(space), key);
                    }
                }
            }
        }
        for (space, key, value) in batch.changes() {
            match value {
                Some(value) => write.put_cf(self.family(space), key, value),
                None => write.delete_cf(self.family(space), key),
            }
        }
        self.checked(self.db.write_opt(write, options))
    }
}

impl Engine for RocksEngine {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.usable()?;
        let found = self.checked(self.db.get_pinned_cf_opt(self.family(space), key, &self.read))?;
        Ok(found.map(|value| value.to_vec()))
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.usable()?;
        let found = self.db.batched_multi_get_cf_opt(self.family(space), keys.iter().copied(), false, &self.read);
        found.into_iter().map(|value| Ok(self.checked(value)?.map(|value| value.to_vec()))).collect()
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Error> {
        self.usable()?;
        let mut read = options::read();
        read.set_total_order_seek(true);
        if let Some(end) = first_after(prefix) {
            read.set_iterate_upper_bound(end);
        }
        let mut cursor = self.db.raw_iterator_cf_opt(self.family(space), read);
        let mut records = Vec::new();
        if limit > 0 {
            cursor.seek(prefix.max(from));
        }
        while records.len() < limit
            && let Some((key, value)) = cursor.item()
        {
            records.push((key.to_vec(), value.to_vec()));
            if records.len() < limit {
                cursor.next();
            }
        }
        // An iterator that meets an error just ends; only its status tells.
        self.checked(cursor.status())?;
        Ok(records)
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, Error> {
        self.usable()?;
        let mut read = options::read();
        read.set_total_order_seek(true);
        let mut cursor = self.db.raw_iterator_cf_opt(self.family(space), read);
        cursor.seek_for_prev(key);
        let found = cursor.item().map(|(key, value)| (key.to_vec(), value.to_vec()));
        self.checked(cursor.status())?;
        Ok(found)
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        self.apply(&batch, &self.write)
    }

    fn commit_derived(&self, batch: Batch) -> Result<(), Error> {
        self.apply(&batch, &self.write_derived)
    }

    fn purge(&self, purge: &Purge) -> Result<Purge, Error> {
        self.usable()?;
        purge::step(self, purge)
    }
}

/// The first key after every key that starts with `prefix`, or `None` where there is no such key.
fn first_after(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// What RocksDB's error means to us. The file that it is about is logged, by its name alone.
fn told(error: &rocksdb::Error) -> Error {
    let meant = kind_of(error.kind(), error.as_ref());
    if matches!(meant, Error::Corrupt | Error::Failed)
        && let Some(file) = file_in(error.as_ref())
    {
        tracing::error!(file, "a file of the store cannot be used: {meant}");
    }
    meant
}

/// The first file that a text of RocksDB's names: only names of its own making, which are numbers, so that nothing else of
/// the text is let out.
fn file_in(text: &str) -> Option<&str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_file = |name: &&str| {
        let number = [".sst", ".log"].iter().find_map(|ending| name.strip_suffix(ending));
        *name == "CURRENT" || number.or_else(|| name.strip_prefix("MANIFEST-")).is_some_and(is_number)
    };
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))).find(is_file)
}

/// What RocksDB's error means to us. Beyond the kind, only the start of its text is looked at, which is RocksDB's
/// own and not a path.
fn kind_of(kind: ErrorKind, text: &str) -> Error {
    let starts = |beginnings: &[&str]| beginnings.iter().any(|beginning| text.starts_with(beginning));
    if kind == ErrorKind::Corruption {
        Error::Corrupt
    } else if starts(&["IO error: No space left on device"]) {
        Error::Full
    } else if starts(&["IO error: While lock file", "IO error: lock hold by current process"]) {
        Error::Locked
    } else {
        Error::Failed
    }
}
