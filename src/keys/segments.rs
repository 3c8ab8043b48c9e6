//! Sealing what is appended to one item, piece by piece, under keys derived from the item's own.
//!
//! A segment opens under its own number only. That none is missing, and none of an earlier writing is in the place of
//! another, is for the running hash to say that the item's authenticated row holds: see [`follow`].

use crate::base::codec::Writer;
use crate::base::id::{ItemId, SubjectId, VaultId};
use crate::base::secret::{Key, PlainValue};
use crate::crypto::aead::{self, OpenFailed};
use crate::crypto::hash::{Digest, sha256};
use crate::crypto::rng::RandomFailed;
use crate::crypto::{kdf, label};

/// The running hash before the first segment.
pub const CHAIN_START: Digest = [0; 32];

/// Where a segment stands.
#[derive(Clone, Copy)]
pub struct SegmentPlace<'a> {
    /// The vault.
    pub vault: &'a VaultId,
    /// The subject.
    pub subject: &'a SubjectId,
    /// The item it is appended to.
    pub item: &'a ItemId,
    /// The item's class.
    pub class: &'a str,
    /// Counts the segments of the item, from 0.
    pub number: u32,
    /// The generation of the item's key.
    pub generation: u64,
}

/// The keys of one item's segments.
pub struct SegmentKeys {
    seal: Key,
    companion: Key,
}

impl SegmentKeys {
    /// Derives them from the item's key, as its page holds it.
    pub fn derive(item: &Key) -> Self {
        let [seal, companion] = kdf::split::<64, 2>(kdf::derive(b"", item, label::EVENT_KEYS, &[]));
        Self { seal, companion }
    }

    /// Seals a segment for its place, under a nonce of its own.
    ///
    /// # Errors
    /// Only when the system source gives no nonce.
    pub fn seal(&self, place: SegmentPlace<'_>, plain: &PlainValue) -> Result<Vec<u8>, RandomFailed> {
        aead::seal(&self.seal, &aad(place), plain.expose())
    }

    /// Opens a segment at its place.
    ///
    /// # Errors
    /// It was not sealed for this place under this key, or was changed.
    pub fn open(&self, place: SegmentPlace<'_>, sealed: &[u8]) -> Result<PlainValue, OpenFailed> {
        aead::open(&self.seal, &aad(place), sealed)
    }

    /// The key from which records that die with the item are sealed.
    pub fn companion(&self) -> &Key {
        &self.companion
    }
}

/// The running hash over all segments up to this one.
pub fn follow(chain: &Digest, number: u32, sealed: &[u8]) -> Digest {
    sha256(&[label::EVENT_CHAIN.as_bytes(), chain, &number.to_be_bytes(), sealed])
}

fn aad(place: SegmentPlace<'_>) -> Vec<u8> {
    Writer::new()
        .bytes(label::EVENT_SEGMENT.as_bytes())
        .bytes(place.vault.as_bytes())
        .bytes(place.subject.as_bytes())
        .bytes(place.item.as_bytes())
        .text(place.class)
        .u32(place.number)
        .u64(place.generation)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    const VAULT: VaultId = VaultId::from_bytes([1; 16]);
    const SUBJECT: SubjectId = SubjectId::from_bytes([2; 16]);
    const ITEM: ItemId = ItemId::from_bytes([3; 16]);
    const HERE: SegmentPlace<'_> =
        SegmentPlace { vault: &VAULT, subject: &SUBJECT, item: &ITEM, class: "access_event", number: 4, generation: 1 };

    #[test]
    fn a_segment_opens_at_its_place_only() {
        let keys = SegmentKeys::derive(&Secret::copied(&[5; 32]));
        let sealed = keys.seal(HERE, &PlainValue::new(b"events".to_vec())).expect("nonce");
        assert_eq!(keys.open(HERE, &sealed).expect("opens").expose(), b"events");
        let (vault, subject, item) =
            (VaultId::from_bytes([9; 16]), SubjectId::from_bytes([9; 16]), ItemId::from_bytes([9; 16]));
        for place in [
            SegmentPlace { vault: &vault, ..HERE },
            SegmentPlace { subject: &subject, ..HERE },
            SegmentPlace { item: &item, ..HERE },
            SegmentPlace { class: "usage_event", ..HERE },
            SegmentPlace { number: 5, ..HERE },
            SegmentPlace { generation: 2, ..HERE },
        ] {
            assert!(keys.open(place, &sealed).is_err());
        }
        assert!(SegmentKeys::derive(&Secret::copied(&[6; 32])).open(HERE, &sealed).is_err());
    }

    #[test]
    fn a_segment_written_twice_differs_and_so_does_what_follows() {
        let keys = SegmentKeys::derive(&Secret::copied(&[5; 32]));
        let seal = || keys.seal(HERE, &PlainValue::new(b"events".to_vec())).expect("nonce");
        let (first, second) = (seal(), seal());
        assert_ne!(first[..12], second[..12], "a nonce of its own");
        assert_ne!(follow(&CHAIN_START, 4, &first), follow(&CHAIN_START, 4, &second));
        assert_ne!(follow(&CHAIN_START, 4, &first), follow(&CHAIN_START, 5, &first));
    }
}
