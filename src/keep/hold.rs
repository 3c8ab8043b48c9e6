//! Holds: under which matter, on whom, on what. Each has a key of its own in its matter's tree, which authenticates it.
//!
//! ```text
//! 1 | id                         -> clear part, its code
//! 2 | !placed | id               -> nothing: newest first
//! 3 | matter | !placed | id      -> nothing
//! 4 | subject | !placed | id     -> nothing
//! 5 | subject | id               -> nothing: only while it is in force
//! 6 | id | item | version        -> nothing: a version that it names, or found when it was placed
//! ```

use super::matter::{self, Mark, Matter, read_mark, write_mark};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{HoldId, ItemId, MatterId, ReceiptId, SubjectId, VaultId};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::crypto::rng;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::envelope::{Envelope, Kind, Place};
use crate::keys::page::Entry;
use crate::store::keyspace::Space;

/// What a hold covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The subject, or classes of it.
    Subject {
        /// Only these; empty for all.
        classes: Vec<ClassId>,
        /// Also what comes after the hold; else what is listed in its rows.
        future: bool,
    },
    /// Item versions, listed in its rows.
    Items,
}

/// The end of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// When it was released.
    pub time: Timestamp,
    /// The acts that forget what it kept.
    pub acts: Vec<ReceiptId>,
}

/// A hold.
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Its matter.
    pub matter: MatterId,
    /// The subject.
    pub subject: SubjectId,
    /// What it covers.
    pub scope: Scope,
    /// Whether it also keeps the subject's audit key.
    pub history: bool,
    /// When it was placed.
    pub placed: Timestamp,
    /// Its end, once it was released.
    pub release: Option<Release>,
    /// Item versions that it keeps and the account does not.
    pub kept: u64,
    position: u64,
    entry: Entry,
}

const VERSION_1: u8 = 1;
const VERSION: u8 = 2;
const RECORD: u8 = 1;
const ORDER: u8 = 2;
const BY_MATTER: u8 = 3;
const BY_SUBJECT: u8 = 4;
const IN_FORCE: u8 = 5;
const LISTED: u8 = 6;

/// Which holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All.
    All,
    /// Those of a matter.
    Matter(MatterId),
    /// Those on a subject.
    Subject(SubjectId),
}

impl Hold {
    /// Places a hold under a matter, and stores it; the matter's count is the caller's.
    pub fn place(
        txn: &mut Txn<'_>,
        matter: &Matter,
        subject: SubjectId,
        (scope, history): (Scope, bool),
        listed: &[(ItemId, u64)],
    ) -> Result<Self, Refusal> {
        let random = |_| Unavailable::Internal;
        let id = HoldId::from_bytes(rng::make_bytes().map_err(random)?);
        let position = txn.claim_position(matter.tree())?;
        let entry = Entry { generation: 1, extra: 0, key: rng::make_secret().map_err(random)? };
        let placed = txn.now();
        let (matter_id, release, kept) = (matter.id, None, 0);
        let mut hold = Self { id, matter: matter_id, subject, scope, history, placed, release, kept, position, entry };
        hold.store(txn, matter)?;
        let mark = Mark { at: placed, id: *id.as_bytes() };
        txn.put(Space::Hold, order_key(Of::All, mark), []);
        txn.put(Space::Hold, order_key(Of::Matter(matter.id), mark), []);
        txn.put(Space::Hold, order_key(Of::Subject(subject), mark), []);
        txn.put(Space::Hold, in_force_key(&subject, &id), []);
        for (item, version) in listed {
            txn.put(Space::Hold, listed_key(&id, item, *version), []);
        }
        Ok(hold)
    }

    /// Stores it as it is now, with the next count.
    pub fn store(&mut self, txn: &mut Txn<'_>, matter: &Matter) -> Result<(), Refusal> {
        debug_assert_eq!(matter.id, self.matter);
        self.entry.extra += 1;
        txn.set(matter.tree(), self.position, &self.entry)?;
        let clear = self.clear();
        let envelope = Envelope::derive(Kind::Hold, &self.entry.key);
        let code = envelope.authenticate(place(txn.index().vault(), &self.id), &clear);
        txn.put(Space::Hold, record_key(&self.id), Writer::new().bytes(&clear).raw(&code).finish());
        Ok(())
    }

