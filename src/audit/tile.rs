//! Tiles and entry bundles of C2SP tlog-tiles: their places, their bytes, and hashes of subtrees out of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::str::FromStr;

use super::tree::{Hashes, Node, leaf_hash, node_hash};
use crate::crypto::hash::Digest;

/// Levels of the tree that one tile spans.
pub const TILE_LEVELS: u8 = 8;
/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 1 << TILE_LEVELS;
/// Tile levels that sizes of 64 bits need.
pub const TILE_LEVELS_MAX: u8 = 8;
/// The highest tile level that a path can name.
const PATH_LEVEL_MAX: u8 = 63;
/// Bytes of one entry.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// Bytes or text that are not what the format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed tile, bundle or path")]
pub struct Malformed;

/// A tile: the `index`-th run of 256 hashes at a tile level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 for leaf hashes; each level above holds the roots of full tiles below.
    pub level: u8,
    /// Its place among the tiles of its level.
    pub index: u64,
}

impl TileId {
    /// How many hashes the tile has in a tree of `size` leaves: 256 when full, 0 when it is not there.
    pub fn width_at(self, size: u64) -> u64 {
        let hashes = if self.level < TILE_LEVELS_MAX { size >> (TILE_LEVELS * self.level) } else { 0 };
        hashes.saturating_sub(self.index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
    }
}

/// The tiles that a tree of `size` leaves has and that are not full, from the leaves up, with their widths.
pub fn partial_tiles(size: u64) -> impl Iterator<Item = (TileId, u64)> {
    let hashes = (0..TILE_LEVELS_MAX).map(move |level| (level, size >> (TILE_LEVELS * level)));
    hashes
        .map(|(level, hashes)| (TileId { level, index: hashes / TILE_WIDTH }, hashes % TILE_WIDTH))
        .filter(|(_, width)| *width > 0)
}

/// What a log publishes, by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The newest checkpoint.
    Checkpoint,
    /// A tile and its width.
    Tile(TileId, u64),
    /// A bundle of entries and how many.
    Entries(u64, u64),
    /// The sealed details of a bundle's entries, and of how many. This vault's own: see `audit/sidecar.rs`.
    Details(u64, u64),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile(TileId { level, index }, width) => {
                write!(f, "tile/{level}/")?;
                (index, width)
            }
            Self::Entries(index, width) => {
                f.write_str("tile/entries/")?;
                (index, width)
            }
            Self::Details(index, width) => {
                f.write_str("details/")?;
                (index, width)
            }
        };
        write_index(f, *index)?;
        if *width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

impl FromStr for Resource {
    type Err = Malformed;

    /// Reads a path without leading slash. Each resource has one path; any other spelling is refused.
    fn from_str(path: &str) -> Result<Self, Malformed> {
        if path == "checkpoint" {
            return Ok(Self::Checkpoint);
        }
        let (level, rest) = match path.strip_prefix("details/") {
            Some(rest) => ("details", rest),
            None => path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(Malformed)?,
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((index, width)) => (index, width.parse().map_err(|_| Malformed)?),
        };
        let index = read_index(index)?;
        let resource = match level {
            "entries" => Self::Entries(index, width),
            "details" => Self::Details(index, width),
            level => Self::Tile(TileId { level: level.parse().map_err(|_| Malformed)?, index }, width),
        };
        let is_there = match resource {
            Self::Tile(id, width) => id.level <= PATH_LEVEL_MAX && (1..=TILE_WIDTH).contains(&width),
            Self::Entries(_, width) | Self::Details(_, width) => (1..=TILE_WIDTH).contains(&width),
            Self::Checkpoint => true,
        };
        // Numbers with a sign, or with leading zeros, are found by writing the path again.
        if is_there && resource.to_string() == path { Ok(resource) } else { Err(Malformed) }
    }
}

/// Path elements of three digits; all but the last begin with an x.
fn write_index(f: &mut fmt::Formatter<'_>, index: u64) -> fmt::Result {
    let mut above = index / 1_000;
    let mut groups = Vec::new();
    while above > 0 {
        groups.push(above % 1_000);
        above /= 1_000;
    }
    groups.iter().rev().try_for_each(|group| write!(f, "x{group:03}/"))?;
    write!(f, "{:03}", index % 1_000)
}

