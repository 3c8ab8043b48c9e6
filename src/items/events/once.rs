//! A batch with a key is stored once: the record of what became of the first, for a day.
//!
//! It is found under a MAC of caller and key, made with a key of the day, and what it holds is sealed under another:
//! counts, reasons, and which items were appended to. The digest of the batch, which would let somebody test a guess of
//! its content, is sealed again under a key made from those of all these items, and dies with the first of them. From
//! then on a repeat is told by its number of events alone: that what it brought is stored, or was and is erased.
//!
//! Row: the four bytes of the day, 3, MAC, beside those of `gate::once`, with which it is swept.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, SubjectId, VaultId};
use crate::base::reason::Reason;
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::crypto::hash::Digest;
use crate::crypto::{aead, label, mac};
use crate::gate::days::{Days, day_prefix, is_within_a_day};
use crate::gate::refusal::{Fault, FaultReason, Refusal, Unavailable};
use crate::gate::txn::{self, Reads, Txn};
use crate::items::record::{ItemRow, decode_item, item_key, open_subject};
use crate::keys::segments::SegmentKeys;
use crate::store::keyspace::Space;

use super::model::{Recorded, Rejection};

const VERSION: u8 = 1;
const BATCH: u8 = 3;
const MAC_LEN: usize = 16;

/// A batch that has a key: where its record is or was, and what it holds.
pub(super) struct Once {
    /// Today's, then yesterday's.
    places: Vec<Place>,
    digest: Digest,
}

struct Place {
    row: Vec<u8>,
    seal: Key,
}

/// An item that a batch was appended to.
pub(super) struct Owner {
    pub subject: SubjectId,
    pub item: ItemId,
    pub companion: Key,
}

/// What a record holds.
struct Record {
    made: Timestamp,
    events: u32,
    stored: u32,
    rejected: Vec<(u32, u16)>,
    owners: Vec<(SubjectId, ItemId)>,
    digest: Vec<u8>,
}

impl Once {
    /// None for a batch without a key.
    pub(super) fn of(days: &Days, caller: &str, key: &Text, digest: Digest) -> Option<Self> {
        let place = |day: &crate::gate::days::DayKeys| {
            let parts = [caller.as_bytes(), key.expose().as_bytes()];
            let code = mac::mac(&day.lookup, label::EVENT_BATCH_LOOKUP, &parts);
            let row = [&day_prefix(day.day)[..], &[BATCH], &code[..MAC_LEN]].concat();
            Place { row, seal: mac::prf(&day.lookup, label::EVENT_BATCH_SEAL, &[]) }
        };
        (!key.is_empty()).then(|| Self { places: days.each().map(place).collect(), digest })
    }

    /// What became of the same batch within the last day.
    ///
    /// # Errors
    /// A fault of `batch_key` if the key was another batch's.
    pub(super) fn find(&self, txn: &Txn<'_>, vault: &VaultId, events: u32) -> Result<Option<Recorded>, Refusal> {
        for place in &self.places {
            let Some(row) = txn.row(Space::Idempotency, &place.row)? else { continue };
            let record = place.open(vault, &row).map_err(|_| Unavailable::Damaged)?;
            if !is_within_a_day(record.made, txn.now()) {
                continue;
            }
            let same = record.events == events && self.may_be_of(txn, vault, place, &record)?;
            if !same {
                return Err(Fault::new("batch_key", FaultReason::KeyReused).into());
            }
            let rejected = record
                .rejected
                .iter()
                .map(|(at, number)| (*at, Rejection::Before(Reason::from_number(*number).unwrap_or(Reason::Internal))));
            return Ok(Some(Recorded { stored: record.stored, rejected: rejected.collect() }));
        }
        Ok(None)
    }

    /// Whether a record is this batch's, as far as can be told.
    fn may_be_of(&self, txn: &Txn<'_>, vault: &VaultId, place: &Place, record: &Record) -> Result<bool, Refusal> {
        let mut companions = Vec::with_capacity(record.owners.len());
        for (subject, item) in &record.owners {
            match companion(txn, vault, subject, item)? {
                Some(companion) => companions.push(companion),
                None => return Ok(true), // one is gone, and the digest with it
            }
        }
        let key = combined(&place.seal, companions.iter());
        let digest = aead::open(&key, &aad(vault, &place.row), &record.digest).map_err(|_| Unavailable::Damaged)?;
        Ok(mac::equal(digest.expose(), &self.digest))
    }

