//! Matters, holds, and why things are kept.

use super::super::proto;
use super::item::{erasure, whole};
use super::{At, Faults, moved, subject, time};
use crate::base::id::MatterId;
use crate::base::limits::{
    HOLD_ITEMS_MAX, MATTER_TEXT_BYTES_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, REGISTRY_ID_BYTES_MAX,
};
use crate::gate::refusal::{FaultReason, Refusal};
use crate::holds::model::{
    HoldQuery, HoldState, HoldView, KeptView, Looking, MatterQuery, MatterView, NewMatter, Page, Placing, PlacingScope,
    ReasonsQuery, Released, Releasing, ScopeView,
};
use crate::items::model::Wait;
use crate::items::record::etag_of;
use crate::keep::Reason;
use crate::keep::matter::Texts;

/// A matter to be opened.
///
/// # Errors
/// Every fault of the request's form.
pub fn open(request: proto::OpenMatterRequest) -> Result<NewMatter, Refusal> {
    let mut faults = Faults::default();
    let at = At::field("matter");
    let Some(matter) = request.matter else {
        faults.add(at, FaultReason::Required);
        return Err(faults.into_refusal());
    };
    let is_set = [
        ("matter_id", !matter.matter_id.is_empty()),
        ("state", matter.state != 0),
        ("hold_count", matter.hold_count != 0),
        ("kept_item_count", matter.kept_item_count != 0),
        ("open_time", matter.open_time.is_some()),
        ("close_time", matter.close_time.is_some()),
        ("etag", !matter.etag.is_empty()),
    ];
    for (field, _) in is_set.into_iter().filter(|(_, is_set)| *is_set) {
        faults.add(at.then(field), FaultReason::ReadOnly);
    }
    for (field, text) in [("name", &matter.name), ("authority", &matter.authority)] {
        if text.is_empty() {
            faults.add(at.then(field), FaultReason::Required);
        }
    }
    let mut text = |field, text| faults.text(at.then(field), text, MATTER_TEXT_BYTES_MAX);
    let texts = Texts {
        name: text("name", matter.name),
        authority: text("authority", matter.authority),
        reference: text("reference", matter.reference),
    };
    if matter.review_time.is_none() {
        faults.add(at.then("review_time"), FaultReason::Required);
    }
    let review = faults.time(at.then("review_time"), matter.review_time);
    whole(faults, review.map(|review| NewMatter { texts, review }))
}

/// Which matter to close, and as what it was read.
///
/// # Errors
/// Every fault of the request's form.
pub fn close(request: proto::CloseMatterRequest) -> Result<(MatterId, String), Refusal> {
    let mut faults = Faults::default();
    let id = faults.id(At::field("matter_id"), &request.matter_id);
    let etag = faults.token(At::field("etag"), request.etag);
    whole(faults, id.map(|id| (id, etag)))
}

/// Which matters to list.
///
/// # Errors
/// Every fault of the request's form.
pub fn list_matters(request: proto::ListMattersRequest) -> Result<MatterQuery, Refusal> {
    let mut faults = Faults::default();
    let closed = match proto::MatterState::try_from(request.state) {
        Ok(proto::MatterState::Unspecified) => None,
        Ok(proto::MatterState::Open) => Some(false),
        Ok(proto::MatterState::Closed) => Some(true),
        Err(_) => {
            faults.add(At::field("state"), FaultReason::EnumUnknown);
            None
        }
    };
    let review_before = faults.time(At::field("review_before_time"), request.review_before_time);
    let page_token = faults.token(At::field("page_token"), request.page_token);
    let page_size = page_size(&mut faults, request.page_size);
    faults.finish(MatterQuery { closed, review_before, page_size, page_token })
}

/// A hold to be placed.
///
/// # Errors
/// Every fault of the request's form.
pub fn place(request: proto::PlaceHoldRequest) -> Result<Placing, Refusal> {
    use proto::place_hold_request::Scope;
    let mut faults = Faults::default();
    let matter = faults.id(At::field("matter_id"), &request.matter_id);
    let subject = subject::subject_ref(&mut faults, At::field("subject"), request.subject);
    let scope = match request.scope {
        None => {
            faults.add(At::field("subject_scope"), FaultReason::Required);
            None
        }
        Some(Scope::SubjectScope(scope)) => {
            let at = At::field("subject_scope");
            let classes = faults.names(at.then("classes"), scope.classes);
            Some(PlacingScope::Subject { classes, future: scope.include_future_items })
        }
        Some(Scope::ItemScope(scope)) => Some(PlacingScope::Items(named(&mut faults, scope.items))),
    };
    let history = request.include_access_history;
    let placing = matter.zip(subject).zip(scope);
    whole(faults, placing.map(|((matter, subject), scope)| Placing { matter, subject, scope, history }))
}

