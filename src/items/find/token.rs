//! Page tokens: the row after which a search goes on.

use crate::base::codec::Writer;
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::crypto::label;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::gate::tokens::{self, Bound};
use crate::items::model::FindQuery;

/// The row after which a search goes on.
pub(super) struct After {
    /// The index key under which it is.
    number: u32,
    row: Vec<u8>,
}

impl After {
    /// The key at which to begin, among rows of the identifier.
    ///
    /// # Errors
    /// The index key has been replaced since, and with it the order of rows.
    pub(super) fn row(&self, number: u32, prefix: &[u8]) -> Result<Vec<u8>, Refusal> {
        if number != self.number || !self.row.starts_with(prefix) {
            return Err(refused());
        }
        Ok([&self.row[..], &[0]].concat()) // the next key there can be
    }
}

/// The token of the page after a row.
pub(super) fn make_token(
    call: &Call,
    query: &FindQuery,
    number: u32,
    row: &[u8],
    now: Timestamp,
) -> Result<String, Refusal> {
    let place = Writer::new().u32(number).bytes(row).finish();
    tokens::seal(call, &Bound { label: label::FIND_PAGE, query: bound(query).expose() }, &place, now)
}

/// Where the page of a token begins; none for the first.
///
/// # Errors
/// A fault of `page_token` if it was not made for this caller and query, or more than a day ago.
pub(super) fn open_token(call: &Call, query: &FindQuery, now: Timestamp) -> Result<Option<After>, Refusal> {
    if query.page_token.is_empty() {
        return Ok(None);
    }
    let bytes = bound(query);
    let bound = Bound { label: label::FIND_PAGE, query: bytes.expose() };
    let after = tokens::open(call, &bound, &query.page_token, now, |r| {
        Ok(After { number: r.u32()?, row: r.bytes()?.to_vec() })
    });
    after.map(Some).ok_or_else(refused)
}

fn refused() -> Refusal {
    Fault::new("page_token", FaultReason::PageToken).into()
}

/// Everything of a query but the page's size.
fn bound(query: &FindQuery) -> PlainValue {
    let value = query.identifier.value.expose();
    let bytes = Writer::with_capacity(16 + value.len()).u8(query.identifier.field.code()).text(value).finish();
    PlainValue::new(bytes)
}
