//! The blind index: which keys are in use, and the rows that lead from an identifier to who has it.
//!
//! Each field has a current key, under which every row is there, and while that is being replaced a next one. Whoever
//! writes rows, writes them under both, on the writer's thread; whoever looks, looks under the current one. How far a
//! rotation is, is a row per field; what a rotation does is told in `items::reindex`.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::refusal::{Refusal, State, Unavailable};
use super::service_keys::{self, Name};
use super::txn::{Fault, Reads, Txn};
use super::vault::Vault;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{KeyId, RotationId, SubjectId, VaultId};
use crate::base::time::Timestamp;
use crate::catalog::class::{Identifier, IdentifierField};
use crate::crypto::hash::sha256;
use crate::keys::index::{Holder, IndexKey, Lead};
use crate::store::keyspace::Space;

const VERSION_1: u8 = 1;
const VERSION: u8 = 2;

/// The blind index of a vault.
pub struct Index {
    vault: VaultId,
    live: ArcSwapOption<Live>,
}

/// The keys in use.
pub struct Live(Vec<FieldKeys>);

/// The keys in use of one field.
struct FieldKeys {
    field: IdentifierField,
    current: IndexKey,
    next: Option<IndexKey>,
}

/// Which keys a field has, and how far the replacement of one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The key under which every row is there.
    pub current: u32,
    /// The key that replaces it: rows are being written under it.
    pub next: Option<u32>,
    /// The key that was replaced and is not given to an epoch yet.
    pub retiring: Option<u32>,
    /// The person up to whom rows are there under the next key.
    pub cursor: Option<SubjectId>,
    /// People gone through.
    pub done: u64,
    /// When the last rotation began, and when it last got further.
    pub times: (Timestamp, Timestamp),
    /// Whether a rotation stands still until somebody resumes it.
    pub paused: bool,
}

/// A key in use.
pub struct KnownKey {
    /// Names it.
    pub id: KeyId,
    /// Its field.
    pub field: IdentifierField,
    /// Counts the field's keys.
    pub number: u32,
    /// When it was made.
    pub made: Timestamp,
    /// How far the rotation is in which it is the old key.
    pub progress: Progress,
}

impl Progress {
    const NONE: Self = Self {
        current: 1,
        next: None,
        retiring: None,
        cursor: None,
        done: 0,
        times: (Timestamp::from_millis(0), Timestamp::from_millis(0)),
        paused: false,
    };

    fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .u32(self.current)
            .option(self.next, |w, number| w.u32(number))
            .option(self.retiring, |w, number| w.u32(number))
            .option(self.cursor, |w, id| w.raw(id.as_bytes()))
            .u64(self.done)
            .i64(self.times.0.as_millis())
            .i64(self.times.1.as_millis())
            .u8(self.paused.into())
            .finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        let version = r.u8()?;
        if !(VERSION_1..=VERSION).contains(&version) {
            return Err(Malformed);
        }
        let progress = Self {
            current: r.u32()?,
            next: r.option(|r| r.u32())?,
            retiring: r.option(|r| r.u32())?,
            cursor: r.option(|r| r.array().map(SubjectId::from_bytes))?,
            done: r.u64()?,
            times: (Timestamp::from_millis(r.i64()?), Timestamp::from_millis(r.i64()?)),
            paused: version != VERSION_1 && r.u8()? == 1,
        };
        r.finish()?;
        Ok(progress)
    }

    /// Whether a rotation is under way, paused or not.
    pub fn is_rotating(&self) -> bool {
        self.next.is_some() || self.retiring.is_some()
    }

    /// Names the rotation in which a key is the old one.
    pub fn rotation(vault: &VaultId, field: IdentifierField, old: u32) -> RotationId {
        RotationId::from_bytes(named(b"index rotation", vault, field, old))
    }
}

/// The id of an index key.
pub fn key_id(vault: &VaultId, field: IdentifierField, number: u32) -> KeyId {
    KeyId::from_bytes(named(b"index key", vault, field, number))
}

/// The index keys that rows are under, the newest of each field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewestKeys([u32; IdentifierField::ALL.len()]);

impl NewestKeys {
    /// Adds those of further rows of the index.
    pub fn add<'r>(&mut self, rows: impl Iterator<Item = &'r [u8]>) {
        for (field, number) in rows.filter_map(IndexKey::of_row) {
            for (known, _) in self.0.iter_mut().zip(IdentifierField::ALL).filter(|(_, of)| **of == field) {
                *known = number.max(*known);
            }
        }
    }

    /// Adds every key in use: rows that nobody can find may be under any.
    pub fn add_live(&mut self, index: &Index) {
        let live = index.live();
        for (known, field) in self.0.iter_mut().zip(IdentifierField::ALL) {
            let newest = live.each(*field).map(IndexKey::number).max();
            *known = newest.unwrap_or(0).max(*known);
        }
    }

    /// Adds those of others.
    pub fn add_all(&mut self, others: &Self) {
        self.0.iter_mut().zip(others.0).for_each(|(known, number)| *known = number.max(*known));
    }

    /// Their ids.
    pub fn ids(&self, vault: &VaultId) -> Vec<KeyId> {
        let keys = IdentifierField::ALL.iter().zip(self.0).filter(|(_, number)| *number > 0);
        keys.map(|(field, number)| key_id(vault, *field, number)).collect()
    }

    /// As part of a row.
    pub fn write(&self, w: Writer) -> Writer {
        let known = IdentifierField::ALL.iter().zip(self.0).filter(|(_, number)| *number > 0);
        let known: Vec<_> = known.collect();
        w.list(known.into_iter(), |w, (field, number)| w.u8(field.code()).u32(number))
    }

    /// Reads it back.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut keys = Self::default();
        for (code, number) in r.list(|r| Ok((r.u8()?, r.u32()?)))? {
            let place = IdentifierField::ALL.iter().position(|field| field.code() == code).ok_or(Malformed)?;
            keys.0[place] = number;
        }
        Ok(keys)
    }
}

