//! ListDue: what falls due by itself or for somebody, the earliest first; and how much is due now.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, KeyId, MatterId, SubjectId};
use crate::base::limits::{
    DUE_DAYS_DEFAULT, DUE_ENTRIES_MAX, INDEX_ROTATION_DAYS, PAGE_SIZE_MAX, PURGE_DAYS, SWEEP_ROWS_MAX,
};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::statutory::PeriodId;
use crate::gate::call::Call;
use crate::gate::index;
use crate::gate::purge;
use crate::gate::refusal::{Access, Fault as Invalid, FaultReason, Refusal};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::holds::page::{make_token, open_token, wrong_token};
use crate::items::expiry;
use crate::keep::matter;
use crate::keep::period;
use crate::policy::question::Resource;

use super::each;
use super::state::{self, Sweep};

/// What falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Items expire.
    Expiry = 1,
    /// A statutory period ends for items.
    PeriodEnd = 2,
    /// A matter is to be looked at again.
    MatterReview = 3,
    /// An index key is to be replaced.
    KeyRotation = 6,
    /// Unreadable ciphertext is to have left the live files.
    Purge = 7,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Expiry, Self::PeriodEnd, Self::MatterReview, Self::KeyRotation, Self::Purge];
}

/// What it is, if it is one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// Items of a class.
    Class(ClassId),
    /// What a period keeps.
    Period(PeriodId),
    /// A matter.
    Matter(MatterId),
    /// A key.
    Key(KeyId),
    /// All of its kind.
    Whole,
    /// An item.
    Item {
        /// Its class.
        class: ClassId,
        /// Whose it is.
        subject: SubjectId,
        /// Which.
        item: ItemId,
    },
}

/// Things of one kind that fall due at one time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// When; of items of one day, the day's beginning.
    pub at: Timestamp,
    /// What falls due.
    pub kind: Kind,
    /// What it is.
    pub thing: Thing,
    /// How many.
    pub count: u64,
}

/// What is asked for.
pub struct DueQuery {
    /// Only these kinds; empty for all.
    pub kinds: Vec<Kind>,
    /// Only before this time; none for the next 30 days.
    pub before: Option<Timestamp>,
    /// How many at most.
    pub page_size: usize,
    /// Where an earlier page ended; empty for the first.
    pub page_token: String,
    /// Lists items one by one, and nothing else.
    pub each_item: bool,
}

/// What was found.
pub struct DuePage {
    /// The earliest first, each with whether it is past its time.
    pub entries: Vec<(Due, bool)>,
    /// For the next page; empty when nothing follows.
    pub next: String,
    /// The sweep that waits to be confirmed.
    pub halted: Option<Sweep>,
}

/// How many items and kept versions are due at a moment.
pub fn count(reads: &dyn Reads, as_of: Timestamp) -> Result<u64, Fault> {
    let mut due = 0;
    // Whole days are counted already; of the day itself, row by row.
    each_count(reads, |count| {
        if count.day < as_of.day() {
            due += count.items;
        }
        count.day < as_of.day()
    })?;
    let mut from = expiry::first_of(as_of.day());
    loop {
        let rows = expiry::list(reads, &from, SWEEP_ROWS_MAX)?;
        let of_it = rows.iter().filter(|row| row.at <= as_of).count();
        due += of_it as u64;
        match rows.last() {
            Some(last) if of_it == SWEEP_ROWS_MAX => from = [last.key(), vec![0]].concat(),
            Some(_) | None => break,
        }
    }
    for reason in period::ended(reads, as_of, usize::MAX)? {
        due += period::find(reads, reason)?.map_or(0, |ended| ended.kept);
    }
    Ok(due)
}

/// How many items there are that expire, and versions that periods keep.
pub fn all(reads: &dyn Reads) -> Result<u64, Fault> {
    let mut all = 0;
    each_count(reads, |count| {
        all += count.items;
        true
    })?;
    for (_, reason) in period::all(reads, usize::MAX)? {
        all += period::find(reads, reason)?.map_or(0, |end| end.kept);
    }
    Ok(all)
}

/// Shows each count in turn, as long as `each` wants more.
fn each_count(reads: &dyn Reads, mut each: impl FnMut(expiry::Count) -> bool) -> Result<(), Fault> {
    let mut from = Vec::new();
    loop {
        let counts = expiry::counts(reads, &from, SWEEP_ROWS_MAX)?;
        for count in &counts {
            if !each(*count) {
                return Ok(());
            }
        }
        match counts.last() {
            Some(last) if counts.len() == SWEEP_ROWS_MAX => from = expiry::after(last),
            Some(_) | None => return Ok(()),
        }
    }
}

