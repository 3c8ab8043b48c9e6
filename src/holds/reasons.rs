//! ListKeepReasons: why do we still have this?

use std::collections::BTreeMap;

use crate::audit::detail::DetailKeys;
use crate::base::codec::{Reader, Writer};
use crate::base::id::{ItemId, MatterId, SubjectId};
use crate::base::time::Timestamp;
use crate::catalog::statutory::{PeriodId, Times};
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal, State};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::items::kept::open as open_kept;
use crate::items::model::SubjectRef;
use crate::items::parting;
use crate::items::record::{OpenSubject, StoredItem, Target, open_subject_to_tell};
use crate::items::recorded::refuse;
use crate::items::subject::items_of;
use crate::keep::hold::{self, Hold, Of};
use crate::keep::kept::{self, Under, VersionId};
use crate::keep::{Reason, matter, period, reason_for, reason_of};
use crate::policy::question::Resource;

use super::model::{KeptView, Looking, Page, ReasonsQuery};
use super::page::{make_token, open_token, wrong_token};

/// Lists what is kept, and why. Recorded, once, about the subject if one is named.
///
/// # Errors
/// [`State::NotFound`]; [`State::Erased`] of a subject whose account has ended: what outlived it is under the receipt.
pub async fn list(vault: &Vault, call: &Call, query: ReasonsQuery) -> Result<Page<KeptView>, Refusal> {
    let named = match &query.target {
        Looking::Subject(named) => Some(named),
        Looking::Item(_) | Looking::Matter(_) | Looking::Receipt(_) | Looking::Period(_) => None,
    };
    match page(vault, call, &query) {
        Ok((page, keys)) => {
            let entry = entry(vault, call, &query, &page, keys.as_ref())?;
            vault.record(vec![entry]).await?;
            Ok(page)
        }
        Err(refusal) => Err(refuse(vault, call, named, Touched::default(), refusal).await),
    }
}

fn entry(
    vault: &Vault,
    call: &Call,
    query: &ReasonsQuery,
    page: &Page<KeptView>,
    keys: Option<&DetailKeys>,
) -> Result<crate::audit::event::Event, Refusal> {
    let mut touched = Touched {
        count: u32::try_from(page.entries.len()).unwrap_or(u32::MAX),
        items: page.entries.iter().map(|kept| (kept.version.item, kept.version.version)).collect(),
        ..Touched::default()
    };
    let whom = match (&query.target, keys) {
        (_, Some(keys)) => Whom::Subject(keys),
        (Looking::Receipt(receipt), None) => Whom::Evidence(*receipt),
        (Looking::Matter(matter), None) => {
            touched.fields.push(matter.to_string());
            Whom::Nobody
        }
        (Looking::Period(period), None) => {
            touched.fields.push(period.clone());
            Whom::Nobody
        }
        (Looking::Subject(_) | Looking::Item(_), None) => Whom::Nobody,
    };
    call.recorder().entry(whom, touched, Ended::Done, (vault.now(), vault.epoch()))
}

fn page(vault: &Vault, call: &Call, query: &ReasonsQuery) -> Result<(Page<KeptView>, Option<DetailKeys>), Refusal> {
    if !matches!(query.target, Looking::Subject(_)) {
        call.permit(Resource::Vault).map_err(Access::openly)?;
    }
    let (bound, now) = (bound(query), vault.now());
    let after = open_token(call, &bound, &query.page_token, now)?;
    let after = after.map(|place| read_version(&place).ok_or_else(wrong_token)).transpose()?;
    let (found, keys) = vault.read(|reads| {
        let mut found = Found { after, size: query.page_size, rows: BTreeMap::new() };
        let keys = gather(reads, (vault, call), query, &mut found)?;
        Ok((found.rows, keys))
    })?;
    let mut entries: Vec<KeptView> = found.into_values().collect();
    let more = entries.len() > query.page_size;
    entries.truncate(query.page_size);
    let next = match entries.last() {
        Some(last) if more => make_token(call, &bound, &write_version(&last.version), now)?,
        Some(_) | None => String::new(),
    };
    Ok((Page { entries, next }, keys))
}

/// The first rows after a place, in order; one more than the page takes.
struct Found {
    after: Option<VersionId>,
    size: usize,
    rows: BTreeMap<VersionId, KeptView>,
}

impl Found {
    fn takes(&self, id: &VersionId) -> bool {
        self.after.is_none_or(|after| *id > after)
            && (self.rows.len() <= self.size || self.rows.last_key_value().is_some_and(|(last, _)| id < last))
    }

