//! What the conformance suite cannot ask: options, damage, locks and crashes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use rocksdb::statistics::Ticker;

use super::*;

const CREATE: RocksOptions =
    RocksOptions { create: true, block_cache_bytes: 8 << 20, write_buffer_bytes: 4 << 20, wal_bytes: 8 << 20 };

fn open(path: &Path) -> Result<RocksEngine, Error> {
    RocksEngine::open(path, &RocksOptions { create: false, ..CREATE })
}

fn created(path: &Path) -> RocksEngine {
    RocksEngine::open(path, &CREATE).unwrap()
}

fn put(engine: &RocksEngine, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
    let mut batch = Batch::new();
    batch.put(Space::Item, key, value);
    engine.commit(batch).unwrap();
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The store's files whose names end so, oldest first.
fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    found.sort();
    found
}

fn flip_bit(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= bit;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_store_is_created_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mistyped");
    assert_eq!(open(&path).err(), Some(Error::Missing));
    assert!(!path.exists());
    drop(created(&path));
    open(&path).unwrap();
    created(&path);
}

#[test]
fn a_store_is_held_by_one_engine() {
    let dir = tempfile::tempdir().unwrap();
    let first = created(dir.path());
    assert_eq!(open(dir.path()).err(), Some(Error::Locked));
    put(&first, "k", "still usable");
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn every_column_family_has_our_options() {
    let dir = tempfile::tempdir().unwrap();
    drop(created(dir.path()));
    let text = fs::read_to_string(files_named(dir.path(), "OPTIONS-").last().unwrap()).unwrap();
    for name in Space::ALL.iter().map(|space| space.name()).chain(["default"]) {
        let family = section(&text, &format!("[CFOptions \"{name}\"]"));
        let large = name == "chunk";
        let compression = if large { "compression=kNoCompression" } else { "compression=kLZ4Compression" };
        assert!(family.contains(compression), "{name}: {family}");
        assert!(family.contains("write_buffer_size=1048576"), "{name}: {family}");
        let table = section(&text, &format!("[TableOptions/BlockBasedTable \"{name}\"]"));
        let cached = format!("cache_index_and_filter_blocks={}", !large);
        assert!(table.contains(&cached), "{name}: {table}");
        assert_eq!(table.contains("no_block_cache=true"), large, "{name}: {table}");
        let logs = ["log", "log_bundle", "log_subject"];
        let ranged =
            ["free", "intent", "doomed", "event_day", "event_segment", "upload", "upload_due", "parting", "default"];
        let ranged = logs.contains(&name) || ranged.contains(&name) || large;
        let filter = if ranged { "filter_policy=nullptr\n" } else { "filter_policy=bloomfilter\n" };
        assert!(table.contains(filter), "{name}: {table}");
    }
    let database = section(&text, "[DBOptions]");
    for option in [
        "wal_recovery_mode=kTolerateCorruptedTailRecords",
        "paranoid_checks=true",
        "max_total_wal_size=8388608",
        "db_write_buffer_size=4194304",
        "stats_dump_period_sec=0",
        "keep_log_file_num=4",
    ] {
        assert!(database.contains(option), "{option}: {database}");
    }
}

fn files_named(path: &Path, beginning: &str) -> Vec<PathBuf> {
    let mut found = files(path, "");
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(beginning));
    found
}

fn section<'a>(text: &'a str, title: &str) -> &'a str {
    let start = text.find(title).unwrap_or_else(|| panic!("{title} is in the options file"));
    let body = &text[start + title.len()..];
    &body[..body.find("\n[").unwrap_or(body.len())]
}

#[test]
fn a_newer_releases_store_opens_so_that_its_format_can_be_refused() {
    let dir = tempfile::tempdir().unwrap();
    put(&created(dir.path()), "k", "v");
    let mut db =
        DB::open_cf(&Default::default(), dir.path(), DB::list_cf(&Default::default(), dir.path()).unwrap()).unwrap();
    db.create_cf("of_a_newer_release", &Default::default()).unwrap();
    drop(db);
    assert_eq!(open(dir.path()).unwrap().get(Space::Item, b"k"), Ok(Some(b"v".to_vec())));
}

