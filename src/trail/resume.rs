//! Resume tokens: where a list goes on.

use std::ops::Range;

use super::model::ListQuery;
use crate::base::codec::Writer;
use crate::base::time::Timestamp;
use crate::crypto::label;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::gate::tokens::{self, Bound};

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
    let place = Writer::new().u64(at.rest.start).u64(at.rest.end).u64(at.sent).finish();
    tokens::seal(call, &bound(query), &place, now)
}

/// Where a list goes on; none for one that begins.
///
/// # Errors
/// A fault of `resume_token` if it was not made for this caller and query, or more than a day ago.
pub fn open_token(call: &Call, query: &ListQuery, now: Timestamp) -> Result<Option<Resumed>, Refusal> {
    if query.resume_token.is_empty() {
        return Ok(None);
    }
    let resumed = tokens::open(call, &bound(query), &query.resume_token, now, |r| {
        Ok(Resumed { rest: r.u64()?..r.u64()?, sent: r.u64()? })
    });
    resumed.map(Some).ok_or_else(|| Fault::new("resume_token", FaultReason::ResumeToken).into())
}

/// The whole request but for the token.
fn bound(query: &ListQuery) -> Bound<'_> {
    Bound { label: label::RESUME_TOKEN, query: &query.digest }
}
