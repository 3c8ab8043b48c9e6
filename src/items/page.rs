//! Page tokens: where a list goes on, sealed, for one caller and one query, for a day.
//!
//! Token: version, day of its key, then sealed: when it was made; creation time, order and id of the last item.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::codec::{Reader, Writer};
use crate::base::id::ItemId;
use crate::base::time::Timestamp;
use crate::crypto::{aead, label};
use crate::gate::call::Call;
use crate::gate::days::{DayKeys, is_within_a_day};
use crate::gate::refusal::{Fault, FaultReason, Refusal, Unavailable};

use super::model::{ListQuery, SubjectRef};

const VERSION: u8 = 1;

/// The last item of a page: the next page begins after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Last {
    /// When the item was created.
    pub created: Timestamp,
    /// Its place among those created with it.
    pub order: u32,
    /// The item.
    pub id: ItemId,
}

/// The token of the page after `last`.
pub fn make_token(call: &Call, query: &ListQuery, last: Last, now: Timestamp) -> Result<String, Refusal> {
    let keys = &call.days().today;
    let plain = Writer::new()
        .i64(now.as_millis())
        .i64(last.created.as_millis())
        .u32(last.order)
        .raw(last.id.as_bytes())
        .finish();
    let sealed = aead::seal(&keys.tokens, &aad(call, query), &plain).map_err(|_| Unavailable::Internal)?;
    Ok(URL_SAFE_NO_PAD.encode(Writer::new().u8(VERSION).u32(keys.day as u32).raw(&sealed).finish()))
}

/// Where the page of a token begins; none for the first.
///
/// # Errors
/// A fault of `page_token` if it was not made for this caller and query, or more than a day ago.
pub fn open_token(call: &Call, query: &ListQuery, now: Timestamp) -> Result<Option<Last>, Refusal> {
    if query.page_token.is_empty() {
        return Ok(None);
    }
    let opened = open(call, query, now);
    opened.map(Some).ok_or_else(|| Fault::new("page_token", FaultReason::PageToken).into())
}

fn open(call: &Call, query: &ListQuery, now: Timestamp) -> Option<Last> {
    let token = URL_SAFE_NO_PAD.decode(&query.page_token).ok()?;
    let mut r = Reader::new(&token);
    let (version, day) = (r.u8().ok()?, r.u32().ok()? as i32);
    let keys: &DayKeys = call.days().each().find(|keys| keys.day == day && version == VERSION)?;
    let plain = aead::open(&keys.tokens, &aad(call, query), r.rest()).ok()?;
    let mut r = Reader::new(plain.expose());
    let made = Timestamp::from_millis(r.i64().ok()?);
    let last = Last {
        created: Timestamp::from_millis(r.i64().ok()?),
        order: r.u32().ok()?,
        id: ItemId::from_bytes(r.array().ok()?),
    };
    r.finish().ok()?;
    is_within_a_day(made, now).then_some(last)
}

/// What a token is bound to: who asks, in which role and for what, and everything of the query but the page's size.
fn aad(call: &Call, query: &ListQuery) -> Vec<u8> {
    let writer = Writer::new()
        .bytes(label::PAGE_TOKEN.as_bytes())
        .bytes(call.recorder().vault().as_bytes())
        .text(call.caller())
        .text(call.role().name())
        .text(call.purpose().as_str());
    let writer = match &query.subject {
        SubjectRef::Id(id) => writer.u8(1).raw(id.as_bytes()),
        SubjectRef::External(id) => writer.u8(2).text(id.expose()),
    };
    writer
        .list(query.classes.iter(), |w, class| w.text(class))
        .option(query.view, |w, view| w.u8(view as u8))
        .list(query.fields.iter(), |w, field| w.text(field))
        .finish()
}