fn named(faults: &mut Faults, items: Vec<proto::ItemVersionRef>) -> Vec<(crate::base::id::ItemId, u64)> {
    let parent = At::field("item_scope");
    let at = parent.then("items");
    if items.is_empty() {
        faults.add(at, FaultReason::Required);
    }
    if items.len() > HOLD_ITEMS_MAX {
        faults.add(at, FaultReason::TooMany);
        return Vec::new();
    }
    let mut named = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let entry = at.index(index);
        named.extend(faults.id(entry.then("item_id"), &item.item_id).map(|id| (id, item.version)));
    }
    named
}

/// A release.
///
/// # Errors
/// Every fault of the request's form.
pub fn release(request: proto::ReleaseHoldRequest) -> Result<Releasing, Refusal> {
    let mut faults = Faults::default();
    let hold = faults.id(At::field("hold_id"), &request.hold_id);
    let wait = faults.wait(At::field("wait"), request.wait, Wait::Logical);
    whole(faults, hold.map(|hold| Releasing { hold, wait }))
}

/// Which holds to list.
///
/// # Errors
/// Every fault of the request's form.
pub fn list_holds(request: proto::ListHoldsRequest) -> Result<HoldQuery, Refusal> {
    let mut faults = Faults::default();
    let matter = match request.matter_id.as_str() {
        "" => None,
        id => faults.id(At::field("matter_id"), id),
    };
    let subject = match request.subject {
        None => None,
        named => subject::subject_ref(&mut faults, At::field("subject"), named),
    };
    let state = match proto::HoldState::try_from(request.state) {
        Ok(proto::HoldState::Unspecified) => None,
        Ok(proto::HoldState::Active) => Some(HoldState::Active),
        Ok(proto::HoldState::Releasing) => Some(HoldState::Releasing),
        Ok(proto::HoldState::Released) => Some(HoldState::Released),
        Err(_) => {
            faults.add(At::field("state"), FaultReason::EnumUnknown);
            None
        }
    };
    let page_token = faults.token(At::field("page_token"), request.page_token);
    let page_size = page_size(&mut faults, request.page_size);
    faults.finish(HoldQuery { matter, subject, state, page_size, page_token })
}

/// What is kept, and where to look for it.
///
/// # Errors
/// Every fault of the request's form.
pub fn list_reasons(request: proto::ListKeepReasonsRequest) -> Result<ReasonsQuery, Refusal> {
    use proto::list_keep_reasons_request::Target;
    let mut faults = Faults::default();
    let target = match request.target {
        None => {
            faults.add(At::field("subject"), FaultReason::Required);
            None
        }
        Some(Target::Subject(named)) => {
            subject::subject_ref(&mut faults, At::field("subject"), Some(named)).map(Looking::Subject)
        }
        Some(Target::ItemId(id)) => faults.id(At::field("item_id"), &id).map(Looking::Item),
        Some(Target::MatterId(id)) => faults.id(At::field("matter_id"), &id).map(Looking::Matter),
        Some(Target::PeriodId(id)) => {
            let at = At::field("period_id");
            if id.is_empty() {
                faults.add(at, FaultReason::Required);
            }
            Some(Looking::Period(faults.plain(at, id, REGISTRY_ID_BYTES_MAX)))
        }
        Some(Target::ReceiptId(id)) => faults.id(At::field("receipt_id"), &id).map(Looking::Receipt),
    };
    let page_token = faults.token(At::field("page_token"), request.page_token);
    let page_size = page_size(&mut faults, request.page_size);
    let kept_only = request.kept_only;
    whole(faults, target.map(|target| ReasonsQuery { target, kept_only, page_size, page_token }))
}

/// How many records a page of a list may have.
pub(super) fn page_size(faults: &mut Faults, wanted: u32) -> usize {
    match wanted as usize {
        0 => PAGE_SIZE_DEFAULT,
        wanted if wanted > PAGE_SIZE_MAX => {
            faults.add(At::field("page_size"), FaultReason::Malformed);
            PAGE_SIZE_MAX
        }
        wanted => wanted,
    }
}

