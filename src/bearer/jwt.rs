//! A JSON Web Token in its compact form (RFC 7515, section 7.1; RFC 7519), read but not yet believed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json::{Malformed, Members};
use crate::base::limits::{END_USER_KEY_ID_BYTES_MAX, END_USER_TOKEN_BYTES_MAX};
use crate::base::secret::PlainValue;
use crate::crypto::public_key::Algorithm;

/// A token whose form is right. Nothing in it is to be believed before its signature was checked.
pub struct Unverified<'t> {
    /// The algorithm that it claims.
    pub algorithm: Algorithm,
    /// The key that it claims.
    pub key_id: Option<String>,
    /// The claims.
    pub claims: Members,
    /// What is signed: header and claims as they came.
    pub signed: &'t str,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Reads a token.
///
/// # Errors
/// Anything but three parts in unpadded, canonical base64url; members that repeat; an algorithm that is not one of
/// ours (`none` and all with shared secrets among them); a critical extension, since we know none; a type that says
/// it was made for something else; a size beyond the bounds.
pub fn parse(token: &str) -> Result<Unverified<'_>, Malformed> {
    if token.len() > END_USER_TOKEN_BYTES_MAX {
        return Err(Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Malformed)?;
    let (header, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or(Malformed)?;
    let header = object(header)?;
    if ["crit", "b64", "cty", "zip", "enc"].iter().any(|name| header.find(name).is_some()) {
        return Err(Malformed);
    }
    let algorithm = header.text("alg")?.and_then(algorithm).ok_or(Malformed)?;
    if !header.text("typ")?.is_none_or(is_plain_type) {
        return Err(Malformed);
    }
    let key_id = header.text("kid")?;
    if key_id.is_some_and(|id| id.is_empty() || id.len() > END_USER_KEY_ID_BYTES_MAX) {
        return Err(Malformed);
    }
    let key_id = key_id.map(str::to_owned);
    Ok(Unverified { algorithm, key_id, claims: object(claims)?, signed, signature: decode(signature)? })
}

/// The algorithm of a name (RFC 7518, section 3.1; RFC 8037, section 3.1). The list is closed.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    match name {
        "RS256" => Some(Algorithm::Rs256),
        "ES256" => Some(Algorithm::Es256),
        "EdDSA" => Some(Algorithm::EdDsa),
        _ => None,
    }
}

/// Base64url without padding, in its one spelling (RFC 7515, section 2; RFC 4648, section 3.5).
///
/// # Errors
/// Padding, other letters, bits that no byte has.
pub fn decode(text: &str) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Malformed)
}

/// Identity and access tokens; not what the same issuer signs for other ends, such as logout or proof of possession
/// (RFC 8725, section 3.11).
fn is_plain_type(typ: &str) -> bool {
    ["JWT", "at+jwt", "application/at+jwt"].iter().any(|plain| plain.eq_ignore_ascii_case(typ))
}

fn object(part: &str) -> Result<Members, Malformed> {
    let text = PlainValue::new(decode(part)?);
    Members::parse(text.expose())
}
