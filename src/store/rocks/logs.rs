//! Tells a log that a crash cut short from one that was damaged.
//!
//! RocksDB's write-ahead log and its manifest are logs of records. It drops a record that seems to reach past the end,
//! and everything after it, without a word: so it must, since a crash leaves such a record. But one flipped bit in the
//! length of an acknowledged record looks the same, one in its kind can make RocksDB 11 end there too or read for ever,
//! and a header of zeros makes it skip a block. The difference is in the bytes that follow: after a cut there is never
//! a whole record. Every other damage fails RocksDB's own checksums.
//!
//! Besides, RocksDB says nothing of the file that tells which manifest is in force: it looks for whichever that names.
//!
//! The layout is RocksDB's "Write Ahead Log File Format": blocks of 32 KiB; in each, records of a masked CRC-32C over
//! kind and payload (4 bytes), the payload's length (2), the kind (1), the payload; little-endian.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The file in the store's directory that is damaged in a way that RocksDB would pass over or not name, if there is one.
///
/// # Errors
/// Where a log cannot be read.
pub(super) fn damaged(store: &Path) -> io::Result<Option<String>> {
    if let Ok(named) = fs::read(store.join(CURRENT)) {
        let name = named.strip_suffix(b"\n").and_then(|name| std::str::from_utf8(name).ok());
        if !name.is_some_and(|name| name.starts_with(MANIFEST) && store.join(name).is_file()) {
            return Ok(Some(CURRENT.to_owned()));
        }
    }
    for entry in fs::read_dir(store)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_log(&name) && is_damaged(File::open(entry.path())?)? {
            return Ok(Some(name.into_owned()));
        }
    }
    Ok(None)
}

/// The log in the store's directory in which a record does not have its checksum, if there is one: RocksDB finds that, and
/// does not say where.
pub(super) fn with_wrong_sum(store: &Path) -> Option<String> {
    let entries = fs::read_dir(store).ok()?.flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.find(|name| is_log(name) && fs::read(store.join(name)).is_ok_and(|bytes| !sums_are_right(&bytes)))
}

fn sums_are_right(log: &[u8]) -> bool {
    log.chunks(BLOCK as usize).all(|block| {
        let mut rest = block;
        while let Some(header) = Header::of(rest) {
            let Some(payload) = rest.get(HEADER..HEADER + header.len) else { break };
            if (FULL..=LAST).contains(&header.kind) && !header.matches(payload) {
                return false;
            }
            rest = &rest[HEADER + header.len..];
        }
        true
    })
}

fn is_log(name: &str) -> bool {
    name.ends_with(".log") || name.starts_with(MANIFEST)
}

fn is_damaged(mut log: impl Read) -> io::Result<bool> {
    let mut block = Vec::new();
    let mut ended = false;
    loop {
        block.clear();
        (&mut log).take(BLOCK).read_to_end(&mut block)?;
        let is_last = (block.len() as u64) < BLOCK;
        match end_of_records(&block) {
            _ if ended && !is_zeros(&block) => return Ok(true),
            End::Whole => {}
            // A file system may leave zeros where a crash came before the data.
            End::Cut(rest) if is_zeros(rest) => ended = true,
            End::Cut(rest) if is_last && !hides_records(rest) => {}
            End::Cut(_) | End::NoRecord => return Ok(true),
        }
        if is_last {
            return Ok(false);
        }
    }
}

fn is_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// How the records of one block end.
enum End<'a> {
    /// With the block, but for a few bytes of filling.
    Whole,
    /// With a record that is longer than the block, or with zeros: the rest of the block.
    Cut(&'a [u8]),
    /// With bytes that no record begins with.
    NoRecord,
}

fn end_of_records(block: &[u8]) -> End<'_> {
    let mut rest = block;
    while let Some(header) = Header::of(rest) {
        match header.kind {
            0 if header.len == 0 => return End::Cut(rest),
            FULL..=LAST if header.len > rest.len() - HEADER => return End::Cut(rest),
            FULL..=LAST => rest = &rest[HEADER + header.len..],
            _ => return End::NoRecord,
        }
    }
    End::Whole
}

/// Whether the record at which reading ends is followed by a whole one, or is whole but for its length.
fn hides_records(rest: &[u8]) -> bool {
    let Some(header) = Header::of(rest) else { return false };
    header.matches(&rest[HEADER..])
        || (1..rest.len()).any(|at| {
            let rest = &rest[at..];
            Header::of(rest).is_some_and(|header| {
                rest.get(HEADER..HEADER + header.len).is_some_and(|payload| header.matches(payload))
            })
        })
}

struct Header {
    crc: u32,
    len: usize,
    kind: u8,
}

