//! Whether a token is good, here and now, and whom it speaks for.

use super::json::{Json, Malformed, Members};
use super::jwks::KeySet;
use super::jwt::{self, Unverified};
use crate::base::limits::{END_USER_FRESH_MAX, END_USER_SKEW_MAX, END_USER_TOKEN_AGE_MAX, EXTERNAL_ID_BYTES_MAX};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;

/// What an issuer is trusted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The claim `iss`, exactly.
    pub issuer: String,
    /// What the claim `aud` must name.
    pub audience: String,
    /// What stands before `sub` in the external id of a person of this issuer.
    pub subject_prefix: String,
}

/// A person whose token was verified. INVARIANT: only [`verify`] makes one.
pub struct Person {
    external_id: Text,
    authenticated: Timestamp,
}

impl Person {
    /// The external id under which the vault knows the person.
    pub fn external_id(&self) -> &Text {
        &self.external_id
    }

    /// Whether the person signed in lately enough for what cannot be undone.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        age_millis(self.authenticated, now) <= END_USER_FRESH_MAX.as_millis() as i64
    }
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its form, signature, issuer or audience is wrong, or its time has not come.
    #[error("the person's token is not valid")]
    Invalid,
    /// It is past its time.
    #[error("the person's token is past its time")]
    Expired,
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Invalid
    }
}

/// The issuer that an unverified token claims; by it the keys are chosen that decide whether that is true.
///
/// # Errors
/// [`Malformed`].
pub fn claimed_issuer<'t>(token: &'t Unverified<'_>) -> Result<&'t str, Malformed> {
    token.claims.text("iss")?.ok_or(Malformed)
}

/// Checks the signature with the key that the issuer has under the token's key id, and then every claim.
///
/// A token is good until its `exp`, and never longer than its age allows. That clocks differ is allowed for in one
/// direction only: an issuer's clock may run ahead of ours, which never makes a token live longer.
///
/// # Errors
/// [`Fault`]; a token that is not signed by the issuer is never called expired.
pub fn verify(token: &Unverified<'_>, keys: &KeySet, trust: &Trust, now: Timestamp) -> Result<Person, Fault> {
    let key = keys.find(token.key_id.as_deref()).ok_or(Fault::Invalid)?;
    if key.algorithm() != token.algorithm {
        return Err(Fault::Invalid);
    }
    key.verify(token.signed.as_bytes(), &token.signature).map_err(|_| Fault::Invalid)?;
    let claims = &token.claims;
    if claimed_issuer(token)? != trust.issuer || !is_for(claims, &trust.audience) {
        return Err(Fault::Invalid);
    }
    let (issued, expires) = (time(claims, "iat")?.ok_or(Fault::Invalid)?, time(claims, "exp")?.ok_or(Fault::Invalid)?);
    let authenticated = time(claims, "auth_time")?.unwrap_or(issued);
    let not_before = time(claims, "nbf")?;
    let ahead = |time: Timestamp| age_millis(time, now) < -(END_USER_SKEW_MAX.as_millis() as i64);
    if ahead(issued) || ahead(authenticated) || not_before.is_some_and(ahead) {
        return Err(Fault::Invalid);
    }
    let external_id = external_id(claims, trust)?;
    if now >= expires || age_millis(issued, now) > END_USER_TOKEN_AGE_MAX.as_millis() as i64 {
        return Err(Fault::Expired);
    }
    Ok(Person { external_id, authenticated: authenticated.min(issued) })
}

fn external_id(claims: &Members, trust: &Trust) -> Result<Text, Fault> {
    let subject = claims.text("sub")?.filter(|subject| !subject.is_empty()).ok_or(Fault::Invalid)?;
    let bytes = trust.subject_prefix.len() + subject.len();
    if bytes > EXTERNAL_ID_BYTES_MAX {
        return Err(Fault::Invalid);
    }
    Ok(Text::build(bytes, trust.subject_prefix.chars().chain(subject.chars())))
}

fn is_for(claims: &Members, audience: &str) -> bool {
    let is = |value: &Json| matches!(value, Json::Text(text) if text.expose() == audience);
    match claims.find("aud") {
        Some(Json::List(all)) => all.iter().all(|one| matches!(one, Json::Text(_))) && all.iter().any(is),
        Some(one) => is(one),
        None => false,
    }
}

/// A claim that is a time in whole seconds, from 1970 to the year 9999.
fn time(claims: &Members, name: &str) -> Result<Option<Timestamp>, Malformed> {
    const LAST: i64 = 253_402_300_799;
    match claims.whole(name)? {
        None => Ok(None),
        Some(seconds) if (0..=LAST).contains(&seconds) => Ok(Some(Timestamp::from_millis(seconds * 1000))),
        Some(_) => Err(Malformed),
    }
}

fn age_millis(then: Timestamp, now: Timestamp) -> i64 {
    now.as_millis().saturating_sub(then.as_millis())
}

/// Reads a token and finds who is said to have issued it.
///
/// # Errors
/// [`Fault::Invalid`].
pub fn read(token: &str) -> Result<Unverified<'_>, Fault> {
    Ok(jwt::parse(token)?)
}