#[test]
fn a_flipped_byte_in_a_table_is_an_error_and_the_last_answer() {
    let dir = tempfile::tempdir().unwrap();
    let engine = created(dir.path());
    for key in 0..100u8 {
        put(&engine, [key], noise(key.into(), 1000));
    }
    drop(engine);
    drop(open(dir.path()).unwrap()); // moves the write-ahead log into a table
    let table = files(dir.path(), ".sst").pop().unwrap();
    flip_bit(&table, fs::metadata(&table).unwrap().len() as usize / 2, 1);

    let engine = open(dir.path()).unwrap();
    let all: Vec<Result<_, _>> = (0..100u8).map(|key| engine.get(Space::Item, &[key])).collect();
    let first = all.iter().position(Result::is_err).expect("one block is damaged");
    assert_eq!(all[first], Err(Error::Corrupt));
    for (key, found) in all[..first].iter().enumerate() {
        assert_eq!(*found, Ok(Some(noise(key as u64, 1000))));
    }
    assert!(first > 0 && all[first + 1..].iter().all(|found| *found == Err(Error::Failed)));
    assert_eq!(engine.multi_get(Space::Meta, &[b"k"]), Err(Error::Failed));
    assert_eq!(engine.scan(Space::Meta, b"", b"", 1), Err(Error::Failed));
    assert_eq!(engine.commit(Batch::new()), Err(Error::Failed));
    assert_eq!(engine.disk_bytes(), Err(Error::Failed));
    drop(engine);

    let damaged = &[first as u8][..];
    let mut batch = Batch::new();
    batch.expect(Space::Item, damaged, None);
    assert_eq!(open(dir.path()).unwrap().scan(Space::Item, b"", b"", 1000), Err(Error::Corrupt));
    assert_eq!(open(dir.path()).unwrap().multi_get(Space::Item, &[b"absent", damaged]), Err(Error::Corrupt));
    assert_eq!(open(dir.path()).unwrap().commit(batch), Err(Error::Corrupt));
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_refuses_to_open() {
    let dir = tempfile::tempdir().unwrap();
    let engine = created(dir.path());
    for key in 0..10u8 {
        put(&engine, [key], noise(key.into(), 100));
    }
    drop(engine);
    let log = write_ahead_log(dir.path());
    let record = fs::metadata(&log).unwrap().len() as usize / 10;
    // The headers of the first and the last record, where damage can look like a crash; then some of the rest.
    for at in (0..7).chain((7..9 * record).step_by(97)).chain(9 * record..9 * record + 7) {
        refuses_with_a_flipped_bit(dir.path(), &log, at);
    }
    assert_eq!(open(dir.path()).unwrap().scan(Space::Item, b"", b"", 100).unwrap().len(), 10);
}

#[test]
fn a_flipped_bit_in_the_manifest_refuses_to_open() {
    let dir = tempfile::tempdir().unwrap();
    let engine = created(dir.path());
    put(&engine, "k", "v");
    drop(engine);
    let manifest = files_named(dir.path(), "MANIFEST-").pop().unwrap();
    let len = fs::metadata(&manifest).unwrap().len() as usize;
    for at in (0..7).chain((7..len).step_by(len / 20)) {
        refuses_with_a_flipped_bit(dir.path(), &manifest, at);
    }
    assert_eq!(open(dir.path()).unwrap().get(Space::Item, b"k"), Ok(Some(b"v".to_vec())));
}

fn refuses_with_a_flipped_bit(store: &Path, file: &Path, at: usize) {
    let intact = fs::read(file).unwrap();
    for bit in [0x80, 0x04] {
        flip_bit(file, at, bit);
        assert_eq!(open(store).err(), Some(Error::Corrupt), "byte {at}, bit {bit:#x}");
        fs::write(file, &intact).unwrap();
    }
}

/// The log that holds what was committed last.
fn write_ahead_log(store: &Path) -> PathBuf {
    files(store, ".log").into_iter().rfind(|path| fs::metadata(path).unwrap().len() > 0).unwrap()
}

#[test]
fn a_batch_that_a_crash_cut_off_is_not_there_and_the_rest_is() {
    let dir = tempfile::tempdir().unwrap();
    let engine = created(dir.path());
    put(&engine, "whole", "value");
    put(&engine, "cut", noise(1, 100_000));
    drop(engine);
    let log = write_ahead_log(dir.path());
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 1000]).unwrap();
    let engine = open(dir.path()).unwrap();
    assert_eq!(engine.get(Space::Item, b"whole"), Ok(Some(b"value".to_vec())));
    assert_eq!(engine.get(Space::Item, b"cut"), Ok(None));
}

