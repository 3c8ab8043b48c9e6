//! Changes that a caller may repeat: the record that one was made, and what it was answered.
//!
//! A record is found under a MAC of caller and key, made with a key of the day. What it holds of the request and the
//! answer is sealed under the keys of everything the change made, so that it dies with any of them; forgetting one of
//! them leaves only which subject it was and the receipt. What is in clear is authenticated with its place, under a key
//! of the day, so that no record answers for another. Records are good for a day, and nothing opens them after the next.
//!
//! Rows, after the four bytes of the day: `1 | mac` is a record, `2 | owner | mac` leads from what it concerns to it.
//! Records of version 1 are not authenticated: of what is gone they say that it is, and not what it was.

use std::sync::Arc;

use super::days::{self, DayKeys, Days, day_prefix, is_within_a_day};
use super::refusal::{Refusal, State, Unavailable};
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, ReceiptId, SubjectId, VaultId};
use crate::base::log_safe::SafeText;
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::crypto::hash::{Digest, sha256};
use crate::crypto::{aead, kdf, label, mac};
use crate::store::keyspace::Space;

const VERSION_1: u8 = 1;
const VERSION: u8 = 2;
const RECORD: u8 = 1;
const OWNED: u8 = 2;
const LIVE: u8 = 1;
const GONE: u8 = 2;
const MAC_LEN: usize = 16;

/// A change that may be repeated: where its record is, and what was asked for.
#[derive(Clone)]
pub struct Once {
    /// Per day, today first.
    days: Arc<[Day]>,
    /// Which part of the request this is about; a batch has several.
    part: u32,
    digest: Digest,
    salt: [u8; 16],
}

/// What a day has for the records of one caller's idempotency key.
struct Day {
    day: i32,
    /// Names them.
    name: Key,
    /// Authenticates what is in clear in them.
    meta: Key,
}

/// What the vault knows of an earlier call with the same key.
pub enum Record {
    /// The change stands.
    Live(Live),
    /// Something it made was forgotten since.
    Gone {
        /// The subject.
        subject: SubjectId,
        /// The evidence.
        receipt: ReceiptId,
    },
}

/// The record of a change that stands.
pub struct Live {
    row: Vec<u8>,
    made: Timestamp,
    clear: Vec<u8>,
    sealed: Vec<u8>,
    /// What the change made.
    pub made_of: MadeOf,
}

/// What a change made: the owners of the keys that seal its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeOf {
    /// The subject.
    pub subject: SubjectId,
    /// Whether the subject itself was made.
    pub with_subject: bool,
    /// Items, and the version of each.
    pub items: Vec<(ItemId, u64)>,
}

impl Once {
    /// A key is one caller's; where a person is acted for, that person's by that caller.
    pub(super) fn new(days: &Days, (caller, person): (&SafeText, Option<&Text>), key: &Text, digest: Digest) -> Self {
        let name = |lookup: &Key| {
            let mut parts = vec![caller.as_str().as_bytes(), key.expose().as_bytes()];
            parts.extend(person.map(|person| person.expose().as_bytes()));
            mac::prf(lookup, label::IDEMPOTENCY_LOOKUP, &parts)
        };
        let by = [caller.as_str().as_bytes(), key.expose().as_bytes()];
        let salt = sha256(&[label::IDEMPOTENCY_LOOKUP.as_bytes(), &sha256(&by[..1]), by[1]]);
        let salt = std::array::from_fn(|i| salt[i]);
        let of_day = |day: &DayKeys| Day { day: day.day, name: name(&day.lookup), meta: day.meta.duplicate() };
        Self { days: days.each().map(of_day).collect(), part: 0, digest, salt }
    }

    /// The same for one part of the request.
    pub fn part(&self, number: u32, digest: Digest) -> Self {
        Self { days: self.days.clone(), part: number, digest, salt: self.salt }
    }

    /// What slow hashes of the request's secrets are salted with: the same for every repeat.
    pub fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// The same for a request that also has this in it.
    pub fn including(&self, further: &[u8; 32]) -> Self {
        Self { digest: sha256(&[&self.digest, further]), ..self.clone() }
    }

