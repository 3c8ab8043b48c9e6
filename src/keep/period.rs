//! Statutory periods as reasons: one per period and end date, with a tree of keys of its own, so that ending it is one cut.
//!
//! ```text
//! 1 | reason                  -> clear part, its code: under the first key of its tree
//! 2 | period | end            -> the reason
//! 3 | end | reason            -> nothing: the earliest first
//! ```
//! A period's end is named by the id that the catalog had for it when something was kept; what becomes of the catalog
//! later changes nothing of it.

use super::VERSION;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ReasonId, VaultId};
use crate::base::time::Timestamp;
use crate::catalog::statutory::PeriodId;
use crate::crypto::rng;
use crate::gate::intents::{Intent, What};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::envelope::{Envelope, Kind, Place};
use crate::keys::page::{Entry, Tree};
use crate::store::keyspace::Space;

/// The end of a period, as a reason.
pub struct PeriodEnd {
    /// The reason.
    pub id: ReasonId,
    /// The period.
    pub period: PeriodId,
    /// When it ends.
    pub end: Timestamp,
    /// Item versions that it keeps and the account does not.
    pub kept: u64,
    position: u64,
    entry: Entry,
}

/// The place of its own key in its tree.
const OWN_POSITION: u64 = 0;
const RECORD: u8 = 1;
const BY_PERIOD: u8 = 2;
const BY_END: u8 = 3;

impl PeriodEnd {
    /// The one there is, or a new one that is not stored yet.
    pub fn find_or_open(txn: &mut Txn<'_>, period: &PeriodId, end: Timestamp) -> Result<Self, Refusal> {
        if let Some(found) = txn.row(Space::PeriodEnd, &by_period_key(period, end))? {
            let id = found.try_into().map(ReasonId::from_bytes).map_err(|_| Unavailable::Damaged)?;
            return Ok(find(txn, id)?.ok_or(Unavailable::Damaged)?);
        }
        let random = |_| Unavailable::Internal;
        let id = ReasonId::from_bytes(rng::make_bytes().map_err(random)?);
        let position = txn.claim_position(Tree::Reasons)?;
        let own = txn.claim_position(Tree::Reason(id, position))?;
        debug_assert_eq!(own, OWN_POSITION);
        let entry = Entry { generation: 1, extra: 0, key: rng::make_secret().map_err(random)? };
        txn.put(Space::PeriodEnd, by_period_key(period, end), *id.as_bytes());
        txn.put(Space::PeriodEnd, by_end_key(end, &id), []);
        Ok(Self { id, period: period.clone(), end, kept: 0, position, entry })
    }

    /// The tree of the keys it keeps.
    pub fn tree(&self) -> Tree {
        Tree::Reason(self.id, self.position)
    }

    /// Stores it as it is now, with the next count.
    pub fn store(&mut self, txn: &mut Txn<'_>) -> Result<(), Refusal> {
        self.entry.extra += 1;
        txn.set(self.tree(), OWN_POSITION, &self.entry)?;
        let clear = self.clear();
        let code =
            Envelope::derive(Kind::Period, &self.entry.key).authenticate(place(txn.index().vault(), &self.id), &clear);
        txn.put(Space::PeriodEnd, record_key(&self.id), Writer::new().bytes(&clear).raw(&code).finish());
        Ok(())
    }

    /// Removes it: its keys go with the intent's epoch, all in one cut.
    pub fn end(self, txn: &mut Txn<'_>) -> Result<Intent, Refusal> {
        txn.delete(Space::PeriodEnd, record_key(&self.id));
        txn.delete(Space::PeriodEnd, by_period_key(&self.period, self.end));
        txn.delete(Space::PeriodEnd, by_end_key(self.end, &self.id));
        let targets = vec![(self.tree(), OWN_POSITION), (Tree::Reasons, self.position)];
        Ok(Intent { targets, ..Intent::of_own(What::Period)? })
    }

