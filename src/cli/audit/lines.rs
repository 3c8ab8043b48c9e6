//! An export as lines: one JSON object or one CSV record for each entry, decoded; sealed details stay sealed.
//!
//! A file that is there is continued after its last whole line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::failure::Failure;
use super::super::json;
use super::super::remote::about;
use super::export::bar;
use super::fetch::Fetcher;
use crate::api::convert::audit::exported;
use crate::api::proto::AuditEntry;
use crate::audit::leaf;
use crate::audit::sidecar;
use crate::audit::tile::{
    ENTRY_BYTES_MAX, Resource, TILE_WIDTH, TileId, decode_entries, decode_tile, first_difference,
};

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The canonical JSON of `lacuna.v1.AuditEntry`.
    Json,
    /// The columns of [`HEADER`].
    Csv,
}

/// A file of lines, open at its end.
pub struct Lines {
    file: BufWriter<File>,
    line: Line,
    /// The index of the next entry.
    pub next: u64,
}

impl Lines {
    /// Opens a file to be continued, or makes it.
    ///
    /// # Errors
    /// It cannot be opened, or its last line is none of an export in this format.
    pub fn open(path: &Path, line: Line) -> Result<Self, Failure> {
        let failed = |error: io::Error| about(path, error.kind());
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = file.map_err(failed)?;
        let (end, last) = last_line(&mut file).map_err(failed)?;
        let next = match last {
            None => Some(0),
            Some(last) => line.index(&last).map(|index| index.map_or(0, |index| index + 1)),
        };
        let next =
            next.ok_or_else(|| about(path, "does not end as an export in this format does; name another file"))?;
        // What a cut run left of a line is written again.
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(failed)?;
        let mut lines = Self { file: BufWriter::new(file), line, next };
        if end == 0 && line == Line::Csv {
            writeln!(lines.file, "{HEADER}").map_err(failed)?;
        }
        Ok(lines)
    }

    /// Appends every entry up to `size`.
    pub fn append(&mut self, fetcher: &mut Fetcher, path: &Path, size: u64, sealed: bool) -> Result<u64, Failure> {
        let failed = |error: io::Error| about(path, error.kind());
        let (bar, from) = (bar(size, "exporting"), self.next);
        while self.next < size {
            let index = self.next / TILE_WIDTH;
            let width = TILE_WIDTH.min(size - index * TILE_WIDTH);
            for entry in bundle(fetcher, index, width, sealed)?.into_iter().filter(|entry| entry.index >= self.next) {
                let text = self.line.text(&entry)?;
                writeln!(self.file, "{text}").map_err(failed)?;
            }
            self.file.flush().map_err(failed)?;
            self.next = index * TILE_WIDTH + width;
            bar.set_position(self.next);
        }
        bar.finish_and_clear();
        self.file.get_ref().sync_all().map_err(failed)?;
        Ok(self.next - from)
    }
}

/// The entries of a bundle, once each is the one in the tree and its detail the one that it commits to.
fn bundle(fetcher: &mut Fetcher, index: u64, width: u64, sealed: bool) -> Result<Vec<AuditEntry>, Failure> {
    let mut fetch = |resource: Resource| {
        let bytes = fetcher.read(resource)?;
        bytes.ok_or_else(|| unfit(resource, "is not served, although the vault's checkpoint covers it"))
    };
    let tile = Resource::Tile(TileId { level: 0, index }, width);
    let (entries, details) = (Resource::Entries(index, width), Resource::Details(index, width));
    let hashes = decode_tile(&fetch(tile)?, width).map_err(|error| unfit(tile, error))?;
    let bytes = fetch(entries)?;
    let leaves = decode_entries(&bytes, width).map_err(|error| unfit(entries, error))?;
    if let Some(place) = first_difference(&leaves, &hashes) {
        return Err(unfit(entries, format_args!("its entry {place} is not the one whose hash is in {tile}")));
    }
    let bytes = if sealed { Some(fetch(details)?) } else { None };
    let sealed = match &bytes {
        None => vec![None; leaves.len()],
        Some(bytes) => sidecar::decode(bytes, width).map_err(|error| unfit(details, error))?,
    };
    let first = index * TILE_WIDTH;
    let each = leaves.into_iter().zip(sealed).zip(first..);
    each.map(|((bytes, sealed), index)| {
        let leaf = leaf::decode(bytes).map_err(|_| unfit(entries, format_args!("entry {index} is no leaf")))?;
        Ok(exported(index, bytes, leaf, sealed))
    })
    .collect()
}

fn unfit(resource: Resource, what: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{resource}: {what}"))
}