    fn add(&mut self, view: KeptView) {
        self.rows.insert(view.version, view);
        if self.rows.len() > self.size + 1 {
            self.rows.pop_last();
        }
    }

    /// Versions that the account does not keep.
    fn add_kept(&mut self, reads: &dyn Reads, under: Under) -> Result<(), Fault> {
        for id in kept::list(reads, under, self.after.as_ref(), self.size + 1)? {
            if self.takes(&id) {
                self.add(kept_view(reads, &id)?);
            }
        }
        Ok(())
    }

    /// Versions that the account keeps, with what else would keep them.
    fn add_live(&mut self, reads: &dyn Reads, subject: &OpenSubject, why: &Why<'_>) -> Result<(), Fault> {
        for item in items_of(reads, &subject.id)? {
            let id = VersionId { item: item.id, version: item.head.version, counter: item.head.counter };
            if self.takes(&id) {
                self.add(live_view(reads, subject, &item, why)?);
            }
        }
        Ok(())
    }
}

fn gather(
    reads: &dyn Reads,
    (vault, call): (&Vault, &Call),
    query: &ReasonsQuery,
    found: &mut Found,
) -> Result<Option<DetailKeys>, Fault> {
    let absent = || Fault::Refused(State::NotFound.into());
    let with_account = !query.kept_only;
    match &query.target {
        Looking::Subject(named) => {
            let subject = Target::of(named).open(reads, call)?;
            call.permit(Resource::Subject(subject.row.standing.clone())).map_err(Refusal::from)?;
            found.add_kept(reads, Under::Subject(subject.id))?;
            if with_account {
                let in_force = hold::in_force(reads, &subject.id, subject.row.holds)?;
                let holds = in_force.iter().map(|(hold, _)| hold).collect();
                found.add_live(reads, &subject, &Why { holds, call, now: vault.now() })?;
            }
            return subject.detail_keys(reads).map(Some);
        }
        Looking::Item(item) => of_item(reads, (vault, call), *item, with_account, found)?,
        Looking::Matter(matter) => {
            matter::find(reads, *matter)?.ok_or_else(absent)?;
            found.add_kept(reads, Under::Reason(reason_of(*matter)))?;
            if with_account {
                live_under(reads, (vault, call), *matter, found)?;
            }
        }
        Looking::Receipt(receipt) => {
            crate::gate::receipts::look_up(reads, receipt)?.ok_or_else(absent)?;
            found.add_kept(reads, Under::Receipt(*receipt))?;
        }
        Looking::Period(named) => {
            let id = PeriodId::stored(named);
            let ends = period::ends_of(reads, &id)?;
            if ends.is_empty() && !call.registry().periods().iter().any(|known| known.id == id) {
                return Err(absent());
            }
            for reason in ends {
                found.add_kept(reads, Under::Reason(reason))?;
            }
        }
    }
    Ok(None)
}

/// All versions of an item, if some reason besides the account has any of it.
fn of_item(
    reads: &dyn Reads,
    (vault, call): (&Vault, &Call),
    item: ItemId,
    with_account: bool,
    found: &mut Found,
) -> Result<(), Fault> {
    let first = kept::list(reads, Under::Item(item), None, 1)?.pop();
    let owner = match &first {
        Some(id) => kept::find(reads, id)?.ok_or(Fault::Torn)?.stated().subject,
        None if parting::has(reads, item)? => return Err(Fault::Refused(State::Parting.into())),
        None => return Err(Fault::Refused(State::NotFound.into())),
    };
    found.add_kept(reads, Under::Item(item))?;
    if with_account && let Some(subject) = there(reads, owner)? {
        let in_force = hold::in_force(reads, &owner, subject.row.holds)?;
        let holds = in_force.iter().map(|(hold, _)| hold).collect();
        let why = Why { holds, call, now: vault.now() };
        if let Some(live) = items_of(reads, &owner)?.into_iter().find(|live| live.id == item) {
            let view = live_view(reads, &subject, &live, &why)?;
            if found.takes(&view.version) {
                found.add(view);
            }
        }
    }
    Ok(())
}