    fn clear(&self) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .u64(self.position)
            .u64(self.entry.extra)
            .text(self.period.as_str())
            .i64(self.end.as_millis())
            .u64(self.kept)
            .finish()
    }
}

/// The end of a period that a reason is, checked to be its newest row; none if the reason is something else.
pub fn find(reads: &dyn Reads, id: ReasonId) -> Result<Option<PeriodEnd>, Fault> {
    let Some(row) = reads.row(Space::PeriodEnd, &record_key(&id))? else { return Ok(None) };
    let torn = |_: Malformed| Fault::Torn;
    let mut r = Reader::new(&row);
    let clear = r.bytes().map_err(torn)?;
    let code: [u8; 32] = r.array().map_err(torn)?;
    r.finish().map_err(torn)?;
    let (position, counter, period, end, kept) = read(clear).map_err(torn)?;
    let entry = reads.entry(Tree::Reason(id, position), OWN_POSITION)?.ok_or(Fault::Torn)?;
    let checked = Envelope::check_only(Kind::Period, &entry.key, place(reads.index().vault(), &id), clear, &code);
    if entry.extra != counter || checked.is_err() {
        return Err(Fault::Torn);
    }
    Ok(Some(PeriodEnd { id, period, end, kept, position, entry }))
}

/// The reasons whose period has ended by a moment, the earliest first.
pub fn ended(reads: &dyn Reads, by: Timestamp, limit: usize) -> Result<Vec<ReasonId>, Fault> {
    let ends = all(reads, limit)?;
    Ok(ends.into_iter().take_while(|(end, _)| *end <= by).map(|(_, id)| id).collect())
}

/// The ends of periods, the earliest first.
pub fn all(reads: &dyn Reads, limit: usize) -> Result<Vec<(Timestamp, ReasonId)>, Fault> {
    let read = |key: &[u8]| {
        let mut r = Reader::new(key);
        r.u8()?;
        let end = (Timestamp::from_millis(r.i64()?), ReasonId::from_bytes(r.array()?));
        r.finish().map(|()| end)
    };
    let rows = reads.rows(Space::PeriodEnd, &[BY_END], &[], limit)?;
    rows.iter().map(|(key, _)| read(key).map_err(|_: Malformed| Fault::Torn)).collect()
}

/// The ends of a period for which something is kept, the earliest first.
pub fn ends_of(reads: &dyn Reads, period: &PeriodId) -> Result<Vec<ReasonId>, Fault> {
    let prefix = Writer::new().u8(BY_PERIOD).text(period.as_str()).finish();
    let rows = reads.rows(Space::PeriodEnd, &prefix, &[], usize::MAX)?;
    rows.into_iter().map(|(_, id)| id.try_into().map(ReasonId::from_bytes).map_err(|_| Fault::Torn)).collect()
}

fn read(clear: &[u8]) -> Result<(u64, u64, PeriodId, Timestamp, u64), Malformed> {
    let mut r = Reader::new(clear);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let (position, counter) = (r.u64()?, r.u64()?);
    let (period, end) = (PeriodId::stored(r.text()?), Timestamp::from_millis(r.i64()?));
    let kept = r.u64()?;
    r.finish().map(|()| (position, counter, period, end, kept))
}

fn place<'a>(vault: &'a VaultId, id: &'a ReasonId) -> Place<'a> {
    Place { vault, owner: id.as_bytes(), class: "", version: 1, generation: 1 }
}

fn record_key(id: &ReasonId) -> Vec<u8> {
    Writer::new().u8(RECORD).raw(id.as_bytes()).finish()
}

fn by_period_key(period: &PeriodId, end: Timestamp) -> Vec<u8> {
    Writer::new().u8(BY_PERIOD).text(period.as_str()).i64(end.as_millis()).finish()
}

// Ends before 1970 keep nothing, so that keys are in the order of time.
fn by_end_key(end: Timestamp, id: &ReasonId) -> Vec<u8> {
    Writer::new().u8(BY_END).i64(end.as_millis()).raw(id.as_bytes()).finish()
}
