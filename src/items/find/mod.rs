//! FindSubjects: who has an identifier, as far as the caller may know of them.
//!
//! Somebody else than those whom the caller may know of is not found, exactly as nobody is not found: in the answer,
//! and, for a role that may not know what exists, in the time it takes. The log has all of them.

mod look;
mod token;

use crate::audit::event::Event;
use crate::base::id::SubjectId;
use crate::base::limits::{FIND_ROWS_AT_ONCE, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};
use crate::catalog::class::IdentifierField;
use crate::catalog::view::View;
use crate::gate::call::Call;
use crate::gate::readings::Reading;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Fault, FaultReason, Refusal};
use crate::gate::vault::Vault;

use super::model::{FindPage, FindQuery, Match};
use super::recorded::refuse;
use super::seek;
use look::{Known, Leads, Seen, leads, look};
use token::{make_token, open_token};

/// Finds subjects. They are told only after the entries that record them are durable.
pub async fn find(vault: &Vault, call: &Call, query: FindQuery) -> Result<FindPage, Refusal> {
    let found = match may_seek(vault, call, &query) {
        Ok(()) => seek(vault, call, &query).await,
        Err(refusal) => Err(refusal),
    };
    let found = match found {
        Ok(found) => found,
        Err(refusal) => return Err(refuse(vault, call, None, touched(&query), refusal).await),
    };
    let Found { known, events, next_page_token } = found;
    let recorded = vault.record(events).await;
    // Whether somebody was found who is not the caller's to know of: the time does not tell.
    call.keep_time().await;
    recorded?;
    let left = known.into_iter().filter(|(_, reading)| !reading.is_cut());
    Ok(FindPage { matches: left.map(|(found, _)| found).collect(), next_page_token })
}

/// What a page comes to.
struct Found {
    known: Vec<(Match, Reading)>,
    events: Vec<Event>,
    next_page_token: String,
}

/// Whether the caller may look for anybody by this field at all, and has not done so too often.
fn may_seek(vault: &Vault, call: &Call, query: &FindQuery) -> Result<(), Refusal> {
    let field = query.identifier.field;
    if field != IdentifierField::ExternalId {
        let classes = call.registry().classes().filter(|rule| rule.class.confirmed_by(field).is_some());
        let mut may: Vec<Result<(), Access>> = classes.map(|rule| seek::may(call, rule.class, field)).collect();
        if !may.iter().any(Result::is_ok) {
            let denied = may.pop().and_then(Result::err).map(Refusal::from);
            return Err(denied.unwrap_or_else(|| Fault::new("identifier", FaultReason::ClassUnknown).into()));
        }
    }
    let what = [field.as_str().as_bytes(), query.identifier.value.expose().as_bytes()];
    vault.finds().count(call.caller(), &what, std::time::Instant::now())
}

async fn seek(vault: &Vault, call: &Call, query: &FindQuery) -> Result<Found, Refusal> {
    let after = open_token(call, query, vault.now())?;
    let Leads { live, rows, more } = vault.read(|reads| leads(reads, &query.identifier, after.as_ref()))?;
    let size = match query.page_size as usize {
        0 => PAGE_SIZE_DEFAULT,
        size => size.min(PAGE_SIZE_MAX),
    };
    let mut page = Page { call, query, known: Vec::new(), events: Vec::new() };
    let mut goes_on_after = if more { rows.last().map(|(row, _)| row) } else { None };
    let mut last_known = None;
    for (looked_at, (row, lead)) in rows.iter().enumerate() {
        if looked_at % FIND_ROWS_AT_ONCE == FIND_ROWS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        // Registered before any row that decides is read; see `gate::readings`.
        let reading = vault.readings().begin(lead.subject, lead.item);
        let seen = vault.read(|reads| look(reads, call, &query.identifier, &live, (row, lead)))?;
        if matches!(seen, Seen::Known(_)) {
            if page.known.len() == size {
                goes_on_after = last_known; // there is one more that the caller may know of
                break;
            }
            last_known = Some(row);
        }
        page.take(vault, lead.subject, seen, reading)?;
    }
    let next_page_token = match goes_on_after {
        None => String::new(),
        Some(row) => make_token(call, query, live.current(query.identifier.field).number(), row, vault.now())?,
    };
    page.finish(vault, next_page_token)
}

struct Page<'a> {
    call: &'a Call,
    query: &'a FindQuery,
    known: Vec<(Match, Reading)>,
    events: Vec<Event>,
}

impl Page<'_> {
    fn take(&mut self, vault: &Vault, subject: SubjectId, seen: Seen, reading: Reading) -> Result<(), Refusal> {
        let at = (vault.now(), vault.epoch());
        let of_one = Touched { count: 1, ..touched(self.query) };
        match seen {
            Seen::Nobody => {}
            Seen::Denied { keys, class, refusal } => {
                let touched = Touched { class, ..of_one };
                let entry = self.call.recorder().entry(Whom::Subject(&keys), touched, Ended::Not(&refusal), at)?;
                self.events.push(entry);
            }
            Seen::Known(Known { keys, class, rule, item, may_know_item }) => {
                let items = item.into_iter().collect();
                let touched = Touched { class, rule: Some(rule), view: Some(View::Exists), items, ..of_one };
                let entry = self.call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, at)?;
                self.events.push(entry);
                let item = item.map(|(item, _)| item).filter(|_| may_know_item);
                let found = Match { subject, item };
                // Without item ids, several items of one person are one match.
                if item.is_some() || !self.known.iter().any(|(known, _)| *known == found) {
                    self.known.push((found, reading));
                }
            }
        }
        Ok(())
    }

    /// A search that concerned nobody is recorded too.
    fn finish(mut self, vault: &Vault, next_page_token: String) -> Result<Found, Refusal> {
        if self.events.is_empty() {
            let at = (vault.now(), vault.epoch());
            self.events.push(self.call.recorder().entry(Whom::Nobody, touched(self.query), Ended::Done, at)?);
        }
        Ok(Found { known: self.known, events: self.events, next_page_token })
    }
}

/// By which kind of identifier, never by which.
fn touched(query: &FindQuery) -> Touched {
    Touched { fields: vec![format!("identifier.{}", query.identifier.field)], ..Touched::default() }
}
