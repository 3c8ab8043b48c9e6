//! Batches: entries that succeed or fail one by one, in order, each with the caller's reference.

use std::collections::HashSet;

use prost::Message as _;

use super::super::{proto, secrets, status};
use super::{At, Faults, item, subject};
use crate::base::id::VaultId;
use crate::base::limits::{GET_ENTRIES_MAX, PUT_ENTRIES_MAX, REFERENCE_BYTES_MAX};
use crate::base::secret::PlainValue;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::gate::call::CallRequest;
use crate::gate::refusal::{Fault, FaultReason, Refusal, Unavailable};
use crate::items::model::{ItemQuery, ItemView, PutDone, PutEntry, SubjectRef};

/// Entries of one batch, of which some may be refused already.
pub struct Entries<T> {
    sound: Vec<T>,
    all: Vec<(String, Option<Refusal>)>,
}

impl<T> Entries<T> {
    /// The entries that a verb is to carry out; and for every entry of the request, in order, its reference and why
    /// it is not among them, for [`merged`].
    pub fn split(self) -> (Vec<T>, Vec<(String, Option<Refusal>)>) {
        (self.sound, self.all)
    }

    fn with_capacity(count: usize) -> Self {
        Self { sound: Vec::with_capacity(count), all: Vec::with_capacity(count) }
    }

    fn push(&mut self, reference: String, entry: Result<T, Refusal>) {
        let refusal = match entry {
            Ok(entry) => {
                self.sound.push(entry);
                None
            }
            Err(refusal) => Some(refusal),
        };
        self.all.push((reference, refusal));
    }
}

/// Puts what became of the sound entries back among the refused ones, in the order of the request.
pub fn merged<D>(
    all: Vec<(String, Option<Refusal>)>,
    done: Vec<Result<D, Refusal>>,
) -> impl Iterator<Item = (String, Result<D, Refusal>)> {
    let mut done = done.into_iter();
    all.into_iter().map(move |(reference, refusal)| {
        let outcome = match refusal {
            Some(refusal) => Err(refusal),
            // A verb that answers fewer entries than it was given has failed for the rest.
            None => done.next().unwrap_or(Err(Refusal::Unavailable(Unavailable::Internal))),
        };
        (reference, outcome)
    })
}

/// Items to be created, and the vault that they are meant for.
pub struct PutBatch {
    vault: Option<VaultId>,
    entries: Entries<PutEntry>,
}

impl PutBatch {
    /// The entries, for the vault that they are meant for.
    ///
    /// # Errors
    /// This is another.
    pub fn for_vault(self, here: &VaultId) -> Result<Entries<PutEntry>, Refusal> {
        match self.vault {
            Some(meant) if meant != *here => Err(Fault::new("vault_id", FaultReason::Conflict).into()),
            Some(_) | None => Ok(self.entries),
        }
    }

    /// The entries, whichever vault they are meant for.
    pub fn entries(self) -> Entries<PutEntry> {
        self.entries
    }
}

/// Items to be created.
///
/// Entries that create one subject are stored or refused together: where the form of one is wrong, the others are
/// refused with it.
///
/// # Errors
/// What concerns the batch as a whole: too many entries, or a reference that is too long or used twice.
pub fn put(request: proto::BatchPutItemsRequest) -> Result<PutBatch, Refusal> {
    check(request.entries.len(), PUT_ENTRIES_MAX, request.entries.iter().map(|entry| entry.reference.as_str()))?;
    let mut faults = Faults::default();
    let vault = Some(request.vault_id).filter(|id| !id.is_empty());
    let vault = vault.and_then(|id| faults.id(At::field("vault_id"), &id));
    faults.finish(())?;
    let mut converted = Vec::with_capacity(request.entries.len());
    let mut broken = Vec::new();
    for mut entry in request.entries {
        let reference = std::mem::take(&mut entry.reference);
        let created = created_by(&entry);
        let entry = put_entry(entry);
        if entry.is_err() {
            broken.extend(created);
        }
        converted.push((reference, entry));
    }
    let mut entries = Entries::with_capacity(converted.len());
    for (reference, entry) in converted {
        let entry =
            entry.and_then(|entry| if is_together(&entry, &broken) { Err(refused_together()) } else { Ok(entry) });
        entries.push(reference, entry);
    }
    Ok(PutBatch { vault, entries })
}

/// The external id of the subject that an entry may create.
fn created_by(entry: &proto::PutItemEntry) -> Option<Text> {
    use proto::subject_ref::Ref;
    match entry.subject.as_ref()?.r#ref.as_ref()? {
        Ref::ExternalId(id) if entry.create_subject => Some(Text::from(id.as_str())),
        Ref::ExternalId(_) | Ref::SubjectId(_) => None,
    }
}