impl Header {
    fn of(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, e, f, kind] = *bytes.first_chunk::<HEADER>()?;
        let len = u16::from_le_bytes([e, f]).into();
        Some(Self { crc: u32::from_le_bytes([a, b, c, d]), len, kind })
    }

    fn matches(&self, payload: &[u8]) -> bool {
        (FULL..=LAST).contains(&self.kind) && self.crc == masked(crc32c(self.kind, payload))
    }
}

/// CRC-32C (Castagnoli) of the kind and the payload; a byte at a time will do for one block.
fn crc32c(kind: u8, payload: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| CRC_TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8);
    !payload.iter().fold(step(!0, &kind), step)
}

/// RocksDB stores its sums rotated and shifted, since a log may itself contain sums.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The file that names the manifest in force, and how manifests' names begin.
const CURRENT: &str = "CURRENT";
const MANIFEST: &str = "MANIFEST-";

const BLOCK: u64 = 32 * 1024;
const HEADER: usize = 7;

/// The kinds of records in our logs: full, first, middle, last. The others belong to recycled and compressed logs and
/// to timestamps, none of which is in use.
const FULL: u8 = 1;
const LAST: u8 = 4;

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u16).to_le_bytes();
        [&masked(crc32c(kind, payload)).to_le_bytes()[..], &len, &[kind], payload].concat()
    }

    fn log() -> Vec<u8> {
        [record(4, b"the end of an earlier one"), record(1, &[7; 300]), record(1, b""), record(1, &[9; 40])].concat()
    }

    #[test]
    fn a_log_with_a_wrong_sum_and_a_wrong_current_file_are_named() {
        let store = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: &[u8]| fs::write(store.path().join(name), bytes).expect("is written");
        write("000004.log", &log());
        write("MANIFEST-000005", &log());
        write(CURRENT, b"MANIFEST-000005\n");
        assert_eq!((damaged(store.path()).expect("reads"), with_wrong_sum(store.path())), (None, None));
        let mut spoilt = log();
        spoilt[HEADER] ^= 1;
        write("000004.log", &spoilt);
        assert_eq!(with_wrong_sum(store.path()).as_deref(), Some("000004.log"));
        for wrong in ["MANIFEST-000004\n", "MANIFEST-000005", "NIFEST-000005\n", ""] {
            write(CURRENT, wrong.as_bytes());
            assert_eq!(damaged(store.path()).expect("reads").as_deref(), Some(CURRENT), "{wrong:?}");
        }
    }

    #[test]
    fn the_sum_is_crc_32c() {
        // The check value of the CRC catalogue: the sum of "123456789".
        assert_eq!(crc32c(b'1', b"23456789"), 0xe306_9283);
    }

    #[test]
    fn a_log_cut_anywhere_is_sound() {
        for log in [log(), two_blocks()] {
            for end in (0..=log.len()).rev().take(700) {
                assert!(!is_damaged(&log[..end]).unwrap(), "cut at {end}");
            }
            assert!(!is_damaged(&[&log[..], &[0; 500]].concat()[..]).unwrap());
            let mut far = log.clone();
            far.resize(3 * BLOCK as usize, 0);
            assert!(!is_damaged(&far[..]).unwrap());
            assert!(is_damaged(&[far, log].concat()[..]).unwrap());
        }
    }

    #[test]
    fn a_length_that_reaches_past_the_end_is_damage() {
        each_header(|log, at| log[at + 5] ^= 0x80);
    }

    #[test]
    fn a_kind_that_is_not_in_use_is_damage() {
        each_header(|log, at| log[at + 6] ^= 4 | 0x10);
        each_header(|log, at| log[at + 6] += 4);
    }

    #[test]
    fn a_header_of_zeros_before_records_is_damage() {
        let mut damaged = log();
        damaged[..HEADER].fill(0);
        assert!(is_damaged(&damaged[..]).unwrap());
        let mut damaged = two_blocks();
        damaged[..HEADER].fill(0);
        assert!(is_damaged(&damaged[..]).unwrap());
    }

    fn two_blocks() -> Vec<u8> {
        let first = record(1, &vec![5; BLOCK as usize - HEADER - 3]);
        [first, vec![0; 3], log()].concat()
    }

    /// Damages each record in turn.
    fn each_header(damage: fn(&mut [u8], usize)) {
        let mut at = 0;
        while at < log().len() {
            let mut damaged = log();
            damage(&mut damaged, at);
            assert!(is_damaged(&damaged[..]).unwrap(), "record at {at}");
            at += HEADER + usize::from(log()[at + 4]) + 256 * usize::from(log()[at + 5]);
        }
    }
}
