//! The change of the log's signing key: a note by which the old and the new key sign each other's place.
//!
//! The note is a checkpoint over everything before the change, with one extension line, signed by both keys:
//!
//! ```text
//! <origin>
//! <index of the change's leaf>
//! <root over the leaves before it, base64>
//! lacuna-handover-v1 <verifier key of the old key> <verifier key of the new key>
//!
//! — <origin> <signature by the old key>
//! — <origin> <signature by the new key>
//! ```
//! The leaf (operation `LogKeyChanged`, actor the vault) holds the note's SHA-256 where other leaves hold that of a
//! sealed detail, and the note is published where sealed details are: it is public. Checkpoints up to the leaf's index
//! are by the old key, those that cover the leaf by the new one.

use super::checkpoint::Checkpoint;
use super::note::{self, BadKey, NoteError, VerifierKey};
use crate::crypto::sign::Signer;

/// The operation of the leaf.
pub const OPERATION: &str = "LogKeyChanged";
const WORD: &str = "lacuna-handover-v1";

/// What a handover states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The tree before the change; its size is the index of the change's leaf.
    pub before: Checkpoint,
    /// The key that signed until then.
    pub old: VerifierKey,
    /// The key that signs from then on.
    pub new: VerifierKey,
}

impl Handover {
    /// The note, signed by both keys.
    ///
    /// # Errors
    /// [`BadKey`] if the origin cannot be the name of a key.
    pub fn sign(before: Checkpoint, old: &Signer, new: &Signer) -> Result<String, BadKey> {
        let name = &before.origin;
        let key = |signer: &Signer| VerifierKey::new(name, *signer.public());
        let text = format!("{}{WORD} {} {}\n", before.text(), key(old)?, key(new)?);
        note::cosign(&note::sign(&text, name, old)?, name, new)
    }

    /// Reads a note, once both signatures verify under the keys that it names. Whether either key is to be believed is
    /// for the caller to say.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &[u8]) -> Result<Self, NoteError> {
        let text = note::read(note, &[])?.text;
        let before = Checkpoint::parse(text).ok_or(NoteError::Malformed)?;
        let mut words = text.lines().nth(3).unwrap_or_default().split(' ');
        let (Some(WORD), Some(old), Some(new), None) = (words.next(), words.next(), words.next(), words.next()) else {
            return Err(NoteError::Malformed);
        };
        let key = |text: &str| match text.parse::<VerifierKey>() {
            Ok(key) if key.name() == before.origin => Ok(key),
            Ok(_) | Err(_) => Err(NoteError::Malformed),
        };
        let (old, new) = (key(old)?, key(new)?);
        for key in [&old, &new] {
            note::open(note, std::slice::from_ref(key))?;
        }
        if old == new { Err(NoteError::Malformed) } else { Ok(Self { before, old, new }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn signer(seed: u8) -> Signer {
        Signer::from_seed(&Secret::copied(&[seed; 32]))
    }

    #[test]
    fn a_handover_is_signed_by_both_keys() {
        let before = Checkpoint { origin: "log".into(), size: 7, root: [9; 32] };
        let note = Handover::sign(before.clone(), &signer(1), &signer(2)).unwrap();
        let read = Handover::open(note.as_bytes()).unwrap();
        assert_eq!(read.before, before);
        assert_eq!((read.old.clone(), read.new.clone()), (key(1), key(2)));
        for key in [key(1), key(2)] {
            assert_eq!(Checkpoint::open(note.as_bytes(), &[key]), Ok(before.clone()), "an ordinary checkpoint too");
        }
        let signatures: Vec<usize> = note.match_indices('\u{2014}').map(|(at, _)| at).collect();
        assert_eq!(signatures.len(), 2);
        let by_old_alone = &note[..signatures[1]];
        assert_eq!(Handover::open(by_old_alone.as_bytes()), Err(NoteError::UnknownSigner));
        let by_new_alone = format!("{}{}", &note[..signatures[0]], &note[signatures[1]..]);
        assert_eq!(Handover::open(by_new_alone.as_bytes()), Err(NoteError::UnknownSigner));
        let other_place = note.replacen("\n7\n", "\n8\n", 1);
        assert_eq!(Handover::open(other_place.as_bytes()), Err(NoteError::BadSignature));
        let plain = before.sign(&signer(1)).unwrap();
        assert_eq!(Handover::open(plain.as_bytes()), Err(NoteError::Malformed));
    }

    fn key(seed: u8) -> VerifierKey {
        VerifierKey::new("log", *signer(seed).public()).unwrap()
    }
}