    /// Ends it; what it kept is the caller's.
    pub fn end(&mut self, txn: &mut Txn<'_>, matter: &Matter, acts: Vec<ReceiptId>) -> Result<(), Refusal> {
        self.release = Some(Release { time: txn.now(), acts });
        self.kept = 0;
        txn.delete(Space::Hold, in_force_key(&self.subject, &self.id));
        self.store(txn, matter)
    }

    /// Whether it covers a version of an item of its subject.
    pub fn covers(&self, reads: &dyn Reads, class: ClassId, item: &ItemId, version: u64) -> Result<bool, Fault> {
        match &self.scope {
            Scope::Subject { classes, future: true } => Ok(classes.is_empty() || classes.contains(&class)),
            Scope::Subject { future: false, .. } | Scope::Items => {
                Ok(reads.row(Space::Hold, &listed_key(&self.id, item, version))?.is_some())
            }
        }
    }

    /// Whether it may cover an item of its subject of which neither the class nor the version is known.
    pub fn may_cover(&self, reads: &dyn Reads, item: &ItemId) -> Result<bool, Fault> {
        match &self.scope {
            Scope::Subject { future: true, .. } => Ok(true),
            Scope::Subject { future: false, .. } | Scope::Items => {
                let prefix = Writer::new().u8(LISTED).raw(self.id.as_bytes()).raw(item.as_bytes()).finish();
                Ok(!reads.rows(Space::Hold, &prefix, &[], 1)?.is_empty())
            }
        }
    }

    /// The versions that it lists.
    pub fn listed(&self, reads: &dyn Reads) -> Result<Vec<(ItemId, u64)>, Fault> {
        let prefix = Writer::new().u8(LISTED).raw(self.id.as_bytes()).finish();
        let read = |key: &[u8]| {
            let mut r = Reader::new(&key[prefix.len()..]);
            let listed = (ItemId::from_bytes(r.array()?), r.u64()?);
            r.finish().map(|()| listed)
        };
        let rows = reads.rows(Space::Hold, &prefix, &[], usize::MAX)?;
        rows.iter().map(|(key, _)| read(key).map_err(|_: Malformed| Fault::Torn)).collect()
    }

    fn clear(&self) -> Vec<u8> {
        let w = Writer::new()
            .u8(VERSION)
            .raw(self.matter.as_bytes())
            .u64(self.position)
            .u64(self.entry.extra)
            .raw(self.subject.as_bytes());
        let w = match &self.scope {
            Scope::Items => w.u8(1),
            Scope::Subject { classes, future } => {
                w.u8(2).u8((*future).into()).list(classes.iter(), |w, class| w.text(class.as_str()))
            }
        };
        w.i64(self.placed.as_millis())
            .option(self.release.as_ref(), |w, release| {
                w.i64(release.time.as_millis()).list(release.acts.iter(), |w, act| w.raw(act.as_bytes()))
            })
            .u64(self.kept)
            .u8(self.history.into())
            .finish()
    }
}

/// The hold of an id, and its matter, checked to be their newest rows.
pub fn find(reads: &dyn Reads, id: HoldId) -> Result<Option<(Hold, Matter)>, Fault> {
    let Some(row) = reads.row(Space::Hold, &record_key(&id))? else { return Ok(None) };
    let torn = |_: Malformed| Fault::Torn;
    let mut r = Reader::new(&row);
    let clear = r.bytes().map_err(torn)?;
    let code: [u8; 32] = r.array().map_err(torn)?;
    r.finish().map_err(torn)?;
    let (of, position, counter) = read_place(clear).map_err(torn)?;
    let matter = matter::find(reads, of)?.ok_or(Fault::Torn)?;
    let entry = reads.entry(matter.tree(), position)?.ok_or(Fault::Torn)?;
    let is_newest = entry.extra == counter;
    let checked = Envelope::check_only(Kind::Hold, &entry.key, place(reads.index().vault(), &id), clear, &code);
    if !is_newest || checked.is_err() {
        return Err(Fault::Torn);
    }
    let hold = read(id, clear, entry).map_err(torn)?;
    Ok(Some((hold, matter)))
}

