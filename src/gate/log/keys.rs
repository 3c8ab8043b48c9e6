//! The keys that have signed the log, one after another: public halves, and when each was in use.
//!
//! One row: version, then for each key its 32 public bytes, the index of the entry from which on it signs (0 for the
//! first), when it was made, and when the next took over, if it has.

use crate::audit::note::{BadKey, VerifierKey};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{KeyId, RotationId};
use crate::base::time::Timestamp;
use crate::crypto::hash::sha256;
use crate::crypto::sign::PublicKey;

/// The row, in [`Space::Meta`](crate::store::keyspace::Space).
pub(in crate::gate) const ROW: &[u8] = b"log_keys";
const VERSION: u8 = 1;

/// A key of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    /// What verifies its signatures.
    pub public: PublicKey,
    /// The entry that put it in place; 0 for the first key. It signs what covers this entry.
    pub from: u64,
    /// When it was made.
    pub made: Timestamp,
    /// When the next took over; its private half was destroyed then.
    pub retired: Option<Timestamp>,
}

impl LogKey {
    /// The key's id, which follows from the key.
    pub fn id(&self) -> KeyId {
        KeyId::from_bytes(named(b"key", &self.public))
    }

    /// The id of the rotation that put it in place.
    pub fn rotation(&self) -> RotationId {
        RotationId::from_bytes(named(b"rotation", &self.public))
    }
}

/// The id of a signing key.
pub fn key_id(public: &PublicKey) -> KeyId {
    KeyId::from_bytes(named(b"key", public))
}

fn named(what: &[u8], public: &PublicKey) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&sha256(&[what, public])[..16]);
    id
}

/// All keys of the log, oldest first; the last one signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKeys(Vec<LogKey>);

impl LogKeys {
    /// The first key of a new log.
    pub(in crate::gate) fn first(public: PublicKey, made: Timestamp) -> Self {
        Self(vec![LogKey { public, from: 0, made, retired: None }])
    }

    /// Every key.
    pub fn all(&self) -> &[LogKey] {
        &self.0
    }

    /// The key that signs.
    pub fn current(&self) -> &LogKey {
        self.0.last().expect("made with one, and only added to")
    }

    /// The key whose turn it was to sign a checkpoint over this many entries.
    pub(in crate::gate) fn at(&self, size: u64) -> &LogKey {
        self.0.iter().rev().find(|key| key.from < size).unwrap_or(&self.0[0])
    }

    /// The key that the entry of this index put in place, or the first.
    pub(in crate::gate) fn at_entry(&self, index: u64) -> &LogKey {
        self.at(index + 1)
    }

    /// Puts the next key in place with the entry of this index.
    pub(in crate::gate) fn replaced(mut self, public: PublicKey, from: u64, now: Timestamp) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.retired = Some(now);
        }
        self.0.push(LogKey { public, from, made: now, retired: None });
        self
    }

    pub(in crate::gate) fn encode(&self) -> Vec<u8> {
        let write = |w: Writer, key: &LogKey| {
            let w = w.raw(&key.public).u64(key.from).i64(key.made.as_millis());
            w.option(key.retired, |w, time| w.i64(time.as_millis()))
        };
        Writer::new().u8(VERSION).list(self.0.iter(), write).finish()
    }

    pub(in crate::gate) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let keys = r.list(|r| {
            let (public, from, made) = (r.array()?, r.u64()?, Timestamp::from_millis(r.i64()?));
            Ok(LogKey { public, from, made, retired: r.option(|r| r.i64().map(Timestamp::from_millis))? })
        })?;
        r.finish()?;
        if keys.is_empty() { Err(Malformed) } else { Ok(Self(keys)) }
    }
}

/// The verifier key of a public half, under the log's name.
pub fn verifier(origin: &str, public: &PublicKey) -> Result<VerifierKey, BadKey> {
    VerifierKey::new(origin, *public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_turn() {
        let at = Timestamp::from_millis;
        let keys = LogKeys::first([1; 32], at(1)).replaced([2; 32], 10, at(2)).replaced([3; 32], 11, at(3));
        let turns: Vec<u8> = [0, 1, 10, 11, 12, 99].map(|size| keys.at(size).public[0]).to_vec();
        assert_eq!(turns, [1, 1, 1, 2, 3, 3]);
        assert_eq!((keys.current().public, keys.all()[0].retired), ([3; 32], Some(at(2))));
        assert_eq!(LogKeys::decode(&keys.encode()), Ok(keys.clone()));
        assert_eq!(LogKeys::decode(&LogKeys(vec![]).encode()), Err(Malformed));
        assert_ne!(keys.all()[0].id(), keys.all()[1].id());
    }
}
