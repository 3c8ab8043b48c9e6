//! OpenMatter, CloseMatter and ListMatters.

use crate::base::codec::Writer;
use crate::base::id::MatterId;
use crate::base::limits::KEEP_SCAN_ROWS;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal, State};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::gate::vault::Vault;
use crate::keep::matter::{self, Mark, Matter};
use crate::policy::question::Resource;

use super::model::{MatterQuery, MatterView, NewMatter, Page};
use super::page::{make_token, open_token, wrong_token};
use super::repeat::{self, Earlier};
use super::view;

/// Opens a matter.
///
/// # Durability
/// On `Ok` it survives power loss.
pub async fn open(vault: &Vault, call: &Call, new: NewMatter) -> Result<MatterView, Refusal> {
    let caller = call.clone();
    let work = move |txn: &mut Txn<'_>| {
        let vault = caller.recorder().vault();
        if let Some(earlier) = repeat::of_matter(txn, &caller, txn.now())? {
            record(txn, &caller, MatterId::from_bytes(earlier.id))?;
            return view_of(txn, &caller, MatterId::from_bytes(earlier.id));
        }
        let matter = Matter::open(txn, &new.texts, new.review)?;
        repeat::remember_matter(txn, &caller, &matter, Earlier { id: *matter.id.as_bytes(), count: 0 })?;
        record(txn, &caller, matter.id)?;
        Ok(view::of_matter(vault, &matter)?)
    };
    match vault.committer().commit(work).await {
        Ok(view) => Ok(view),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

/// Closes a matter without holds.
///
/// # Durability
/// On `Ok` it survives power loss.
///
/// # Errors
/// [`State::NotFound`], [`State::MatterClosed`], [`State::MatterHasHolds`], [`State::EtagMismatch`].
pub async fn close(vault: &Vault, call: &Call, id: MatterId, etag: String) -> Result<MatterView, Refusal> {
    let caller = call.clone();
    let work = move |txn: &mut Txn<'_>| {
        if let Some(earlier) = repeat::of_matter(txn, &caller, txn.now())? {
            record(txn, &caller, MatterId::from_bytes(earlier.id))?;
            return view_of(txn, &caller, MatterId::from_bytes(earlier.id));
        }
        let mut matter = matter::find(txn, id)?.ok_or(State::NotFound)?;
        if !etag.is_empty() && etag != matter.etag() {
            return Err(State::EtagMismatch.into());
        }
        if matter.closed.is_some() {
            return Err(State::MatterClosed.into());
        }
        if matter.holds > 0 {
            return Err(State::MatterHasHolds.into());
        }
        matter.closed = Some(txn.now());
        matter.store(txn)?;
        repeat::remember_matter(txn, &caller, &matter, Earlier { id: *id.as_bytes(), count: 0 })?;
        record(txn, &caller, id)?;
        Ok(view::of_matter(caller.recorder().vault(), &matter)?)
    };
    match vault.committer().commit(work).await {
        Ok(view) => Ok(view),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

/// Lists matters, newest first. Recorded, once.
pub async fn list(vault: &Vault, call: &Call, query: MatterQuery) -> Result<Page<MatterView>, Refusal> {
    match page(vault, call, &query) {
        Ok(page) => vault.record_done(call).await.map(|()| page),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

fn page(vault: &Vault, call: &Call, query: &MatterQuery) -> Result<Page<MatterView>, Refusal> {
    call.permit(Resource::Vault).map_err(Access::openly)?;
    let bound = Writer::new()
        .option(query.closed, |w, closed| w.u8(closed.into()))
        .option(query.review_before, |w, time| w.i64(time.as_millis()))
        .finish();
    let now = vault.now();
    let after = open_token(call, &bound, &query.page_token, now)?;
    let after = after.map(|place| read_mark(&place).ok_or_else(wrong_token)).transpose()?;
    let (entries, last) = vault.read(|reads| {
        let marks = matter::newest_first(reads, after, KEEP_SCAN_ROWS)?;
        let mut last = (marks.len() == KEEP_SCAN_ROWS).then(|| marks.last().copied()).flatten();
        let (mut found, mut newest) = (Vec::new(), None);
        for mark in marks {
            let matter = matter::find(reads, MatterId::from_bytes(mark.id))?.ok_or(Fault::Torn)?;
            if !is_wanted(&matter, query) {
                continue;
            }
            if found.len() == query.page_size {
                last = newest;
                break;
            }
            found.push(view::of_matter(vault.id(), &matter)?);
            newest = Some(mark);
        }
        Ok((found, last))
    })?;
    let next = last.map_or(Ok(String::new()), |mark| make_token(call, &bound, &write_mark(mark), now))?;
    Ok(Page { entries, next })
}

fn is_wanted(matter: &Matter, query: &MatterQuery) -> bool {
    query.closed.is_none_or(|closed| closed == matter.closed.is_some())
        && query.review_before.is_none_or(|time| matter.review < time)
}

/// A place in a list by time.
pub(super) fn write_mark(mark: Mark) -> Vec<u8> {
    Writer::new().i64(mark.at.as_millis()).raw(&mark.id).finish()
}

/// Reads it back.
pub(super) fn read_mark(place: &[u8]) -> Option<Mark> {
    let mut r = crate::base::codec::Reader::new(place);
    let mark = Mark { at: crate::base::time::Timestamp::from_millis(r.i64().ok()?), id: r.array().ok()? };
    r.finish().ok().map(|()| mark)
}

fn view_of(reads: &dyn Reads, call: &Call, id: MatterId) -> Result<MatterView, Refusal> {
    let matter = matter::find(reads, id)?.ok_or(State::NotFound)?;
    Ok(view::of_matter(call.recorder().vault(), &matter)?)
}

fn record(txn: &mut Txn<'_>, call: &Call, id: MatterId) -> Result<(), Refusal> {
    let permit = call.permit(Resource::Vault).map_err(Access::openly)?;
    let fields = vec![id.to_string()];
    let touched = Touched { rule: Some(permit.rule().clone()), count: 1, fields, ..Touched::default() };
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Nobody, touched, Ended::Done, at)?);
    Ok(())
}
