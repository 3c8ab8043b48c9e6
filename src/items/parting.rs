//! A person parts from their items: which go and which some other reason keeps, at most so many in one batch.
//!
//! Of most persons all items go in the batch of the erasure itself. Where they are too many for that, the first batch makes
//! the person unreadable and leaves a row that says how far the parting is; further batches go through the items in the
//! order of their ids, and a last one lodges the intent. A row that is there is gone on with, whoever died meanwhile.
//!
//! ```text
//! 1 | subject            -> how far it is, its code
//! 2 | subject | number   -> the names of keys that one batch copied to other reasons
//! ```
//! How far it is, is authenticated under the key of the person's record, with the count that the page keeps beside that key:
//! a row that was changed, that is another's or an older one is refused. It has running hashes over the names and over the
//! list of what is kept. How many partings are under way, the ledger says.

use std::collections::HashSet;

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, ReceiptId, SubjectId, VaultId};
use crate::base::limits::{ITEM_SCAN_ROWS, PARTING_BYTES_MAX, PARTING_INDEX_ROWS_MAX, PARTING_ITEMS_MAX};
use crate::base::time::Timestamp;
use crate::catalog::statutory::Times;
use crate::crypto::hash::Chain;
use crate::gate::index::NewestKeys;
use crate::gate::intents::DoomedRow;
use crate::gate::ledger::Ledger;
use crate::gate::receipts::{Case, KeptVersion};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keep::keeping::{Keeping, Leaving};
use crate::keep::kept::{self, Under, VersionId};
use crate::keys::envelope::{Envelope, Kind, Place};
use crate::keys::page::{Entry, KeyName};
use crate::store::keyspace::Space;

use super::expiry;
use super::record::{ItemRow, Owner, RECORD_POSITION, StoredItem, decode_item, item_key};
use super::rows::ItemRows;

/// How far the parting of a person is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// Whose items they are.
    pub owner: Owner,
    /// Names the erasure.
    pub receipt: ReceiptId,
    /// How many holds were in force when it was asked for: these decide, and none is placed or released meanwhile.
    pub holds: Option<u32>,
    /// Whether earlier versions of the person's items were kept before.
    pub any_kept: bool,
    /// Whether nothing could keep any item when it was asked for.
    pub nothing_keeps: bool,
    /// Up to this item it is decided; none at the start.
    pub cursor: Option<ItemId>,
    /// Batches that copied keys to other reasons.
    pub batches: u32,
    /// What there is of the names of those keys.
    pub names: Chain,
    /// Versions that are kept.
    pub kept: u64,
    /// What there is of the list of them.
    pub list: Chain,
    /// Openings of commitments that the receipt has.
    pub openings: u32,
    /// The index keys of the rows that are gone.
    pub index: NewestKeys,
    /// What the receipt will state, as far as it is known.
    pub case: Case,
}

const VERSION: u8 = 2;
const RECORD: u8 = 1;
const NAMES: u8 = 2;

impl Parting {
    /// Stores it for the first time.
    pub fn begin(&self, txn: &mut Txn<'_>) -> Result<(), Refusal> {
        let mut ledger = Ledger::find(txn)?;
        ledger.parting_begins();
        ledger.store(txn)?;
        self.store(txn)
    }

    /// Stores how far it is, with the next count.
    pub fn store(&self, txn: &mut Txn<'_>) -> Result<(), Refusal> {
        let mut record = txn.entry(self.owner.tree(), RECORD_POSITION)?.ok_or(Unavailable::Damaged)?;
        record.extra += 1;
        txn.set(self.owner.tree(), RECORD_POSITION, &record)?;
        let clear = self.clear(record.extra);
        let envelope = Envelope::derive(Kind::Parting, &record.key);
        let code = envelope.authenticate(place(txn.index().vault(), &self.owner.id, &record), &clear);
        txn.put(Space::Parting, record_key(&self.owner.id), Writer::new().bytes(&clear).raw(&code).finish());
        Ok(())
    }

    fn clear(&self, counter: u64) -> Vec<u8> {
        let w = Writer::new()
            .u8(VERSION)
            .u64(self.owner.position)
            .u64(counter)
            .raw(self.receipt.as_bytes())
            .option(self.holds, |w, holds| w.u32(holds))
            .u8(self.any_kept.into())
            .u8(self.nothing_keeps.into())
            .option(self.cursor, |w, item| w.raw(item.as_bytes()))
            .u32(self.batches)
            .raw(self.names.digest())
            .u64(self.kept)
            .raw(self.list.digest())
            .u32(self.openings);
        self.index.write(w).bytes(&self.case.encode()).finish()
    }

