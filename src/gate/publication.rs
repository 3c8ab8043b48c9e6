//! The log as strangers see it: the files of C2SP `tlog-tiles`, and who read them.
//!
//! Files are handed out as far as the newest checkpoint covers them. That somebody read is in the log before anything
//! is handed out; but a reader that asks again and again for the same kind of file is recorded once in
//! [`PUBLISHED_READ_PERIOD`], with the count of its reads, so that watching an idle log makes it grow by that much and
//! no more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::record::{Chosen, Ended, Recorder, Touched, Whom};
use super::refusal::{Access, Refusal, Unavailable};
use super::vault::Vault;
use crate::audit::event::Event;
use crate::audit::sequence;
use crate::audit::sidecar;
use crate::audit::stored::StoredLog;
use crate::audit::tile::{Resource, TILE_WIDTH, TileId, encode_entries, encode_tile};
use crate::base::id::RequestId;
use crate::base::limits::{PUBLISHED_READ_PERIOD, PUBLISHED_READERS_MAX};
use crate::base::log_safe::SafeText;
use crate::catalog::text::Text;
use crate::crypto::rng;
use crate::policy::action::Draw;
use crate::policy::caller::{Caller, RoleId, ServiceName};

/// Who reads the published log.
pub struct Reader {
    /// By which right.
    pub right: Right,
    /// Where the connection comes from.
    pub peer: String,
}

/// By which right somebody reads.
pub enum Right {
    /// On loopback in `dev`: everybody.
    Open,
    /// As somebody who holds these roles; none if the connection shows no identity that is still good.
    Held(Option<Arc<Caller>>),
}

/// A kind of files, which a reader is recorded to have read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Checkpoint,
    /// Tiles and bundles of entries: leaves and their hashes.
    Tiles,
    /// Sealed details.
    Details,
}

impl Kind {
    fn of(resource: Resource) -> Self {
        match resource {
            Resource::Checkpoint => Self::Checkpoint,
            Resource::Tile(..) | Resource::Entries(..) => Self::Tiles,
            Resource::Details(..) => Self::Details,
        }
    }

    const fn operation(self) -> &'static str {
        match self {
            Self::Checkpoint => "ReadCheckpoint",
            Self::Tiles => "ReadTiles",
            Self::Details => "ReadDetails",
        }
    }

    /// The roles that may read it, the one that may do least first.
    const fn roles(self) -> &'static [RoleId] {
        match self {
            Self::Checkpoint | Self::Tiles => &[RoleId::Monitor, RoleId::Auditor],
            Self::Details => &[RoleId::Auditor],
        }
    }
}

/// Who was recorded to have read what, and when.
#[derive(Default)]
pub(super) struct Readers(Mutex<HashMap<Reading, Recorded>>);

/// One thing to be recorded once: who, what kind of file, and whether it was refused.
type Reading = (Option<ServiceName>, Kind, bool);

struct Recorded {
    at: Instant,
    /// Reads since then.
    unrecorded: u32,
}

impl Readers {
    /// How many reads an entry must now tell of; none if it is too early for another.
    fn due(&self, reading: &Reading, now: Instant) -> Option<u32> {
        match self.0.lock().get_mut(reading) {
            Some(recorded) if now.duration_since(recorded.at) < PUBLISHED_READ_PERIOD => {
                recorded.unrecorded = recorded.unrecorded.saturating_add(1);
                None
            }
            Some(recorded) => Some(recorded.unrecorded.saturating_add(1)),
            None => Some(1),
        }
    }

    /// Notes that an entry is durable.
    fn recorded(&self, reading: Reading, now: Instant) {
        let mut readers = self.0.lock();
        if readers.len() >= PUBLISHED_READERS_MAX {
            readers.retain(|_, recorded| now.duration_since(recorded.at) < PUBLISHED_READ_PERIOD);
        }
        if readers.len() < PUBLISHED_READERS_MAX || readers.contains_key(&reading) {
            readers.insert(reading, Recorded { at: now, unrecorded: 0 });
        }
    }
}

