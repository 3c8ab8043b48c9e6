//! Page tokens of the lists here: where one goes on, sealed, for one caller and one query, for a day.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::codec::{Reader, Writer};
use crate::base::time::Timestamp;
use crate::crypto::{aead, label};
use crate::gate::call::Call;
use crate::gate::days::is_within_a_day;
use crate::gate::refusal::{Fault, FaultReason, Refusal, Unavailable};

const VERSION: u8 = 1;

/// What a token is bound to besides who asks: the method, and everything of the query but the page's size.
pub type Query = Vec<u8>;

/// The token of the page after `place`.
pub fn make_token(call: &Call, query: &Query, place: &[u8], now: Timestamp) -> Result<String, Refusal> {
    let keys = &call.days().today;
    let plain = Writer::new().i64(now.as_millis()).bytes(place).finish();
    let sealed = aead::seal(&keys.tokens, &aad(call, query), &plain).map_err(|_| Unavailable::Internal)?;
    Ok(URL_SAFE_NO_PAD.encode(Writer::new().u8(VERSION).u32(keys.day as u32).raw(&sealed).finish()))
}

/// Where the page of a token begins; none for the first.
///
/// # Errors
/// A fault of `page_token` if it was not made for this caller and query, or more than a day ago.
pub fn open_token(call: &Call, query: &Query, token: &str, now: Timestamp) -> Result<Option<Vec<u8>>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    open(call, query, token, now).map(Some).ok_or_else(wrong_token)
}

/// A token that is none of this list's.
pub fn wrong_token() -> Refusal {
    Fault::new("page_token", FaultReason::PageToken).into()
}

fn open(call: &Call, query: &Query, token: &str, now: Timestamp) -> Option<Vec<u8>> {
    let token = URL_SAFE_NO_PAD.decode(token).ok()?;
    let mut r = Reader::new(&token);
    let (version, day) = (r.u8().ok()?, r.u32().ok()? as i32);
    let keys = call.days().each().find(|keys| keys.day == day && version == VERSION)?;
    let plain = aead::open(&keys.tokens, &aad(call, query), r.rest()).ok()?;
    let mut r = Reader::new(plain.expose());
    let (made, place) = (Timestamp::from_millis(r.i64().ok()?), r.bytes().ok()?.to_vec());
    r.finish().ok()?;
    is_within_a_day(made, now).then_some(place)
}

fn aad(call: &Call, query: &Query) -> Vec<u8> {
    Writer::new()
        .bytes(label::KEEP_PAGE.as_bytes())
        .bytes(call.recorder().vault().as_bytes())
        .text(call.caller())
        .text(call.role().name())
        .text(call.purpose().as_str())
        .text(call.action().as_str())
        .bytes(query)
        .finish()
}
