//! What is under way: how far intents are numbered and carried out, and the key that authenticates their rows.
//!
//! One row, sealed under the root in force: the batch that replaces the root seals it anew. So a row of an earlier epoch does
//! not open, and intents that are carried out are never carried out again, whoever puts them back. Every vault has it from its
//! first batch on, and what the slots seal says so: where it is missing, nothing is forgotten until it is back.
//!
//! INVARIANT: there is an intent for every number after the last that is carried out, up to the last that was handed out.
//! The key is made anew whenever nothing is under way that it authenticates.

use super::refusal::{Refusal, Unavailable};
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::VaultId;
use crate::base::secret::{Key, PlainValue};
use crate::crypto::rng::{self, RandomFailed};
use crate::crypto::{aead, kdf, label, mac};
use crate::store::keyspace::Space;
use crate::store::{Engine, Record};

const ROW: &[u8] = b"intent_next";
const VERSION: u8 = 2;
/// Earlier releases had the next number here and nothing else.
const LEN_BEFORE: usize = 8;
const CODE_LEN: usize = 32;

/// What is under way.
pub struct Ledger {
    /// The number of the next intent.
    next: u64,
    /// Every intent up to this one is carried out.
    done: u64,
    /// The prepared epoch carries out every intent up to this one.
    prepared: Option<u64>,
    /// Acts that are carried out and wait for a lost slot.
    held: u64,
    /// Erasures whose intent is still to be lodged, since what becomes of the person's items is decided in steps.
    partings: u64,
    /// Authenticates the rows of intents, and of acts that wait.
    key: Key,
}

impl Ledger {
    /// As it is now.
    ///
    /// # Errors
    /// [`Fault::Torn`] if the row is not the newest, or is missing.
    pub fn find(reads: &dyn Reads) -> Result<Self, Fault> {
        let row = reads.row(Space::Meta, ROW)?.ok_or(Fault::Torn)?;
        open(reads.index().vault(), &reads.under_root(label::LEDGER_SEAL), &row).map_err(|_| Fault::Torn)
    }

    /// The same for the one who replaces the root, beside the writer.
    pub(super) fn load(engine: &dyn Engine, vault: &VaultId, root: &Key) -> Result<Self, Refusal> {
        let row = engine.get(Space::Meta, ROW)?.ok_or(Unavailable::Damaged)?;
        Ok(open(vault, &key_under(root, label::LEDGER_SEAL), &row).map_err(|_| Unavailable::Damaged)?)
    }

    /// The row of a new vault.
    pub(super) fn first(vault: &VaultId, root: &Key) -> Result<Record, RandomFailed> {
        let sealed = Self::after(0)?.seal(vault, &key_under(root, label::LEDGER_SEAL))?;
        Ok((ROW.to_vec(), sealed))
    }

    /// Stores the first one of a vault that was last written by a release without: where nothing was ever to be forgotten,
    /// or that release carried all of it out. What it had under way is not authenticated, and so is not taken over.
    pub(super) fn adopt(txn: &mut Txn<'_>) -> Result<(), Refusal> {
        let row = txn.row(Space::Meta, ROW)?;
        if row.as_ref().is_some_and(|row| row.len() != LEN_BEFORE) {
            return Ok(());
        }
        for space in [Space::Intent, Space::Held, Space::Parting] {
            if !txn.rows(space, &[], &[], 1)?.is_empty() {
                return Ok(());
            }
        }
        let next = row.and_then(|row| row.try_into().ok()).map_or(1, u64::from_be_bytes);
        Self::after(next.saturating_sub(1)).map_err(|_| Unavailable::Internal)?.store(txn)
    }

    /// Nothing is under way, and everything up to a number is carried out.
    fn after(done: u64) -> Result<Self, RandomFailed> {
        Ok(Self { next: done + 1, done, prepared: None, held: 0, partings: 0, key: rng::make_secret()? })
    }