    fn decode(subject: SubjectId, clear: &[u8]) -> Result<(Self, u64), Malformed> {
        let mut r = Reader::new(clear);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let (owner, counter) = (Owner { id: subject, position: r.u64()? }, r.u64()?);
        let parting = Self {
            owner,
            receipt: ReceiptId::from_bytes(r.array()?),
            holds: r.option(|r| r.u32())?,
            any_kept: r.u8()? == 1,
            nothing_keeps: r.u8()? == 1,
            cursor: r.option(|r| r.array().map(ItemId::from_bytes))?,
            batches: r.u32()?,
            names: Chain::stored(r.array()?),
            kept: r.u64()?,
            list: Chain::stored(r.array()?),
            openings: r.u32()?,
            index: NewestKeys::read(&mut r)?,
            case: Case::decode(r.bytes()?)?,
        };
        r.finish().map(|()| (parting, counter))
    }

    /// Notes keys that were copied to other reasons, and so are not forgotten with the person.
    pub fn note_kept(&mut self, txn: &mut Txn<'_>, names: &[KeyName]) {
        if !names.is_empty() {
            let key = Writer::new().u8(NAMES).raw(self.owner.id.as_bytes()).u32(self.batches).finish();
            txn.put(Space::Parting, key, names.as_flattened());
            self.names.add(names.as_flattened());
            self.batches += 1;
        }
    }

    /// All keys that were copied.
    ///
    /// # Errors
    /// [`Fault::Torn`] if some of them are missing, or others are there.
    pub fn kept_names(&self, reads: &dyn Reads) -> Result<HashSet<KeyName>, Fault> {
        let rows = reads.rows(Space::Parting, &names_prefix(&self.owner.id), &[], usize::MAX)?;
        let mut names = Chain::default();
        rows.iter().for_each(|(_, row)| names.add(row));
        if names != self.names {
            return Err(Fault::Torn);
        }
        Ok(rows.iter().flat_map(|(_, names)| names.as_chunks().0).copied().collect())
    }

    /// Removes its rows: it is over.
    pub fn end(&self, txn: &mut Txn<'_>) -> Result<(), Refusal> {
        let mut ledger = Ledger::find(txn)?;
        ledger.parting_ends()?;
        ledger.store(txn)?;
        txn.delete(Space::Parting, record_key(&self.owner.id));
        for (key, _) in txn.rows(Space::Parting, &names_prefix(&self.owner.id), &[], usize::MAX)? {
            txn.delete(Space::Parting, key);
        }
        Ok(())
    }
}

/// How far the parting of a person is, checked to be their newest row; none if none is under way.
pub fn find(reads: &dyn Reads, subject: &SubjectId) -> Result<Option<Parting>, Fault> {
    let Some(row) = reads.row(Space::Parting, &record_key(subject))? else { return Ok(None) };
    let torn = |_: Malformed| Fault::Torn;
    let mut r = Reader::new(&row);
    let clear = r.bytes().map_err(torn)?;
    let code: [u8; 32] = r.array().map_err(torn)?;
    r.finish().map_err(torn)?;
    let (parting, counter) = Parting::decode(*subject, clear).map_err(torn)?;
    let record = reads.entry(parting.owner.tree(), RECORD_POSITION)?.ok_or(Fault::Torn)?;
    let place = place(reads.index().vault(), subject, &record);
    let checked = Envelope::check_only(Kind::Parting, &record.key, place, clear, &code);
    if counter == record.extra && checked.is_ok() { Ok(Some(parting)) } else { Err(Fault::Torn) }
}

/// The persons whose parting is under way.
pub fn under_way(reads: &dyn Reads) -> Result<Vec<SubjectId>, Fault> {
    let rows = reads.rows(Space::Parting, &[RECORD], &[], usize::MAX)?;
    rows.iter().map(|(key, _)| key[1..].try_into().map(SubjectId::from_bytes).map_err(|_| Fault::Torn)).collect()
}