impl Line {
    /// The index in a line; none in a header. The outer none is for what is no line.
    fn index(self, line: &[u8]) -> Option<Option<u64>> {
        let line = std::str::from_utf8(line).ok()?;
        match self {
            Self::Csv if line == HEADER => Some(None),
            Self::Csv => line.split(',').next()?.parse().ok().map(Some),
            Self::Json => match serde_json::from_str::<serde_json::Value>(line).ok()?.get("index") {
                Some(index) => index.as_str()?.parse().ok().map(Some),
                None => Some(Some(0)), // a zero is left out of the canonical JSON
            },
        }
    }

    fn text(self, entry: &AuditEntry) -> Result<String, Failure> {
        match self {
            Self::Json => json::line(entry),
            Self::Csv => Ok(record(entry)),
        }
    }
}

/// The columns of a CSV export.
pub const HEADER: &str = "index,time,actor,on_behalf_token,role,operation,purpose,class,view,decision,rule_id,\
                          policy_version,outcome,reason,item_count,epoch,request_id,subject_token,receipt_id,\
                          detail_sha256,sealed_detail";

fn record(entry: &AuditEntry) -> String {
    let short = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    let time = entry.time.map(|time| {
        let millis = time.seconds.saturating_mul(1_000) + i64::from(time.nanos / 1_000_000);
        crate::base::time::Timestamp::from_millis(millis).to_string()
    });
    let cells = [
        entry.index.to_string(),
        time.unwrap_or_default(),
        text(&entry.actor),
        hex(&entry.on_behalf_token),
        text(&entry.role),
        text(&entry.operation),
        text(&entry.purpose),
        text(&entry.class),
        short(entry.view().as_str_name(), "VIEW_"),
        short(entry.decision().as_str_name(), "DECISION_"),
        text(&entry.rule_id),
        text(&entry.policy_version),
        short(entry.outcome().as_str_name(), "OUTCOME_"),
        short(entry.reason().as_str_name(), "ERROR_REASON_"),
        entry.item_count.to_string(),
        entry.epoch.to_string(),
        text(&entry.request_id),
        hex(&entry.subject_token),
        text(&entry.receipt_id),
        hex(&entry.detail_sha256),
        STANDARD.encode(&entry.sealed_detail),
    ];
    cells.join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A cell as in RFC 4180. One that a spreadsheet would take for a formula gets an apostrophe before it.
fn text(cell: &str) -> String {
    let guard = if cell.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    let quote = if cell.contains([',', '"', '\n', '\r']) { "\"" } else { "" };
    format!("{quote}{guard}{}{quote}", cell.replace('"', "\"\""))
}

/// Where the last whole line ends, and its bytes without the line feed; none if there is none.
fn last_line(file: &mut File) -> io::Result<(u64, Option<Vec<u8>>)> {
    let len = file.seek(SeekFrom::End(0))?;
    let from = len.saturating_sub(2 * LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(2 * LINE_BYTES_MAX).read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else { return Ok((0, None)) };
    let begin = tail[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok((from + end as u64 + 1, Some(tail[begin..end].to_vec())))
}

/// Bytes of a line: a leaf and a sealed detail in base 64, and the names of the fields.
const LINE_BYTES_MAX: u64 = 16 * ENTRY_BYTES_MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(content: &str, line: Line) -> Result<(u64, String), ()> {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("log");
        std::fs::write(&path, content).expect("written");
        let lines = Lines::open(&path, line).map_err(|_| ())?;
        let next = lines.next;
        drop(lines);
        Ok((next, std::fs::read_to_string(&path).expect("reads")))
    }

    #[test]
    fn an_export_goes_on_after_its_last_whole_line() {
        let whole = "{\"leaf_version\":1}\n{\"index\":\"1\"}\n";
        assert_eq!(opened("", Line::Json), Ok((0, String::new())));
        assert_eq!(opened(whole, Line::Json), Ok((2, whole.into())));
        assert_eq!(opened(&format!("{whole}{{\"index\":\"2"), Line::Json), Ok((2, whole.into())));
        assert_eq!(opened("{\"leaf_ver", Line::Json), Ok((0, String::new())));
        let header = format!("{HEADER}\n");
        assert_eq!(opened("", Line::Csv), Ok((0, header.clone())));
        assert_eq!(opened(&header, Line::Csv), Ok((0, header.clone())));
        assert_eq!(opened(&format!("{header}0,a\n1,\"b\n"), Line::Csv), Ok((2, format!("{header}0,a\n1,\"b\n"))));
        assert_eq!(opened("somebody's notes\n", Line::Json), Err(()));
        assert_eq!(opened("somebody's notes\n", Line::Csv), Err(()));
    }

    #[test]
    fn a_cell_cannot_break_its_record_or_run_in_a_spreadsheet() {
        assert_eq!(text("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!([text("=1+1"), text("@x,"), text("a")], ["'=1+1", "\"'@x,\"", "a"]);
    }
}