    /// Stores it, under the root that comes into force with the transaction.
    pub fn store(&self, txn: &mut Txn<'_>) -> Result<(), Refusal> {
        let sealed = self.seal(txn.index().vault(), &txn.under_root(label::LEDGER_SEAL));
        txn.put(Space::Meta, ROW, sealed.map_err(|_| Unavailable::Internal)?);
        Ok(())
    }

    fn seal(&self, vault: &VaultId, key: &Key) -> Result<Vec<u8>, RandomFailed> {
        aead::seal(key, &place(vault), self.encode().expose())
    }

    /// The number of an intent that is lodged now.
    pub(super) fn hand_out(&mut self) -> Result<u64, Refusal> {
        let number = self.next;
        self.next = number.checked_add(1).ok_or(Unavailable::Damaged)?;
        Ok(number)
    }

    /// The numbers of all intents that are not carried out.
    pub(super) fn open_numbers(&self) -> std::ops::Range<u64> {
        self.done + 1..self.next
    }

    /// The last intent that the prepared epoch carries out; none if no epoch is prepared.
    pub(super) fn prepared(&self) -> Option<u64> {
        self.prepared
    }

    /// Notes that an epoch is prepared that carries out every intent up to this one.
    pub(super) fn prepare(&mut self, through: u64) -> Result<(), Refusal> {
        if self.prepared.is_some() || !self.open_numbers().contains(&through) {
            return Err(Unavailable::Damaged.into());
        }
        self.prepared = Some(through);
        Ok(())
    }

    /// Notes that it has carried them out, but that so many wait for a lost slot.
    pub(super) fn finish(&mut self, through: u64, held: u64) -> Result<(), Refusal> {
        if self.prepared.take() != Some(through) {
            return Err(Unavailable::Damaged.into());
        }
        (self.done, self.held) = (through, self.held + held);
        self.renew_key()
    }

    /// Notes that so many wait no longer.
    pub(super) fn release(&mut self, count: u64) -> Result<(), Refusal> {
        self.held = self.held.checked_sub(count).ok_or(Unavailable::Damaged)?;
        self.renew_key()
    }

    /// How many acts are carried out and wait for a lost slot.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Erasures whose intent is still to be lodged.
    pub fn partings(&self) -> u64 {
        self.partings
    }

    /// Notes one more.
    pub fn parting_begins(&mut self) {
        self.partings += 1;
    }

    /// Notes one less.
    pub fn parting_ends(&mut self) -> Result<(), Refusal> {
        self.partings = self.partings.checked_sub(1).ok_or(Unavailable::Damaged)?;
        Ok(())
    }

    /// A row of a kind at a number, with what authenticates it there.
    pub(super) fn sign(&self, space: Space, number: u64, mut row: Vec<u8>) -> Vec<u8> {
        let code = self.code(space, number, &row);
        row.extend_from_slice(&code);
        row
    }

    /// Such a row without it, if it belongs there.
    pub(super) fn check<'r>(&self, space: Space, number: u64, row: &'r [u8]) -> Result<&'r [u8], Malformed> {
        let (row, code) = row.split_at_checked(row.len().wrapping_sub(CODE_LEN)).ok_or(Malformed)?;
        if mac::equal(code, &self.code(space, number, row)) { Ok(row) } else { Err(Malformed) }
    }

    fn code(&self, space: Space, number: u64, row: &[u8]) -> [u8; CODE_LEN] {
        mac::mac(&self.key, label::LEDGER_META, &[&[space as u8], &number.to_be_bytes(), row])
    }

    fn renew_key(&mut self) -> Result<(), Refusal> {
        if self.open_numbers().is_empty() && self.held == 0 {
            self.key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
        }
        Ok(())
    }

    fn encode(&self) -> PlainValue {
        let w = Writer::new().u8(VERSION).u64(self.next).u64(self.done).option(self.prepared, Writer::u64);
        PlainValue::new(w.u64(self.held).u64(self.partings).raw(self.key.expose()).finish())
    }

    fn decode(plain: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(plain);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let (next, done) = (r.u64()?, r.u64()?);
        let prepared = r.option(Reader::u64)?;
        let (held, partings, key) = (r.u64()?, r.u64()?, Key::from_slice(r.raw(32)?).ok_or(Malformed)?);
        r.finish()?;
        Ok(Self { next, done, prepared, held, partings, key })
    }
}

