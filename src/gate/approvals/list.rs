//! Approvals, newest first, that the caller may decide or has requested.

use super::record::{Approval, Party, Standing};
use super::rows::{self, Place};
use crate::base::codec::Writer;
use crate::base::id::ApprovalId;
use crate::base::limits::APPROVAL_SCAN_ROWS;
use crate::base::time::Timestamp;
use crate::crypto::label;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::gate::tokens::{self, Bound};
use crate::gate::txn;
use crate::gate::vault::Vault;
use crate::policy::action::Action;

use super::decide::may_decide;

/// Which approvals.
pub struct ListQuery {
    /// Only in these states; empty for all.
    pub states: Vec<Standing>,
    /// Only of this operation.
    pub operation: Option<Action>,
    /// Only those the caller may agree to now.
    pub decidable: bool,
    /// How many at most.
    pub page_size: usize,
    /// Where an earlier page ended; empty for the first.
    pub page_token: String,
}

/// Some of them.
pub struct Page {
    /// Newest first.
    pub approvals: Vec<(Approval, Standing)>,
    /// For the next page; empty if nothing follows.
    pub next: String,
}

impl Vault {
    /// Lists approvals. Recorded, once.
    pub async fn list_approvals(&self, call: &Call, query: &ListQuery) -> Result<Page, Refusal> {
        let page = match call.party() {
            Ok(by) => self.page(call, &by, query),
            Err(refusal) => Err(refusal),
        };
        match page {
            Ok(page) => self.record_done(call).await.map(|()| page),
            Err(refusal) => Err(self.refuse(call, refusal).await),
        }
    }

    fn page(&self, call: &Call, by: &Party, query: &ListQuery) -> Result<Page, Refusal> {
        let now = self.now();
        let after = open_token(call, query, now)?;
        let (approvals, last) = self.read(|reads| {
            let places = rows::newest_first(reads, after, APPROVAL_SCAN_ROWS)?;
            let mut found = Vec::new();
            let mut last = (places.len() == APPROVAL_SCAN_ROWS).then(|| places.last().copied()).flatten();
            for place in places {
                // Gone since the scan: its time was over.
                let Some(approval) = rows::find(reads, &self.id, place.id)? else { continue };
                let standing = approval.standing(now);
                if !is_wanted(&approval, standing, call, by, query) {
                    continue;
                }
                if found.len() == query.page_size {
                    last = found.last().map(|(approval, _): &(Approval, _)| place_of(approval));
                    break;
                }
                found.push((approval, standing));
            }
            Ok::<_, txn::Fault>((found, last))
        })?;
        let next = last.map_or(Ok(String::new()), |last| make_token(call, query, last, now))?;
        Ok(Page { approvals, next })
    }
}

fn is_wanted(approval: &Approval, standing: Standing, call: &Call, by: &Party, query: &ListQuery) -> bool {
    let known = approval.is_requested_by(by) || may_decide(call.rules(), by, approval.operation);
    known
        && (query.states.is_empty() || query.states.contains(&standing))
        && query.operation.is_none_or(|operation| operation == approval.operation)
        && (!query.decidable || approval.is_decidable_by(by, call.rules(), standing))
}

fn place_of(approval: &Approval) -> Place {
    Place { created: approval.created, id: approval.id }
}

fn make_token(call: &Call, query: &ListQuery, last: Place, now: Timestamp) -> Result<String, Refusal> {
    let place = Writer::new().i64(last.created.as_millis()).raw(last.id.as_bytes()).finish();
    tokens::seal(call, &Bound { label: label::APPROVAL_PAGE, query: &bound(query) }, &place, now)
}

fn open_token(call: &Call, query: &ListQuery, now: Timestamp) -> Result<Option<Place>, Refusal> {
    if query.page_token.is_empty() {
        return Ok(None);
    }
    let query_bytes = bound(query);
    let bound = Bound { label: label::APPROVAL_PAGE, query: &query_bytes };
    let place = tokens::open(call, &bound, &query.page_token, now, |r| {
        Ok(Place { created: Timestamp::from_millis(r.i64()?), id: ApprovalId::from_bytes(r.array()?) })
    });
    place.map(Some).ok_or_else(|| Fault::new("page_token", FaultReason::PageToken).into())
}

/// Everything of a query but its page's size.
fn bound(query: &ListQuery) -> Vec<u8> {
    Writer::new()
        .list(query.states.iter(), |w, state| w.u8(*state as u8))
        .option(query.operation, |w, operation| w.text(operation.as_str()))
        .u8(query.decidable.into())
        .finish()
}