fn named(what: &[u8], vault: &VaultId, field: IdentifierField, number: u32) -> [u8; 16] {
    let mut id = [0; 16];
    let digest = sha256(&[what, vault.as_bytes(), &[field.code()], &number.to_be_bytes()]);
    id.copy_from_slice(&digest[..16]);
    id
}

impl Index {
    pub(super) fn new(vault: VaultId) -> Self {
        Self { vault, live: ArcSwapOption::empty() }
    }

    /// Puts keys into use, unless later ones are: two threads may have read them.
    pub(super) fn put_live(&self, live: Live) {
        let live = Arc::new(live);
        self.live.rcu(|known| match known {
            Some(known) if known.age() > live.age() => Some(known.clone()),
            _ => Some(live.clone()),
        });
    }

    /// The vault that the rows belong to.
    pub fn vault(&self) -> &VaultId {
        &self.vault
    }

    /// The keys in use.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full().expect("a vault's keys are put into use while it is opened")
    }
}

impl Live {
    /// The key under which every row of a field is there.
    pub fn current(&self, field: IdentifierField) -> &IndexKey {
        &self.of(field).current
    }

    /// Every key under which rows of a field are written.
    pub fn each(&self, field: IdentifierField) -> impl Iterator<Item = &IndexKey> {
        let keys = self.of(field);
        std::iter::once(&keys.current).chain(&keys.next)
    }

    /// Whether these are the keys that a field has by its row.
    pub fn is_as(&self, field: IdentifierField, progress: &Progress) -> bool {
        let keys = self.of(field);
        keys.current.number() == progress.current && keys.next.as_ref().map(IndexKey::number) == progress.next
    }

    /// Grows with each step by which keys come into use.
    fn age(&self) -> u64 {
        self.0.iter().map(|keys| 2 * u64::from(keys.current.number()) + u64::from(keys.next.is_some())).sum()
    }

    fn of(&self, field: IdentifierField) -> &FieldKeys {
        self.0.iter().find(|keys| keys.field == field).expect("load makes keys of every field")
    }
}

impl Vault {
    /// Puts the keys into use that the store now says are.
    ///
    /// # Errors
    /// They could not be read; those in use stay.
    pub async fn reload_index(&self) -> Result<(), Refusal> {
        self.index.put_live(self.committer.commit(load).await?);
        Ok(())
    }

    /// The same for a plain thread.
    ///
    /// # Errors
    /// As for [`Vault::reload_index`].
    pub fn reload_index_blocking(&self) -> Result<(), Refusal> {
        self.index.put_live(self.committer.commit_blocking(load, false)?);
        Ok(())
    }
}

/// The keys in use; made where there are none yet.
///
/// A store from before a field was indexed has people without rows: a rotation, which begins with the field's first key,
/// writes them.
pub(super) fn load(txn: &mut Txn<'_>) -> Result<Live, Refusal> {
    let has_people = !txn.rows(Space::Subject, &[], &[], 1)?.is_empty();
    let mut live = Vec::with_capacity(IdentifierField::ALL.len());
    for field in IdentifierField::ALL {
        let known = progress(txn, *field)?;
        let is_new = known == Progress::NONE && service_keys::find(txn, Name::Index(*field, 1))?.is_none();
        let mut key = |number| -> Result<IndexKey, Refusal> {
            let key = service_keys::find_or_make(txn, Name::Index(*field, number))?;
            Ok(IndexKey::derive(*field, number, &key))
        };
        let current = key(known.current)?;
        let mut next = known.next.map(&mut key).transpose()?;
        if is_new && has_people {
            let begun = begin(txn, *field, None)?;
            let key = service_keys::find_or_make(txn, Name::Index(*field, 2))?;
            next = begun.next.map(|number| IndexKey::derive(*field, number, &key));
        }
        live.push(FieldKeys { field: *field, current, next });
    }
    Ok(Live(live))
}

/// Writes the rows of an identifier.
pub fn put(txn: &mut Txn<'_>, identifier: &Identifier, subject: SubjectId, holder: Holder<'_>) -> Result<(), Refusal> {
    let live = txn.index().live();
    live.each(identifier.field).try_for_each(|key| put_under(txn, key, identifier, subject, holder))
}

