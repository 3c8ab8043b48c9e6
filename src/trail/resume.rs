//! Resume tokens: where a list goes on, sealed, for one caller and one query, for a day.
//!
//! Token: version, day of its key, then sealed: when it was made; what is still to be considered; how many entries
//! were sent.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::model::ListQuery;
use crate::base::codec::{Reader, Writer};
use crate::base::time::Timestamp;
use crate::crypto::{aead, label};
use crate::gate::call::Call;
use crate::gate::days::is_within_a_day;
use crate::gate::refusal::{Fault, FaultReason, Refusal, Unavailable};

const VERSION: u8 = 1;

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// What is still to be considered.
    pub rest: Range<u64>,
    /// How many entries were sent.
    pub sent: u64,
}

/// The token that goes on from here.
pub fn make_token(call: &Call, query: &ListQuery, at: &Resumed, now: Timestamp) -> Result<String, Refusal> {
    let keys = &call.days().today;
    let plain = Writer::new().i64(now.as_millis()).u64(at.rest.start).u64(at.rest.end).u64(at.sent).finish();
    let sealed = aead::seal(&keys.tokens, &aad(call, query), &plain).map_err(|_| Unavailable::Internal)?;
    Ok(URL_SAFE_NO_PAD.encode(Writer::new().u8(VERSION).u32(keys.day as u32).raw(&sealed).finish()))
}

/// Where a list goes on; none for one that begins.
///
/// # Errors
/// A fault of `resume_token` if it was not made for this caller and query, or more than a day ago.
pub fn open_token(call: &Call, query: &ListQuery, now: Timestamp) -> Result<Option<Resumed>, Refusal> {
    if query.resume_token.is_empty() {
        return Ok(None);
    }
    let opened = open(call, query, now);
    opened.map(Some).ok_or_else(|| Fault::new("resume_token", FaultReason::ResumeToken).into())
}

fn open(call: &Call, query: &ListQuery, now: Timestamp) -> Option<Resumed> {
    let token = URL_SAFE_NO_PAD.decode(&query.resume_token).ok()?;
    let mut r = Reader::new(&token);
    let (version, day) = (r.u8().ok()?, r.u32().ok()? as i32);
    let keys = call.days().each().find(|keys| keys.day == day && version == VERSION)?;
    let plain = aead::open(&keys.tokens, &aad(call, query), r.rest()).ok()?;
    let mut r = Reader::new(plain.expose());
    let made = Timestamp::from_millis(r.i64().ok()?);
    let resumed = Resumed { rest: r.u64().ok()?..r.u64().ok()?, sent: r.u64().ok()? };
    r.finish().ok()?;
    is_within_a_day(made, now).then_some(resumed)
}

/// What a token is bound to: who asks, in which role and for what, and the whole request but for the token.
fn aad(call: &Call, query: &ListQuery) -> Vec<u8> {
    Writer::new()
        .bytes(label::RESUME_TOKEN.as_bytes())
        .bytes(call.recorder().vault().as_bytes())
        .text(call.caller())
        .text(call.role().name())
        .text(call.purpose().as_str())
        .raw(&query.digest)
        .finish()
}
