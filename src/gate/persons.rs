//! Persons who operate the vault: each has a random actor id, under which the log knows them; their name is sealed.
//!
//! A name is under the key of the period in which its person last acted, and moves with them; the keys of periods long
//! past are forgotten, and with them who an actor id was. Row: the period, then a code of the name; its value is the
//! sealed actor id and name.
//!
//! INVARIANT: one name has one actor id for as long as it is known, whatever certificates the person holds.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::periods;
use super::refusal::{Refusal, Unavailable};
use super::service_keys::{self, Name};
use super::txn::{Fault, Reads, Txn};
use super::vault::Vault;
use crate::base::codec::{Reader, Writer};
use crate::base::id::{ActorId, VaultId};
use crate::base::limits::PERSON_PERIODS_KEPT;
use crate::base::secret::{Key, PlainValue};
use crate::catalog::text::Text;
use crate::crypto::{aead, kdf, label, mac, rng};
use crate::policy::caller::PersonName;
use crate::store::keyspace::Space;

const VERSION: u8 = 1;
const CODE_LEN: usize = 16;

/// Who is known already, in the present period. As many as the bindings name.
#[derive(Default)]
pub(super) struct Persons(Mutex<(u32, HashMap<PersonName, ActorId>)>);

impl Vault {
    /// The actor id of a person; made when the person acts for the first time.
    ///
    /// # Durability
    /// On return it survives power loss.
    pub(super) async fn actor_of(&self, person: &PersonName) -> Result<ActorId, Refusal> {
        let period = periods::of_names(self.now());
        {
            let mut known = self.persons.0.lock();
            if known.0 != period {
                *known = (period, HashMap::new()); // so that names move to the period's key
            }
            if let Some(id) = known.1.get(person) {
                return Ok(*id);
            }
        }
        let (vault, name) = (self.id, person.clone());
        let id = self.committer.commit(move |txn| find_or_make(txn, &vault, &name)).await?;
        let mut known = self.persons.0.lock();
        if known.0 == period {
            known.1.insert(person.clone(), id);
        }
        Ok(id)
    }
}

/// The names that actor ids stand for, as far as they are kept.
pub fn names(reads: &dyn Reads, vault: &VaultId) -> Result<Vec<(ActorId, Text)>, Fault> {
    let mut names = Vec::new();
    let mut keys: Option<(u32, Option<Keys>)> = None;
    for (row, sealed) in reads.rows(Space::Person, &[], &[], usize::MAX)? {
        let period = u32::from_be_bytes(*row.first_chunk().ok_or(Fault::Torn)?);
        if keys.as_ref().is_none_or(|(of, _)| *of != period) {
            let key = service_keys::find(reads, Name::OperatorNames(period))?;
            keys = Some((period, key.map(|key| Keys::of(&key))));
        }
        // A row whose key is forgotten is swept some time later.
        if let Some((_, Some(keys))) = &keys {
            names.push(keys.read(vault, &row, &sealed)?);
        }
    }
    Ok(names)
}

fn find_or_make(txn: &mut Txn<'_>, vault: &VaultId, name: &PersonName) -> Result<ActorId, Refusal> {
    let period = periods::of_names(txn.now());
    let keys = Keys::of(&service_keys::find_or_make(txn, Name::OperatorNames(period))?);
    let row = keys.row(period, name);
    if let Some(sealed) = txn.row(Space::Person, &row)? {
        return Ok(keys.open(vault, &row, &sealed, name)?);
    }
    let id = match take_from_earlier(txn, vault, name, period)? {
        Some(id) => id,
        None => ActorId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?),
    };
    let sealed = keys.seal(vault, &row, id, name)?;
    txn.put(Space::Person, row, sealed);
    Ok(id)
}

/// Takes a person's row out of an earlier period, if there is one.
fn take_from_earlier(
    txn: &mut Txn<'_>,
    vault: &VaultId,
    name: &PersonName,
    period: u32,
) -> Result<Option<ActorId>, Refusal> {
    for earlier in (period.saturating_sub(PERSON_PERIODS_KEPT)..period).rev() {
        let Some(key) = service_keys::find(txn, Name::OperatorNames(earlier))? else { continue };
        let keys = Keys::of(&key);
        let row = keys.row(earlier, name);
        if let Some(sealed) = txn.row(Space::Person, &row)? {
            let id = keys.open(vault, &row, &sealed, name)?;
            txn.delete(Space::Person, row);
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What is derived from a period's key.
struct Keys {
    lookup: Key,
    seal: Key,
}

impl Keys {
    fn of(key: &Key) -> Self {
        let [lookup, seal] = kdf::split::<64, 2>(kdf::derive(b"", key, label::PERSON_KEYS, &[]));
        Self { lookup, seal }
    }

    fn row(&self, period: u32, name: &PersonName) -> Vec<u8> {
        let code = mac::mac(&self.lookup, label::PERSON_LOOKUP, &[name.expose().as_bytes()]);
        Writer::new().u32(period).raw(&code[..CODE_LEN]).finish()
    }

    fn seal(&self, vault: &VaultId, row: &[u8], id: ActorId, name: &PersonName) -> Result<Vec<u8>, Refusal> {
        let plain = PlainValue::new(Writer::new().u8(VERSION).raw(id.as_bytes()).text(name.expose()).finish());
        Ok(aead::seal(&self.seal, &aad(vault, row), plain.expose()).map_err(|_| Unavailable::Internal)?)
    }

    fn open(&self, vault: &VaultId, row: &[u8], sealed: &[u8], name: &PersonName) -> Result<ActorId, Fault> {
        match self.read(vault, row, sealed)? {
            (id, known) if known.expose() == name.expose() => Ok(id),
            _ => Err(Fault::Torn),
        }
    }

    fn read(&self, vault: &VaultId, row: &[u8], sealed: &[u8]) -> Result<(ActorId, Text), Fault> {
        let plain = aead::open(&self.seal, &aad(vault, row), sealed).map_err(|_| Fault::Torn)?;
        let mut r = Reader::new(plain.expose());
        let read = (|| Ok::<_, crate::base::codec::Malformed>((r.u8()?, r.array()?, Text::from(r.text()?))))();
        match read {
            Ok((VERSION, id, name)) => Ok((ActorId::from_bytes(id), name)),
            Ok(_) | Err(_) => Err(Fault::Torn),
        }
    }
}

fn aad(vault: &VaultId, row: &[u8]) -> Vec<u8> {
    Writer::new().bytes(label::PERSON_RECORD.as_bytes()).bytes(vault.as_bytes()).bytes(row).finish()
}
