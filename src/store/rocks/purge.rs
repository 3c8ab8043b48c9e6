//! A purge, as RocksDB does it: everything is flushed, every table is compacted down to the last level and that level
//! rewritten, and files that this leaves behind have to be gone from the directory.
//!
//! RocksDB numbers its files in the order in which they are made. So whether anything older is left can be seen from the
//! names in the directory, whatever RocksDB says that it did.

use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use rocksdb::{BottommostLevelCompaction, CompactOptions, LiveFile};

use super::{Error, RocksEngine};
use crate::base::limits::PURGE_STEP_BYTES;
use crate::store::keyspace::Space;
use crate::store::purge::{Purge, Stage};

/// One step. Unchanged where it got no further.
pub(super) fn step(engine: &RocksEngine, purge: &Purge) -> Result<Purge, Error> {
    match &purge.stage {
        Stage::Begin => begin(engine),
        Stage::Rewrite(space, from) => rewrite(engine, purge, *space, from),
        Stage::Settle => settle(engine, purge),
        Stage::Done => Ok(purge.clone()),
    }
}

fn begin(engine: &RocksEngine) -> Result<Purge, Error> {
    // If anything was written to the one in use, it is in memory too, and a flush begins another.
    let written = |bytes| bytes > 0;
    let logs_through = newest(&engine.path, LOG, written).map_err(|_| engine.fail(Error::Failed))?;
    for space in Space::ALL {
        engine.checked(engine.db.flush_cf(engine.family(*space)))?;
    }
    let tables = engine.checked(engine.db.live_files())?;
    let total_bytes = tables.iter().map(|table| table.size as u64).sum();
    let tables_through = newest(&engine.path, TABLE, |_| true).map_err(|_| engine.fail(Error::Failed))?;
    let stage = Stage::Rewrite(Space::ALL[0], Vec::new());
    Ok(Purge { stage, tables_through, logs_through, total_bytes, ..Purge::new() })
}

fn rewrite(engine: &RocksEngine, purge: &Purge, space: Space, from: &[u8]) -> Result<Purge, Error> {
    let tables = tables(engine, space)?;
    let Reach { to, bytes } = reach(&tables, from);
    let mut options = CompactOptions::default();
    // Without it the last level stays as it is, and a table may be moved down without being rewritten.
    options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
    // Other compactions go on, so that writes are not held up.
    options.set_exclusive_manual_compaction(false);
    let start = (!from.is_empty()).then_some(from);
    engine.db.compact_range_cf_opt(engine.family(space), start, to.as_deref(), &options);

    // It says nothing about how it went.
    let is_left = |table: &LiveFile| number(OsStr::new(table.name.trim_start_matches('/')), TABLE);
    let is_left = |table: &LiveFile| is_left(table).is_none_or(|number| number <= purge.tables_through);
    let is_within = |table: &LiveFile| {
        let (start, end) = (table.start_key.as_deref(), table.end_key.as_deref());
        end.is_none_or(|end| end >= from) && to.as_deref().zip(start).is_none_or(|(to, start)| start <= to)
    };
    if self::tables(engine, space)?.iter().any(|table| is_within(table) && is_left(table)) {
        return Ok(purge.clone());
    }
    let next = match to {
        Some(last) => Stage::Rewrite(space, [&last[..], &[0]].concat()),
        None => after(space).map_or(Stage::Settle, |space| Stage::Rewrite(space, Vec::new())),
    };
    Ok(Purge { done_bytes: purge.done_bytes + bytes, ..purge.at(next) })
}

/// Waits for nothing: files go when nobody reads them any more.
fn settle(engine: &RocksEngine, purge: &Purge) -> Result<Purge, Error> {
    let is_left = any_left(&engine.path, purge).map_err(|_| engine.fail(Error::Failed))?;
    if !is_left {
        return Ok(purge.at(Stage::Done));
    }
    let live = engine.checked(engine.db.live_files())?;
    let is_old = |table: &LiveFile| {
        let number = number(OsStr::new(table.name.trim_start_matches('/')), TABLE);
        number.is_none_or(|number| number <= purge.tables_through)
    };
    // None should be in use: then the tables are gone through once more.
    let is_live = live.iter().any(is_old);
    Ok(if is_live { purge.at(Stage::Rewrite(Space::ALL[0], Vec::new())) } else { purge.clone() })
}

/// Up to where one step goes, and the bytes of the tables that it takes.
struct Reach {
    /// The last key; none for the end.
    to: Option<Vec<u8>>,
    bytes: u64,
}

/// Some of the tables of the last level, where nearly all records are; those above them come along.
fn reach(tables: &[LiveFile], from: &[u8]) -> Reach {
    let last_level = tables.iter().map(|table| table.level).max().unwrap_or(0);
    if last_level == 0 {
        return Reach { to: None, bytes: tables.iter().map(|table| table.size as u64).sum() };
    }
    let ahead = |table: &&LiveFile| table.end_key.as_deref().is_none_or(|end| end >= from);
    let mut ahead: Vec<&LiveFile> = tables.iter().filter(|table| table.level == last_level).filter(ahead).collect();
    ahead.sort_by(|a, b| a.start_key.cmp(&b.start_key));
    let mut bytes = 0;
    for (at, table) in ahead.iter().enumerate() {
        bytes += table.size as u64;
        if bytes >= PURGE_STEP_BYTES && at + 1 < ahead.len() {
            return Reach { to: table.end_key.clone(), bytes };
        }
    }
    Reach { to: None, bytes }
}

fn tables(engine: &RocksEngine, space: Space) -> Result<Vec<LiveFile>, Error> {
    let mut tables = engine.checked(engine.db.live_files())?;
    tables.retain(|table| table.column_family_name == space.name());
    Ok(tables)
}

fn after(space: Space) -> Option<Space> {
    let at = Space::ALL.iter().position(|other| *other == space)?;
    Space::ALL.get(at + 1).copied()
}

/// Whether a file is there that may hold something from before.
fn any_left(dir: &Path, purge: &Purge) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_old_table = number(&name, TABLE).is_some_and(|number| number <= purge.tables_through);
        let is_old_log = number(&name, LOG).is_some_and(|number| number <= purge.logs_through);
        if is_old_table || is_old_log {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The highest number of a file of a kind, and of such a length; 0 if there is none.
fn newest(dir: &Path, kind: &str, counts: impl Fn(u64) -> bool) -> io::Result<u64> {
    let mut newest = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match (number(&entry.file_name(), kind), entry.metadata()) {
            (Some(number), Ok(metadata)) if counts(metadata.len()) => newest = newest.max(number),
            // It is of another kind, or has just gone.
            (None, _) | (_, Ok(_)) => {}
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            (_, Err(error)) => return Err(error),
        }
    }
    Ok(newest)
}

fn number(name: &OsStr, kind: &str) -> Option<u64> {
    name.to_str()?.strip_suffix(kind)?.parse().ok()
}

const TABLE: &str = ".sst";
const LOG: &str = ".log";
