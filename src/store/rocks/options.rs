//! How RocksDB is set up: everything bounded, everything checked, nothing left at a default that matters.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, DataBlockIndexType, LogLevel,
    Options, ReadOptions, WriteOptions,
};

use crate::store::keyspace::Space;

const MIB: usize = 1 << 20;

/// Memory that a write buffer grows by.
const ARENA_BLOCK_BYTES: usize = 64 << 10;

/// The column family that RocksDB insists on.
const DEFAULT: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

/// What the operator may choose; the rest follows from it.
#[derive(Debug, Clone)]
pub struct RocksOptions {
    /// Create the store if there is none. Off by default: a mistyped path must not become an empty vault.
    pub create: bool,
    /// Bytes of the one block cache that all kinds of records share, indexes and filters included; 64 MiB by default.
    pub block_cache_bytes: usize,
    /// Bytes of unflushed writes in memory at which a flush starts, all kinds together; 32 MiB by default.
    pub write_buffer_bytes: usize,
    /// Bytes of write-ahead log at which the oldest is flushed away; 64 MiB by default. Bounds the time to open.
    pub wal_bytes: u64,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self { create: false, block_cache_bytes: 64 * MIB, write_buffer_bytes: 32 * MIB, wal_bytes: 64 * MIB as u64 }
    }
}

/// Options of the database as a whole.
pub(super) fn database(chosen: &RocksOptions) -> Options {
    let mut options = Options::default();
    options.create_if_missing(chosen.create);
    options.create_missing_column_families(true);

    options.set_paranoid_checks(true);
    // A log that ends in the middle of a record was cut by a crash before the record was acknowledged. Any other
    // damage to it must be an error: the default would quietly drop everything acknowledged after it. Damage that
    // looks like a cut is found by `logs`.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);

    // Logs of writes are deleted once they are flushed, neither archived nor used again: a purge waits for that.
    options.set_recycle_log_file_num(0);
    options.set_wal_ttl_seconds(0);
    options.set_wal_size_limit_mb(0);

    // atomic_flush stays off: it matters without a write-ahead log only, and every batch here is in the log.
    options.set_db_write_buffer_size(chosen.write_buffer_bytes);
    options.set_max_total_wal_size(chosen.wal_bytes);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_max_manifest_file_size(8 * MIB);
    options.set_bytes_per_sync(MIB as u64);

    // RocksDB's own log: warnings only, which name files and not keys, in few and small files.
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(MIB);
    options.set_keep_log_file_num(4);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// What the write-ahead log takes at the most: beyond the bytes at which it is flushed away, the file in use, which is
/// allocated ahead by the size of a write buffer, and those that a flush is about to make obsolete.
pub(super) fn log_bytes_max(chosen: &RocksOptions) -> u64 {
    chosen.wal_bytes + chosen.write_buffer_bytes as u64 / 2
}

/// One column family per kind of record; RocksDB's own, which stays empty, so that it has no defaults either (it
/// recovers from a full medium only when its largest write buffer fits); and any that a newer release added, so that
/// such a store can be opened and its format refused by name.
pub(super) fn column_families(chosen: &RocksOptions, present: &[String]) -> Vec<ColumnFamilyDescriptor> {
    // Looked up several times per read: this one takes no lock and keeps no list for that. It sizes its own table.
    let cache = Cache::new_hyper_clock_cache(chosen.block_cache_bytes, 0);
    let ours = Space::ALL.iter().map(|space| (space.name(), read_by(*space)));
    let is_foreign = |name: &&str| *name != DEFAULT && Space::ALL.iter().all(|space| space.name() != *name);
    let foreign = present.iter().map(String::as_str).filter(is_foreign);
    let others = std::iter::once(DEFAULT).chain(foreign).map(|name| (name, ReadBy::Range));
    ours.chain(others).map(|(name, by)| ColumnFamilyDescriptor::new(name, column_family(by, &cache, chosen))).collect()
}

/// Blocks read from disk are always checked.
pub(super) fn read() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options
}

/// Every batch is on the medium before it is acknowledged.
pub(super) fn write() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// In the log with the system, which survives this process; on the medium with the next batch that waits for it.
pub(super) fn write_derived() -> WriteOptions {
    WriteOptions::default()
}

/// How a kind of record is mostly read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadBy {
    /// By its whole key: bloom filters save the search where it is absent.
    Key,
    /// In ranges, which filters do not help; larger blocks compress better.
    Range,
    /// By its whole key, and large, of bytes that do not compress: not worth a place in the cache that all share.
    Large,
}

fn read_by(space: Space) -> ReadBy {
    match space {
        Space::Meta | Space::Page | Space::Root | Space::ServiceKey | Space::Subject | Space::Item => ReadBy::Key,
        Space::Index | Space::Idempotency | Space::Receipt | Space::LogTile => ReadBy::Key,
        Space::Person | Space::Approval | Space::FormerSlot | Space::Held | Space::IndexState | Space::Purge => {
            ReadBy::Key
        }
        Space::Upload | Space::UploadDue | Space::Parting => ReadBy::Range,
        Space::Chunk => ReadBy::Large,
        Space::Matter | Space::Hold | Space::Kept | Space::PeriodEnd | Space::Expiry => ReadBy::Key,
        Space::Free | Space::Intent | Space::Doomed | Space::Log | Space::LogBundle | Space::LogSubject => {
            ReadBy::Range
        }
        Space::EventDay | Space::EventSegment => ReadBy::Range,
    }
}

fn column_family(by: ReadBy, cache: &Cache, chosen: &RocksOptions) -> Options {
    let mut table = BlockBasedOptions::default();
    match by {
        ReadBy::Key | ReadBy::Range => table.set_block_cache(cache),
        // A table holds few keys, so that its index is small enough to be kept with the open file.
        ReadBy::Large => table.disable_cache(),
    }
    table.set_cache_index_and_filter_blocks(by != ReadBy::Large);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(by != ReadBy::Large);
    table.set_format_version(6);
    match by {
        ReadBy::Key => {
            table.set_bloom_filter(10.0, false);
            table.set_optimize_filters_for_memory(true);
            table.set_block_size(4 << 10);
            table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
            table.set_data_block_hash_ratio(0.75);
        }
        ReadBy::Range | ReadBy::Large => table.set_block_size(16 << 10),
    }

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    if by == ReadBy::Key {
        // Most records that are read are in tables: do not search the unflushed ones for them.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.02);
    }
    let compression = if by == ReadBy::Large { DBCompressionType::None } else { DBCompressionType::Lz4 };
    options.set_compression_type(compression);
    options.set_write_buffer_size(chosen.write_buffer_bytes / 4);
    // The default of 1 MiB would count as unflushed for each kind of record that one change touches.
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    options.set_max_write_buffer_number(2);
    // Fewer and larger tables are rewritten less often.
    let factor = if by == ReadBy::Large { 4 } else { 1 };
    options.set_target_file_size_base(factor * 16 * MIB as u64);
    options.set_max_bytes_for_level_base(factor * 64 * MIB as u64);
    options
}
