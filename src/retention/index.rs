//! The index of when items expire, brought up to date: for stores of before there was one, and when the catalog shortens
//! how long things are kept.
//!
//! People are gone through in the order of their ids, some at a time. An item that the catalog in force would not keep as
//! long as its own row says gets the earlier end; never a later one. How far it is, is a row, so that it goes on after a
//! restart.

use crate::audit::event::Event;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::SubjectId;
use crate::base::limits::EXPIRY_SUBJECTS;
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::catalog::registry::Registry;
use crate::crypto::hash::{Digest, sha256};
use crate::gate::record::own_event;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::gate::vault::Vault;
use crate::items::expiry;
use crate::items::record::{ItemHead, OpenSubject, StoredItem, item_key, open_subject};
use crate::items::subject::items_of;
use crate::keys::page::Entry;
use crate::store::keyspace::Space;

const ROW: &[u8] = b"expiry_index";
const VERSION: u8 = 1;

/// How far the index is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Progress {
    /// What the catalog says of keeping, by its hash.
    keeps: Digest,
    /// The person up to whom it is right; none at the start.
    cursor: Option<SubjectId>,
    /// Whether it is right for all.
    is_done: bool,
    /// Items that got an earlier end.
    shortened: u64,
}

impl Progress {
    fn encode(&self) -> Vec<u8> {
        let w = Writer::new().u8(VERSION).raw(&self.keeps).option(self.cursor, |w, id| w.raw(id.as_bytes()));
        w.u8(self.is_done.into()).u64(self.shortened).finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let progress = Self {
            keeps: r.array()?,
            cursor: r.option(|r| r.array().map(SubjectId::from_bytes))?,
            is_done: r.u8()? == 1,
            shortened: r.u64()?,
        };
        r.finish().map(|()| progress)
    }
}

/// One step. Whether there is more to do. For a plain thread.
///
/// # Errors
/// Why it could not be made; it is made again.
pub fn work(vault: &Vault) -> Result<bool, Refusal> {
    let rules = vault.rules();
    let keeps = keeps_of(rules.registry());
    if vault.read(find)?.is_some_and(|progress| progress.is_done && progress.keeps == keeps) {
        return Ok(false);
    }
    vault.committer().commit_blocking(move |txn| step(txn, rules.registry(), keeps), false)
}

fn find(reads: &dyn Reads) -> Result<Option<Progress>, Fault> {
    let row = reads.row(Space::Meta, ROW)?;
    row.map(|row| Progress::decode(&row).map_err(|_| Fault::Torn)).transpose()
}

/// What a registry says of keeping.
fn keeps_of(registry: &Registry) -> Digest {
    let mut w = Writer::new();
    for purpose in registry.purposes() {
        w = w.text(purpose.id.as_str()).text(&purpose.keep_max.to_string());
    }
    for rule in registry.classes() {
        w = w.text(rule.class.id.as_str()).option(rule.keep_max, |w, keep| w.text(&keep.to_string()));
    }
    sha256(&[&w.finish()])
}

fn step(txn: &mut Txn<'_>, registry: &Registry, keeps: Digest) -> Result<bool, Refusal> {
    let first = Progress { keeps, cursor: None, is_done: false, shortened: 0 };
    let mut progress = find(txn)?.filter(|known| known.keeps == keeps).unwrap_or(first);
    let from = progress.cursor.map_or(Vec::new(), |last| [&last.as_bytes()[..], &[0]].concat());
    let people = txn.rows(Space::Subject, &[], &from, EXPIRY_SUBJECTS)?;
    for (key, _) in &people {
        let id = SubjectId::from_bytes(key.as_slice().try_into().map_err(|_| Unavailable::Damaged)?);
        progress.shortened += with_person(txn, registry, id)?;
        progress.cursor = Some(id);
    }
    progress.is_done = people.len() < EXPIRY_SUBJECTS;
    if progress.is_done && progress.shortened > 0 {
        let count = u32::try_from(progress.shortened).unwrap_or(u32::MAX);
        txn.record(Event { count, ..own_event(SafeText::constant("ItemsShortened"), txn.epoch())? });
    }
    txn.put(Space::Meta, ROW, progress.encode());
    Ok(!progress.is_done)
}

/// How many of a person's items got an earlier end.
fn with_person(txn: &mut Txn<'_>, registry: &Registry, id: SubjectId) -> Result<u64, Refusal> {
    let vault = *txn.index().vault();
    let subject = match open_subject(txn, &vault, id) {
        Ok(subject) => subject,
        // Gone, or going; or damaged: then nothing can be said of it.
        Err(Fault::Refused(Refusal::State(_)) | Fault::Torn) => return Ok(0),
        Err(fault) => return Err(fault.into()),
    };
    let mut shortened = 0;
    for item in items_of(txn, &id)? {
        match with_item(txn, registry, &subject, &item) {
            Ok(is_shortened) => shortened += u64::from(is_shortened),
            Err(Fault::Torn) => tracing::warn!("a damaged item does not expire"),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(shortened)
}

fn with_item(txn: &mut Txn<'_>, registry: &Registry, subject: &OpenSubject, item: &StoredItem) -> Result<bool, Fault> {
    let Some(end) = end_by(registry, &item.head).filter(|end| item.head.expires.is_none_or(|known| *end < known))
    else {
        expiry::note(txn, &subject.id, &item.id, &item.head)?;
        return Ok(false);
    };
    let vault = *txn.index().vault();
    let entry = item.entry(txn, &vault, subject.tree())?;
    let head = ItemHead { expires: Some(end), counter: item.head.counter + 1, ..item.head.clone() };
    let entry = Entry { extra: head.counter, ..entry };
    expiry::take_back(txn, &subject.id, item)?;
    txn.set(subject.tree(), head.position, &entry)?;
    txn.put(Space::Item, item_key(&subject.id, &item.id), item.with_head(&vault, &head, &entry));
    expiry::note(txn, &subject.id, &item.id, &head)?;
    Ok(true)
}

/// Until when a registry keeps an item at the most, as it would have said when the item became what it is.
fn end_by(registry: &Registry, head: &ItemHead) -> Option<Timestamp> {
    // A day of events begins with its first; later ones do not make it last longer.
    let from = if head.day.is_some() { head.created } else { head.updated };
    let class = registry.class(head.class.as_str()).and_then(|rule| rule.keep_max);
    let purposes = head.purposes.iter().filter_map(|id| registry.purpose(id)).map(|purpose| purpose.keep_max);
    class.into_iter().chain(purposes).map(|keep| keep.end_after(from)).min()
}
