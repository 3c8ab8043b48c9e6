//! R_e sealed for the root slots, and the signing keys sealed under the outer key.
//!
//! ```text
//! key(slot i) = HKDF-SHA256(salt = O, ikm = PRF(S_i,e ; vault | epoch), info = label | vault | slot | epoch)
//! row(slot i) = AES-256-GCM(key(slot i), aad = label | vault | slot | epoch, R_e | 1)
//! ```
//! The byte after R_e says that there is a ledger of what is under way. Earlier releases sealed R_e alone.
//! Whoever lacks the slot's secret of that epoch, or O, cannot open the row.

use crate::base::codec::Writer;
use crate::base::id::{SlotId, VaultId};
use crate::base::secret::{Key, PlainValue, Secret};
use crate::crypto::label::{self, Label};
use crate::crypto::rng::RandomFailed;
use crate::crypto::{aead, kdf};

pub use crate::crypto::aead::OpenFailed;

/// The context that a slot's PRF is asked for.
pub fn prf_context(vault: &VaultId, epoch: u64) -> [Vec<u8>; 2] {
    [vault.as_bytes().to_vec(), epoch.to_be_bytes().to_vec()]
}

/// The key of the row that holds R_e for one slot.
pub fn row_key(epoch: u64, slot: &SlotId) -> Vec<u8> {
    Writer::new().u64(epoch).raw(slot.as_bytes()).finish()
}

/// What the row of a slot holds.
pub struct Opened {
    /// R_e.
    pub key: Key,
    /// Whether there is a ledger of what is under way: who takes that away cannot take this away.
    pub has_ledger: bool,
}

/// Seals R_e for one slot, for a vault that has a ledger; `prf` is what the slot answered for [`prf_context`].
pub fn seal(
    outer: &Key,
    prf: &Key,
    vault: &VaultId,
    slot: &SlotId,
    epoch: u64,
    root: &Key,
) -> Result<Vec<u8>, RandomFailed> {
    let place = place(label::ROOT_RECORD, vault, slot, epoch);
    let plain = PlainValue::new([&root.expose()[..], &[HAS_LEDGER]].concat());
    aead::seal(&slot_key(outer, prf, vault, slot, epoch), &place, plain.expose())
}

/// Opens R_e through one slot.
pub fn open(
    outer: &Key,
    prf: &Key,
    vault: &VaultId,
    slot: &SlotId,
    epoch: u64,
    sealed: &[u8],
) -> Result<Opened, OpenFailed> {
    let place = place(label::ROOT_RECORD, vault, slot, epoch);
    let plain = aead::open(&slot_key(outer, prf, vault, slot, epoch), &place, sealed)?;
    let (key, has_ledger) = match plain.expose() {
        [key @ .., HAS_LEDGER] if key.len() == KEY_LEN => (key, true),
        key => (key, false),
    };
    Ok(Opened { key: Secret::from_slice(key).ok_or(OpenFailed)?, has_ledger })
}

fn slot_key(outer: &Key, prf: &Key, vault: &VaultId, slot: &SlotId, epoch: u64) -> Key {
    kdf::derive_key(outer.expose(), prf, label::ROOT_SEAL, &[vault.as_bytes(), slot.as_bytes(), &epoch.to_be_bytes()])
}

fn place(label: Label, vault: &VaultId, slot: &SlotId, epoch: u64) -> Vec<u8> {
    Writer::new().bytes(label.as_bytes()).bytes(vault.as_bytes()).bytes(slot.as_bytes()).u64(epoch).finish()
}

/// Seals the seed of a signing key under the outer key: losing a slot must not lose the log.
pub fn seal_signing(outer: &Key, vault: &VaultId, name: &str, seed: &Key) -> Result<Vec<u8>, RandomFailed> {
    aead::seal(&signing_key(outer, vault), &signing_place(vault, name), seed.expose())
}

/// Opens the seed of a signing key. Fails for a wrong outer key, which is how one is found out.
pub fn open_signing(outer: &Key, vault: &VaultId, name: &str, sealed: &[u8]) -> Result<Key, OpenFailed> {
    let plain = aead::open(&signing_key(outer, vault), &signing_place(vault, name), sealed)?;
    Secret::from_slice(plain.expose()).ok_or(OpenFailed)
}

fn signing_key(outer: &Key, vault: &VaultId) -> Key {
    kdf::derive_key(b"", outer, label::SIGNING_SEAL, &[vault.as_bytes()])
}

fn signing_place(vault: &VaultId, name: &str) -> Vec<u8> {
    Writer::new().bytes(label::SIGNING_RECORD.as_bytes()).bytes(vault.as_bytes()).text(name).finish()
}

const KEY_LEN: usize = 32;
const HAS_LEDGER: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: VaultId = VaultId::from_bytes([1; 16]);
    const SLOT: SlotId = SlotId::from_bytes([2; 16]);

    #[test]
    fn the_root_opens_with_its_own_slot_outer_key_and_epoch_only() {
        let (outer, prf, root) = (Secret::copied(&[3; 32]), Secret::copied(&[4; 32]), Secret::copied(&[5; 32]));
        let row = seal(&outer, &prf, &VAULT, &SLOT, 6, &root).expect("nonce");
        let opened = open(&outer, &prf, &VAULT, &SLOT, 6, &row).expect("opens");
        assert_eq!((opened.key.expose(), opened.has_ledger), (root.expose(), true));
        let other = Secret::copied(&[9; 32]);
        assert!(open(&other, &prf, &VAULT, &SLOT, 6, &row).is_err());
        assert!(open(&outer, &other, &VAULT, &SLOT, 6, &row).is_err());
        assert!(open(&outer, &prf, &VAULT, &SlotId::from_bytes([9; 16]), 6, &row).is_err());
        assert!(open(&outer, &prf, &VaultId::from_bytes([9; 16]), &SLOT, 6, &row).is_err());
        assert!(open(&outer, &prf, &VAULT, &SLOT, 7, &row).is_err());
    }

    #[test]
    fn a_row_of_an_earlier_release_opens_and_says_of_no_ledger() {
        let (outer, prf, root) = (Secret::copied(&[3; 32]), Secret::copied(&[4; 32]), Secret::copied(&[5; 32]));
        let seal = |plain: &[u8]| {
            let place = place(label::ROOT_RECORD, &VAULT, &SLOT, 6);
            aead::seal(&slot_key(&outer, &prf, &VAULT, &SLOT, 6), &place, plain).expect("nonce")
        };
        let opened = open(&outer, &prf, &VAULT, &SLOT, 6, &seal(root.expose())).expect("opens");
        assert_eq!((opened.key.expose(), opened.has_ledger), (root.expose(), false));
        for other in [&[5; 31][..], &[1; 32 + 2], &[&[5; 32][..], &[2]].concat(), &[]] {
            assert!(open(&outer, &prf, &VAULT, &SLOT, 6, &seal(other)).is_err());
        }
    }

    #[test]
    fn a_signing_key_opens_under_its_own_name_only() {
        let (outer, seed) = (Secret::copied(&[3; 32]), Secret::copied(&[4; 32]));
        let row = seal_signing(&outer, &VAULT, "audit", &seed).expect("nonce");
        assert!(open_signing(&outer, &VAULT, "audit", &row).is_ok());
        assert!(open_signing(&outer, &VAULT, "receipt", &row).is_err());
        assert!(open_signing(&Secret::copied(&[9; 32]), &VAULT, "audit", &row).is_err());
    }
}
