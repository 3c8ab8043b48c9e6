//! `lacuna audit export`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::super::failure::Failure;
use super::super::remote::Remote;
use super::super::show::{Format, out};
use super::fetch::Fetcher;
use super::folder::Folder;
use super::lines::{Line, Lines};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::note::{self, VerifierKey};
use crate::audit::sidecar;
use crate::audit::tile::{
    Resource, TILE_LEVELS, TILE_LEVELS_MAX, TILE_WIDTH, TileId, decode_entries, decode_tile, first_difference,
};

/// What `audit export` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder to write to, for tiles, or the file, for lines; made if missing, continued if an export is in it.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Tiles, which can be verified; or decoded entries, a JSON object or a CSV record each.
    #[arg(long, value_enum, default_value_t = Kind::Tiles)]
    format: Kind,
    /// Where the vault serves operations. Not needed with --dev.
    #[arg(long, value_name = "HOST:PORT", env = "LACUNA_OPS_ADDRESS")]
    ops_address: Option<String>,
    /// A key that must have signed the checkpoint that is fetched; may be given several times.
    #[arg(long = "vkey", value_name = "VKEY")]
    keys: Vec<VerifierKey>,
    /// Leave sealed details out: all that the role monitor may read.
    #[arg(long)]
    leaves_only: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What an export is.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A folder of the published files.
    Tiles,
    /// A file of JSON objects.
    Jsonl,
    /// A file of CSV records.
    Csv,
}

/// Carries it out.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut fetcher = Fetcher::new(&arguments.remote, arguments.ops_address.as_deref())?;
    let mut keys = arguments.keys.clone();
    if keys.is_empty() {
        keys.extend(fetcher.dev_key().and_then(|key| key.parse().ok()));
    }
    match arguments.format {
        Kind::Tiles => tiles(arguments, &mut fetcher, &keys),
        Kind::Jsonl => lines(arguments, &mut fetcher, &keys, Line::Json),
        Kind::Csv => lines(arguments, &mut fetcher, &keys, Line::Csv),
    }
}

fn tiles(arguments: &Arguments, fetcher: &mut Fetcher, keys: &[VerifierKey]) -> Result<(), Failure> {
    let folder = Folder::new(&arguments.path);
    let before = match folder.newest()? {
        None => 0,
        Some(held) => claimed(&held.note, &[])?.size,
    };
    let (note, checkpoint) = newest(fetcher, keys)?;
    not_cut(before, checkpoint.size)?;
    let mut copy = Copy { fetcher, folder: &folder, size: checkpoint.size };
    copy.carry_out(before, !arguments.leaves_only)?;
    folder.finish(checkpoint.size, &note)?;
    told(arguments, checkpoint.size, checkpoint.size - before)
}

fn lines(arguments: &Arguments, fetcher: &mut Fetcher, keys: &[VerifierKey], line: Line) -> Result<(), Failure> {
    let mut lines = Lines::open(&arguments.path, line)?;
    let (_, checkpoint) = newest(fetcher, keys)?;
    not_cut(lines.next, checkpoint.size)?;
    let new = lines.append(fetcher, &arguments.path, checkpoint.size, !arguments.leaves_only)?;
    told(arguments, checkpoint.size, new)
}

fn newest(fetcher: &mut Fetcher, keys: &[VerifierKey]) -> Result<(Vec<u8>, Checkpoint), Failure> {
    let note = fetcher.read(Resource::Checkpoint)?;
    let note = note.ok_or_else(|| Failure::failed("the vault shows no checkpoint"))?;
    let checkpoint = claimed(&note, keys)?;
    Ok((note, checkpoint))
}

fn not_cut(before: u64, size: u64) -> Result<(), Failure> {
    if before <= size {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "the log was cut: the vault's checkpoint covers {size} entries, this export has {before}. Keep the export: it is \
         the evidence"
    )))
}

fn told(arguments: &Arguments, size: u64, new: u64) -> Result<(), Failure> {
    match arguments.remote.format() {
        Format::Table => out(&format!("{}: {size} entries, {new} of them new", arguments.path.display())),
        Format::Json => out(&serde_json::json!({ "size": size, "new": new }).to_string()),
    }
}

