//! Erasures that are asked for: durable from the first batch on, carried out by the next epoch.
//!
//! Each row is authenticated at its number ([`Ledger`]), and numbers have no gaps: a row that was changed, moved, put back or
//! taken away is found out before anything is forgotten by it.

use super::held;
use super::ledger::Ledger;
use super::receipts::{self, Case, Matter, Scope, Signed};
use super::refusal::{Refusal, Unavailable};
use super::txn::{Fault, Reads, Txn};
use crate::audit::event::{About, Event};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, ReasonId, ReceiptId, SubjectId};
use crate::base::limits::EPOCH_INTENTS_MAX;
use crate::base::log_safe::SafeText;
use crate::crypto::hash::sha256;
use crate::crypto::rng;
use crate::keys::page::Tree;
use crate::store::Engine;
use crate::store::keyspace::Space;

const VERSION: u8 = 3;

/// What is to be forgotten. The tags are on disk and permanent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum What {
    /// An item, deleted.
    Item = 1,
    /// The version of an item that a correction replaced.
    Version = 2,
    /// Keys of the vault's own that lived for a day.
    DayKeys = 3,
    /// A subject, with everything that hangs on its page.
    Subject = 4,
    /// An upload that was given up or has expired.
    Upload = 43,
    /// Item versions that outlived an earlier erasure, by the end of their last keep reason.
    Kept = 12,
    /// A reason's copies of keys that other reasons still keep.
    Copies = 13,
    /// The end of a statutory period: all keys that it kept.
    Period = 14,
    /// Keys of operators' names or of approvals whose time is over.
    PeriodKeys = 10,
    /// Nothing: the slots get fresh secrets since one of them left the vault.
    Slots = 11,
    /// An index key that was replaced.
    IndexKey = 47,
}

impl What {
    const ALL: &[What] = &[
        What::Item,
        What::Version,
        What::DayKeys,
        What::Subject,
        What::Upload,
        What::Kept,
        What::Copies,
        What::Period,
        What::PeriodKeys,
        What::Slots,
        What::IndexKey,
    ];

    /// The operation that the log names when it is done.
    pub const fn done(self) -> SafeText {
        SafeText::constant(match self {
            What::Item => "ItemErased",
            What::Version => "VersionErased",
            What::Upload => "UploadErased",
            What::DayKeys => "DayKeysErased",
            What::Subject => "SubjectErased",
            What::Kept => "KeptErased",
            What::Copies => "CopiesErased",
            What::Period => "PeriodErased",
            What::PeriodKeys => "PeriodKeysErased",
            What::Slots => "SlotsRenewed",
            What::IndexKey => "IndexKeyErased",
        })
    }
}

/// Something to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Names the erasure in the log.
    pub receipt: ReceiptId,
    /// What it is.
    pub what: What,
    /// The class concerned, from the registry; may be empty.
    pub class: String,
    /// Whose calls must end first.
    pub subject: Option<SubjectId>,
    /// Of the subject's calls, only those that concern this item.
    pub item: Option<ItemId>,
    /// The entries to forget.
    pub targets: Vec<(Tree, u64)>,
    /// Rows that go with them: a whole key, or a prefix.
    pub rows: Vec<DoomedRow>,
    /// What its receipt states; none for the vault's own, which have no receipt to show.
    pub case: Option<Case>,
}

/// A row, or all rows below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoomedRow {
    /// The kind of row.
    pub space: Space,
    /// The key or prefix.
    pub key: Vec<u8>,
    /// Whether it is a prefix.
    pub prefix: bool,
}

