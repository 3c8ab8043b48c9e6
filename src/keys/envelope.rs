//! Sealing one item version, or one subject's record, under its own random key.
//!
//! From the random key in the page three keys are derived: one seals the content, one authenticates the clear
//! metadata, and the third value is a commitment. AES-GCM alone does not commit to its key (two keys can be found
//! that open one message), so the commitment is stored beside the ciphertext and compared before anything is opened.

use crate::base::codec::Writer;
use crate::base::id::VaultId;
use crate::base::secret::{Key, PlainValue, Secret};
use crate::crypto::label::{self, Label};
use crate::crypto::rng::RandomFailed;
use crate::crypto::{aead, kdf, mac};

/// Bytes of a key commitment.
pub const COMMITMENT_LEN: usize = 32;

/// The stored bytes do not belong to this key and place. Deliberately one error, whatever went wrong inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record does not open")]
pub struct OpenFailed;

/// Where an envelope stands: enters its additional data, so that it opens nowhere else.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The vault.
    pub vault: &'a VaultId,
    /// The 16 random bytes of the item, the subject or the upload.
    pub owner: &'a [u8; 16],
    /// The item's class; empty for a subject's record.
    pub class: &'a str,
    /// The item's version, or the subject record's.
    pub version: u64,
    /// The generation of the key.
    pub generation: u64,
}

/// What an envelope's key is for; each use has its own derivation.
#[derive(Clone, Copy)]
pub enum Kind {
    /// One version of an item.
    Item,
    /// A subject's own record.
    Subject,
    /// How far the erasure of a subject is that goes through its items in steps, under the key of its record.
    Parting,
    /// An upload that is to become a version of an item, under the key that will be the version's.
    Upload,
    /// A matter's record.
    Matter,
    /// A hold's record.
    Hold,
    /// The record of a statutory period's end.
    Period,
    /// What is said of an item version that a keep reason keeps, under the version's own key.
    Kept,
}

impl Kind {
    fn labels(self) -> (Label, Label, Label) {
        match self {
            Kind::Item => (label::ITEM_KEYS, label::ITEM, label::ITEM_META),
            Kind::Subject => (label::SUBJECT_KEYS, label::SUBJECT, label::SUBJECT_META),
            Kind::Parting => (label::PARTING_KEYS, label::PARTING, label::PARTING_META),
            Kind::Upload => (label::UPLOAD_KEYS, label::UPLOAD, label::UPLOAD_META),
            Kind::Matter => (label::MATTER_KEYS, label::MATTER, label::MATTER_META),
            Kind::Hold => (label::HOLD_KEYS, label::HOLD, label::HOLD_META),
            Kind::Period => (label::PERIOD_KEYS, label::PERIOD, label::PERIOD_META),
            Kind::Kept => (label::KEPT_KEYS, label::KEPT, label::KEPT_META),
        }
    }
}

/// The keys of one item version or of one subject's record.
pub struct Envelope {
    kind: Kind,
    seal: Key,
    meta: Key,
    extra: Key,
    commitment: Secret<COMMITMENT_LEN>,
}

/// The parts of an envelope's content, each with a number of its own in the additional data.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Part {
    /// The value itself, or the subject's identifiers.
    Value = 1,
    /// Free-text metadata.
    Notes = 2,
}

impl Envelope {
    /// Derives the keys of an envelope from the random key that its page holds.
    pub fn derive(kind: Kind, key: &Key) -> Self {
        let (keys, _, _) = kind.labels();
        let [seal, meta, extra, commitment] = kdf::split::<128, 4>(kdf::derive(b"", key, keys, &[]));
        Self { kind, seal, meta, extra, commitment }
    }

    /// Checks clear metadata as [`Envelope::check`] does, for a reader that opens nothing and so needs half the keys.
    pub fn check_only(
        kind: Kind,
        key: &Key,
        place: Place<'_>,
        metadata: &[u8],
        code: &[u8; 32],
    ) -> Result<(), OpenFailed> {
        let (keys, _, _) = kind.labels();
        // HKDF gives the first keys of a longer output.
        let [_, meta] = kdf::split::<64, 2>(kdf::derive(b"", key, keys, &[]));
        if mac::equal(&authenticate(kind, &meta, place, metadata), code) { Ok(()) } else { Err(OpenFailed) }
    }

    /// The commitment to store beside the ciphertext.
    pub fn commitment(&self) -> &[u8; COMMITMENT_LEN] {
        self.commitment.expose()
    }

    /// The key from which records that die with this envelope are sealed, such as idempotency records.
    pub fn into_companion(self) -> Key {
        self.extra
    }