/// Whether it is still to be decided what becomes of an item of somebody who is being erased.
pub fn has(reads: &dyn Reads, item: ItemId) -> Result<bool, Fault> {
    for subject in under_way(reads)? {
        let row = reads.row(Space::Item, &item_key(&subject, &item))?;
        if let Some(ItemRow::Live(_)) = row.map(|row| decode_item(item, &row)).transpose()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is at the key of an item that is not deleted.
enum Listed {
    Live(Box<StoredItem>),
    /// A row that does not read.
    Damaged(ItemId),
}

/// Items of a person in the order of their ids, as many as one batch takes.
pub struct Portion {
    items: Vec<Listed>,
    /// The last of what was looked at; none if there was nothing.
    pub last: Option<ItemId>,
    /// Whether there are more.
    pub more: bool,
}

impl Portion {
    /// Those after an item.
    pub fn after(reads: &dyn Reads, subject: &SubjectId, after: Option<ItemId>) -> Result<Self, Fault> {
        let mut portion = Self { items: Vec::new(), last: after, more: false };
        let (mut seen, mut bytes) = (0, 0);
        loop {
            let from = portion.last.map_or(Vec::new(), |last| [&item_key(subject, &last)[..], &[0]].concat());
            let rows = reads.rows(Space::Item, subject.as_bytes(), &from, ITEM_SCAN_ROWS)?;
            for (key, row) in &rows {
                if seen == PARTING_ITEMS_MAX || bytes >= PARTING_BYTES_MAX {
                    portion.more = true;
                    return Ok(portion);
                }
                let id = key[16..].try_into().map(ItemId::from_bytes).map_err(|_| Fault::Torn)?;
                match decode_item(id, row) {
                    Ok(ItemRow::Live(item)) => portion.items.push(Listed::Live(item)),
                    Ok(ItemRow::Deleted(_)) => {}
                    Err(Fault::Torn) => portion.items.push(Listed::Damaged(id)),
                    Err(refused) => return Err(refused),
                }
                (seen, bytes) = (seen + 1, bytes + row.len());
                portion.last = Some(id);
            }
            if rows.len() < ITEM_SCAN_ROWS {
                return Ok(portion);
            }
        }
    }
}

/// What decides about a person's items.
pub struct Deciding {
    /// Whose they are.
    pub owner: Owner,
    /// When the account ended.
    pub closed: Timestamp,
    /// Whether earlier versions of the items are kept.
    pub any_kept: bool,
    /// Whether nothing keeps any of them.
    pub nothing_keeps: bool,
}

/// An item, and what becomes of it.
struct Decided {
    id: ItemId,
    /// What its row says, if that reads.
    item: Option<Box<StoredItem>>,
    rows: ItemRows,
    /// Its key, if some reason keeps it.
    kept: Option<Entry>,
}

impl Deciding {
    /// Decides about an item by its row, which must be the newest under its key.
    fn about(&self, txn: &Txn<'_>, keeping: &Keeping<'_>, listed: Listed) -> Result<Decided, Refusal> {
        let item = match listed {
            Listed::Live(item) => item,
            Listed::Damaged(id) => return self.about_damaged(txn, keeping, (id, None)),
        };
        let entry = match item.entry(txn, txn.index().vault(), self.owner.tree()) {
            Ok(entry) => entry,
            Err(Fault::Torn) => return self.about_damaged(txn, keeping, (item.id, Some(item))),
            Err(refused) => return Err(refused.into()),
        };
        let is_kept = !self.nothing_keeps && keeping.covers(txn, &leaving(&item, &entry, Some(self.closed)))?;
        let rows = ItemRows::of(txn, self.owner, &item, is_kept || self.is_apart(txn, item.id)?)?;
        Ok(Decided { id: item.id, item: Some(item), rows, kept: is_kept.then_some(entry) })
    }

    /// An item whose row is not what was stored goes like the others: its key is cut off with the tree. Unless a hold may
    /// keep it; what a period would keep it for, only its row could say.
    fn about_damaged(
        &self,
        txn: &Txn<'_>,
        keeping: &Keeping<'_>,
        (id, item): (ItemId, Option<Box<StoredItem>>),
    ) -> Result<Decided, Refusal> {
        if keeping.may_cover(txn, &id)? {
            tracing::warn!("a damaged item is not forgotten: a hold may keep it");
            return Err(Unavailable::Damaged.into());
        }
        tracing::warn!("a damaged item is forgotten without the rows that lead to it");
        let rows = ItemRows::of_damaged(self.owner, &id, self.is_apart(txn, id)?);
        Ok(Decided { id, item, rows, kept: None })
    }

    /// Whether earlier versions of an item are kept.
    fn is_apart(&self, txn: &Txn<'_>, item: ItemId) -> Result<bool, Fault> {
        Ok(self.any_kept && kept::exists(txn, Under::Item(item))?)
    }
}

/// Items about which it is decided, nothing being changed yet.
pub struct Decision {
    items: Vec<Decided>,
    /// The last of what was decided about; none if there was nothing.
    pub last: Option<ItemId>,
    /// Whether there are more.
    pub more: bool,
}

impl Decision {
    /// Decides about a portion, or as much of it as one batch takes: some items have many rows that lead to them.
    ///
    /// # Errors
    /// [`Unavailable::Damaged`] for an item whose row does not read and that a hold may keep.
    pub fn about(txn: &Txn<'_>, deciding: &Deciding, keeping: &Keeping<'_>, portion: Portion) -> Result<Self, Refusal> {
        let mut decision = Self { items: Vec::new(), last: portion.last, more: portion.more };
        let mut rows_seen = 0;
        for listed in portion.items {
            if rows_seen >= PARTING_INDEX_ROWS_MAX {
                decision.last = decision.items.last().map(|decided| decided.id);
                decision.more = true;
                break;
            }
            let decided = deciding.about(txn, keeping, listed)?;
            rows_seen += decided.rows.own.len();
            decision.items.push(decided);
        }
        Ok(decision)
    }

    /// Carries it out: what is kept is copied to whatever keeps it, and nothing is left to expire.
    pub fn carry_out(
        self,
        txn: &mut Txn<'_>,
        deciding: &Deciding,
        keeping: &mut Keeping<'_>,
        (receipt, case): (ReceiptId, &Case),
    ) -> Result<Parted, Refusal> {
        let mut parted = Parted::default();
        for Decided { id, item, rows, kept } in self.items {
            if let Some(item) = &item {
                expiry::take_back(txn, &deciding.owner.id, item)?;
            }
            if rows.is_unsearched {
                parted.index_keys.add_live(txn.index());
            }
            parted.index.extend(rows.own.into_iter().filter(|row| row.space == Space::Index));
            parted.items.push(id);
            let (Some(item), Some(entry)) = (item, kept) else {
                parted.contents.extend(rows.content);
                continue;
            };
            let leaving = Leaving { rows: rows.content, ..leaving(&item, &entry, Some(deciding.closed)) };
            if let Some(kept) = keeping.keep(txn, leaving, receipt, case.pseudonym)? {
                parted.names.push(entry.name());
                parted.kept.push(kept);
            }
        }
        parted.index_keys.add(parted.index.iter().map(|row| &row.key[..]));
        Ok(parted)
    }
}

/// What became of items.
#[derive(Default)]
pub struct Parted {
    /// Which they are.
    pub items: Vec<ItemId>,
    /// Versions that another reason keeps.
    pub kept: Vec<KeptVersion>,
    /// The names of their keys.
    pub names: Vec<KeyName>,
    /// The rows of the index that led to the items.
    pub index: Vec<DoomedRow>,
    /// The index keys that these are under; where they are not known, every key in use.
    pub index_keys: NewestKeys,
    /// What those hold in rows of their own that nothing keeps.
    pub contents: Vec<DoomedRow>,
}

/// What is to be kept of a version: its row, which is put aside. What it holds in rows of its own stays where it is.
pub fn leaving<'e>(item: &StoredItem, entry: &'e Entry, closed: Option<Timestamp>) -> Leaving<'e> {
    let id = VersionId { item: item.id, version: item.head.version, counter: item.head.counter };
    let times = Times { created: item.head.created, updated: item.head.updated, closed };
    Leaving { id, class: item.head.class, times, entry, row: item.row(), rows: Vec::new() }
}

fn place<'a>(vault: &'a VaultId, subject: &'a SubjectId, record: &Entry) -> Place<'a> {
    Place { vault, owner: subject.as_bytes(), class: "", version: 1, generation: record.generation }
}

fn record_key(subject: &SubjectId) -> Vec<u8> {
    Writer::new().u8(RECORD).raw(subject.as_bytes()).finish()
}

fn names_prefix(subject: &SubjectId) -> Vec<u8> {
    Writer::new().u8(NAMES).raw(subject.as_bytes()).finish()
}
