//! What the vault would find wrong with the form of a row, found without one: by the same code.
//!
//! Not found is what only a vault knows: which classes and purposes it has, what the caller may, who is there already.

use super::mapping::Mapping;
use super::rows::{Entry, Reject, refused};
use crate::api::convert::batch;
use crate::api::proto::{self, BatchPutItemsRequest, EntryError, PutItemEntry, SubjectRef, subject_ref};
use crate::api::status;
use crate::catalog::classes::class_of;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::items::draft::{check_value, must_take_items};
use crate::items::model::{NewItem, PutEntry};

/// Every fault of an entry.
pub fn faults(mapping: &Mapping, row: u64, (at, entry): Entry) -> Vec<Reject> {
    match converted(entry).and_then(|entry| entry.item.map_or(Ok(()), item)) {
        Ok(()) => Vec::new(),
        Err(refusal) => {
            let error: EntryError = status::of_entry(&refusal);
            refused(mapping, row, at, &error)
        }
    }
}

/// Every fault of an item, whosever it is.
pub fn item_faults(mapping: &Mapping, row: u64, (at, item): (Option<usize>, proto::NewItem)) -> Vec<Reject> {
    let anybody = SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId("anybody".into())) };
    faults(mapping, row, (at, PutItemEntry { subject: Some(anybody), item: Some(item), ..Default::default() }))
}

fn converted(entry: PutItemEntry) -> Result<PutEntry, Refusal> {
    let request = BatchPutItemsRequest { entries: vec![entry], ..Default::default() };
    let (mut sound, mut all) = batch::put(request)?.entries().split();
    let refusal = all.pop().and_then(|(_, refusal)| refusal);
    match (sound.pop(), refusal) {
        (Some(entry), None) => Ok(entry),
        (_, Some(refusal)) => Err(refusal),
        (None, None) => Err(Fault::new("entries", FaultReason::Required).into()),
    }
}

fn item(item: NewItem) -> Result<(), Refusal> {
    let class = class_of(&item.class).ok_or_else(|| Fault::new("item.class", FaultReason::ClassUnknown))?;
    must_take_items(class, "item.class")?;
    if item.value.class().id != class.id {
        return Err(Fault::new("item.value", FaultReason::ClassMismatch).into());
    }
    check_value(item.value, "item.value").map(drop)
}
