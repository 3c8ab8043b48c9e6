use proptest::prelude::*;

use super::*;
use crate::base::secret::Secret;

// The example of golang.org/x/mod/sumdb/note, whose format C2SP signed-note adopted.
const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const SEED: &str = "gQoUAtUUbI2E8kQzMPVAgOv5juF9nHT2JS/F1ccoMXM=";
const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const SIGNATURE: &str = "— PeterNeumann \
     x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn published() -> String {
    format!("{TEXT}\n{SIGNATURE}")
}

fn keys() -> [VerifierKey; 1] {
    [KEY.parse().unwrap()]
}

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&Secret::copied(&[seed; 32]))
}

#[test]
fn the_published_note_is_signed_and_opened() {
    let seed: [u8; 32] = STANDARD.decode(SEED).unwrap().try_into().unwrap();
    let signer = Signer::from_seed(&Secret::copied(&seed));
    assert_eq!(VerifierKey::new("PeterNeumann", *signer.public()).unwrap().to_string(), KEY);
    assert_eq!(sign(TEXT, "PeterNeumann", &signer).unwrap(), published());
    assert_eq!(open(published().as_bytes(), &keys()), Ok(TEXT));
}

#[test]
fn malformed_keys_are_refused() {
    let wrong_hash = KEY.replace("c74f20a3", "c74f20a4");
    let upper = KEY.replace("c74f20a3", "C74F20A3");
    let other_algorithm = KEY.replace("+ARpc", "+Axpc");
    for text in ["", "a", "a+b", "a+b+c", &wrong_hash, &upper, &other_algorithm, &KEY[1..], &KEY[..60]] {
        assert_eq!(text.parse::<VerifierKey>(), Err(BadKey), "{text}");
    }
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb"] {
        assert_eq!(VerifierKey::new(name, [0; 32]), Err(BadKey), "{name}");
        assert_eq!(sign(TEXT, name, &signer(1)), Err(BadKey));
    }
}

#[test]
fn malformed_notes_are_refused() {
    let note = published();
    for wrong in [
        String::new(),
        "\n\n".into(),
        TEXT.into(),
        format!("{TEXT}\n"),
        note.trim_end().into(),
        note.replace("\n\n", "\n"),
        note.replace("— ", "- "),
        note.replace("— PeterNeumann ", "— PeterNeumann"),
        note.replace("x08go/", "x08go"),
        note.replace("JnAM=", "JnAN="), // the bits that base 64 leaves over
        note.replace("think", "think\t"),
        format!("{note}\r\n"),
        format!("{note}— Peter+Neumann AAAAAAA=\n"),
        format!("{note}— Peter AAAAAA==\n"),
        format!("{note}{}", SIGNATURE.repeat(SIGNATURES_MAX)),
        format!("{}{note}", "x".repeat(NOTE_BYTES_MAX)),
    ] {
        assert_eq!(open(wrong.as_bytes(), &keys()), Err(NoteError::Malformed), "{wrong}");
    }
    assert_eq!(open(b"\xff\n\n", &keys()), Err(NoteError::Malformed));
}

#[test]
fn other_signers_are_ignored_and_a_known_key_must_verify() {
    let key = |seed| VerifierKey::new("log", *signer(seed).public()).unwrap();
    let note = sign("a\n\nb\n", "log", &signer(1)).unwrap();
    assert_eq!(open(note.as_bytes(), &[key(1)]), Ok("a\n\nb\n"), "the text may hold empty lines");
    assert_eq!(open(note.as_bytes(), &[key(2), key(1)]), Ok("a\n\nb\n"));
    assert_eq!(open(note.as_bytes(), &[key(2)]), Err(NoteError::UnknownSigner));
    assert_eq!(open(note.as_bytes(), &[]), Err(NoteError::UnknownSigner));
    let other = VerifierKey::new("other", *signer(1).public()).unwrap();
    assert_eq!(open(note.as_bytes(), &[other]), Err(NoteError::UnknownSigner));

    let changed = note.replace("a\n\n", "b\n\n");
    assert_eq!(open(changed.as_bytes(), &[key(1)]), Err(NoteError::BadSignature));
    let second = sign("other\n", "log", &signer(1)).unwrap();
    let wrong_line = second.lines().last().unwrap();
    let both = format!("{note}{wrong_line}\n");
    assert_eq!(open(both.as_bytes(), &[key(1)]), Err(NoteError::BadSignature), "every one by a known key counts");
    let unknown = sign("other\n", "elsewhere", &signer(3)).unwrap();
    let both = format!("{note}{}\n", unknown.lines().last().unwrap());
    assert_eq!(open(both.as_bytes(), &[key(1)]), Ok("a\n\nb\n"));
}

proptest! {
    #[test]
    fn what_is_signed_opens_and_a_flipped_bit_does_not(text in "[ -~é\n]{0,200}", bit: prop::sample::Index) {
        let text = format!("{text}\n");
        let note = sign(&text, "log", &signer(1)).unwrap();
        let key = VerifierKey::new("log", *signer(1).public()).unwrap();
        prop_assert_eq!(open(note.as_bytes(), std::slice::from_ref(&key)), Ok(&text[..]));
        let mut bytes = note.into_bytes();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(open(&bytes, &[key]).is_err());
    }

    #[test]
    fn any_bytes_are_opened_or_refused(bytes: Vec<u8>) {
        let _ = open(&bytes, &keys());
    }
}
