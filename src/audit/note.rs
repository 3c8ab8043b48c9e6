//! Signed notes (C2SP signed-note) with Ed25519 keys.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::crypto::hash::sha256;
use crate::crypto::sign::{self, PublicKey, Signature, Signer};

/// Bytes of a note that is read.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Signatures of a note that is read.
const SIGNATURES_MAX: usize = 64;
/// The signature type of Ed25519.
const ED25519: u8 = 1;

/// What a verifier configures: whose signature to expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    public: PublicKey,
}

/// The text is no verifier key of an algorithm that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed verifier key: expected name+hash+base64, with an Ed25519 key")]
pub struct BadKey;

/// Why a note is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The bytes are no signed note.
    #[error("malformed note")]
    Malformed,
    /// No signature is by a known key.
    #[error("the note is not signed by a known key")]
    UnknownSigner,
    /// A known key's signature is wrong.
    #[error("a signature of the note does not verify")]
    BadSignature,
}

impl VerifierKey {
    /// The key of a name. The name must hold no space and no plus.
    ///
    /// # Errors
    /// [`BadKey`] for other names.
    pub fn new(name: &str, public: PublicKey) -> Result<Self, BadKey> {
        if is_name(name) { Ok(Self { name: name.to_owned(), public }) } else { Err(BadKey) }
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The short number that tells keys of one name apart. Proves nothing.
    pub fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &self.typed()]);
        *hash.first_chunk().expect("a digest is longer")
    }

    fn typed(&self) -> [u8; 33] {
        let mut typed = [ED25519; 33];
        typed[1..].copy_from_slice(&self.public);
        typed
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id()), STANDARD.encode(self.typed()))
    }
}

impl FromStr for VerifierKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let (name, rest) = text.split_once('+').ok_or(BadKey)?;
        let (_, typed) = rest.split_once('+').ok_or(BadKey)?;
        let typed: [u8; 33] = STANDARD.decode(typed).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(BadKey)?;
        let [ED25519, public @ ..] = typed else { return Err(BadKey) };
        let key = Self::new(name, public)?;
        // The hash in the middle repeats what the rest says; a key has one spelling.
        if key.to_string() == text { Ok(key) } else { Err(BadKey) }
    }
}

/// Signs a text, which ends in a newline, under a key's name.
pub fn sign(text: &str, name: &str, signer: &Signer) -> Result<String, BadKey> {
    let key = VerifierKey::new(name, *signer.public())?;
    let signature = [&key.id()[..], &signer.sign(text.as_bytes())].concat();
    Ok(format!("{text}\n{DASH}{name} {}\n", STANDARD.encode(signature)))
}

/// Adds a signature to a note.
pub fn cosign(note: &str, name: &str, signer: &Signer) -> Result<String, BadKey> {
    let text = note.rfind("\n\n").map(|end| &note[..=end]).ok_or(BadKey)?;
    let signed = sign(text, name, signer)?;
    Ok(format!("{note}{}", &signed[text.len() + 1..]))
}

/// The text of a note, once every signature by a known key verifies and there is one.
///
/// # Errors
/// [`NoteError`]; signatures by other keys are ignored, as the format demands.
pub fn open<'n>(note: &'n [u8], keys: &[VerifierKey]) -> Result<&'n str, NoteError> {
    let read = read(note, keys)?;
    if read.signers.is_empty() { Err(NoteError::UnknownSigner) } else { Ok(read.text) }
}

/// A note whose signatures by known keys verify, if there are any.
#[derive(Debug, PartialEq, Eq)]
pub struct Read<'n> {
    /// What was signed.
    pub text: &'n str,
    /// Which of the keys have signed, by their places.
    pub signers: Vec<usize>,
    /// Whether there are signatures by other keys.
    pub has_others: bool,
}

/// Reads a note. To be believed only as far as `signers` goes.
///
/// # Errors
/// [`NoteError::Malformed`], or [`NoteError::BadSignature`] under a known key's name and number.
pub fn read<'n>(note: &'n [u8], keys: &[VerifierKey]) -> Result<Read<'n>, NoteError> {
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
    let has_control = |c: char| c < ' ' && c != '\n';
    if note.len() > NOTE_BYTES_MAX || note.contains(has_control) || !note.ends_with('\n') {
        return Err(NoteError::Malformed);
    }
    let end = note.rfind("\n\n").ok_or(NoteError::Malformed)? + 1;
    let (text, signatures) = (&note[..end], &note[end + 1..]);
    let lines: Vec<SignatureLine<'_>> = signatures.lines().map(SignatureLine::parse).collect::<Result<_, _>>()?;
    if lines.is_empty() || lines.len() > SIGNATURES_MAX {
        return Err(NoteError::Malformed);
    }
    let mut signers = Vec::new();
    for (place, key) in keys.iter().enumerate() {
        for line in lines.iter().filter(|line| line.name == key.name && line.id == key.id()) {
            let signature: Signature = line.signature[..].try_into().map_err(|_| NoteError::BadSignature)?;
            sign::verify(&key.public, text.as_bytes(), &signature).map_err(|_| NoteError::BadSignature)?;
            signers.push(place);
        }
    }
    signers.dedup();
    let is_known = |line: &SignatureLine<'_>| keys.iter().any(|key| line.name == key.name && line.id == key.id());
    Ok(Read { text, signers, has_others: !lines.iter().all(is_known) })
}

const DASH: &str = "\u{2014} ";

struct SignatureLine<'n> {
    name: &'n str,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl<'n> SignatureLine<'n> {
    fn parse(line: &'n str) -> Result<Self, NoteError> {
        let (name, encoded) =
            line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or(NoteError::Malformed)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Malformed)?;
        let (id, signature) = bytes.split_first_chunk().ok_or(NoteError::Malformed)?;
        if !is_name(name) || signature.is_empty() {
            return Err(NoteError::Malformed);
        }
        Ok(Self { name, id: *id, signature: signature.to_vec() })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
#[path = "tests/notes.rs"]
mod tests;
