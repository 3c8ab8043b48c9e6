//! Page tokens: where a list of items goes on.

use crate::base::codec::Writer;
use crate::base::id::ItemId;
use crate::base::time::Timestamp;
use crate::crypto::label;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::gate::tokens::{self, Bound};

use super::model::{ListQuery, SubjectRef};

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
    let place = Writer::new().i64(last.created.as_millis()).u32(last.order).raw(last.id.as_bytes()).finish();
    tokens::seal(call, &Bound { label: label::PAGE_TOKEN, query: &bound(query) }, &place, now)
}

/// Where the page of a token begins; none for the first.
///
/// # Errors
/// A fault of `page_token` if it was not made for this caller and query, or more than a day ago.
pub fn open_token(call: &Call, query: &ListQuery, now: Timestamp) -> Result<Option<Last>, Refusal> {
    if query.page_token.is_empty() {
        return Ok(None);
    }
    let query_bytes = bound(query);
    let bound = Bound { label: label::PAGE_TOKEN, query: &query_bytes };
    let last = tokens::open(call, &bound, &query.page_token, now, |r| {
        Ok(Last { created: Timestamp::from_millis(r.i64()?), order: r.u32()?, id: ItemId::from_bytes(r.array()?) })
    });
    last.map(Some).ok_or_else(|| Fault::new("page_token", FaultReason::PageToken).into())
}

/// Everything of a query but the page's size.
fn bound(query: &ListQuery) -> Vec<u8> {
    let writer = match &query.subject {
        SubjectRef::Id(id) => Writer::new().u8(1).raw(id.as_bytes()),
        SubjectRef::External(id) => Writer::new().u8(2).text(id.expose()),
    };
    writer
        .list(query.classes.iter(), |w, class| w.text(class))
        .option(query.view, |w, view| w.u8(view as u8))
        .list(query.fields.iter(), |w, field| w.text(field))
        .finish()
}