impl Vault {
    /// A file of the published log; none if the newest checkpoint does not cover it.
    ///
    /// # Durability
    /// Nothing is returned, and nobody refused, before the reader's entry is durable; see above for how often there is
    /// one.
    ///
    /// # Errors
    /// [`Access`] if the reader holds no role that may; [`Unavailable`] if the log cannot be written or read.
    pub async fn published(&self, reader: &Reader, resource: Resource) -> Result<Option<Vec<u8>>, Refusal> {
        self.check()?;
        self.room.admit(Draw::Entry)?;
        let kind = Kind::of(resource);
        let judged = judge(&reader.right, kind);
        let identity = match &reader.right {
            Right::Held(Some(caller)) => Some(caller.identity.clone()),
            Right::Held(None) | Right::Open => None,
        };
        let (reading, now) = ((identity, kind, judged.is_err()), Instant::now());
        if let Some(count) = self.readers.due(&reading, now) {
            self.record_reading(reader, kind, &judged, count).await?;
            self.readers.recorded(reading, now);
        }
        judged?;
        if kind == Kind::Checkpoint {
            self.log().checkpoint(0).await?; // in the first second of a vault there is none yet
        }
        Ok(self.file(resource)?)
    }

    async fn record_reading(
        &self,
        reader: &Reader,
        kind: Kind,
        judged: &Result<Option<RoleId>, Access>,
        count: u32,
    ) -> Result<(), Refusal> {
        let id = rng::make_bytes().map_err(|_| Unavailable::Internal)?;
        let caller = match &reader.right {
            Right::Held(caller) => caller.as_deref(),
            Right::Open => None,
        };
        let operation = SafeText::constant(kind.operation());
        let request = RequestId::from_bytes(id);
        let mut template = Event::unjudged(self.actor(caller).await?, operation, self.rules().version(), request);
        if let Ok(Some(role)) = judged {
            template.role = SafeText::constant(role.name());
        }
        let recorder = Recorder {
            vault: self.id,
            template: Arc::new(template),
            chosen: Arc::new(Chosen { ticket: Text::default(), peer: Text::new(reader.peer.clone()) }),
            days: self.days().await?,
        };
        let touched = Touched { count, ..Touched::default() };
        let at = (self.now(), self.epoch());
        let entry = match judged {
            Ok(_) => recorder.entry(Whom::Nobody, touched, Ended::Done, at),
            Err(access) => recorder.entry(Whom::Nobody, touched, Ended::Not(&access.clone().into()), at),
        };
        self.record(vec![entry?]).await
    }

    fn file(&self, resource: Resource) -> Result<Option<Vec<u8>>, sequence::Error> {
        let Some(newest) = self.log().known().borrow().newest.clone() else { return Ok(None) };
        let (log, size) = (self.log().stored(), newest.checkpoint.size);
        let is_covered = |id: TileId, width| id.width_at(size) >= width;
        let of_bundle = |index| TileId { level: 0, index };
        match resource {
            Resource::Checkpoint => Ok(Some(newest.note.clone().into_bytes())),
            Resource::Tile(id, width) if is_covered(id, width) => {
                let hashes = log.tile(id)?.filter(|hashes| hashes.len() as u64 >= width);
                let hashes = hashes.ok_or(sequence::Error::Damaged("a tile is missing"))?;
                Ok(Some(encode_tile(&hashes[..width as usize])))
            }
            Resource::Entries(index, width) if is_covered(of_bundle(index), width) => {
                let entries = bundle(log, index, width)?;
                let bytes = encode_entries(entries.iter().map(|(leaf, _)| &leaf[..]));
                bytes.map(Some).map_err(|_| sequence::Error::Damaged("an entry is too long"))
            }
            Resource::Details(index, width) if is_covered(of_bundle(index), width) => {
                let entries = bundle(log, index, width)?;
                Ok(Some(sidecar::encode(entries.iter().map(|(_, detail)| detail.as_deref()))))
            }
            Resource::Tile(..) | Resource::Entries(..) | Resource::Details(..) => Ok(None),
        }
    }
}

/// The role by which a reader may read a kind of file; none where nobody has to hold one.
fn judge(right: &Right, kind: Kind) -> Result<Option<RoleId>, Access> {
    match right {
        Right::Open => Ok(None),
        Right::Held(None) => Err(Access::Unauthenticated),
        Right::Held(Some(caller)) => {
            let role = kind.roles().iter().find(|role| caller.roles.contains(role));
            role.map(|role| Some(*role)).ok_or(Access::RoleNotHeld)
        }
    }
}

fn bundle(log: StoredLog<'_>, index: u64, width: u64) -> Result<Vec<sequence::Entry>, sequence::Error> {
    let entries = log.entries(index * TILE_WIDTH)?.take(width as usize);
    let entries = entries.map(|entry| entry.map(|(_, entry)| entry)).collect::<Result<Vec<_>, _>>()?;
    if entries.len() as u64 == width { Ok(entries) } else { Err(sequence::Error::Damaged("a row is missing")) }
}

#[cfg(test)]
mod tests;
