//! What is known of an act of forgetting when it is asked for, for its receipt to state.

use std::collections::BTreeMap;

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, KeyId, PseudonymId, ReceiptId};
use crate::base::limits::RECEIPT_KEY_NAMES_MAX;
use crate::base::protobuf::Message;
use crate::base::time::Timestamp;
use crate::crypto::hash::{Digest, Hasher, sha256};
use crate::crypto::rng;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::keys::page::KeyName;

/// What an erasure is about. Numbered as in the contract, and so on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Scope {
    /// A subject.
    Subject = 1,
    /// An item, by deletion.
    Item = 2,
    /// An item's version, by correction.
    Version = 3,
    /// An item, by expiry.
    Expiry = 4,
    /// Versions that outlived an earlier erasure, by the end of a keep reason.
    KeepReason = 5,
}

impl Scope {
    const ALL: [Self; 5] = [Self::Subject, Self::Item, Self::Version, Self::Expiry, Self::KeepReason];

    pub(super) fn read(tag: u8) -> Result<Self, Malformed> {
        Self::ALL.into_iter().find(|scope| *scope as u8 == tag).ok_or(Malformed)
    }
}

/// On which ground a subject is erased: GDPR article 17(1). Numbered as in the contract, and so on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ground {
    /// Not stated.
    Unstated = 0,
    /// The person asked or closed the account.
    Request = 1,
    /// Consent was withdrawn.
    ConsentWithdrawn = 2,
    /// An objection prevailed.
    Objection = 3,
    /// No longer needed.
    NoLongerNeeded = 4,
    /// It was held unlawfully.
    Unlawful = 5,
    /// A law demands it.
    LegalObligation = 6,
}

impl Ground {
    const ALL: [Self; 7] = [
        Self::Unstated,
        Self::Request,
        Self::ConsentWithdrawn,
        Self::Objection,
        Self::NoLongerNeeded,
        Self::Unlawful,
        Self::LegalObligation,
    ];

    /// The ground of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|ground| *ground as u8 == number)
    }

    /// Its name in the sealed detail of an entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unstated => "unstated",
            Self::Request => "request",
            Self::ConsentWithdrawn => "consent_withdrawn",
            Self::Objection => "objection",
            Self::NoLongerNeeded => "no_longer_needed",
            Self::Unlawful => "unlawful",
            Self::LegalObligation => "legal_obligation",
        }
    }
}

/// The keys that go, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenKeys {
    /// How many.
    pub count: u64,
    /// The hash of all names in ascending order.
    pub digest: Digest,
    /// The names in ascending order; none if there are too many to list.
    pub names: Vec<KeyName>,
}

impl ForgottenKeys {
    /// Of these.
    pub fn of(mut names: Vec<KeyName>) -> Self {
        names.sort_unstable();
        let (count, digest) = (names.len() as u64, sha256(&[names.as_flattened()]));
        if names.len() > RECEIPT_KEY_NAMES_MAX {
            names.clear();
        }
        Self { count, digest, names }
    }
}

/// An item version that another reason keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptVersion {
    /// The item.
    pub item: ItemId,
    /// The version.
    pub version: u64,
    /// Its class, from the registry.
    pub class: String,
    /// One commitment per reason.
    pub reasons: Vec<Digest>,
}

impl KeptVersion {
    /// The message `ReceiptKeptItem` of the contract.
    pub(super) fn message(&self) -> Message {
        let message = Message::new().text(1, &self.item.to_string()).number(2, self.version).text(3, &self.class);
        self.reasons.iter().fold(message, |message, reason| message.bytes(4, reason))
    }

    /// As part of a row.
    pub fn write(&self, w: Writer) -> Writer {
        let w = w.raw(self.item.as_bytes()).u64(self.version).text(&self.class);
        w.list(self.reasons.iter(), |w, reason| w.raw(reason))
    }

    /// Reads it back.
    pub fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            item: ItemId::from_bytes(r.array()?),
            version: r.u64()?,
            class: r.text()?.to_owned(),
            reasons: r.list(Reader::array)?,
        })
    }
}