/// What holds of a matter cover and the account keeps as well.
fn live_under(
    reads: &dyn Reads,
    (vault, call): (&Vault, &Call),
    matter: MatterId,
    found: &mut Found,
) -> Result<(), Fault> {
    let mut subjects: BTreeMap<SubjectId, ()> = BTreeMap::new();
    for mark in hold::newest_first(reads, Of::Matter(matter), None, usize::MAX)? {
        let (hold, _) = hold::find(reads, crate::base::id::HoldId::from_bytes(mark.id))?.ok_or(Fault::Torn)?;
        if hold.release.is_none() {
            subjects.insert(hold.subject, ());
        }
    }
    for subject in subjects.into_keys() {
        let Some(open) = there(reads, subject)? else { continue };
        let in_force = hold::in_force(reads, &subject, open.row.holds)?;
        let of_matter: Vec<&Hold> =
            in_force.iter().map(|(hold, _)| hold).filter(|hold| hold.matter == matter).collect();
        let why = Why { holds: in_force.iter().map(|(hold, _)| hold).collect(), call, now: vault.now() };
        for item in items_of(reads, &subject)? {
            item.entry(reads, reads.index().vault(), open.tree())?; // its class decides whether it is held
            let id = VersionId { item: item.id, version: item.head.version, counter: item.head.counter };
            let mut is_held = false;
            for hold in &of_matter {
                is_held |= hold.covers(reads, item.head.class, &item.id, item.head.version)?;
            }
            if is_held && found.takes(&id) {
                found.add(live_view(reads, &open, &item, &why)?);
            }
        }
    }
    Ok(())
}

/// A subject, unless its account has ended.
fn there(reads: &dyn Reads, subject: SubjectId) -> Result<Option<OpenSubject>, Fault> {
    match open_subject_to_tell(reads, reads.index().vault(), subject) {
        Ok(subject) => Ok(Some(subject)),
        Err(Fault::Refused(Refusal::State(State::Erased(_)))) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// What may keep a subject's items besides the account.
struct Why<'a> {
    holds: Vec<&'a Hold>,
    call: &'a Call,
    now: Timestamp,
}

fn live_view(reads: &dyn Reads, subject: &OpenSubject, item: &StoredItem, why: &Why<'_>) -> Result<KeptView, Fault> {
    // An older row, or another's, would give other dates.
    item.entry(reads, reads.index().vault(), subject.tree())?;
    let mut view = KeptView {
        subject: Some(subject.id),
        version: VersionId { item: item.id, version: item.head.version, counter: item.head.counter },
        class: item.head.class,
        account: Some(item.head.expires),
        reasons: Vec::new(),
        holds: Vec::new(),
        receipt: None,
    };
    for hold in &why.holds {
        if hold.covers(reads, item.head.class, &item.id, item.head.version)? {
            view.holds.push(hold.id);
            let reason = Reason::Matter(hold.matter);
            if !view.reasons.contains(&reason) {
                view.reasons.push(reason);
            }
        }
    }
    let times = Times { created: item.head.created, updated: item.head.updated, closed: None };
    let periods = why.call.registry().periods_of(item.head.class);
    let running = periods.filter_map(|period| Some((period.id.clone(), period.end_after(why.now, &times)?)));
    view.reasons.extend(running.map(|(id, end)| Reason::Period { id, end }));
    Ok(view)
}

fn kept_view(reads: &dyn Reads, id: &VersionId) -> Result<KeptView, Fault> {
    let (item, _, said) = open_kept(reads, id)?;
    let copies = kept::copies(reads, id)?;
    let subject = there(reads, said.subject)?.map(|subject| subject.id);
    Ok(KeptView {
        subject,
        version: *id,
        class: item.head.class,
        account: None,
        reasons: copies.iter().map(|copy| reason_for(reads, copy)).collect::<Result<_, _>>()?,
        holds: copies.into_iter().flat_map(|copy| copy.holds).collect(),
        receipt: Some(said.receipt),
    })
}

fn bound(query: &ReasonsQuery) -> Vec<u8> {
    let w = Writer::new().u8(query.kept_only.into());
    let w = match &query.target {
        Looking::Subject(SubjectRef::Id(id)) => w.u8(1).raw(id.as_bytes()),
        Looking::Subject(SubjectRef::External(id)) => w.u8(2).text(id.expose()),
        Looking::Item(id) => w.u8(3).raw(id.as_bytes()),
        Looking::Matter(id) => w.u8(4).raw(id.as_bytes()),
        Looking::Receipt(id) => w.u8(5).raw(id.as_bytes()),
        Looking::Period(id) => w.u8(6).text(id),
    };
    w.finish()
}

fn write_version(id: &VersionId) -> Vec<u8> {
    Writer::new().raw(id.item.as_bytes()).u64(id.version).u64(id.counter).finish()
}

fn read_version(place: &[u8]) -> Option<VersionId> {
    let mut r = Reader::new(place);
    let id = VersionId { item: ItemId::from_bytes(r.array().ok()?), version: r.u64().ok()?, counter: r.u64().ok()? };
    r.finish().ok().map(|()| id)
}
