//! An issuer's public keys (RFC 7517, section 5), of which only those that can verify a token of ours are kept.

use super::json::{Json, Malformed, Members};
use super::jwt::{algorithm, decode};
use crate::base::limits::{END_USER_KEY_ID_BYTES_MAX, END_USER_KEYS_MAX};
use crate::crypto::public_key::{Algorithm, PublicKey};

/// The keys of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet(Vec<(Option<String>, PublicKey)>);

/// Why a key set was not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not a key set.
    #[error("is not a JSON Web Key Set: an object with a list \"keys\", no member twice")]
    Malformed,
    /// It shows what must be secret.
    #[error("holds a private or a shared key: whoever reads it can sign for anybody; replace that key at the issuer")]
    Secret,
    /// None of its keys can be used.
    #[error("holds no key for RS256 (2048 to 8192 bits), ES256 or EdDSA (Ed25519) signatures")]
    NoKey,
    /// More keys than any issuer needs.
    #[error("holds more than 64 keys")]
    TooMany,
    /// Two keys under one name, or several of which one has none.
    #[error("holds keys that cannot be told apart: each needs a kid of its own")]
    Ambiguous,
    /// A key that `lacuna dev` made.
    #[error("holds a throw-away key of lacuna dev; use your own issuer's")]
    DevKey,
}

/// The name of the key that `lacuna dev` makes: it is accepted nowhere else.
pub const DEV_KEY_ID: &str = "lacuna-dev-throw-away";

impl KeySet {
    /// Reads a key set. Keys for other ends (encryption, other algorithms, other kinds) are left out.
    ///
    /// # Errors
    /// [`KeySetError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let members = Members::parse(text).map_err(|_| KeySetError::Malformed)?;
        let Some(Json::List(listed)) = members.find("keys") else { return Err(KeySetError::Malformed) };
        if listed.len() > END_USER_KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let mut keys: Vec<(Option<String>, PublicKey)> = Vec::new();
        for key in listed {
            let Json::Object(key) = key else { return Err(KeySetError::Malformed) };
            if SECRET.iter().any(|name| key.find(name).is_some()) {
                return Err(KeySetError::Secret);
            }
            if let Some((id, public)) = verifying(key).map_err(|_| KeySetError::Malformed)? {
                if keys.iter().any(|(other, _)| *other == id) {
                    return Err(KeySetError::Ambiguous);
                }
                keys.push((id, public));
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoKey);
        }
        if keys.len() > 1 && keys.iter().any(|(id, _)| id.is_none()) {
            return Err(KeySetError::Ambiguous);
        }
        Ok(Self(keys))
    }

    /// The key that a token names; for a token that names none the only key there is. Keys are never tried in turn.
    pub fn find(&self, id: Option<&str>) -> Option<&PublicKey> {
        match (id, self.0.as_slice()) {
            (None, [(_, only)]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|(own, _)| own.as_deref() == Some(id)).map(|(_, key)| key),
        }
    }

    /// Whether it holds a key that `lacuna dev` made.
    pub fn is_of_dev(&self) -> bool {
        self.find(Some(DEV_KEY_ID)).is_some()
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds none; it never does.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Members of private and of symmetric keys (RFC 7518, sections 6.2.2, 6.3.2 and 6.4.1).
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A key's name and the key, if it verifies signatures of an algorithm of ours.
fn verifying(key: &Members) -> Result<Option<(Option<String>, PublicKey)>, Malformed> {
    let kind = key.text("kty")?.ok_or(Malformed)?;
    let operations = match key.find("key_ops") {
        None => true,
        Some(Json::List(operations)) => {
            operations.iter().any(|name| matches!(name, Json::Text(name) if name.expose() == "verify"))
        }
        Some(_) => return Err(Malformed),
    };
    if !operations || key.text("use")?.is_some_and(|end| end != "sig") {
        return Ok(None);
    }
    let bytes = |name: &str| decode(key.text(name)?.ok_or(Malformed)?);
    let public = match (kind, key.text("crv")?) {
        ("RSA", _) => PublicKey::rsa(bytes("n")?, bytes("e")?),
        ("EC", Some("P-256")) => PublicKey::p256(&bytes("x")?, &bytes("y")?),
        ("OKP", Some("Ed25519")) => PublicKey::ed25519(&bytes("x")?),
        _ => return Ok(None),
    };
    let Ok(public) = public else { return Ok(None) };
    let stated: Option<Option<Algorithm>> = key.text("alg")?.map(algorithm);
    if stated.is_some_and(|stated| stated != Some(public.algorithm())) {
        return Ok(None);
    }
    let id = key.text("kid")?;
    if id.is_some_and(|id| id.is_empty() || id.len() > END_USER_KEY_ID_BYTES_MAX) {
        return Err(Malformed);
    }
    Ok(Some((id.map(str::to_owned), public)))
}