/// Kept versions that are too many for a statement to list: how many, and what a list of them must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptList {
    /// How many.
    pub count: u64,
    /// The hash of the list, as the contract states it.
    pub digest: Digest,
    /// How many of each class, in the order of their names.
    pub classes: Vec<(String, u64)>,
}

/// A list of kept versions in the making.
#[derive(Default)]
pub struct KeptHasher {
    hasher: Hasher,
    count: u64,
    classes: BTreeMap<String, u64>,
}

impl KeptHasher {
    /// Adds the next version of the list.
    pub fn add(&mut self, kept: &KeptVersion) {
        let message = kept.message().finish();
        self.hasher.update(&(message.len() as u32).to_be_bytes());
        self.hasher.update(&message);
        self.count += 1;
        *self.classes.entry(kept.class.clone()).or_default() += 1;
    }

    /// The whole list.
    pub fn finish(self) -> KeptList {
        KeptList { count: self.count, digest: self.hasher.finish(), classes: self.classes.into_iter().collect() }
    }
}

/// What an act of forgetting means for the key that links entries of the log to the person. Its tags are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum History {
    /// Nothing: it goes with the person, or stays with them.
    Plain = 0,
    /// A matter keeps it.
    Kept = 1,
    /// A matter had kept it, and it goes.
    Ended = 2,
}

impl History {
    fn read(tag: u8) -> Result<Self, Malformed> {
        [Self::Plain, Self::Kept, Self::Ended].into_iter().find(|history| *history as u8 == tag).ok_or(Malformed)
    }
}

/// What a receipt states of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is about.
    pub scope: Scope,
    /// On which ground.
    pub ground: Ground,
    /// Stands for the person.
    pub pseudonym: PseudonymId,
    /// When it was asked for and became durable.
    pub requested: Timestamp,
    /// What goes.
    pub keys: ForgottenKeys,
    /// What does not, since another reason keeps it.
    pub kept: Vec<KeptVersion>,
    /// The same, where it is too many to list; then `kept` is empty.
    pub kept_list: Option<KeptList>,
    /// Whether identifiers of it are in the blind index.
    pub indexed: bool,
    /// The newest index key of each field that they are under; of acts of earlier releases none.
    pub index_keys: Vec<KeyId>,
    /// The receipt that this one supplements: of what was kept then, and goes now.
    pub supplements: Option<ReceiptId>,
    /// What becomes of the person's audit key.
    pub history: History,
}

const VERSION_1: u8 = 1;
const VERSION_2: u8 = 2;
const VERSION_3: u8 = 3;
const VERSION: u8 = 4;

impl Case {
    /// Of an erasure that is asked for now, with a fresh pseudonym.
    pub fn new(scope: Scope, ground: Ground, requested: Timestamp, keys: Vec<KeyName>) -> Result<Self, Refusal> {
        let pseudonym = PseudonymId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        let keys = ForgottenKeys::of(keys);
        Ok(Self {
            scope,
            ground,
            pseudonym,
            requested,
            keys,
            kept: Vec::new(),
            kept_list: None,
            indexed: false,
            index_keys: Vec::new(),
            supplements: None,
            history: History::Plain,
        })
    }

    /// The same, where identifiers of what goes are under these index keys.
    pub fn indexed_under(self, index_keys: Vec<KeyId>) -> Self {
        Self { indexed: !index_keys.is_empty(), index_keys, ..self }
    }

