//! ListHolds: newest first.

use crate::audit::detail::DetailKeys;
use crate::base::codec::Writer;
use crate::base::id::{HoldId, SubjectId};
use crate::base::limits::KEEP_SCAN_ROWS;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal, State};
use crate::gate::txn::Fault;
use crate::gate::vault::Vault;
use crate::items::model::SubjectRef;
use crate::items::record::Target;
use crate::items::recorded::refuse;
use crate::keep::hold::{self, Hold, Of};
use crate::keep::matter;
use crate::policy::question::Resource;

use super::matters::{read_mark, write_mark};
use super::model::{HoldQuery, HoldView, Page};
use super::page::{make_token, open_token, wrong_token};
use super::view;

/// Lists holds. Recorded, once, about the subject if one is named.
///
/// # Errors
/// [`State::NotFound`] for a matter or a subject that is not there.
pub async fn list(vault: &Vault, call: &Call, query: HoldQuery) -> Result<Page<HoldView>, Refusal> {
    match page(vault, call, &query) {
        Ok((page, keys)) => {
            let touched = Touched {
                count: u32::try_from(page.entries.len()).unwrap_or(u32::MAX),
                fields: query.matter.iter().map(ToString::to_string).collect(),
                ..Touched::default()
            };
            let whom = keys.as_ref().map_or(Whom::Nobody, Whom::Subject);
            let entry = call.recorder().entry(whom, touched, Ended::Done, (vault.now(), vault.epoch()))?;
            vault.record(vec![entry]).await?;
            Ok(page)
        }
        Err(refusal) => Err(refuse(vault, call, query.subject.as_ref(), Touched::default(), refusal).await),
    }
}

type Found = (Page<HoldView>, Option<DetailKeys>);

fn page(vault: &Vault, call: &Call, query: &HoldQuery) -> Result<Found, Refusal> {
    if query.subject.is_none() {
        call.permit(Resource::Vault).map_err(Access::openly)?;
    }
    let (bound, now) = (bound(query), vault.now());
    let after = open_token(call, &bound, &query.page_token, now)?;
    let after = after.map(|place| read_mark(&place).ok_or_else(wrong_token)).transpose()?;
    let (entries, last, keys) = vault.read(|reads| {
        let mut keys = None;
        let mut subject: Option<SubjectId> = None;
        if let Some(named) = &query.subject {
            let opened = Target::of(named).open(reads, call)?;
            call.permit(Resource::Subject(opened.row.standing.clone())).map_err(Refusal::from)?;
            keys = Some(opened.detail_keys(reads)?);
            subject = Some(opened.id);
        }
        if let Some(matter) = query.matter
            && matter::find(reads, matter)?.is_none()
        {
            return Err(Fault::Refused(State::NotFound.into()));
        }
        let of = match (subject, query.matter) {
            (Some(subject), _) => Of::Subject(subject),
            (None, Some(matter)) => Of::Matter(matter),
            (None, None) => Of::All,
        };
        let marks = hold::newest_first(reads, of, after, KEEP_SCAN_ROWS)?;
        let mut last = (marks.len() == KEEP_SCAN_ROWS).then(|| marks.last().copied()).flatten();
        let (mut found, mut newest) = (Vec::new(), None);
        for mark in marks {
            let (hold, _) = hold::find(reads, HoldId::from_bytes(mark.id))?.ok_or(Fault::Torn)?;
            let view = view::of_hold(reads, &hold)?;
            if !is_wanted(&hold, &view, query) {
                continue;
            }
            if found.len() == query.page_size {
                last = newest;
                break;
            }
            found.push(view);
            newest = Some(mark);
        }
        Ok((found, last, keys))
    })?;
    let next = last.map_or(Ok(String::new()), |mark| make_token(call, &bound, &write_mark(mark), now))?;
    Ok((Page { entries, next }, keys))
}

fn is_wanted(hold: &Hold, view: &HoldView, query: &HoldQuery) -> bool {
    query.matter.is_none_or(|matter| matter == hold.matter) && query.state.is_none_or(|state| state == view.state)
}

fn bound(query: &HoldQuery) -> Vec<u8> {
    let w = Writer::new().option(query.matter, |w, matter| w.raw(matter.as_bytes()));
    let w = match &query.subject {
        None => w.u8(0),
        Some(SubjectRef::Id(id)) => w.u8(1).raw(id.as_bytes()),
        Some(SubjectRef::External(id)) => w.u8(2).text(id.expose()),
    };
    w.option(query.state, |w, state| w.u8(state as u8)).finish()
}