    /// Seals one part of the content.
    pub fn seal(&self, place: Place<'_>, part: Part, plain: &[u8]) -> Result<Vec<u8>, RandomFailed> {
        aead::seal(&self.seal, &aad(self.kind, place, part), plain)
    }

    /// Opens one part, after checking that the stored commitment is this key's.
    pub fn open(
        &self,
        place: Place<'_>,
        part: Part,
        commitment: &[u8; COMMITMENT_LEN],
        sealed: &[u8],
    ) -> Result<PlainValue, OpenFailed> {
        if !mac::equal(commitment, self.commitment.expose()) {
            return Err(OpenFailed);
        }
        aead::open(&self.seal, &aad(self.kind, place, part), sealed).map_err(|_| OpenFailed)
    }

    /// Authenticates clear metadata at its place.
    pub fn authenticate(&self, place: Place<'_>, metadata: &[u8]) -> [u8; 32] {
        authenticate(self.kind, &self.meta, place, metadata)
    }

    /// Checks clear metadata against its stored code.
    pub fn check(&self, place: Place<'_>, metadata: &[u8], code: &[u8; 32]) -> Result<(), OpenFailed> {
        if mac::equal(&self.authenticate(place, metadata), code) { Ok(()) } else { Err(OpenFailed) }
    }
}

fn authenticate(kind: Kind, meta: &Key, place: Place<'_>, metadata: &[u8]) -> [u8; 32] {
    let (_, _, label) = kind.labels();
    mac::mac(meta, label, &[&aad(kind, place, Part::Notes), metadata])
}

fn aad(kind: Kind, place: Place<'_>, part: Part) -> Vec<u8> {
    let (_, record, _) = kind.labels();
    Writer::new()
        .bytes(record.as_bytes())
        .bytes(place.vault.as_bytes())
        .bytes(place.owner)
        .text(place.class)
        .u64(place.version)
        .u64(place.generation)
        .u8(part as u8)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: VaultId = VaultId::from_bytes([1; 16]);
    const HERE: Place<'_> = Place { vault: &VAULT, owner: &[2; 16], class: "contact", version: 3, generation: 4 };

    #[test]
    fn an_envelope_opens_at_its_place_only() {
        let envelope = Envelope::derive(Kind::Item, &Secret::copied(&[5; 32]));
        let sealed = envelope.seal(HERE, Part::Value, b"value").expect("nonce");
        let code = envelope.authenticate(HERE, b"metadata");
        let opened = envelope.open(HERE, Part::Value, envelope.commitment(), &sealed).expect("opens");
        assert_eq!(opened.expose(), b"value");
        assert!(envelope.open(HERE, Part::Notes, envelope.commitment(), &sealed).is_err());
        let other_vault = VaultId::from_bytes([9; 16]);
        for place in [
            Place { vault: &other_vault, ..HERE },
            Place { owner: &[9; 16], ..HERE },
            Place { class: "payment", ..HERE },
            Place { version: 9, ..HERE },
            Place { generation: 9, ..HERE },
        ] {
            assert!(envelope.open(place, Part::Value, envelope.commitment(), &sealed).is_err());
            assert!(envelope.check(place, b"metadata", &code).is_err());
        }
        assert!(envelope.check(HERE, b"metadata", &code).is_ok());
        assert!(envelope.check(HERE, b"metadatA", &code).is_err());
        let check_only = |kind, metadata| Envelope::check_only(kind, &Secret::copied(&[5; 32]), HERE, metadata, &code);
        assert!(check_only(Kind::Item, b"metadata").is_ok());
        assert!(check_only(Kind::Item, b"metadatA").is_err() && check_only(Kind::Subject, b"metadata").is_err());
    }

    #[test]
    fn another_keys_commitment_is_refused_before_opening() {
        let envelope = Envelope::derive(Kind::Item, &Secret::copied(&[5; 32]));
        let other = Envelope::derive(Kind::Item, &Secret::copied(&[6; 32]));
        let sealed = envelope.seal(HERE, Part::Value, b"value").expect("nonce");
        assert!(envelope.open(HERE, Part::Value, other.commitment(), &sealed).is_err());
    }

    #[test]
    fn items_subjects_and_uploads_never_share_a_key() {
        let key = Secret::copied(&[5; 32]);
        let commitment = |kind| *Envelope::derive(kind, &key).commitment();
        let [item, subject, upload] = [Kind::Item, Kind::Subject, Kind::Upload].map(commitment);
        assert!(item != subject && subject != upload && upload != item);
    }
}