/// A matter.
pub fn matter(view: MatterView) -> proto::Matter {
    let state = if view.closed.is_some() { proto::MatterState::Closed } else { proto::MatterState::Open };
    proto::Matter {
        matter_id: view.id.to_string(),
        name: moved(view.texts.name),
        authority: moved(view.texts.authority),
        reference: moved(view.texts.reference),
        review_time: Some(time(view.review)),
        state: state.into(),
        hold_count: view.holds,
        kept_item_count: view.kept,
        open_time: Some(time(view.opened)),
        close_time: view.closed.map(time),
        etag: view.etag,
    }
}

/// A page of matters.
pub fn matters(page: Page<MatterView>) -> proto::ListMattersResponse {
    proto::ListMattersResponse { matters: page.entries.into_iter().map(matter).collect(), next_page_token: page.next }
}

/// A hold.
pub fn hold(view: HoldView) -> proto::Hold {
    use proto::hold::Scope;
    let state = match view.state {
        HoldState::Active => proto::HoldState::Active,
        HoldState::Releasing => proto::HoldState::Releasing,
        HoldState::Released => proto::HoldState::Released,
    };
    let scope = match view.scope {
        ScopeView::Subject { classes, future } => Scope::SubjectScope(proto::SubjectScope {
            classes: classes.iter().map(|class| class.as_str().to_owned()).collect(),
            include_future_items: future,
        }),
        ScopeView::Items(items) => {
            let item = |(item, version): &(crate::base::id::ItemId, u64)| proto::ItemVersionRef {
                item_id: item.to_string(),
                version: *version,
            };
            Scope::ItemScope(proto::ItemScope { items: items.iter().map(item).collect() })
        }
    };
    proto::Hold {
        hold_id: view.id.to_string(),
        matter_id: view.matter.to_string(),
        subject_id: view.subject.map(|subject| subject.to_string()).unwrap_or_default(),
        scope: Some(scope),
        include_access_history: view.history,
        state: state.into(),
        kept_item_count: view.kept,
        place_time: Some(time(view.placed)),
        release_time: view.released.map(time),
        receipt_ids: view.receipts.iter().map(ToString::to_string).collect(),
    }
}

/// A page of holds.
pub fn holds(page: Page<HoldView>) -> proto::ListHoldsResponse {
    proto::ListHoldsResponse { holds: page.entries.into_iter().map(hold).collect(), next_page_token: page.next }
}

/// A hold that was placed.
pub fn placed((view, count): (HoldView, u64)) -> proto::PlaceHoldResponse {
    proto::PlaceHoldResponse { hold: Some(hold(view)), covered_item_count: count }
}

/// What a release came to.
pub fn released(released: Released) -> proto::ReleaseHoldResponse {
    proto::ReleaseHoldResponse {
        hold: Some(hold(released.hold)),
        erasure: released.erasure.map(erasure),
        supplementary_receipt_ids: released.supplements.iter().map(ToString::to_string).collect(),
    }
}

/// Why something is kept.
pub fn reason(reason: &Reason) -> proto::KeepReason {
    match reason {
        Reason::Matter(matter) => proto::KeepReason {
            kind: proto::KeepReasonKind::Matter.into(),
            reason_id: matter.to_string(),
            end_time: None,
        },
        Reason::Period { id, end } => proto::KeepReason {
            kind: proto::KeepReasonKind::Period.into(),
            reason_id: id.as_str().to_owned(),
            end_time: Some(time(*end)),
        },
    }
}

/// A page of what is kept.
pub fn kept(page: Page<KeptView>) -> proto::ListKeepReasonsResponse {
    proto::ListKeepReasonsResponse { items: page.entries.iter().map(kept_item).collect(), next_page_token: page.next }
}

fn kept_item(view: &KeptView) -> proto::KeptItem {
    let account = view.account.map(|expires| proto::KeepReason {
        kind: proto::KeepReasonKind::Account.into(),
        reason_id: String::new(),
        end_time: expires.map(time),
    });
    proto::KeptItem {
        subject_id: view.subject.map(|subject| subject.to_string()).unwrap_or_default(),
        item_id: view.version.item.to_string(),
        version: view.version.version,
        class: view.class.as_str().to_owned(),
        reasons: account.into_iter().chain(view.reasons.iter().map(reason)).collect(),
        hold_ids: view.holds.iter().map(ToString::to_string).collect(),
        receipt_id: view.receipt.map(|receipt| receipt.to_string()).unwrap_or_default(),
        etag: etag_of(view.version.version, view.version.counter),
    }
}