/// Lists what falls due. Recorded, once.
///
/// # Errors
/// A fault of `before_time` if more than [`DUE_ENTRIES_MAX`] entries fall due until then.
pub async fn list(vault: &Vault, call: &Call, query: DueQuery) -> Result<DuePage, Refusal> {
    if query.each_item {
        return each::list(vault, call, &query).await;
    }
    match page(vault, call, &query) {
        Ok(page) => vault.record_done(call).await.map(|()| page),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

fn page(vault: &Vault, call: &Call, query: &DueQuery) -> Result<DuePage, Refusal> {
    call.permit(Resource::Vault).map_err(Access::openly)?;
    let now = vault.now();
    let bound = query.kinds.iter().fold(Writer::new(), |w, kind| w.u8(*kind as u8));
    let bound = bound.u8(0).option(query.before, |w, time| w.i64(time.as_millis())).finish();
    let place = open_token(call, &bound, &query.page_token, now)?;
    // The end is that of the first page, so that pages fit together.
    let (before, skip) = match place {
        None => (query.before.unwrap_or(in_days(now, DUE_DAYS_DEFAULT)), 0),
        Some(place) => read_place(&place, |r| r.u64().map(|skip| skip as usize)).ok_or_else(wrong_token)?,
    };
    let wants = |kind| query.kinds.is_empty() || query.kinds.contains(&kind);
    let (mut found, halted) = vault.read(|reads| {
        let mut found = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| wants(*kind)) {
            gather(reads, (kind, vault.epoch()), before, &mut found)?;
            if found.len() > DUE_ENTRIES_MAX {
                return Err(Fault::Refused(Invalid::new("before_time", FaultReason::TooMany).into()));
            }
        }
        Ok((found, state::find(reads)?))
    })?;
    found.sort_unstable();
    let size = query.page_size.min(PAGE_SIZE_MAX);
    let more = found.len() > skip + size;
    let entries = found.into_iter().skip(skip).take(size).map(|due| {
        // Items are counted by the day, which must be over.
        let is_overdue = if due.kind == Kind::Expiry { due.at.day() < now.day() } else { due.at <= now };
        (due, is_overdue)
    });
    let entries: Vec<_> = entries.collect();
    let place = Writer::new().i64(before.as_millis()).u64((skip + size) as u64).finish();
    let next = if more { make_token(call, &bound, &place, now)? } else { String::new() };
    Ok(DuePage { entries, next, halted: halted.filter(|sweep| !sweep.confirmed) })
}

/// What a page token says: until when the list goes, and where it goes on.
pub(super) fn read_place<T>(
    place: &[u8],
    at: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Option<(Timestamp, T)> {
    let mut r = Reader::new(place);
    let place = (Timestamp::from_millis(r.i64().ok()?), at(&mut r).ok()?);
    r.finish().ok().map(|()| place)
}

pub(super) fn in_days(time: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add(days * 86_400_000))
}

fn gather(reads: &dyn Reads, (kind, epoch): (Kind, u64), before: Timestamp, found: &mut Vec<Due>) -> Result<(), Fault> {
    match kind {
        Kind::Expiry => each_count(reads, |count| {
            let at = Timestamp::from_millis(i64::from(count.day) * 86_400_000);
            let is_wanted = at < before;
            if is_wanted {
                found.push(Due { at, kind, thing: Thing::Class(count.class), count: count.items });
            }
            is_wanted && found.len() <= DUE_ENTRIES_MAX
        }),
        Kind::PeriodEnd => {
            for (at, reason) in period::all(reads, DUE_ENTRIES_MAX)?.into_iter().take_while(|(at, _)| *at < before) {
                let end = period::find(reads, reason)?.ok_or(Fault::Torn)?;
                found.push(Due { at, kind, thing: Thing::Period(end.period), count: end.kept });
            }
            Ok(())
        }
        Kind::MatterReview => {
            for mark in matter::newest_first(reads, None, DUE_ENTRIES_MAX)? {
                let matter = matter::find(reads, MatterId::from_bytes(mark.id))?.ok_or(Fault::Torn)?;
                if matter.closed.is_none() && matter.review < before {
                    found.push(Due { at: matter.review, kind, thing: Thing::Matter(matter.id), count: 1 });
                }
            }
            Ok(())
        }
        Kind::Purge => {
            let left = purge::progress(reads)?.and_then(|purge| purge.unpurged_since(epoch));
            // No receipt of what is left states an earlier date.
            if let Some(at) = left.map(|since| in_days(since, PURGE_DAYS)).filter(|at| *at < before) {
                found.push(Due { at, kind, thing: Thing::Whole, count: 1 });
            }
            Ok(())
        }
        Kind::KeyRotation => {
            for key in index::keys(reads)? {
                let at = in_days(key.made, INDEX_ROTATION_DAYS);
                if at < before {
                    found.push(Due { at, kind, thing: Thing::Key(key.id), count: 1 });
                }
            }
            Ok(())
        }
    }
}
