//! One step of a sweep, on the writer's thread: what is due goes exactly as if somebody had asked for it.

use std::sync::Arc;

use crate::audit::event::Event;
use crate::base::id::{ReasonId, ReceiptId};
use crate::base::limits::SWEEP_STEP;
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::crypto::rng;
use crate::gate::jumps;
use crate::gate::once;
use crate::gate::receipts::{Case, Scope};
use crate::gate::record::{Ended, Recorder, Touched, Whom, own_event};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Reads as _, Txn};
use crate::items::ending::{Cut, Ending};
use crate::items::expiry::{self, Expiring};
use crate::items::going;
use crate::items::record::{ItemRow, decode_item, item_key, open_subject, tombstone};
use crate::items::rows::end_uploads;
use crate::keep::kept::{self, Under};
use crate::keep::period;
use crate::policy::rules::Rules;
use crate::store::keyspace::Space;

use super::state;

/// What a sweep works with.
#[derive(Clone)]
pub(super) struct Tools {
    /// The rules in force.
    pub rules: Arc<Rules>,
    /// Makes the entries.
    pub recorder: Recorder,
    /// Everything that was due then.
    pub as_of: Timestamp,
}

/// What became of something that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// It is unreadable, and so many intents await their epoch.
    Gone(u64),
    /// It is not due, or not there.
    NotDue,
    /// Its person demands that it is not touched.
    Restricted,
}

/// Whether a step may go on: the clock has not jumped, and not gone back behind the sweep; and of a sweep that had to be
/// confirmed, something is left.
fn may_go_on(txn: &mut Txn<'_>, tools: &Tools) -> Result<bool, Refusal> {
    let has_jumped = jumps::find(txn)?.is_some() || jumps::is_implausible(txn.last_entry(), txn.now());
    let stopped = state::find(txn)?;
    let is_over = stopped.is_some_and(|sweep| !sweep.confirmed || sweep.as_of != tools.as_of || sweep.left() == 0);
    Ok(!has_jumped && !is_over && txn.now() >= tools.as_of)
}

/// Counts what went against what was confirmed.
fn account_for(txn: &mut Txn<'_>, count: u64) -> Result<(), Refusal> {
    if let Some(mut sweep) = state::find(txn)? {
        sweep.done += count;
        sweep.store(txn);
    }
    Ok(())
}

/// Deletes an item that has expired: as DeleteItem does, but that nobody asked.
pub(super) fn expire(txn: &mut Txn<'_>, tools: &Tools, row: &Expiring) -> Result<Became, Refusal> {
    if row.at > tools.as_of || !may_go_on(txn, tools)? {
        return Ok(Became::NotDue);
    }
    let vault = *tools.recorder.vault();
    let subject = match open_subject(txn, &vault, row.subject) {
        Ok(subject) => subject,
        Err(Fault::Refused(Refusal::State(_))) => return stray(txn, row),
        Err(fault) => return Err(fault.into()),
    };
    let key = item_key(&subject.id, &row.item);
    let stored = txn.row(Space::Item, &key)?.map(|stored| decode_item(row.item, &stored)).transpose()?;
    let Some(ItemRow::Live(item)) = stored else { return stray(txn, row) };
    // The row that led here proves nothing; the item's own is checked under its key.
    item.entry(txn, &vault, subject.tree())?;
    if item.head.expires != Some(row.at) {
        return stray(txn, row);
    }
    if subject.row.standing.restricted {
        return Ok(Became::Restricted);
    }
    let receipt = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let mut intent = going::with_item(txn, &subject, &item, (receipt, tools.rules.registry()))?;
    intent.targets.extend(end_uploads(txn, &subject, &item)?);
    going::outdate(txn, subject.tree(), item.head.position)?;
    txn.put(Space::Item, key, tombstone(&receipt));
    once::forget(txn, item.id.as_bytes(), subject.id, receipt)?;
    intent.case = intent.case.map(|case| Case { scope: Scope::Expiry, ..case });
    intent.lodge(txn)?;
    let class = Some(item.head.class);
    let touched = Touched { class, count: 1, items: vec![(item.id, item.head.version)], ..Touched::default() };
    let keys = subject.detail_keys(txn)?;
    let whom = Whom::Erasure { keys: &keys, subject: subject.id, receipt };
    let at = (txn.now(), txn.epoch());
    txn.record(tools.recorder.apart()?.entry(whom, touched, Ended::Started, at)?);
    account_for(txn, 1)?;
    Ok(Became::Gone(1))
}

/// A row that leads to nothing that expires then.
fn stray(txn: &mut Txn<'_>, row: &Expiring) -> Result<Became, Refusal> {
    expiry::remove(txn, row)?;
    Ok(Became::NotDue)
}

/// Lets go of what a period kept until now: some of it, or all, with the period's whole tree in one cut.
pub(super) fn end_period(txn: &mut Txn<'_>, tools: &Tools, reason: ReasonId) -> Result<Became, Refusal> {
    if !may_go_on(txn, tools)? {
        return Ok(Became::NotDue);
    }
    let Some(mut ended) = period::find(txn, reason)?.filter(|ended| ended.end <= tools.as_of) else {
        return Ok(Became::NotDue);
    };
    let left = state::find(txn)?.map_or(u64::MAX, |sweep| sweep.left());
    let limit = SWEEP_STEP.min(usize::try_from(left).unwrap_or(usize::MAX));
    let versions = kept::list(txn, Under::Reason(reason), None, limit + 1)?;
    let is_last = versions.len() <= limit;
    let mut ending = Ending::default();
    let mut count = 0;
    for version in versions.iter().take(limit) {
        ending.take(txn, version, (reason, None))?;
        count += 1;
    }
    let intents = if is_last {
        // The cut comes first: whatever is carried out after it, is carried out with it or later.
        ended.end(txn)?.lodge(txn)?;
        1 + ending.lodge(txn, &tools.recorder, Cut::Whole)?.intents.len()
    } else {
        ended.kept = ended.kept.saturating_sub(count);
        ended.store(txn)?;
        ending.lodge(txn, &tools.recorder, Cut::Each)?.intents.len()
    };
    account_for(txn, count)?;
    note(txn, "PeriodEnded", count)?;
    Ok(Became::Gone(intents as u64))
}

/// The entry of a step, which says how much it was.
pub(super) fn note(txn: &mut Txn<'_>, operation: &'static str, count: u64) -> Result<(), Refusal> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    txn.record(Event { count, ..own_event(SafeText::constant(operation), txn.epoch())? });
    Ok(())
}

/// Whether a refusal concerns one item only: the others go on.
pub(super) fn concerns_one(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::State(State::NotFromHere) | Refusal::Unavailable(Unavailable::Damaged))
}
