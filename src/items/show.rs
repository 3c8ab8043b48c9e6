//! An item on its way out: permitted, opened, masked. What comes out here is not yet revealed: the verb records first.

use std::collections::BTreeSet;

use crate::base::id::ItemId;
use crate::catalog::class::ClassId;
use crate::catalog::classes::{CanonicalValue, class_of};
use crate::catalog::sight::Altered;
use crate::catalog::view::View;
use crate::gate::call::Call;
use crate::gate::refusal::{Access, Refusal, State};
use crate::gate::standpoint::Standpoint;
use crate::gate::txn::{Fault, Reads};
use crate::policy::decide::Permit;
use crate::policy::question::Resource;
use crate::store::keyspace::Space;

use super::model::{ItemView, Masked, Metadata};
use super::record::{Content, ItemRow, OpenSubject, StoredItem, decode_item, decode_notes, item_key};

/// The permit for an item of a subject, checked against the view asked for.
pub fn permit(
    at: &Standpoint,
    subject: &OpenSubject,
    item: &StoredItem,
    wanted: Option<View>,
) -> Result<(Permit, View), Refusal> {
    permit_to_see(at, subject.data(at.purpose(), item.head.class), wanted)
}

/// The permit for items of a class, and the view that is shown.
pub fn permit_to_see(at: &Standpoint, data: Resource, wanted: Option<View>) -> Result<(Permit, View), Refusal> {
    let permit = at.permit(data)?;
    match wanted {
        Some(view) if view > permit.view() => Err(Access::ViewNotAllowed.into()),
        Some(view) => Ok((permit, view)),
        None => {
            let view = permit.view();
            Ok((permit, view))
        }
    }
}

/// A subject's live item; of that version, unless it is 0.
pub fn find(reads: &dyn Reads, subject: &OpenSubject, id: ItemId, version: u64) -> Result<StoredItem, Fault> {
    let absent = || Fault::Refused(State::NotFound.into());
    let row = reads.row(Space::Item, &item_key(&subject.id, &id))?.ok_or_else(absent)?;
    match decode_item(id, &row)? {
        ItemRow::Live(item) if version == 0 || version == item.head.version => Ok(*item),
        ItemRow::Live(_) | ItemRow::Deleted(_) => Err(absent()),
    }
}

/// Which fields are not shown in full, and why; the rules only to who may know them.
pub fn masked(altered: Vec<Altered>, (permit, view): (&Permit, View), tells_rules: bool) -> Vec<Masked> {
    let each = altered.into_iter().map(|Altered { path, view: shown }| Masked {
        path,
        view: shown,
        rule: tells_rules.then(|| permit.field_limit(view, shown)),
    });
    each.collect()
}

/// Opens an item and masks it to what [`permit`] granted.
pub fn show(
    reads: &dyn Reads,
    call: &Call,
    subject: &OpenSubject,
    item: &StoredItem,
    (permit, view): (&Permit, View),
    fields: &[String],
) -> Result<ItemView, Fault> {
    let content = item.open(reads, call.recorder().vault(), subject.tree())?;
    let mut shown = mask(call, item, &content, (permit, view), fields)?;
    shown.subject = Some(subject.id);
    shown.restricted = subject.row.standing.restricted;
    if let Some(metadata) = &mut shown.metadata {
        metadata.objections = objections(subject, item.head.class);
    }
    Ok(shown)
}

/// Masks what an item holds to what [`permit`] granted. Whose it is is for the caller to say.
pub fn mask(
    call: &Call,
    item: &StoredItem,
    content: &Content,
    (permit, view): (&Permit, View),
    fields: &[String],
) -> Result<ItemView, Fault> {
    let head = &item.head;
    let class = class_of(head.class.as_str()).ok_or(Fault::Torn)?;
    let selection = class.select(fields.iter().map(String::as_str));
    let (value, altered) = match head.day {
        // What a day of events holds is shown by ReadEvents.
        Some(_) => (None, Vec::new()),
        None => {
            let value = CanonicalValue::decode(head.class, content.value.expose()).map_err(|_| Fault::Torn)?;
            value.show(&permit.sight(view), &selection)
        }
    };
    let metadata = match view {
        View::Exists | View::Last4 => None,
        View::Masked | View::Plain => Some(Metadata {
            purposes: head.purposes.clone(),
            legal_basis: head.legal_basis.clone(),
            expires: head.expires,
            objections: Vec::new(),
            automated_decision: head.automated_decision,
            notes: decode_notes(&content.notes)?,
        }),
    };
    Ok(ItemView {
        subject: None,
        receipt: None,
        item: item.id,
        class: head.class,
        version: head.version,
        etag: head.etag(),
        created: head.created,
        updated: head.updated,
        restricted: true,
        view,
        value,
        metadata,
        masked: masked(altered, (permit, view), call.may_know_rules()),
    })
}

/// The purposes for which the person objects to processing a class, each once.
fn objections(subject: &OpenSubject, class: ClassId) -> Vec<String> {
    let covering = subject.row.objections.iter().filter(|objection| objection.covers(&objection.purpose, class));
    covering.map(|objection| objection.purpose.clone()).collect::<BTreeSet<_>>().into_iter().collect()
}
