//! Signatures of others, by their public keys: RS256, ES256 (RFC 7518, section 3) and EdDSA (RFC 8037).
//!
//! INVARIANT: a key verifies one algorithm only, which its type fixes; nothing that comes with a signature chooses.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

pub use super::sign::BadSignature;

/// A signature algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 8192 bits.
    Rs256,
    /// ECDSA on P-256 with SHA-256, the signature as two numbers of fixed length.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// The key is too weak, too large or not of its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the public key cannot be used")]
pub struct Unusable;

/// A public key of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256([u8; POINT_BYTES]),
    Ed25519([u8; 32]),
}

/// An uncompressed point: 4, then both coordinates.
const POINT_BYTES: usize = 65;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// What ring takes: an odd number from 65537 to 2^33 - 1.
const EXPONENT: std::ops::RangeInclusive<u64> = 65_537..=(1 << 33) - 1;

impl PublicKey {
    /// From modulus and exponent, big-endian and without leading zeros.
    ///
    /// # Errors
    /// A modulus of less than 2048 bits or more than 8192, an exponent below 65537, leading zeros.
    pub fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, Unusable> {
        let leading = |bytes: &[u8]| bytes.first().filter(|byte| **byte != 0).map(|byte| byte.leading_zeros() as usize);
        let bits = n.len() * 8 - leading(&n).ok_or(Unusable)?;
        leading(&e).ok_or(Unusable)?;
        let exponent = (e.len() <= 8).then(|| e.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        let sound = exponent.is_some_and(|exponent| EXPONENT.contains(&exponent) && exponent % 2 == 1);
        let odd = n.last().is_some_and(|byte| byte % 2 == 1);
        if RSA_BITS.contains(&bits) && odd && sound { Ok(Self(Kind::Rsa { n, e })) } else { Err(Unusable) }
    }

    /// From the coordinates of a point on P-256.
    ///
    /// # Errors
    /// Coordinates that have not 32 bytes each. Whether the point lies on the curve is looked at with each signature.
    pub fn p256(x: &[u8], y: &[u8]) -> Result<Self, Unusable> {
        if x.len() != 32 || y.len() != 32 {
            return Err(Unusable);
        }
        let mut point = [4; POINT_BYTES];
        point[1..33].copy_from_slice(x);
        point[33..].copy_from_slice(y);
        Ok(Self(Kind::P256(point)))
    }

    /// From an Ed25519 public key.
    ///
    /// # Errors
    /// Another length than 32 bytes.
    pub fn ed25519(x: &[u8]) -> Result<Self, Unusable> {
        x.try_into().map(|key| Self(Kind::Ed25519(key))).map_err(|_| Unusable)
    }

    /// The one algorithm it verifies.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Kind::Rsa { .. } => Algorithm::Rs256,
            Kind::P256(_) => Algorithm::Es256,
            Kind::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// It is not one of this key over this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let verified = match &self.0 {
            Kind::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Kind::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Kind::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature),
        };
        verified.map_err(|_| BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_and_malformed_keys_are_refused() {
        let n = |bytes: usize, first: u8| {
            let mut n = vec![0xff; bytes];
            n[0] = first;
            n
        };
        let e = || vec![1, 0, 1];
        assert!(PublicKey::rsa(n(256, 0x80), e()).is_ok());
        assert!(PublicKey::rsa(n(1024, 0xff), e()).is_ok());
        for (n, e, why) in [
            (n(256, 0x7f), e(), "2047 bits"),
            (n(128, 0xff), e(), "1024 bits"),
            (n(1025, 1), e(), "8193 bits"),
            (n(257, 0), e(), "a leading zero"),
            (Vec::new(), e(), "nothing"),
            ([n(255, 0xff), vec![2]].concat(), e(), "even"),
            (n(256, 0x80), vec![3], "a small exponent"),
            (n(256, 0x80), vec![1, 0, 0], "an even exponent"),
            (n(256, 0x80), vec![0, 1, 0, 1], "an exponent with a leading zero"),
            (n(256, 0x80), vec![1; 9], "an exponent that is too large"),
            (n(256, 0x80), Vec::new(), "no exponent"),
        ] {
            assert_eq!(PublicKey::rsa(n, e), Err(Unusable), "{why}");
        }
        assert_eq!(PublicKey::p256(&[1; 31], &[1; 32]), Err(Unusable));
        assert_eq!(PublicKey::p256(&[1; 32], &[1; 33]), Err(Unusable));
        assert_eq!(PublicKey::ed25519(&[1; 31]), Err(Unusable));
        let off_curve = PublicKey::p256(&[1; 32], &[1; 32]).expect("two numbers");
        assert_eq!(off_curve.verify(b"message", &[1; 64]), Err(BadSignature));
    }
}
