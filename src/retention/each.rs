//! ListDue, item by item: which items expire, for those who may list them.

use crate::base::codec::Writer;
use crate::base::limits::{DUE_DAYS_DEFAULT, PAGE_SIZE_MAX};
use crate::catalog::classes::CLASSES;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Fault as Invalid, FaultReason, Refusal, State};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::holds::page::{make_token, open_token, wrong_token};
use crate::items::expiry::{self, Expiring};
use crate::items::record::{ItemRow, decode_item, item_key, open_subject};
use crate::policy::action::Action;
use crate::policy::question::{Resource, Standing};
use crate::store::keyspace::Space;

use super::due::{Due, DuePage, DueQuery, Kind, Thing, in_days, read_place};
use super::state;

/// Lists items by when they expire. Recorded, once, with the items that are shown.
///
/// # Errors
/// A fault of `kinds`; what the call may not.
pub(super) async fn list(vault: &Vault, call: &Call, query: &DueQuery) -> Result<DuePage, Refusal> {
    match page(vault, call, query) {
        Ok((page, touched)) => {
            let at = (vault.now(), vault.epoch());
            vault.record(vec![call.recorder().entry(Whom::Nobody, touched, Ended::Done, at)?]).await?;
            Ok(page)
        }
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

fn page(vault: &Vault, call: &Call, query: &DueQuery) -> Result<(DuePage, Touched), Refusal> {
    call.permit(Resource::Vault).map_err(Access::openly)?;
    may_list_any(call)?;
    if query.kinds.iter().any(|kind| *kind != Kind::Expiry) {
        return Err(Invalid::new("kinds", FaultReason::Conflict).into());
    }
    let now = vault.now();
    let bound = Writer::new().text("each item").option(query.before, |w, time| w.i64(time.as_millis())).finish();
    let (before, from) = match open_token(call, &bound, &query.page_token, now)? {
        None => (query.before.unwrap_or(in_days(now, DUE_DAYS_DEFAULT)), Vec::new()),
        Some(place) => read_place(&place, |r| Ok(r.rest().to_vec())).ok_or_else(wrong_token)?,
    };
    let size = query.page_size.min(PAGE_SIZE_MAX);
    let (shown, next, halted) = vault.read(|reads| {
        let rows = expiry::list(reads, &from, size + 1)?;
        let rows: Vec<_> = rows.into_iter().take_while(|row| row.at < before).collect();
        let next = (rows.len() > size).then(|| rows[size].key());
        let mut shown = Vec::new();
        for row in rows.iter().take(size) {
            shown.extend(look(reads, (vault, call), row)?);
        }
        Ok((shown, next, state::find(reads)?))
    })?;
    let items = shown.iter().filter_map(|(due, version)| match due.thing {
        Thing::Item { item, .. } => Some((item, *version)),
        _ => None,
    });
    let count = u32::try_from(shown.len()).unwrap_or(u32::MAX);
    let touched = Touched { count, items: items.collect(), ..Touched::default() };
    let next = match next {
        Some(key) => make_token(call, &bound, &Writer::new().i64(before.as_millis()).raw(&key).finish(), now)?,
        None => String::new(),
    };
    let entries = shown.into_iter().map(|(due, _)| {
        let is_overdue = due.at <= now;
        (due, is_overdue)
    });
    let halted = halted.filter(|sweep| !sweep.confirmed);
    Ok((DuePage { entries: entries.collect(), next, halted }, touched))
}

/// The item that a row leads to, and its version, if it is there and the call may list it.
fn look(reads: &dyn Reads, (vault, call): (&Vault, &Call), row: &Expiring) -> Result<Option<(Due, u64)>, Fault> {
    let subject = match open_subject(reads, vault.id(), row.subject) {
        Ok(subject) => subject,
        // Gone since; the sweep takes the row away.
        Err(Fault::Refused(Refusal::State(State::Erased(_) | State::NotFound))) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let stored = reads.row(Space::Item, &item_key(&row.subject, &row.item))?;
    let Some(ItemRow::Live(item)) = stored.map(|stored| decode_item(row.item, &stored)).transpose()? else {
        return Ok(None);
    };
    // The row that leads here proves nothing; the item's own decides, as for the sweep.
    item.entry(reads, vault.id(), subject.tree())?;
    let may_list = call.permit_to(Action::ListItems, subject.data(call.purpose(), item.head.class)).is_ok();
    if item.head.expires != Some(row.at) || !may_list {
        return Ok(None);
    }
    let thing = Thing::Item { class: item.head.class, subject: row.subject, item: row.item };
    Ok(Some((Due { at: row.at, kind: Kind::Expiry, thing, count: 1 }, item.head.version)))
}

/// Whether the call may list items of any class: to others this is denied, rather than empty.
fn may_list_any(call: &Call) -> Result<(), Refusal> {
    let data = |class| Resource::Data { class, standing: Standing::default(), objected: false, kept: false };
    let mut denied = None;
    for class in CLASSES {
        match call.permit_to(Action::ListItems, data(class.id)) {
            Ok(_) => return Ok(()),
            Err(access) => denied = Some(access),
        }
    }
    denied.map_or(Ok(()), |denied| Err(Access::openly(denied).into()))
}
