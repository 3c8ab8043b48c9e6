//! What only a keep reason keeps, on its way out: for the legal role, for legal compliance. To everybody else it is absent.

use crate::audit::detail::DetailKeys;
use crate::audit::event::Event;
use crate::base::id::{ItemId, ReceiptId, SubjectId};
use crate::catalog::class::ClassId;
use crate::catalog::classes::CLASSES;
use crate::catalog::view::View;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Denied, Fault as Invalid, FaultReason, Refusal, State, Told};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::keep::kept::{self, Kept, Under, VersionId};
use crate::keys::page::Entry;
use crate::policy::decide::Permit;
use crate::policy::question::{Resource, Standing};

use super::model::{ItemView, SubjectRef};
use super::parting;
use super::record::{ItemRow, OpenSubject, StoredItem, Target, decode_item, etag_of, open_subject_to_tell};
use super::show::{mask, permit_to_see};

/// A kept item, ready to be shown, with the entry that must be durable before.
pub struct Found {
    /// The item.
    pub view: ItemView,
    /// Its entry.
    pub event: Event,
}

/// Which kept version: the newest, unless a number is stated, and of that number the newest, unless an etag is.
#[derive(Clone, Copy)]
pub struct Pick<'q> {
    /// The item.
    pub item: ItemId,
    /// The version; 0 for any.
    pub version: u64,
    /// What tells apart versions of one number; empty for any.
    pub etag: &'q str,
}

/// Whose kept version it is: to be registered as read before it is looked at.
///
/// # Errors
/// [`State::NotFound`]; [`State::Parting`] while that is still being decided; a fault of `subject`, if the call names none and may read nothing that is kept.
pub fn owner(vault: &Vault, call: &Call, pick: Pick<'_>) -> Result<SubjectId, Refusal> {
    may_read_any(call)?;
    vault.read(|reads| {
        let id = newest(reads, pick)?;
        let stated = kept::find(reads, &id)?.ok_or(Fault::Torn)?;
        Ok(stated.stated().subject)
    })
}

/// A kept version that a call may see.
pub struct Seen {
    /// It.
    pub item: StoredItem,
    /// Its key.
    pub entry: Entry,
    /// What is said of it.
    pub kept: Kept,
    /// Whom it is about.
    pub whose: Whose,
    /// Why it may be seen.
    pub permit: Permit,
    /// How much of it.
    pub view: View,
}

/// Finds a kept version for a call.
///
/// # Errors
/// As for [`owner`]; what the call may not see is absent.
pub fn see(reads: &dyn Reads, vault: &Vault, call: &Call, pick: Pick<'_>, wanted: Option<View>) -> Result<Seen, Fault> {
    may_read_any(call)?;
    let id = newest(reads, pick)?;
    let (item, entry, kept) = open(reads, &id)?;
    let whose = Whose::of(reads, vault, &kept)?;
    let (permit, view) = permit(call, &item, &whose, wanted)?;
    Ok(Seen { item, entry, kept, whose, permit, view })
}

impl Seen {
    /// The item, masked to what the call may see.
    pub fn show(&self, vault: &Vault, call: &Call, fields: &[String]) -> Result<ItemView, Fault> {
        let content = self.item.open_with(vault.id(), &self.entry)?;
        let mut view = mask(call, &self.item, &content, (&self.permit, self.view), fields)?;
        view.subject = self.whose.subject.as_ref().map(|subject| subject.id);
        view.receipt = Some(self.kept.receipt);
        Ok(view)
    }

    /// The entry that must be durable before it is shown.
    pub fn entry_of(&self, vault: &Vault, call: &Call, fields: &[String]) -> Result<Event, Refusal> {
        let touched = Touched {
            class: Some(self.item.head.class),
            view: Some(self.view),
            rule: Some(self.permit.rule().clone()),
            count: 1,
            items: vec![(self.item.id, self.item.head.version)],
            fields: fields.to_vec(),
        };
        call.recorder().entry(self.whose.whom(), touched, Ended::Done, (vault.now(), vault.epoch()))
    }
}

/// An item that is sought, and with whom.
pub struct Sought {
    /// None for what only a keep reason keeps.
    target: Option<Target>,
    /// The person, to be registered as read before anything is looked at.
    pub owner: SubjectId,
}

impl Sought {
    /// Where to look for an item.
    ///
    /// # Errors
    /// As for [`owner`], where nobody is named.
    pub fn find(vault: &Vault, call: &Call, named: Option<&SubjectRef>, pick: Pick<'_>) -> Result<Self, Refusal> {
        let target = named.map(Target::of);
        let owner = match &target {
            Some(Target::Id(id)) => *id,
            Some(named) => vault.read(|reads| named.id(reads))?,
            None => owner(vault, call, pick)?,
        };
        Ok(Self { target, owner })
    }

    /// Looks at the account's item with `live`; where there is none, at the kept one with `kept`, for who may read that.
    pub fn look<T>(
        &self,
        vault: &Vault,
        call: &Call,
        pick: Pick<'_>,
        live: impl FnOnce(&Target) -> Result<T, Refusal>,
        kept: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let Some(target) = &self.target else { return kept() };
        match live(target) {
            // An older version, or an item of theirs that is deleted.
            Err(absent @ Refusal::State(State::NotFound)) => match owner(vault, call, pick) {
                Ok(owner) if owner == self.owner => kept(),
                Ok(_) | Err(_) => Err(absent),
            },
            seen => seen,
        }
    }
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
        match open_subject_to_tell(reads, vault.id(), kept.subject) {
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

/// The class of an item that is kept, and whose it is.
///
/// # Errors
/// [`State::NotFound`].
pub fn class_of_newest(reads: &dyn Reads, item: ItemId) -> Result<(ClassId, SubjectId), Fault> {
    let id = newest(reads, Pick { item, version: 0, etag: "" })?;
    let (item, _, kept) = open(reads, &id)?;
    Ok((item.head.class, kept.subject))
}

/// The newest of the kept versions that are meant.
fn newest(reads: &dyn Reads, pick: Pick<'_>) -> Result<VersionId, Fault> {
    let Pick { item, version, etag } = pick;
    let under = if version == 0 { Under::Item(item) } else { Under::Version(item, version) };
    let all = kept::list(reads, under, None, usize::MAX)?;
    let newest = all.into_iter().rfind(|id| etag.is_empty() || etag == etag_of(id.version, id.counter));
    match newest {
        Some(id) => Ok(id),
        None if parting::has(reads, item)? => Err(Fault::Refused(State::Parting.into())),
        None => Err(Fault::Refused(State::NotFound.into())),
    }
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

fn permit(call: &Call, item: &StoredItem, whose: &Whose, wanted: Option<View>) -> Result<(Permit, View), Refusal> {
    let class = item.head.class;
    let standing = whose.subject.as_ref().map(|subject| subject.row.standing.clone()).unwrap_or_default();
    let data = Resource::Data { class, standing, objected: false, kept: true };
    permit_to_see(call, data, wanted).map_err(hidden)
}

/// What may not be seen is not there, whoever asks: that something is kept is itself for few to know.
pub fn hidden(refusal: Refusal) -> Refusal {
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
