//! Page tokens of the lists here: where one goes on.

use crate::base::time::Timestamp;
use crate::crypto::label;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::gate::tokens::{self, Bound};

/// Everything of a query but the page's size, to which a token is bound.
pub type Query = Vec<u8>;

/// The token of the page after `place`.
pub fn make_token(call: &Call, query: &Query, place: &[u8], now: Timestamp) -> Result<String, Refusal> {
    tokens::seal(call, &bound(query), place, now)
}

/// Where the page of a token begins; none for the first.
///
/// # Errors
/// A fault of `page_token` if it was not made for this caller, method and query, or more than a day ago.
pub fn open_token(call: &Call, query: &Query, token: &str, now: Timestamp) -> Result<Option<Vec<u8>>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    let place = tokens::open(call, &bound(query), token, now, |r| Ok(r.rest().to_vec()));
    place.map(Some).ok_or_else(wrong_token)
}

/// A token that is none of this list's.
pub fn wrong_token() -> Refusal {
    Fault::new("page_token", FaultReason::PageToken).into()
}

fn bound(query: &Query) -> Bound<'_> {
    Bound { label: label::KEEP_PAGE, query }
}