#[test]
fn rocksdbs_own_logs_hold_no_key_and_no_value() {
    let dir = tempfile::tempdir().unwrap();
    let engine = created(dir.path());
    // Several flushes and a compaction, which are what RocksDB would write about.
    for i in 0..200u64 {
        put(
            &engine,
            [b"canary-key-", &i.to_be_bytes()[..]].concat(),
            [b"canary-value-".to_vec(), noise(i, 60_000)].concat(),
        );
    }
    engine.db.compact_range_cf(engine.family(Space::Item), Some(b"canary-key-"), Some(b"canary-key-\xff"));
    drop(engine);
    drop(open(dir.path()).unwrap());
    let logs = [files_named(dir.path(), "LOG"), files_named(dir.path(), "OPTIONS-")].concat();
    let hex = "canary-key-".bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(logs.len() >= 2 && files(dir.path(), ".sst").len() > 1);
    for log in logs {
        let text = String::from_utf8_lossy(&fs::read(&log).unwrap()).to_lowercase();
        assert!(!text.contains("canary") && !text.contains(&hex), "{log:?}");
        assert!(text.len() < 1 << 20);
    }
}

#[test]
fn disk_bytes_follow_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let engine = created(dir.path());
    let before = engine.disk_bytes().unwrap();
    put(&engine, "k", noise(1, 1_000_000));
    let grown = engine.disk_bytes().unwrap() - before;
    assert!((1_000_000..1_100_000).contains(&grown), "{grown}");
}

#[test]
fn the_write_ahead_log_and_the_write_buffers_stay_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let engine = created(dir.path());
    let buffered = || -> u64 {
        let family = |space: &Space| engine.family(*space);
        let bytes = |space| engine.db.property_int_value_cf(family(space), "rocksdb.cur-size-all-mem-tables");
        Space::ALL.iter().map(|space| bytes(space).unwrap().unwrap()).sum()
    };
    let mut most_buffered = 0;
    for i in 0..60u64 {
        let mut batch = Batch::new();
        // One kind of record is written once and never again: its buffer must not hold the log back.
        batch.put(if i == 0 { Space::Meta } else { Space::Page }, i.to_be_bytes(), noise(i, 1_000_000));
        engine.commit(batch).unwrap();
        most_buffered = most_buffered.max(buffered());
    }
    engine.db.wait_for_compact(&Default::default()).unwrap();
    let logs: u64 = files(dir.path(), ".log").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(logs <= CREATE.wal_bytes + (2 << 20), "{logs}");
    assert!((1_000_000..2 * CREATE.write_buffer_bytes as u64).contains(&most_buffered), "{most_buffered}");
}

/// No test can pull the plug, so this one asks RocksDB whether it synced.
#[test]
fn every_commit_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let mut database = options::database(&CREATE);
    database.enable_statistics();
    let engine = RocksEngine::open_with(dir.path(), &CREATE, &database).unwrap();
    let before = database.get_ticker_count(Ticker::WalFileSynced);
    (0..7u8).for_each(|key| put(&engine, [key], "v"));
    assert_eq!(database.get_ticker_count(Ticker::WalFileSynced) - before, 7);
}

#[test]
fn rocksdbs_errors_are_told_apart() {
    let cases = [
        (ErrorKind::Corruption, "Corruption: block checksum mismatch", Error::Corrupt),
        (ErrorKind::IOError, "IO error: No space left on device: While appending to file", Error::Full),
        (ErrorKind::IOError, "IO error: While lock file: /x/LOCK: Resource temporarily unavailable", Error::Locked),
        (ErrorKind::IOError, "IO error: lock hold by current process, acquire time 1", Error::Locked),
        (ErrorKind::IOError, "IO error: While fdatasync: /No space left on device: Input/output error", Error::Failed),
        (ErrorKind::Unknown, "", Error::Failed),
    ];
    for (kind, text, expected) in cases {
        assert_eq!(kind_of(kind, text), expected, "{text}");
    }
}

