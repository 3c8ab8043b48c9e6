//! Tokens by which a list goes on: sealed, for one caller, person, role, purpose, method and query, for a day.
//!
//! Token: version, day of its key, then sealed: when it was made, and where the list goes on.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::call::Call;
use super::days::is_within_a_day;
use super::refusal::{Refusal, Unavailable};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::time::Timestamp;
use crate::crypto::aead;
use crate::crypto::label::Label;

const VERSION: u8 = 1;

/// What a token is bound to beside who asks, for whom, in which role, for what and by which method: the kind of list, and
/// everything of the query that must stay the same from page to page.
pub struct Bound<'q> {
    /// The label of the kind of list.
    pub label: Label,
    /// The query, encoded.
    pub query: &'q [u8],
}

impl Bound<'_> {
    fn aad(&self, call: &Call) -> Vec<u8> {
        Writer::new()
            .bytes(self.label.as_bytes())
            .bytes(call.recorder().vault().as_bytes())
            .text(call.caller())
            .option(call.acts_for(), |w, person| w.raw(person.as_bytes()))
            .text(call.role().name())
            .text(call.purpose().as_str())
            .text(call.action().as_str())
            .raw(self.query)
            .finish()
    }
}

/// The token of a list that goes on at `place`, as [`open`] reads it.
pub fn seal(call: &Call, bound: &Bound<'_>, place: &[u8], now: Timestamp) -> Result<String, Refusal> {
    let keys = &call.days().today;
    let plain = Writer::new().i64(now.as_millis()).raw(place).finish();
    let sealed = aead::seal(&keys.tokens, &bound.aad(call), &plain).map_err(|_| Unavailable::Internal)?;
    Ok(URL_SAFE_NO_PAD.encode(Writer::new().u8(VERSION).u32(keys.day as u32).raw(&sealed).finish()))
}

/// Where the list of a token goes on; none if the token was made for something else, or more than a day ago.
pub fn open<T>(
    call: &Call,
    bound: &Bound<'_>,
    token: &str,
    now: Timestamp,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Option<T> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let mut r = Reader::new(&token);
    let (version, day) = (r.u8().ok()?, r.u32().ok()? as i32);
    let keys = call.days().each().find(|keys| keys.day == day && version == VERSION)?;
    let plain = aead::open(&keys.tokens, &bound.aad(call), r.rest()).ok()?;
    let mut r = Reader::new(plain.expose());
    let made = Timestamp::from_millis(r.i64().ok()?);
    let place = read(&mut r).ok()?;
    r.finish().ok()?;
    is_within_a_day(made, now).then_some(place)
}
