//! Names and keys of signed notes (C2SP signed-note).

use crate::crypto::hash::sha256;
use crate::crypto::sign::PublicKey;

/// The algorithm byte of Ed25519 keys in a note's verifier key.
const ED25519: u8 = 1;

/// The verifier key as auditors configure it: `name+hash+base64(algorithm | key)`.
pub fn verifier_key(name: &str, public: &PublicKey) -> String {
    use base64::Engine as _;
    let keyed = [&[ED25519][..], public].concat();
    let hash = sha256(&[name.as_bytes(), b"\n", &keyed]);
    let id: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}+{id}+{}", base64::engine::general_purpose::STANDARD.encode(&keyed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    #[test]
    fn a_verifier_key_matches_the_published_example() {
        // The example of golang.org/x/mod/sumdb/note, whose format C2SP signed-note adopted.
        let published = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = published.rsplit_once('+').expect("three parts").1;
        let key = base64::engine::general_purpose::STANDARD.decode(key).expect("base 64");
        let public: PublicKey = key[1..].try_into().expect("32 bytes");
        assert_eq!(verifier_key("PeterNeumann", &public), published);
    }
}