fn is_together(entry: &PutEntry, broken: &[Text]) -> bool {
    match &entry.subject {
        SubjectRef::External(id) if entry.create_subject => broken.iter().any(|other| other.expose() == id.expose()),
        SubjectRef::External(_) | SubjectRef::Id(_) => false,
    }
}

fn refused_together() -> Refusal {
    Fault::new("create_subject", FaultReason::Conflict).into()
}

fn put_entry(mut entry: proto::PutItemEntry) -> Result<PutEntry, Refusal> {
    let mut faults = Faults::default();
    let encoded = PlainValue::new(secrets::without(&mut entry, proto::PutItemEntry::encode_to_vec));
    let digest = CallRequest::digest("PutItemEntry", encoded.expose());
    let subject = subject::subject_ref(&mut faults, At::field("subject"), entry.subject);
    if entry.item.is_none() && !entry.create_subject {
        faults.add(At::field("item"), FaultReason::Required);
    }
    let item = entry.item.and_then(|new| item::new_item(&mut faults, At::field("item"), new));
    let labels = subject::labels(&mut faults, At::field("labels"), entry.labels);
    let create_subject = entry.create_subject;
    item::whole(faults, subject.map(|subject| PutEntry { subject, item, create_subject, labels, digest }))
}

/// What became of one new item.
pub fn put_result(reference: String, outcome: Result<PutDone, Refusal>) -> proto::PutItemResult {
    use proto::put_item_result::Outcome;
    let outcome = match outcome {
        Ok(done) => Outcome::Success(proto::PutItemSuccess {
            subject_id: done.subject.to_string(),
            item: done.item.map(item::stamp),
            subject_created: done.subject_created,
        }),
        Err(refusal) => Outcome::Error(status::of_entry(&refusal)),
    };
    proto::PutItemResult { reference, outcome: Some(outcome) }
}

/// Items to be read; the entries are converted piece by piece, as they are carried out.
pub struct GetBatch {
    entries: std::vec::IntoIter<proto::GetItemEntry>,
    view: Option<View>,
    fields: Vec<String>,
}

/// Items to be read.
///
/// # Errors
/// What concerns the batch as a whole, as for [`put`], that there are none, and its view and fields.
pub fn get(request: proto::BatchGetItemsRequest) -> Result<GetBatch, Refusal> {
    if request.entries.is_empty() {
        return Err(Fault::new("entries", FaultReason::Required).into());
    }
    check(request.entries.len(), GET_ENTRIES_MAX, request.entries.iter().map(|entry| entry.reference.as_str()))?;
    let mut faults = Faults::default();
    let view = faults.view(At::field("view"), request.view);
    let fields = faults.names(At::field("fields"), request.fields);
    faults.finish(GetBatch { entries: request.entries.into_iter(), view, fields })
}

impl GetBatch {
    /// The next entries, at most that many; none when all are done.
    pub fn next(&mut self, count_max: usize) -> Option<Entries<ItemQuery>> {
        let mut entries = Entries::with_capacity(count_max.min(self.entries.len()));
        for mut entry in self.entries.by_ref().take(count_max) {
            let reference = std::mem::take(&mut entry.reference);
            entries.push(reference, get_entry(entry, self.view, &self.fields));
        }
        (!entries.all.is_empty()).then_some(entries)
    }
}

fn get_entry(entry: proto::GetItemEntry, view: Option<View>, fields: &[String]) -> Result<ItemQuery, Refusal> {
    let mut faults = Faults::default();
    let subject = item::owner(&mut faults, entry.subject);
    let item = faults.id(At::field("item_id"), &entry.item_id);
    let view = faults.view(At::field("view"), entry.view).or(view);
    let (version, fields) = (entry.version, fields.to_vec());
    let etag = String::new();
    item::whole(faults, item.map(|item| ItemQuery { subject, item, version, etag, view, fields }))
}

/// What became of one read.
pub fn get_result(reference: String, outcome: Result<ItemView, Refusal>) -> proto::GetItemResult {
    use proto::get_item_result::Outcome;
    let outcome = match outcome {
        Ok(view) => Outcome::Item(item::item(view)),
        Err(refusal) => Outcome::Error(status::of_entry(&refusal)),
    };
    proto::GetItemResult { reference, outcome: Some(outcome) }
}

fn check<'a>(count: usize, count_max: usize, references: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    let entries = At::field("entries");
    if count > count_max {
        faults.add(entries, FaultReason::TooMany);
        return Err(faults.into_refusal());
    }
    let mut seen = HashSet::new();
    for (index, reference) in references.enumerate() {
        let entry = entries.index(index);
        if reference.len() > REFERENCE_BYTES_MAX {
            faults.add(entry.then("reference"), FaultReason::TooLong);
        } else if !reference.is_empty() && !seen.insert(reference) {
            faults.add(entry.then("reference"), FaultReason::Duplicate);
        }
    }
    faults.finish(())
}