    /// As part of a row.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .u8(self.scope as u8)
            .u8(self.ground as u8)
            .raw(self.pseudonym.as_bytes())
            .i64(self.requested.as_millis())
            .u64(self.keys.count)
            .raw(&self.keys.digest)
            .list(self.keys.names.iter(), |w, name| w.raw(name))
            .list(self.kept.iter(), |w, kept| kept.write(w))
            .u8(self.indexed.into())
            .option(self.supplements, |w, receipt| w.raw(receipt.as_bytes()))
            .list(self.index_keys.iter(), |w, key| w.raw(key.as_bytes()))
            .u8(self.history as u8)
            .option(self.kept_list.as_ref(), |w, list| {
                let classes = list.classes.iter();
                w.u64(list.count).raw(&list.digest).list(classes, |w, (class, count)| w.text(class).u64(*count))
            })
            .finish()
    }

    /// Reads it back.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let version = r.u8()?;
        if !(VERSION_1..=VERSION).contains(&version) {
            return Err(Malformed);
        }
        let case = Self {
            scope: Scope::read(r.u8()?)?,
            ground: Ground::from_number(r.u8()?).ok_or(Malformed)?,
            pseudonym: PseudonymId::from_bytes(r.array()?),
            requested: Timestamp::from_millis(r.i64()?),
            keys: ForgottenKeys { count: r.u64()?, digest: r.array()?, names: r.list(Reader::array)? },
            kept: r.list(KeptVersion::read)?,
            indexed: r.u8()? == 1,
            supplements: if version == VERSION_1 { None } else { r.option(|r| r.array().map(ReceiptId::from_bytes))? },
            index_keys: if version <= VERSION_2 { Vec::new() } else { r.list(|r| r.array().map(KeyId::from_bytes))? },
            history: if version <= VERSION_2 { History::Plain } else { History::read(r.u8()?)? },
            kept_list: if version <= VERSION_3 { None } else { r.option(read_list)? },
        };
        r.finish()?;
        Ok(case)
    }
}

fn read_list(r: &mut Reader<'_>) -> Result<KeptList, Malformed> {
    let (count, digest) = (r.u64()?, r.array()?);
    Ok(KeptList { count, digest, classes: r.list(|r| Ok((r.text()?.to_owned(), r.u64()?)))? })
}

#[cfg(test)]
pub(in crate::gate) mod tests {
    use super::*;

    pub fn sample() -> Case {
        Case {
            scope: Scope::Subject,
            ground: Ground::Request,
            pseudonym: PseudonymId::from_bytes([1; 16]),
            requested: Timestamp::from_millis(1_780_000_000_123),
            keys: ForgottenKeys::of(vec![[3; 16], [2; 16]]),
            kept: vec![KeptVersion {
                item: ItemId::from_bytes([4; 16]),
                version: 5,
                class: "payment".into(),
                reasons: vec![[6; 32], [7; 32]],
            }],
            kept_list: None,
            indexed: true,
            index_keys: vec![KeyId::from_bytes([9; 16])],
            supplements: Some(ReceiptId::from_bytes([8; 16])),
            history: History::Kept,
        }
    }

    #[test]
    fn a_case_reads_back() {
        assert_eq!(Case::decode(&sample().encode()), Ok(sample()));
        let list = KeptList { count: 5000, digest: [5; 32], classes: vec![("contact".into(), 5000)] };
        let long = Case { kept: Vec::new(), kept_list: Some(list), ..sample() };
        assert_eq!(Case::decode(&long.encode()), Ok(long));
        // As releases before wrote it.
        let mut row = sample().encode();
        row.truncate(row.len() - 1);
        row[0] = 3;
        assert_eq!(Case::decode(&row), Ok(sample()));
        let before = Case { index_keys: Vec::new(), history: History::Plain, ..sample() };
        let mut row = before.encode();
        row.truncate(row.len() - 6);
        row[0] = 2;
        assert_eq!(Case::decode(&row), Ok(before));
    }

    #[test]
    fn many_keys_are_counted_and_hashed_but_not_listed() {
        let names = |count: usize| (0..count as u128).map(u128::to_be_bytes).collect::<Vec<_>>();
        let (few, many) = (names(RECEIPT_KEY_NAMES_MAX), names(RECEIPT_KEY_NAMES_MAX + 1));
        assert_eq!(ForgottenKeys::of(few.iter().rev().copied().collect()).names, few);
        let many = ForgottenKeys::of(many);
        assert_eq!((many.count, many.names.len()), (RECEIPT_KEY_NAMES_MAX as u64 + 1, 0));
        assert_ne!(many.digest, ForgottenKeys::of(few).digest);
    }
}
