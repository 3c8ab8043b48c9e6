//! GetItem of what only a keep reason keeps: for the legal role, for legal compliance. To everybody else it is absent.

use crate::audit::detail::DetailKeys;
use crate::audit::event::Event;
use crate::base::id::{ItemId, ReceiptId, SubjectId};
use crate::catalog::classes::CLASSES;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Denied, Fault as Invalid, FaultReason, Refusal, State, Told};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::keep::kept::{self, Kept, Under, VersionId};
use crate::keys::page::Entry;
use crate::policy::decide::Permit;
use crate::policy::question::{Resource, Standing};

use super::model::{ItemQuery, ItemView};
use super::record::{ItemRow, OpenSubject, StoredItem, decode_item, open_subject};
use super::show::{mask, permit_to_see};

/// A kept item, ready to be shown, with the entry that must be durable before.
pub struct Found {
    /// The item.
    pub view: ItemView,
    /// Its entry.
    pub event: Event,
}

/// Whose kept version it is: to be registered as read before it is looked at.
///
/// # Errors
/// [`State::NotFound`]; a fault of `subject`, if the call names none and may read nothing that is kept.
pub fn owner(vault: &Vault, call: &Call, query: &ItemQuery) -> Result<SubjectId, Refusal> {
    may_read_any(call)?;
    vault.read(|reads| {
        let id = newest(reads, query.item, query.version)?;
        let stated = kept::find(reads, &id)?.ok_or(Fault::Torn)?;
        Ok(stated.stated().subject)
    })
}

/// Looks at a kept version.
///
/// # Errors
/// As for [`owner`]; what the call may not see is absent.
pub fn look(vault: &Vault, call: &Call, query: &ItemQuery) -> Result<Found, Refusal> {
    may_read_any(call)?;
    let (view, permit, whose) = vault.read(|reads| {
        let id = newest(reads, query.item, query.version)?;
        let (item, entry, kept) = open(reads, &id)?;
        let whose = Whose::of(reads, vault, &kept)?;
        let (permit, view) = permit(call, &item, &whose, query)?;
        let content = item.open_with(vault.id(), &entry)?;
        let mut view = mask(call, &item, &content, (&permit, view), &query.fields)?;
        view.subject = whose.subject.as_ref().map(|subject| subject.id);
        view.receipt = Some(kept.receipt);
        Ok((view, permit, whose))
    })?;
    let touched = Touched {
        class: Some(view.class),
        view: Some(view.view),
        rule: Some(permit.rule().clone()),
        count: 1,
        items: vec![(view.item, view.version)],
        fields: query.fields.clone(),
    };
    let event = call.recorder().entry(whose.whom(), touched, Ended::Done, (vault.now(), vault.epoch()))?;
    Ok(Found { view, event })
}

/// Whom a kept version is about: a person, or nobody any more.
pub struct Whose {
    /// The person, while the account lasts.
    pub subject: Option<OpenSubject>,
    keys: Option<DetailKeys>,
    receipt: ReceiptId,
}

impl Whose {
    /// The owner of what is kept.
    pub fn of(reads: &dyn Reads, vault: &Vault, kept: &Kept) -> Result<Self, Fault> {
        match open_subject(reads, vault.id(), kept.subject) {
            Ok(subject) => {
                let keys = Some(subject.detail_keys(reads)?);
                Ok(Self { subject: Some(subject), keys, receipt: kept.receipt })
            }
            Err(Fault::Refused(Refusal::State(State::Erased(_)))) => {
                Ok(Self { subject: None, keys: None, receipt: kept.receipt })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Whom an entry about it names.
    pub fn whom(&self) -> Whom<'_> {
        self.keys.as_ref().map_or(Whom::Evidence(self.receipt), Whom::Subject)
    }
}

/// The newest kept version of an item; of that number, unless it is 0.
fn newest(reads: &dyn Reads, item: ItemId, version: u64) -> Result<VersionId, Fault> {
    let under = if version == 0 { Under::Item(item) } else { Under::Version(item, version) };
    let newest = kept::list(reads, under, None, usize::MAX)?.pop();
    newest.ok_or(Fault::Refused(State::NotFound.into()))
}

/// A kept version: its row, its key with one of the reasons that keep it, and what is said of it.
pub fn open(reads: &dyn Reads, id: &VersionId) -> Result<(StoredItem, Entry, Kept), Fault> {
    let unchecked = kept::find(reads, id)?.ok_or(Fault::Torn)?;
    let ItemRow::Live(item) = decode_item(id.item, &unchecked.stated().row)? else { return Err(Fault::Torn) };
    let copy = kept::copies(reads, id)?.into_iter().next().ok_or(Fault::Torn)?;
    let entry = reads.entry(copy.tree(), copy.position)?.ok_or(Fault::Torn)?;
    let kept = unchecked.check(reads, id, item.head.class.as_str(), &entry)?;
    if (item.head.version, item.head.counter) != (id.version, id.counter) {
        return Err(Fault::Torn);
    }
    Ok((*item, entry, kept))
}

fn permit(
    call: &Call,
    item: &StoredItem,
    whose: &Whose,
    query: &ItemQuery,
) -> Result<(Permit, crate::catalog::view::View), Refusal> {
    let class = item.head.class;
    let standing = whose.subject.as_ref().map(|subject| subject.row.standing.clone()).unwrap_or_default();
    let data = Resource::Data { class, standing, objected: false, kept: true };
    permit_to_see(call, data, query.view).map_err(hidden)
}

/// What may not be seen is not there, whoever asks: that something is kept is itself for few to know.
fn hidden(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Access(Access::Denied(denied)) => Access::Denied(Denied { told: Told::Absent, ..denied }).into(),
        other => other,
    }
}

/// Whether the call may read anything that is kept: others must name whose item they want.
fn may_read_any(call: &Call) -> Result<(), Refusal> {
    let kept = |class| Resource::Data { class, standing: Standing::default(), objected: false, kept: true };
    if CLASSES.iter().any(|class| call.permit(kept(class.id)).is_ok()) {
        return Ok(());
    }
    Err(Invalid::new("subject", FaultReason::Required).into())
}
