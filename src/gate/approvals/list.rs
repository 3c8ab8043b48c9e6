//! Approvals, newest first, that the caller may decide or has requested.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::record::{Approval, Party, Standing};
use super::rows::{self, Place};
use crate::base::codec::{Reader, Writer};
use crate::base::id::ApprovalId;
use crate::base::limits::APPROVAL_SCAN_ROWS;
use crate::base::time::Timestamp;
use crate::crypto::{aead, label};
use crate::gate::call::Call;
use crate::gate::days::is_within_a_day;
use crate::gate::refusal::{Fault, FaultReason, Refusal, Unavailable};
use crate::gate::txn;
use crate::gate::vault::Vault;
use crate::policy::action::Action;

use super::decide::may_decide;

const VERSION: u8 = 1;

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

/// The token of the page after `last`: version, day of its key, then sealed when it was made and where to go on.
fn make_token(call: &Call, query: &ListQuery, last: Place, now: Timestamp) -> Result<String, Refusal> {
    let keys = &call.days().today;
    let plain = Writer::new().i64(now.as_millis()).i64(last.created.as_millis()).raw(last.id.as_bytes()).finish();
    let sealed = aead::seal(&keys.tokens, &aad(call, query), &plain).map_err(|_| Unavailable::Internal)?;
    Ok(URL_SAFE_NO_PAD.encode(Writer::new().u8(VERSION).u32(keys.day as u32).raw(&sealed).finish()))
}

fn open_token(call: &Call, query: &ListQuery, now: Timestamp) -> Result<Option<Place>, Refusal> {
    if query.page_token.is_empty() {
        return Ok(None);
    }
    let opened = open(call, query, now);
    opened.map(Some).ok_or_else(|| Fault::new("page_token", FaultReason::PageToken).into())
}

fn open(call: &Call, query: &ListQuery, now: Timestamp) -> Option<Place> {
    let token = URL_SAFE_NO_PAD.decode(&query.page_token).ok()?;
    let mut r = Reader::new(&token);
    let (version, day) = (r.u8().ok()?, r.u32().ok()? as i32);
    let keys = call.days().each().find(|keys| keys.day == day && version == VERSION)?;
    let plain = aead::open(&keys.tokens, &aad(call, query), r.rest()).ok()?;
    let mut r = Reader::new(plain.expose());
    let made = Timestamp::from_millis(r.i64().ok()?);
    let place = Place { created: Timestamp::from_millis(r.i64().ok()?), id: ApprovalId::from_bytes(r.array().ok()?) };
    r.finish().ok()?;
    is_within_a_day(made, now).then_some(place)
}

/// What a token is bound to: who asks, in which role and for what, and everything of the query but the page's size.
fn aad(call: &Call, query: &ListQuery) -> Vec<u8> {
    Writer::new()
        .bytes(label::APPROVAL_PAGE.as_bytes())
        .bytes(call.recorder().vault().as_bytes())
        .text(call.caller())
        .text(call.role().name())
        .text(call.purpose().as_str())
        .list(query.states.iter(), |w, state| w.u8(*state as u8))
        .option(query.operation, |w, operation| w.text(operation.as_str()))
        .u8(query.decidable.into())
        .finish()
}