/// What a checkpoint says, under one of these keys where there are any.
fn claimed(note: &[u8], keys: &[VerifierKey]) -> Result<Checkpoint, Failure> {
    let read = match keys {
        [] => note::read(note, &[]).map(|read| Checkpoint::parse(read.text)),
        keys => Checkpoint::open(note, keys).map(Some),
    };
    let checkpoint = read.map_err(|error| Failure::failed(format!("checkpoint: {error}")))?;
    checkpoint.ok_or_else(|| Failure::failed("checkpoint: malformed"))
}

/// One copy of what is new.
struct Copy<'c> {
    fetcher: &'c mut Fetcher,
    folder: &'c Folder,
    size: u64,
}

impl Copy<'_> {
    fn carry_out(&mut self, before: u64, with_details: bool) -> Result<(), Failure> {
        let bar = bar(self.size, "fetching");
        for index in before / TILE_WIDTH..self.size.div_ceil(TILE_WIDTH) {
            let width = TILE_WIDTH.min(self.size - index * TILE_WIDTH);
            if with_details {
                self.file(Resource::Details(index, width), |bytes| sidecar::decode(bytes, width).is_ok())?;
            }
            self.bundle(index, width)?;
            bar.set_position(index * TILE_WIDTH + width);
        }
        for level in 1..TILE_LEVELS_MAX {
            let span = TILE_LEVELS * (level + 1);
            let at_least_one = self.size >> (TILE_LEVELS * level);
            for index in before.checked_shr(span.into()).unwrap_or(0)..at_least_one.div_ceil(TILE_WIDTH) {
                let id = TileId { level, index };
                let width = id.width_at(self.size);
                self.file(Resource::Tile(id, width), |bytes| decode_tile(bytes, width).is_ok())?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Entries and the tile of their hashes, which must fit one another, also where an earlier run left them.
    fn bundle(&mut self, index: u64, width: u64) -> Result<(), Failure> {
        let tile = Resource::Tile(TileId { level: 0, index }, width);
        let entries = Resource::Entries(index, width);
        let fit = |tile_bytes: &[u8], entry_bytes: &[u8]| {
            let hashes = decode_tile(tile_bytes, width).map_err(|error| unfit(tile, error))?;
            let decoded = decode_entries(entry_bytes, width).map_err(|error| unfit(entries, error))?;
            match first_difference(&decoded, &hashes) {
                None => Ok(()),
                Some(place) => {
                    let place = index * TILE_WIDTH + place as u64;
                    Err(unfit(entries, format_args!("entry {place} is not the one whose hash is in {tile}")))
                }
            }
        };
        if let (Some(tile_bytes), Some(entry_bytes)) = (self.folder.kept(tile)?, self.folder.kept(entries)?)
            && fit(&tile_bytes, &entry_bytes).is_ok()
        {
            return Ok(());
        }
        let (tile_bytes, entry_bytes) = (self.fetch(tile)?, self.fetch(entries)?);
        fit(&tile_bytes, &entry_bytes)?;
        self.folder.write(tile, &tile_bytes)?;
        self.folder.write(entries, &entry_bytes)
    }

    /// A file that an earlier run left is kept if it is whole.
    fn file(&mut self, resource: Resource, is_whole: impl Fn(&[u8]) -> bool) -> Result<(), Failure> {
        if self.folder.kept(resource)?.is_some_and(|bytes| is_whole(&bytes)) {
            return Ok(());
        }
        let bytes = self.fetch(resource)?;
        if !is_whole(&bytes) {
            return Err(unfit(resource, "does not read"));
        }
        self.folder.write(resource, &bytes)
    }

    fn fetch(&mut self, resource: Resource) -> Result<Vec<u8>, Failure> {
        let bytes = self.fetcher.read(resource)?;
        bytes.ok_or_else(|| unfit(resource, "is not served, although the vault's checkpoint covers it"))
    }
}

fn unfit(resource: Resource, what: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{resource}: {what}"))
}

/// A bar over entries; nothing where nobody looks.
pub fn bar(entries: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {human_pos} of {human_len} entries, {eta} left");
    let bar = ProgressBar::new(entries).with_message(what);
    style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}