    /// What is known of an earlier call, if it was within a day.
    ///
    /// # Errors
    /// [`State::Erased`] without a receipt for a record of version 1 of what is gone; [`Fault::Torn`] for one that is not
    /// this call's.
    pub fn find(&self, reads: &dyn Reads, now: Timestamp) -> Result<Option<Record>, Fault> {
        for day in self.days.iter() {
            let row = self.row(day);
            if let Some(value) = reads.row(Space::Idempotency, &row)? {
                let stored = Stored::read(&value, &row, &day.meta).map_err(|_| Fault::Torn)?;
                if is_within_a_day(stored.made(), now) {
                    return stored.known(row).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Notes that the change was made. `keys` are the companions of what it made, the subject's first.
    pub fn remember(
        &self,
        txn: &mut Txn<'_>,
        vault: &VaultId,
        made_of: &MadeOf,
        keys: &[&Key],
        answer: &PlainValue,
    ) -> Result<(), Refusal> {
        let (row, meta) = self.first_row()?;
        let clear = encode_clear(txn.now(), made_of);
        let plain =
            PlainValue::new(Writer::with_capacity(32 + answer.len()).raw(&self.digest).raw(answer.expose()).finish());
        let sealed = aead::seal(&combined(keys), &aad(vault, &row, &clear), plain.expose());
        let sealed = sealed.map_err(|_| Unavailable::Internal)?;
        for owner in made_of.owners() {
            txn.put(Space::Idempotency, owned(&row, owner), []);
        }
        let record = write(LIVE, (&row, &clear), meta).bytes(&sealed).finish();
        txn.put(Space::Idempotency, row, record);
        Ok(())
    }

    /// Notes that the change was to forget something.
    pub fn remember_forgetting(
        &self,
        txn: &mut Txn<'_>,
        subject: SubjectId,
        receipt: ReceiptId,
    ) -> Result<(), Refusal> {
        let (row, meta) = self.first_row()?;
        let gone = write(GONE, (&row, &encode_gone(txn.now(), subject, receipt)), meta).finish();
        txn.put(Space::Idempotency, row, gone);
        Ok(())
    }

    /// Opens the record of an earlier call: what it was answered.
    ///
    /// # Errors
    /// [`State::IdempotencyKeyReused`] if it was another request.
    pub fn open(&self, vault: &VaultId, live: &Live, keys: &[&Key]) -> Result<PlainValue, Fault> {
        let aad = aad(vault, &live.row, &live.clear);
        let plain = aead::open(&combined(keys), &aad, &live.sealed).map_err(|_| Fault::Torn)?;
        let (digest, answer) = plain.expose().split_at_checked(32).ok_or(Fault::Torn)?;
        if !mac::equal(digest, &self.digest) {
            return Err(Fault::Refused(State::IdempotencyKeyReused.into()));
        }
        Ok(PlainValue::new(answer.to_vec()))
    }

    /// Where today's record is, and what authenticates it.
    fn first_row(&self) -> Result<(Vec<u8>, &Key), Refusal> {
        // A call has at least today's keys.
        let day = self.days.first().ok_or(Unavailable::Internal)?;
        Ok((self.row(day), &day.meta))
    }

    fn row(&self, day: &Day) -> Vec<u8> {
        let code = mac::mac(&day.name, label::IDEMPOTENCY_LOOKUP, &[&self.part.to_be_bytes()]);
        [&day_prefix(day.day)[..], &[RECORD], &code[..MAC_LEN]].concat()
    }
}

impl Live {
    /// When the change was made.
    pub fn made(&self) -> Timestamp {
        self.made
    }
}

/// Makes every record of what is being forgotten unreadable, but for the subject and the receipt.
pub fn forget(txn: &mut Txn<'_>, owner: &[u8; 16], subject: SubjectId, receipt: ReceiptId) -> Result<(), Refusal> {
    let today = txn.now().day();
    for day in [today, today - 1] {
        let prefix = [&day_prefix(day)[..], &[OWNED], owner].concat();
        let links = txn.rows(Space::Idempotency, &prefix, &[], usize::MAX)?;
        let meta = if links.is_empty() { None } else { days::meta_of(txn, day)? };
        for (link, _) in links {
            let row = [&day_prefix(day)[..], &[RECORD], &link[prefix.len()..]].concat();
            txn.delete(Space::Idempotency, link);
            let Some(value) = txn.row(Space::Idempotency, &row)? else { continue };
            // Without its key nobody finds it.
            let Some(meta) = &meta else { continue };
            // One that somebody changed answers nobody, and what is sealed in it dies all the same: it holds nothing up.
            let Ok(stored) = Stored::read(&value, &row, meta) else { continue };
            // A link that somebody exchanged leads to what another change made.
            if stored.is_made_of(owner) {
                let clear = encode_gone(stored.made(), subject, receipt);
                let gone = match &stored {
                    Stored::Live { version: VERSION_1, .. } => Writer::new().u8(VERSION_1).u8(GONE).raw(&clear),
                    _ => write(GONE, (&row, &clear), meta),
                };
                txn.put(Space::Idempotency, row, gone.finish());
            }
        }
    }
    Ok(())
}

/// One key from several: whoever lacks one of them cannot make it.
fn combined(keys: &[&Key]) -> Key {
    let start = Key::copied(&[0; 32]);
    keys.iter().fold(start, |so_far, key| kdf::derive_key(so_far.expose(), key, label::IDEMPOTENCY_SEAL, &[]))
}

fn aad(vault: &VaultId, row: &[u8], clear: &[u8]) -> Vec<u8> {
    Writer::new().bytes(label::IDEMPOTENCY_RECORD.as_bytes()).bytes(vault.as_bytes()).bytes(row).bytes(clear).finish()
}

fn owned(row: &[u8], owner: &[u8; 16]) -> Vec<u8> {
    [&row[..4], &[OWNED], owner, &row[5..]].concat()
}

/// A record with what is in clear in it; what is sealed comes after it.
fn write(kind: u8, (row, clear): (&[u8], &[u8]), meta: &Key) -> Writer {
    Writer::new().u8(VERSION).u8(kind).bytes(clear).raw(&code(kind, (row, clear), meta))
}

fn code(kind: u8, (row, clear): (&[u8], &[u8]), meta: &Key) -> [u8; 32] {
    mac::mac(meta, label::IDEMPOTENCY_META, &[&[kind], row, clear])
}

fn encode_gone(made: Timestamp, subject: SubjectId, receipt: ReceiptId) -> Vec<u8> {
    Writer::new().i64(made.as_millis()).raw(subject.as_bytes()).raw(receipt.as_bytes()).finish()
}

fn decode_gone(clear: &[u8]) -> Result<(Timestamp, SubjectId, ReceiptId), Malformed> {
    let mut r = Reader::new(clear);
    let made = Timestamp::from_millis(r.i64()?);
    let (subject, receipt) = (SubjectId::from_bytes(r.array()?), ReceiptId::from_bytes(r.array()?));
    r.finish()?;
    Ok((made, subject, receipt))
}

fn encode_clear(made: Timestamp, made_of: &MadeOf) -> Vec<u8> {
    Writer::new()
        .i64(made.as_millis())
        .raw(made_of.subject.as_bytes())
        .u8(made_of.with_subject.into())
        .list(made_of.items.iter(), |w, (id, version)| w.raw(id.as_bytes()).u64(*version))
        .finish()
}

fn decode_clear(clear: &[u8]) -> Result<(Timestamp, MadeOf), Malformed> {
    let mut r = Reader::new(clear);
    let made = Timestamp::from_millis(r.i64()?);
    let made_of = MadeOf {
        subject: SubjectId::from_bytes(r.array()?),
        with_subject: r.u8()? == 1,
        items: r.list(|r| Ok((ItemId::from_bytes(r.array()?), r.u64()?)))?,
    };
    r.finish()?;
    Ok((made, made_of))
}

/// A record as it is stored.
enum Stored {
    Live {
        version: u8,
        made: Timestamp,
        made_of: MadeOf,
        clear: Vec<u8>,
        sealed: Vec<u8>,
    },
    Gone {
        made: Timestamp,
        subject: SubjectId,
        receipt: ReceiptId,
    },
    /// Of version 1: whose it is and which receipt it names, anybody may have written.
    GoneUnsaid {
        made: Timestamp,
    },
}

impl Stored {
    /// Reads the record at a place; of version 2 only if it belongs there.
    fn read(value: &[u8], row: &[u8], meta: &Key) -> Result<Self, Malformed> {
        let mut r = Reader::new(value);
        let (version, kind) = (r.u8()?, r.u8()?);
        if (version, kind) == (VERSION_1, GONE) {
            let (made, ..) = decode_gone(r.rest())?;
            return Ok(Self::GoneUnsaid { made });
        }
        let clear = r.bytes()?.to_vec();
        match version {
            VERSION_1 => {}
            VERSION if mac::equal(&r.array::<32>()?, &code(kind, (row, &clear), meta)) => {}
            _ => return Err(Malformed),
        }
        match kind {
            LIVE => {
                let sealed = r.bytes()?.to_vec();
                r.finish()?;
                let (made, made_of) = decode_clear(&clear)?;
                Ok(Self::Live { version, made, made_of, clear, sealed })
            }
            GONE => {
                r.finish()?;
                let (made, subject, receipt) = decode_gone(&clear)?;
                Ok(Self::Gone { made, subject, receipt })
            }
            _ => Err(Malformed),
        }
    }

    fn made(&self) -> Timestamp {
        match self {
            Self::Live { made, .. } | Self::Gone { made, .. } | Self::GoneUnsaid { made } => *made,
        }
    }

    fn is_made_of(&self, owner: &[u8; 16]) -> bool {
        match self {
            Self::Live { made_of, .. } => made_of.owners().any(|made| made == owner),
            Self::Gone { .. } | Self::GoneUnsaid { .. } => false,
        }
    }

    /// What it says to who repeats the call at whose place it is.
    fn known(self, row: Vec<u8>) -> Result<Record, Fault> {
        match self {
            Self::Live { made, made_of, clear, sealed, .. } => {
                Ok(Record::Live(Live { row, made, clear, sealed, made_of }))
            }
            Self::Gone { subject, receipt, .. } => Ok(Record::Gone { subject, receipt }),
            Self::GoneUnsaid { .. } => Err(Fault::Refused(State::Erased(None).into())),
        }
    }
}

impl MadeOf {
    /// What it dies with.
    fn owners(&self) -> impl Iterator<Item = &[u8; 16]> {
        let items = self.items.iter().map(|(id, _)| id.as_bytes());
        items.chain(self.with_subject.then(|| self.subject.as_bytes()))
    }
}