    /// Notes what became of a batch of so many events.
    pub(super) fn remember(
        &self,
        txn: &mut Txn<'_>,
        vault: &VaultId,
        (events, recorded): (u32, &Recorded),
        owners: &[Owner],
    ) -> Result<(), Refusal> {
        // A call has at least today's keys.
        let place = self.places.first().ok_or(Unavailable::Internal)?;
        let internal = |_| Unavailable::Internal;
        let key = combined(&place.seal, owners.iter().map(|owner| &owner.companion));
        let digest = aead::seal(&key, &aad(vault, &place.row), &self.digest).map_err(internal)?;
        let number = |rejection: &Rejection| match rejection {
            Rejection::Now(refusal) => refusal.told().number(),
            Rejection::Before(reason) => reason.number(),
        };
        let writer = Writer::with_capacity(64 + recorded.rejected.len() * 6 + owners.len() * 32 + digest.len())
            .i64(txn.now().as_millis())
            .u32(events)
            .u32(recorded.stored)
            .list(recorded.rejected.iter(), |w, (at, rejection)| w.u32(*at).u16(number(rejection)))
            .list(owners.iter(), |w, owner| w.raw(owner.subject.as_bytes()).raw(owner.item.as_bytes()))
            .bytes(&digest);
        let plain = PlainValue::new(writer.finish());
        let sealed = aead::seal(&place.seal, &aad(vault, &place.row), plain.expose()).map_err(internal)?;
        txn.put(Space::Idempotency, &place.row[..], Writer::new().u8(VERSION).raw(&sealed).finish());
        Ok(())
    }
}

impl Place {
    fn open(&self, vault: &VaultId, row: &[u8]) -> Result<Record, Malformed> {
        let (version, sealed) = row.split_first().ok_or(Malformed)?;
        let plain = aead::open(&self.seal, &aad(vault, &self.row), sealed).map_err(|_| Malformed)?;
        let mut r = Reader::new(plain.expose());
        let record = Record {
            made: Timestamp::from_millis(r.i64()?),
            events: r.u32()?,
            stored: r.u32()?,
            rejected: r.list(|r| Ok((r.u32()?, r.u16()?)))?,
            owners: r.list(|r| Ok((SubjectId::from_bytes(r.array()?), ItemId::from_bytes(r.array()?))))?,
            digest: r.bytes()?.to_vec(),
        };
        r.finish()?;
        if *version == VERSION { Ok(record) } else { Err(Malformed) }
    }
}

/// The companion of an item, as long as it is there.
fn companion(txn: &Txn<'_>, vault: &VaultId, subject: &SubjectId, item: &ItemId) -> Result<Option<Key>, Refusal> {
    let subject = match open_subject(txn, vault, *subject) {
        Ok(subject) => subject,
        Err(txn::Fault::Refused(Refusal::State(_))) => return Ok(None),
        Err(fault) => return Err(fault.into()),
    };
    let Some(row) = txn.row(Space::Item, &item_key(&subject.id, item))? else { return Ok(None) };
    match decode_item(*item, &row)? {
        ItemRow::Live(item) => {
            let entry = item.entry(txn, vault, subject.tree())?;
            Ok(Some(SegmentKeys::derive(&entry.key).companion().duplicate()))
        }
        _ => Ok(None),
    }
}

/// One key from several: whoever lacks one of them cannot make it.
fn combined<'k>(seal: &Key, companions: impl Iterator<Item = &'k Key>) -> Key {
    let parts: Vec<&[u8]> = companions.map(|key| &key.expose()[..]).collect();
    mac::prf(seal, label::EVENT_BATCH_DIGEST, &parts)
}

fn aad(vault: &VaultId, row: &[u8]) -> Vec<u8> {
    Writer::new().bytes(label::EVENT_BATCH_RECORD.as_bytes()).bytes(vault.as_bytes()).bytes(row).finish()
}
