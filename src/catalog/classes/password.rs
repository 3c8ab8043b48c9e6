//! Class `password`: a secret that can be tested and never read.
//!
//! INVARIANT: a secret is neither encoded nor shown: what is stored is its verifier, and no view shows either. The
//! verifier is made from the secret elsewhere, since that takes time by design; see `items/secret.rs`.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_public_assigned;

use super::{ClassValue, DecodeError};
use crate::base::codec::Reader;
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId, Form, Identifier, Sensitivity};
use crate::catalog::fields::record;
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};

/// Bytes of a secret, as given and as normalised.
pub const SECRET_BYTES_MAX: usize = 1024;
/// The version of the encoding.
const VERSION: u8 = 1;
/// Argon2id, version 0x13 (RFC 9106): the one function there is so far.
const ARGON2ID: u8 = 1;
/// How many times longer a text gets when it is normalised, in bytes: U+FDFA is the worst.
const NORMAL_GROWTH_MAX: usize = 11;

/// What tests a secret: salt and tag of a slow hash, and what the hash cost, so that later ones can cost more.
pub struct Verifier {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// The salt.
    pub salt: [u8; 16],
    /// The tag.
    pub tag: Key,
    /// When the secret was set.
    pub set: Timestamp,
}

/// A password: on its way in a secret, in the store a verifier.
#[derive(Default)]
pub struct Password {
    /// The secret as the person typed it; taken out before anything is stored.
    pub secret: Text,
    /// What tests it.
    pub verifier: Option<Verifier>,
}

impl ClassValue for Password {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("password"),
        sensitivity: Sensitivity::High,
        form: Form::Verifier,
        identifiers: &[],
        keep_default: None,
        purposes_default: &["service_delivery"],
        fields: &["secret", "set_time"],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        if self.verifier.is_some() && self.secret.is_empty() {
            return;
        }
        let at = At::field("secret");
        let secret = self.secret.expose();
        if secret.is_empty() {
            return check.refuse(&at, Reason::Required);
        }
        if secret.len() > SECRET_BYTES_MAX {
            return check.refuse(&at, Reason::TooLong);
        }
        if !secret.chars().all(is_stable) {
            return check.refuse(&at, Reason::Character);
        }
        self.secret = normal(secret);
        if self.secret.len() > SECRET_BYTES_MAX {
            check.refuse(&at, Reason::TooLong);
        }
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        let _ = masker.text("secret", &Text::default(), Rule::Hidden);
        let _ = masker.time("set_time", None);
        Self::default()
    }

    fn encode(&self) -> PlainValue {
        record::encode(VERSION, 1 + 1 + 1 + 12 + 16 + 32 + 8, |w| {
            w.option(self.verifier.as_ref(), |w, verifier| {
                w.u8(ARGON2ID)
                    .u32(verifier.memory_kib)
                    .u32(verifier.passes)
                    .u32(verifier.lanes)
                    .raw(&verifier.salt)
                    .raw(verifier.tag.expose())
                    .i64(verifier.set.as_millis())
            })
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        let verifier = reader.option(|r| {
            let function = r.u8()?;
            let verifier = Verifier {
                memory_kib: r.u32()?,
                passes: r.u32()?,
                lanes: r.u32()?,
                salt: r.array()?,
                tag: Key::from_slice(r.raw(32)?).ok_or(crate::base::codec::Malformed)?,
                set: Timestamp::from_millis(r.i64()?),
            };
            if function == ARGON2ID { Ok(verifier) } else { Err(crate::base::codec::Malformed) }
        })?;
        Ok(Self { secret: Text::default(), verifier })
    }

    fn identifiers(&self) -> Vec<Identifier> {
        Vec::new()
    }
}

/// The id of the class.
pub const ID: ClassId = Password::DEF.id;

/// The stored form of a verifier.
pub fn encoded(verifier: Verifier) -> PlainValue {
    Password { secret: Text::default(), verifier: Some(verifier) }.encode()
}

/// A secret as it is hashed: normalised by NFKC, so that it is the same from every keyboard (NIST SP 800-63B section
/// 5.1.1.2), and otherwise as it was typed, white space included.
pub fn normal(secret: &str) -> Text {
    Text::build(secret.len() * NORMAL_GROWTH_MAX, secret.nfkc())
}

/// Whether no later version of Unicode normalises the character otherwise (UAX #15 section 12.1).
fn is_stable(c: char) -> bool {
    is_public_assigned(c) || matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}