/// Writes the row of an identifier under the next key, if there is one.
pub fn put_next(
    txn: &mut Txn<'_>,
    identifier: &Identifier,
    subject: SubjectId,
    holder: Holder<'_>,
) -> Result<(), Refusal> {
    let live = txn.index().live();
    live.of(identifier.field).next.iter().try_for_each(|key| put_under(txn, key, identifier, subject, holder))
}

fn put_under(
    txn: &mut Txn<'_>,
    key: &IndexKey,
    identifier: &Identifier,
    subject: SubjectId,
    holder: Holder<'_>,
) -> Result<(), Refusal> {
    let vault = *txn.index().vault();
    let row = key.row(identifier, holder);
    let lead = Lead { subject, item: holder.map(|(item, _)| *item) };
    let sealed = key.seal(&vault, &row, lead).map_err(|_| Unavailable::Internal)?;
    txn.put(Space::Index, row, sealed);
    Ok(())
}

/// The keys of an identifier's rows, under every key in use.
pub fn rows(reads: &dyn Reads, identifier: &Identifier, holder: Holder<'_>) -> Vec<Vec<u8>> {
    reads.index().live().each(identifier.field).map(|key| key.row(identifier, holder)).collect()
}

/// Who has an identifier that only one can have; none if nobody does.
pub fn find_one(reads: &dyn Reads, identifier: &Identifier) -> Result<Option<SubjectId>, Fault> {
    let mut live = reads.index().live();
    loop {
        let key = live.current(identifier.field);
        let row = key.row(identifier, None);
        if let Some(sealed) = reads.row(Space::Index, &row)? {
            let lead = key.open(reads.index().vault(), &row, &sealed).map_err(|_| Fault::Torn)?;
            return Ok(Some(lead.subject));
        }
        // Rows go only once another key is in use: where none is, there was no row.
        let now = reads.index().live();
        if Arc::ptr_eq(&now, &live) {
            return Ok(None);
        }
        live = now;
    }
}

/// Which keys a field has, and how far a rotation is.
pub fn progress(reads: &dyn Reads, field: IdentifierField) -> Result<Progress, Fault> {
    match reads.row(Space::IndexState, &[field.code()])? {
        None => Ok(Progress::NONE),
        Some(row) => Progress::decode(&row).map_err(|_| Fault::Torn),
    }
}

/// The current key of every field.
pub fn keys(reads: &dyn Reads) -> Result<Vec<KnownKey>, Fault> {
    let known = |field: &IdentifierField| {
        let progress = progress(reads, *field)?;
        let number = progress.current;
        let made = service_keys::made(reads, Name::Index(*field, number))?.ok_or(Fault::Torn)?;
        let id = key_id(reads.index().vault(), *field, number);
        Ok(KnownKey { id, field: *field, number, made, progress })
    };
    IdentifierField::ALL.iter().map(known).collect()
}

/// Begins the replacement of a field's key, of this one if one is named.
///
/// # Errors
/// [`State::RotationRunning`]; [`State::NotFound`] if the key named is not the current one.
pub fn begin(txn: &mut Txn<'_>, field: IdentifierField, of: Option<u32>) -> Result<Progress, Refusal> {
    let known = progress(txn, field)?;
    if known.is_rotating() {
        return Err(State::RotationRunning.into());
    }
    if of.is_some_and(|of| of != known.current) {
        return Err(State::NotFound.into());
    }
    let next = known.current + 1;
    service_keys::find_or_make(txn, Name::Index(field, next))?;
    let times = (txn.now(), txn.now());
    let begun = Progress { next: Some(next), cursor: None, done: 0, times, ..known };
    put_progress(txn, field, &begun);
    Ok(begun)
}

/// Notes that people up to this one have their rows under the next key; once all do, that it is the current one.
pub fn advance(
    txn: &mut Txn<'_>,
    field: IdentifierField,
    through: Option<SubjectId>,
    people: u64,
    is_built: bool,
) -> Result<(), Refusal> {
    let known = progress(txn, field)?;
    let Some(next) = known.next else { return Ok(()) };
    let times = (known.times.0, txn.now());
    let (cursor, done) = (through.or(known.cursor), known.done + people);
    let further = if is_built {
        Progress { current: next, next: None, retiring: Some(known.current), cursor: None, done, times, ..known }
    } else {
        Progress { cursor, done, times, ..known }
    };
    put_progress(txn, field, &further);
    Ok(())
}

/// Stores how far a rotation is.
pub(super) fn put_progress(txn: &mut Txn<'_>, field: IdentifierField, progress: &Progress) {
    txn.put(Space::IndexState, [field.code()], progress.encode());
}

/// The key of the row of a key that was replaced.
pub(super) fn past_key(field: IdentifierField, old: u32) -> [u8; PAST_KEY_LEN] {
    let [a, b, c, d] = old.to_be_bytes();
    [field.code(), a, b, c, d]
}

/// Bytes of that key.
pub(super) const PAST_KEY_LEN: usize = 5;