impl Intent {
    /// Of something of the vault's own; nothing is named yet.
    pub fn of_own(what: What) -> Result<Self, Refusal> {
        Ok(Self {
            receipt: ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?),
            what,
            class: String::new(),
            subject: None,
            item: None,
            targets: Vec::new(),
            rows: Vec::new(),
            case: None,
        })
    }

    /// The tree of the subject, or of the keep reason, that goes whole.
    pub fn gone_tree(&self) -> Option<Tree> {
        match (self.what, self.subject, self.targets.first()) {
            (What::Subject, Some(subject), Some((Tree::Subjects, position))) => Some(Tree::Subject(subject, *position)),
            (What::Period, _, Some((tree @ Tree::Reason(..), _))) => Some(*tree),
            _ => None,
        }
    }

    /// What its receipt is about.
    pub(super) fn matter(&self) -> Option<Matter> {
        let scope = self.case.as_ref()?.scope;
        Some(Matter { scope, subject: self.subject.filter(|_| scope == Scope::Subject) })
    }

    /// Puts the intent into a transaction, in the same batch as its tombstones. Its number.
    pub fn lodge(&self, txn: &mut Txn<'_>) -> Result<u64, Refusal> {
        let mut ledger = Ledger::find(txn)?;
        let number = ledger.hand_out()?;
        txn.put(Space::Intent, number.to_be_bytes(), ledger.sign(Space::Intent, number, self.encode()));
        ledger.store(txn)?;
        receipts::put_pending(txn, &self.receipt, number, self.matter());
        Ok(number)
    }

    /// The entry that says it is done.
    pub(super) fn done_event(
        what: What,
        class: &str,
        (receipt, body): (ReceiptId, Option<&Signed>),
        count: u32,
        template: Event,
    ) -> Event {
        let class = crate::catalog::classes::class_of(class);
        Event {
            operation: what.done(),
            class: class.map_or(SafeText::constant(""), |class| SafeText::of(&class.id)),
            about: About::Erasure(receipt),
            count,
            receipt_hash: body.map(|signed| sha256(&[&signed.body])),
            ..template
        }
    }

    fn encode(&self) -> Vec<u8> {
        let writer = Writer::new()
            .u8(VERSION)
            .raw(self.receipt.as_bytes())
            .u8(self.what as u8)
            .text(&self.class)
            .option(self.subject, |w, id| w.raw(id.as_bytes()))
            .option(self.item, |w, id| w.raw(id.as_bytes()))
            .list(self.targets.iter(), |w, (tree, position)| write_tree(w, *tree).u64(*position));
        write_rows(writer, &self.rows).option(self.case.as_ref(), |w, case| w.bytes(&case.encode())).finish()
    }

    /// Reads the row at a number, if it belongs there.
    fn read(ledger: &Ledger, number: u64, row: &[u8]) -> Result<Self, Malformed> {
        Self::decode(ledger.check(Space::Intent, number, row)?)
    }

    /// Reads an intent's row without what authenticates it.
    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let intent = Self {
            receipt: ReceiptId::from_bytes(r.array()?),
            what: read_what(r.u8()?)?,
            class: r.text()?.to_owned(),
            subject: r.option(|r| r.array().map(SubjectId::from_bytes))?,
            item: r.option(|r| r.array().map(ItemId::from_bytes))?,
            targets: r.list(|r| Ok((read_tree(r)?, r.u64()?)))?,
            rows: read_rows(&mut r)?,
            case: r.option(|r| Case::decode(r.bytes()?))?,
        };
        r.finish()?;
        Ok(intent)
    }
}

/// The intents that a prepared epoch carries out, up to one; or those for the next, while none is prepared. In order.
///
/// # Errors
/// [`Unavailable::Damaged`] if one of them is missing, or is not as it was lodged, or if another epoch was prepared.
pub(super) fn to_carry_out(
    engine: &dyn Engine,
    ledger: &Ledger,
    prepared: Option<u64>,
) -> Result<Vec<(u64, Intent)>, Refusal> {
    let open = ledger.open_numbers();
    let rows = engine.scan(Space::Intent, &[], &open.start.to_be_bytes(), EPOCH_INTENTS_MAX)?;
    // Some may have been lodged since the ledger was read.
    let is_short = rows.len() < EPOCH_INTENTS_MAX && open.start + (rows.len() as u64) < open.end;
    if ledger.prepared() != prepared || is_short {
        return Err(Unavailable::Damaged.into());
    }
    let mut intents = Vec::with_capacity(rows.len());
    for (number, (key, row)) in (open.start..).zip(rows) {
        if prepared.is_some_and(|through| number > through) {
            break;
        }
        if key != number.to_be_bytes() {
            return Err(Unavailable::Damaged.into());
        }
        intents.push((number, Intent::read(ledger, number, &row).map_err(|_| Unavailable::Damaged)?));
    }
    Ok(intents)
}

/// Whether an intent that is not carried out yet names an entry.
pub(super) fn is_named(reads: &dyn Reads, target: (Tree, u64)) -> Result<bool, Fault> {
    Ok(pending(reads)?.iter().any(|intent| intent.targets.contains(&target)))
}

/// Those that are not carried out, each checked to be as it was lodged.
pub fn pending(reads: &dyn Reads) -> Result<Vec<Intent>, Fault> {
    let ledger = Ledger::find(reads)?;
    let rows = reads.rows(Space::Intent, &[], &ledger.open_numbers().start.to_be_bytes(), usize::MAX)?;
    let read = |(key, row): (Vec<u8>, Vec<u8>)| {
        let number = key.try_into().map(u64::from_be_bytes).map_err(|_| Fault::Torn)?;
        Intent::read(&ledger, number, &row).map_err(|_| Fault::Torn)
    };
    rows.into_iter().map(read).collect()
}

/// Whether an intent is there still: to be carried out, or carried out and waiting for a lost slot.
pub fn is_there(reads: &dyn Reads, number: u64) -> Result<bool, Fault> {
    Ok(reads.row(Space::Intent, &number.to_be_bytes())?.is_some() || held::is_held(reads, number)?)
}