fn read_index(text: &str) -> Result<u64, Malformed> {
    text.split('/').map(|group| group.trim_start_matches('x')).try_fold(0u64, |number, group| {
        let group: u64 = group.parse().map_err(|_| Malformed)?;
        number.checked_mul(1_000).and_then(|number| number.checked_add(group)).ok_or(Malformed)
    })
}

/// The bytes of a tile.
pub fn encode_tile(hashes: &[Digest]) -> Vec<u8> {
    hashes.concat()
}

/// The hashes of a tile of a known width.
pub fn decode_tile(bytes: &[u8], width: u64) -> Result<Vec<Digest>, Malformed> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() && hashes.len() as u64 == width { Ok(hashes.to_vec()) } else { Err(Malformed) }
}

/// The bytes of a bundle.
///
/// # Errors
/// [`Malformed`] if an entry is longer than the format can say.
pub fn encode_entries<'e>(entries: impl Iterator<Item = &'e [u8]>) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::new();
    for entry in entries {
        let len = u16::try_from(entry.len()).map_err(|_| Malformed)?;
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// The entries of a bundle of a known count.
pub fn decode_entries(mut bytes: &[u8], count: u64) -> Result<Vec<&[u8]>, Malformed> {
    let mut entries = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or(Malformed)?;
        entries.push(entry);
        bytes = rest;
    }
    if bytes.is_empty() && entries.len() as u64 == count { Ok(entries) } else { Err(Malformed) }
}

/// Whether a bundle's entries are the ones a leaf tile speaks of: the place of the first that is not.
pub fn first_difference(entries: &[&[u8]], tile: &[Digest]) -> Option<usize> {
    let differs = |i: &usize| entries.get(*i).map(|entry| leaf_hash(entry)) != tile.get(*i).copied();
    (0..entries.len().max(tile.len())).find(differs)
}

/// Where tiles come from.
pub trait Tiles {
    /// Why one is not there.
    type Error;

    /// The hashes of a tile: all that the tree has, or more than were asked for.
    fn tile(&self, id: TileId) -> Result<Vec<Digest>, Self::Error>;

    /// The tile is shorter than the tree that it is said to be of.
    fn short(&self) -> Self::Error;
}

/// Hashes of subtrees computed from tiles, each of which is read once.
pub struct TileHashes<'t, T> {
    tiles: &'t T,
    seen: RefCell<HashMap<TileId, Vec<Digest>>>,
    /// Roots of subtrees that were asked for: two proofs under one checkpoint share most of them.
    known: RefCell<HashMap<Node, Digest>>,
}

impl<'t, T: Tiles> TileHashes<'t, T> {
    /// For the length of one computation.
    pub fn new(tiles: &'t T) -> Self {
        Self { tiles, seen: RefCell::default(), known: RefCell::default() }
    }
}

impl<T: Tiles> Hashes for TileHashes<'_, T> {
    type Error = T::Error;

    fn hash(&self, node: Node) -> Result<Digest, T::Error> {
        if let Some(known) = self.known.borrow().get(&node) {
            return Ok(*known);
        }
        let (level, height) = (node.level / TILE_LEVELS, node.level % TILE_LEVELS);
        let first = node.index << height;
        let id = TileId { level, index: first / TILE_WIDTH };
        let mut seen = self.seen.borrow_mut();
        let tile = match seen.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.tiles.tile(id)?),
        };
        let from = (first % TILE_WIDTH) as usize;
        let hashes = tile.get(from..from + (1 << height)).ok_or_else(|| self.tiles.short())?;
        let root = subtree_root(hashes);
        self.known.borrow_mut().insert(node, root);
        Ok(root)
    }
}

/// The root of a complete subtree whose hashes at some level are given: a power of two of them.
pub(super) fn subtree_root(hashes: &[Digest]) -> Digest {
    match hashes {
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&subtree_root(left), &subtree_root(right))
        }
    }
}

#[cfg(test)]
#[path = "tests/tiles.rs"]
mod tests;
