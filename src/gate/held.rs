//! Acts of forgetting that an epoch has carried out while a slot was lost: they count as pending until its end is known.
//!
//! Which keys existed while the lost slot was current is not written down page by page, and a page keeps its key as
//! long as nothing on it is forgotten. So everything that is forgotten while a slot is lost waits for that slot: never
//! less than what its last secret opens.
//!
//! Row: the number of the intent; its receipt, what it was, and the slots it waits for.

use super::former::{self, End};
use super::intents::{Intent, What, read_what};
use super::receipts;
use super::record::own_event;
use super::refusal::{Refusal, Unavailable};
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{AttestationId, ReceiptId, SlotId};
use crate::base::limits::SWEEP_ROWS_MAX;
use crate::base::log_safe::SafeText;
use crate::store::keyspace::Space;

const VERSION: u8 = 1;

/// One act that waits.
struct Held {
    receipt: ReceiptId,
    what: What,
    class: String,
    count: u32,
    epoch: u64,
    slots: Vec<SlotId>,
}

/// How far a release has come.
pub(super) struct Released {
    /// How many acts were released.
    pub count: u64,
    /// Where to go on; none at the end.
    pub next: Option<Vec<u8>>,
}

/// The slots whose end is not known.
pub(super) fn lost(reads: &dyn Reads) -> Result<Vec<SlotId>, Fault> {
    Ok(former::all(reads)?.into_iter().filter(|slot| slot.is_lost()).map(|slot| slot.slot).collect())
}

/// The attestations that whatever is forgotten from now on relies on.
pub(super) fn attestations(reads: &dyn Reads) -> Result<Vec<AttestationId>, Fault> {
    let end = |slot: former::FormerSlot| match slot.end {
        End::Attested(said) => Some(said.id),
        End::Lost | End::Destroyed => None,
    };
    Ok(former::all(reads)?.into_iter().filter_map(end).collect())
}

/// Ends an intent that an epoch has carried out: done, with its entry, or held while a slot is lost. Whether it is held.
pub(super) fn end(
    txn: &mut Txn<'_>,
    number: u64,
    intent: &Intent,
    epoch: u64,
    lost: &[SlotId],
) -> Result<bool, Refusal> {
    if lost.is_empty() || intent.what == What::Slots {
        done(txn, &Held::of(intent, epoch, &[]))?;
        return Ok(false);
    }
    txn.put(Space::Held, number.to_be_bytes(), Held::of(intent, epoch, lost).encode());
    Ok(true)
}

/// Notes in the lost slots' rows that more waits for them.
pub(super) fn count(txn: &mut Txn<'_>, lost: &[SlotId], more: u64) -> Result<(), Refusal> {
    for slot in lost {
        let mut former = former::find(txn, *slot)?.ok_or(Unavailable::Damaged)?;
        former.waiting += more;
        former.put(txn);
    }
    Ok(())
}

/// Whether an intent was carried out and waits for a lost slot.
pub(super) fn is_held(reads: &dyn Reads, number: u64) -> Result<bool, Fault> {
    Ok(reads.row(Space::Held, &number.to_be_bytes())?.is_some())
}

/// Releases what no longer waits for a lost slot, some at a time, from a key on.
pub(super) fn release(txn: &mut Txn<'_>, from: &[u8]) -> Result<Released, Refusal> {
    let lost = lost(txn)?;
    let rows = txn.rows(Space::Held, &[], from, SWEEP_ROWS_MAX)?;
    let next = (rows.len() == SWEEP_ROWS_MAX).then(|| rows.last().map(|(key, _)| [&key[..], &[0]].concat())).flatten();
    let mut count = 0;
    for (key, row) in rows {
        let held = Held::decode(&row).map_err(|_| Unavailable::Damaged)?;
        if held.slots.iter().any(|slot| lost.contains(slot)) {
            continue;
        }
        done(txn, &held)?;
        txn.delete(Space::Held, key);
        count += 1;
    }
    Ok(Released { count, next })
}

fn done(txn: &mut Txn<'_>, held: &Held) -> Result<(), Refusal> {
    let attested = attestations(txn)?;
    receipts::put_done(txn, &held.receipt, held.epoch, &attested);
    let event = own_event(SafeText::constant(""), held.epoch)?;
    txn.record(Intent::done_event(held.what, &held.class, held.receipt, held.count, event));
    Ok(())
}

impl Held {
    fn of(intent: &Intent, epoch: u64, slots: &[SlotId]) -> Self {
        let Intent { receipt, what, .. } = *intent;
        let count = u32::try_from(intent.targets.len()).unwrap_or(u32::MAX);
        Self { receipt, what, class: intent.class.clone(), count, epoch, slots: slots.to_vec() }
    }

    fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .raw(self.receipt.as_bytes())
            .u8(self.what as u8)
            .text(&self.class)
            .u32(self.count)
            .u64(self.epoch)
            .list(self.slots.iter(), |w, slot| w.raw(slot.as_bytes()))
            .finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let held = Self {
            receipt: ReceiptId::from_bytes(r.array()?),
            what: read_what(r.u8()?)?,
            class: r.text()?.to_owned(),
            count: r.u32()?,
            epoch: r.u64()?,
            slots: r.list(|r| r.array().map(SlotId::from_bytes))?,
        };
        r.finish()?;
        Ok(held)
    }
}