/// Whether every act of forgetting that the ledger counts is there, and those that wait for a lost slot.
pub fn are_complete(reads: &dyn Reads) -> Result<bool, Fault> {
    match find_all(reads) {
        Ok(found) => Ok(found.complete),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Acts of forgetting that a vault finds when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Intents that are not carried out.
    pub pending: u64,
    /// Acts that wait for a lost slot.
    pub held: u64,
    /// Whether these are all that there should be.
    pub complete: bool,
}

/// Counts them.
pub(super) fn find_all(reads: &dyn Reads) -> Result<Found, Refusal> {
    let count = |space, from: &[u8]| Ok::<_, Fault>(reads.rows(space, &[], from, usize::MAX)?.len() as u64);
    let held = count(Space::Held, &[])?;
    match Ledger::find(reads) {
        Ok(ledger) => {
            let open = ledger.open_numbers();
            let pending = count(Space::Intent, &open.start.to_be_bytes())?;
            let complete = pending == open.end - open.start && held == ledger.held();
            Ok(Found { pending: pending.max(open.end - open.start), held, complete })
        }
        Err(Fault::Torn) => Ok(Found { pending: count(Space::Intent, &[])?, held, complete: false }),
        Err(refused) => Err(refused.into()),
    }
}

/// Rows as part of another row.
pub fn write_rows(w: Writer, rows: &[DoomedRow]) -> Writer {
    w.list(rows.iter(), |w, row| w.u8(row.space as u8).bytes(&row.key).u8(row.prefix.into()))
}

/// Reads them back.
pub fn read_rows(r: &mut Reader<'_>) -> Result<Vec<DoomedRow>, Malformed> {
    r.list(|r| Ok(DoomedRow { space: read_space(r)?, key: r.bytes()?.to_vec(), prefix: r.u8()? == 1 }))
}

pub(super) fn write_tree(w: Writer, tree: Tree) -> Writer {
    match tree {
        Tree::Root => w.u8(0),
        Tree::Subjects => w.u8(1),
        Tree::Reasons => w.u8(2),
        Tree::Service => w.u8(3),
        Tree::Subject(id, position) => w.u8(4).raw(id.as_bytes()).u64(position),
        Tree::Reason(id, position) => w.u8(5).raw(id.as_bytes()).u64(position),
    }
}

pub(super) fn read_tree(r: &mut Reader<'_>) -> Result<Tree, Malformed> {
    Ok(match r.u8()? {
        0 => Tree::Root,
        1 => Tree::Subjects,
        2 => Tree::Reasons,
        3 => Tree::Service,
        4 => Tree::Subject(SubjectId::from_bytes(r.array()?), r.u64()?),
        5 => Tree::Reason(ReasonId::from_bytes(r.array()?), r.u64()?),
        _ => return Err(Malformed),
    })
}

pub(super) fn read_what(tag: u8) -> Result<What, Malformed> {
    What::ALL.iter().copied().find(|what| *what as u8 == tag).ok_or(Malformed)
}

fn read_space(r: &mut Reader<'_>) -> Result<Space, Malformed> {
    let tag = r.u8()?;
    Space::ALL.iter().copied().find(|space| *space as u8 == tag).ok_or(Malformed)
}

/// Deletes a row, or all below a prefix.
pub fn delete_rows(txn: &mut Txn<'_>, row: &DoomedRow) -> Result<(), Refusal> {
    if row.prefix {
        return delete_below(txn, row.space, &row.key);
    }
    txn.delete(row.space, &row.key[..]);
    Ok(())
}

pub(super) fn delete_below(txn: &mut Txn<'_>, space: Space, prefix: &[u8]) -> Result<(), Refusal> {
    let is_day = space == Space::EventSegment && prefix.len() > SUBJECT_KEY_LEN;
    let listed_max = match is_removed_unread(space) {
        false => usize::MAX,
        // Most days have few segments. A range that is removed costs later reads more than some keys do.
        true if is_day => SEGMENTS_LISTED_MAX,
        true => 0,
    };
    if listed_max > 0 {
        let rows = txn.rows(space, prefix, &[], listed_max.saturating_add(1))?;
        if rows.len() <= listed_max {
            rows.into_iter().for_each(|(key, _)| txn.delete(space, key));
            return Ok(());
        }
    }
    txn.delete_below(space, prefix);
    Ok(())
}

/// Large rows, which nobody looks at again: not read by who removes them.
pub(super) fn is_removed_unread(space: Space) -> bool {
    matches!(space, Space::Chunk | Space::EventSegment)
}

/// Bytes of a subject's id, with which the keys of its rows begin.
const SUBJECT_KEY_LEN: usize = 16;
/// Segments of a day that are removed one by one; more go as a range.
const SEGMENTS_LISTED_MAX: usize = 8;

#[cfg(test)]
mod tests;