/// The holds in force on a subject, each with its matter. As many as the subject's own row counts, if it does: a hold whose
/// row was taken away must not be passed over.
pub fn in_force(reads: &dyn Reads, subject: &SubjectId, counted: Option<u32>) -> Result<Vec<(Hold, Matter)>, Fault> {
    let prefix = Writer::new().u8(IN_FORCE).raw(subject.as_bytes()).finish();
    let mut found = Vec::new();
    for (key, _) in reads.rows(Space::Hold, &prefix, &[], usize::MAX)? {
        let id = key[prefix.len()..].try_into().map(HoldId::from_bytes).map_err(|_| Fault::Torn)?;
        let (hold, matter) = find(reads, id)?.ok_or(Fault::Torn)?;
        if hold.subject != *subject || hold.release.is_some() {
            return Err(Fault::Torn);
        }
        found.push((hold, matter));
    }
    if counted.is_some_and(|counted| counted as usize != found.len()) {
        return Err(Fault::Torn);
    }
    Ok(found)
}

/// Ids from a mark on, newest first.
pub fn newest_first(reads: &dyn Reads, of: Of, after: Option<Mark>, limit: usize) -> Result<Vec<Mark>, Fault> {
    let prefix = order_prefix(of).finish();
    let from = after.map_or(prefix.clone(), |mark| [order_key(of, mark), vec![0]].concat());
    let rows = reads.rows(Space::Hold, &prefix, &from, limit)?;
    rows.iter().map(|(key, _)| read_mark(&key[prefix.len()..]).ok_or(Fault::Torn)).collect()
}

fn read_place(clear: &[u8]) -> Result<(MatterId, u64, u64), Malformed> {
    let mut r = Reader::new(clear);
    if !(VERSION_1..=VERSION).contains(&r.u8()?) {
        return Err(Malformed);
    }
    Ok((MatterId::from_bytes(r.array()?), r.u64()?, r.u64()?))
}

fn read(id: HoldId, clear: &[u8], entry: Entry) -> Result<Hold, Malformed> {
    let mut r = Reader::new(clear);
    let version = r.u8()?;
    let matter = MatterId::from_bytes(r.array()?);
    let (position, _) = (r.u64()?, r.u64()?);
    let subject = SubjectId::from_bytes(r.array()?);
    let scope = match r.u8()? {
        1 => Scope::Items,
        2 => {
            let future = r.u8()? == 1;
            let classes = r.list(|r| class_of(r.text()?).map(|class| class.id).ok_or(Malformed))?;
            Scope::Subject { classes, future }
        }
        _ => return Err(Malformed),
    };
    let hold = Hold {
        id,
        matter,
        subject,
        scope,
        placed: Timestamp::from_millis(r.i64()?),
        release: r.option(|r| {
            let time = Timestamp::from_millis(r.i64()?);
            Ok(Release { time, acts: r.list(|r| r.array().map(ReceiptId::from_bytes))? })
        })?,
        kept: r.u64()?,
        // A release before this one kept no histories.
        history: version != VERSION_1 && r.u8()? == 1,
        position,
        entry,
    };
    r.finish()?;
    Ok(hold)
}

fn place<'a>(vault: &'a VaultId, id: &'a HoldId) -> Place<'a> {
    Place { vault, owner: id.as_bytes(), class: "", version: 1, generation: 1 }
}

fn record_key(id: &HoldId) -> Vec<u8> {
    Writer::new().u8(RECORD).raw(id.as_bytes()).finish()
}

fn in_force_key(subject: &SubjectId, id: &HoldId) -> Vec<u8> {
    Writer::new().u8(IN_FORCE).raw(subject.as_bytes()).raw(id.as_bytes()).finish()
}

fn listed_key(id: &HoldId, item: &ItemId, version: u64) -> Vec<u8> {
    Writer::new().u8(LISTED).raw(id.as_bytes()).raw(item.as_bytes()).u64(version).finish()
}

fn order_prefix(of: Of) -> Writer {
    match of {
        Of::All => Writer::new().u8(ORDER),
        Of::Matter(matter) => Writer::new().u8(BY_MATTER).raw(matter.as_bytes()),
        Of::Subject(subject) => Writer::new().u8(BY_SUBJECT).raw(subject.as_bytes()),
    }
}

fn order_key(of: Of, mark: Mark) -> Vec<u8> {
    write_mark(order_prefix(of), mark).finish()
}