#[test]
fn of_a_text_only_the_name_of_a_file_is_told() {
    for (text, file) in [
        (
            "Corruption: block checksum mismatch: stored = 1, computed = 2 in /var/ann/db/000012.sst offset 0",
            Some("000012.sst"),
        ),
        (
            "Corruption: checksum mismatch in the file '/db/MANIFEST-000005', which may be corrupted",
            Some("MANIFEST-000005"),
        ),
        ("Corruption: CURRENT file does not end with newline", Some("CURRENT")),
        ("IO error: No such file or directory: /db/000009.log: while opening", Some("000009.log")),
        ("Corruption: corrupted key 616e6e for ann.sst, MANIFEST-ann and .log", None),
        ("", None),
    ] {
        assert_eq!(file_in(text), file, "{text}");
    }
}

#[test]
fn the_end_of_a_prefix_is_the_first_key_after_it() {
    for (prefix, end) in [(&b"ab"[..], Some(&b"ac"[..])), (b"a\xff\xff", Some(b"b")), (b"\xff", None), (b"", None)] {
        assert_eq!(first_after(prefix).as_deref(), end, "{prefix:?}");
    }
}

/// The path that [`another_process`] commits to, when it runs as a child.
const CHILD_STORE: &str = "LACUNA_TEST_CHILD_STORE";

/// Not a test: the other process of the two tests below. Commits numbers and prints each one acknowledged.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn another_process() {
    let Some(path) = std::env::var_os(CHILD_STORE) else { return };
    let engine = created(Path::new(&path));
    for number in 0u64.. {
        let mut batch = Batch::new();
        batch.put(Space::Item, number.to_be_bytes(), noise(number, 2000));
        batch.put(Space::Log, number.to_be_bytes(), "");
        engine.commit(batch).unwrap();
        println!("acknowledged {number}");
    }
}

fn spawn_another_process(path: &Path) -> (Child, BufReader<ChildStdout>) {
    let test = concat!(module_path!(), "::another_process").split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(CHILD_STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// Reads until `count` acknowledgements came or the output ends; returns the number of the last.
fn last_acknowledged(output: &mut BufReader<ChildStdout>, count: usize) -> Option<u64> {
    // The runner prints the test's name without a line end before the first of them.
    let numbers =
        output.lines().map_while(Result::ok).filter_map(|line| line.split_once("acknowledged ")?.1.parse().ok());
    numbers.take(count).last()
}

#[test]
fn a_store_is_held_by_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, mut output) = spawn_another_process(dir.path());
    last_acknowledged(&mut output, 1).expect("the child commits");
    assert_eq!(open(dir.path()).err(), Some(Error::Locked));
    child.kill().unwrap();
    child.wait().unwrap();
    open(dir.path()).unwrap();
}

#[test]
fn acknowledged_batches_survive_kill_9_whole() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let (mut child, mut output) = spawn_another_process(dir.path());
        last_acknowledged(&mut output, 20 + 13 * round).expect("the child commits");
        child.kill().unwrap();
        child.wait().unwrap();
        let last = last_acknowledged(&mut output, usize::MAX).unwrap_or(0).max(19 + 13 * round as u64);
        let engine = open(dir.path()).unwrap();
        let items = engine.scan(Space::Item, b"", b"", usize::MAX).unwrap();
        let logged = engine.scan(Space::Log, b"", b"", usize::MAX).unwrap();
        assert!(items.len() as u64 > last);
        assert!(items.iter().map(|(key, _)| key).eq(logged.iter().map(|(key, _)| key)), "a batch was cut in half");
        for (number, (key, value)) in items.iter().enumerate() {
            assert_eq!(key[..], (number as u64).to_be_bytes());
            assert_eq!(*value, noise(number as u64, 2000));
        }
    }
}