/// The key of a job that goes with a root.
pub(super) fn key_under(root: &Key, job: label::Label) -> Key {
    kdf::derive_key(b"", root, job, &[])
}

fn open(vault: &VaultId, key: &Key, row: &[u8]) -> Result<Ledger, Malformed> {
    let plain = aead::open(key, &place(vault), row).map_err(|_| Malformed)?;
    Ledger::decode(plain.expose())
}

fn place(vault: &VaultId) -> Vec<u8> {
    Writer::new().bytes(label::LEDGER_RECORD.as_bytes()).bytes(vault.as_bytes()).finish()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One with the intents 5 to 8 to be carried out.
    pub fn ledger() -> Ledger {
        Ledger { next: 9, done: 4, prepared: None, held: 0, partings: 2, key: Key::copied(&[3; 32]) }
    }

    #[test]
    fn it_reads_back_under_its_own_root_and_in_its_own_vault_only() {
        let (vault, key) = (VaultId::from_bytes([1; 16]), Key::copied(&[2; 32]));
        let of = Ledger { prepared: Some(7), held: 1, ..ledger() };
        let row = aead::seal(&key, &place(&vault), of.encode().expose()).expect("a nonce");
        let read = open(&vault, &key, &row).expect("opens");
        assert_eq!((read.open_numbers(), read.prepared, read.held, read.partings), (5..9, Some(7), 1, 2));
        assert_eq!(read.key.expose(), &[3; 32]);
        assert!(open(&vault, &Key::copied(&[4; 32]), &row).is_err());
        assert!(open(&VaultId::from_bytes([9; 16]), &key, &row).is_err());
        assert!(row.len() != LEN_BEFORE);
    }

    #[test]
    fn a_row_belongs_to_its_kind_and_number_and_to_a_time_when_something_was_under_way() {
        let mut ledger = ledger();
        let row = ledger.sign(Space::Intent, 5, b"a person".to_vec());
        assert_eq!(ledger.check(Space::Intent, 5, &row), Ok(&b"a person"[..]));
        assert!(ledger.check(Space::Intent, 6, &row).is_err(), "another number");
        assert!(ledger.check(Space::Held, 5, &row).is_err(), "another kind");
        assert!(ledger.check(Space::Intent, 5, &row[..row.len() - 1]).is_err());
        assert!(ledger.check(Space::Intent, 5, &[]).is_err());
        for at in 0..row.len() {
            let mut changed = row.clone();
            changed[at] ^= 1;
            assert!(ledger.check(Space::Intent, 5, &changed).is_err(), "byte {at}");
        }
        ledger.prepare(7).expect("some are open");
        ledger.finish(7, 0).expect("is prepared");
        assert!(ledger.check(Space::Intent, 5, &row).is_ok(), "number 8 is under the same key");
        ledger.prepare(8).expect("one is open");
        ledger.finish(8, 1).expect("is prepared");
        assert!(ledger.check(Space::Intent, 5, &row).is_ok(), "it waits under the same key");
        ledger.release(1).expect("one waits");
        assert!(ledger.check(Space::Intent, 5, &row).is_err(), "nothing is under way");
    }

    #[test]
    fn an_epoch_carries_out_what_is_open_and_what_it_was_prepared_for() {
        let mut ledger = ledger();
        for through in [0, 4, 9] {
            assert!(ledger.prepare(through).is_err(), "{through}");
        }
        assert!(ledger.finish(5, 0).is_err());
        ledger.prepare(5).expect("is open");
        assert!(ledger.prepare(6).is_err(), "one at a time");
        assert!(ledger.finish(6, 0).is_err());
        assert!(ledger.release(1).is_err(), "nothing waits");
        assert!(ledger.parting_ends().is_ok() && ledger.parting_ends().is_ok());
        assert!(ledger.parting_ends().is_err(), "there were two");
    }
}
