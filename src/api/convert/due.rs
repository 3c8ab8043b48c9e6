//! What falls due, and sweeps that have stopped.

use super::super::proto;
use super::holds::page_size;
use super::item::whole;
use super::{At, Faults, time};
use crate::base::id::SweepId;
use crate::base::limits::NAMES_MAX;
use crate::gate::refusal::{FaultReason, Refusal, State};
use crate::retention::due::{Due, DuePage, DueQuery, Kind, Thing};
use crate::retention::state::{Halt, Sweep};

/// What falls due.
///
/// # Errors
/// Every fault of the request's form; kinds of things that this vault does not have yet.
pub fn query(request: proto::ListDueRequest) -> Result<DueQuery, Refusal> {
    let mut faults = Faults::default();
    let at = At::field("kinds");
    if request.kinds.len() > NAMES_MAX {
        faults.add(at, FaultReason::TooMany);
    }
    let (mut kinds, mut is_offered) = (Vec::new(), true);
    for (index, kind) in request.kinds.iter().enumerate().take(NAMES_MAX) {
        let known = |number| proto::DueKind::try_from(i32::from(number)).ok();
        match faults.choice(at.index(index), *kind, known) {
            // Any kind.
            Some(proto::DueKind::Unspecified) => kinds.extend(Kind::ALL),
            Some(kind) => match Kind::ALL.into_iter().find(|known| i32::from(*known as u8) == i32::from(kind)) {
                Some(kind) => kinds.push(kind),
                None => is_offered = false,
            },
            None => {}
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    let before = faults.time(At::field("before_time"), request.before_time);
    let page_token = faults.token(At::field("page_token"), request.page_token);
    let page_size = page_size(&mut faults, request.page_size);
    let each_item = request.each_item;
    let query = faults.finish(DueQuery { kinds, before, page_size, page_token, each_item })?;
    if is_offered { Ok(query) } else { Err(State::NotOffered { field: "kinds" }.into()) }
}

/// A page of what falls due.
pub fn page(page: DuePage) -> proto::ListDueResponse {
    proto::ListDueResponse {
        entries: page.entries.iter().map(|(due, is_overdue)| entry(due, *is_overdue)).collect(),
        next_page_token: page.next,
        halted_sweep: page.halted.as_ref().map(sweep),
    }
}

fn entry(due: &Due, overdue: bool) -> proto::DueEntry {
    let (mut class, mut target_id, mut subject_id) = (String::new(), String::new(), String::new());
    match &due.thing {
        Thing::Class(of) => class = of.as_str().to_owned(),
        Thing::Period(id) => target_id = id.as_str().to_owned(),
        Thing::Matter(id) => target_id = id.to_string(),
        Thing::Key(id) => target_id = id.to_string(),
        Thing::Whole => {}
        Thing::Item { class: of, subject, item } => {
            (class, target_id, subject_id) = (of.as_str().to_owned(), item.to_string(), subject.to_string());
        }
    }
    let (kind, due_time) = (i32::from(due.kind as u8), Some(time(due.at)));
    proto::DueEntry { kind, due_time, count: due.count, class, target_id, overdue, subject_id }
}

/// Which sweep is confirmed, and as what it was seen.
///
/// # Errors
/// Every fault of the request's form.
pub fn confirm(request: proto::ConfirmSweepRequest) -> Result<(SweepId, String), Refusal> {
    let mut faults = Faults::default();
    let id = faults.id(At::field("sweep_id"), &request.sweep_id);
    if request.etag.is_empty() {
        faults.add(At::field("etag"), FaultReason::Required);
    }
    let etag = faults.token(At::field("etag"), request.etag);
    whole(faults, id.map(|id| (id, etag)))
}

/// A sweep that has stopped.
pub fn sweep(sweep: &Sweep) -> proto::Sweep {
    let halt = match (sweep.confirmed, sweep.halt) {
        (true, _) => proto::SweepHalt::Unspecified,
        (false, Halt::Clock) => proto::SweepHalt::Clock,
        (false, Halt::Share) => proto::SweepHalt::Share,
    };
    proto::Sweep {
        sweep_id: sweep.id.to_string(),
        halt: halt.into(),
        as_of_time: Some(time(sweep.as_of)),
        due_count: sweep.due,
        done_count: sweep.done,
        last_log_time: sweep.last_entry.map(time),
        etag: sweep.etag(),
    }
}
