//! An item on its way out: permitted, opened, masked. What comes out here is not yet revealed: the verb records first.

use crate::catalog::classes::{CanonicalValue, class_of};
use crate::catalog::view::View;
use crate::gate::call::Call;
use crate::gate::refusal::{Access, Refusal};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::policy::decide::Permit;

use super::model::{ItemView, Metadata};
use super::record::{OpenSubject, StoredItem, decode_notes};

/// The permit for an item of a subject, checked against the view asked for.
pub fn permit(
    call: &Call,
    subject: &OpenSubject,
    item: &StoredItem,
    wanted: Option<View>,
) -> Result<(Permit, View), Refusal> {
    let permit = call.permit(subject.data(call.purpose(), item.head.class))?;
    match wanted {
        Some(view) if view > permit.view() => Err(Access::ViewNotAllowed.into()),
        Some(view) => Ok((permit, view)),
        None => {
            let view = permit.view();
            Ok((permit, view))
        }
    }
}

/// Opens an item and masks it to a view.
pub fn show(
    reads: &dyn Reads,
    vault: &Vault,
    subject: &OpenSubject,
    item: &StoredItem,
    view: View,
    fields: &[String],
) -> Result<ItemView, Fault> {
    let head = &item.head;
    let content = item.open(reads, vault.id(), subject.tree())?;
    let class = class_of(head.class.as_str()).ok_or(Fault::Torn)?;
    let value = CanonicalValue::decode(head.class, content.value.expose()).map_err(|_| Fault::Torn)?;
    let selection = class.select(fields.iter().map(String::as_str));
    let (value, masked) = value.mask(view, &selection);
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
        subject: subject.id,
        item: item.id,
        class: head.class,
        version: head.version,
        etag: head.etag(),
        created: head.created,
        updated: head.updated,
        view,
        value,
        metadata,
        masked,
        rule: None,
    })
}
