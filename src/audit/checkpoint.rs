//! Checkpoints (C2SP tlog-checkpoint): a signed size and root.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{self, BadKey, NoteError, VerifierKey};
use crate::crypto::hash::Digest;
use crate::crypto::sign::Signer;

/// What a log commits to when it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name; the name of its key as well.
    pub origin: String,
    /// How many leaves it covers.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
}

impl Checkpoint {
    /// The signed note.
    ///
    /// # Errors
    /// [`BadKey`] if the origin cannot be the name of a key.
    pub fn sign(&self, signer: &Signer) -> Result<String, BadKey> {
        note::sign(&self.text(), &self.origin, signer)
    }

    /// The text that is signed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Reads a signed checkpoint by a log with one of these keys, under the origin that is the key's name. Extension
    /// lines are ignored.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &[u8], keys: &[VerifierKey]) -> Result<Self, NoteError> {
        let text = note::open(note, keys)?;
        let checkpoint = Self::parse(text).ok_or(NoteError::Malformed)?;
        let is_named = keys.iter().any(|key| key.name() == checkpoint.origin);
        if is_named { Ok(checkpoint) } else { Err(NoteError::UnknownSigner) }
    }

    /// What the text of a note states. Extension lines are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size_text, root) = (lines.next()?, lines.next()?, lines.next()?);
        let size: u64 = size_text.parse().ok()?;
        let root: Digest = STANDARD.decode(root).ok()?.try_into().ok()?;
        let fits = !origin.is_empty() && size.to_string() == size_text && lines.all(|line| !line.is_empty());
        fits.then(|| Self { origin: origin.to_owned(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    fn signer() -> Signer {
        Signer::from_seed(&Secret::copied(&[7; 32]))
    }

    fn key(name: &str) -> [VerifierKey; 1] {
        [VerifierKey::new(name, *signer().public()).unwrap()]
    }

    #[test]
    fn a_checkpoint_reads_back_under_its_own_name_only() {
        let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 20_852_163, root: [9; 32] };
        let note = checkpoint.sign(&signer()).unwrap();
        assert!(note.starts_with(
            "example.com/log\n20852163\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n\n— example.com/log "
        ));
        assert_eq!(Checkpoint::open(note.as_bytes(), &key("example.com/log")), Ok(checkpoint));
        assert_eq!(Checkpoint::open(note.as_bytes(), &key("example.com/other")), Err(NoteError::UnknownSigner));
        let borrowed = note::sign(&note[..note.find("\n\n").unwrap() + 1], "other", &signer()).unwrap();
        assert_eq!(Checkpoint::open(borrowed.as_bytes(), &key("other")), Err(NoteError::UnknownSigner));
    }

    #[test]
    fn malformed_texts_are_refused_although_signed() {
        let root = STANDARD.encode([0; 32]);
        let open = |text: &str| {
            let note = note::sign(text, "log", &signer()).unwrap();
            Checkpoint::open(note.as_bytes(), &key("log")).map(|checkpoint| checkpoint.size)
        };
        assert_eq!(open(&format!("log\n0\n{root}\n")), Ok(0));
        assert_eq!(open(&format!("log\n18446744073709551615\n{root}\nextension\n")), Ok(u64::MAX));
        for text in [
            "log\n1\n".into(),
            format!("log\n01\n{root}\n"),
            format!("log\n+1\n{root}\n"),
            format!("log\n18446744073709551616\n{root}\n"),
            format!("log\n1 \n{root}\n"),
            format!("log\n1\n{}\n", &root[..40]),
            format!("log\n1\n{root}{root}\n"),
            format!("log\n1\n{root}\n\nextension\n"),
            format!("\nlog\n1\n{root}\n"),
            "\n".into(),
        ] {
            assert_eq!(open(&text), Err(NoteError::Malformed), "{text}");
        }
    }
}
