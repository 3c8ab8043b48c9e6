//! GetSubject: what is known about a subject itself.

use crate::audit::detail::DetailKeys;
use crate::base::id::{ItemId, ReceiptId, SubjectId};
use crate::base::limits::ITEM_SCAN_ROWS;
use crate::catalog::class::ClassId;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::gate::call::Call;
use crate::gate::receipts::{self, Progress};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::Vault;
use crate::policy::action::Action;
use crate::policy::question::{Resource, Standing};
use crate::store::keyspace::Space;

use super::gone::nothing_is_left;
use super::model::{SubjectRef, SubjectState, SubjectView};
use super::record::{ItemRow, OpenSubject, StoredItem, Target, decode_item};
use super::recorded::refuse;

/// Describes a subject. The answer is returned only after the entry that records it is durable.
pub async fn describe(vault: &Vault, call: &Call, named: SubjectRef) -> Result<SubjectView, Refusal> {
    let (view, keys) = match look(vault, call, &named) {
        Ok(seen) => seen,
        Err(Refusal::State(State::Erased(Some(receipt)))) => {
            return describe_erased(vault, call, &named, receipt).await;
        }
        Err(refusal) => return Err(refuse(vault, call, Some(&named), Touched::default(), refusal).await),
    };
    let touched = Touched { view: Some(View::Exists), count: 1, ..Touched::default() };
    let at = (vault.now(), vault.epoch());
    vault.record(vec![call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, at)?]).await?;
    Ok(view)
}

/// What is left to say about a subject that is erased or about to be.
async fn describe_erased(
    vault: &Vault,
    call: &Call,
    named: &SubjectRef,
    receipt: ReceiptId,
) -> Result<SubjectView, Refusal> {
    let SubjectRef::Id(subject) = named else {
        return Err(refuse(vault, call, Some(named), Touched::default(), State::NotFound.into()).await);
    };
    // Its labels are gone: where they decide, it is absent.
    if let Err(denied) = call.permit(Resource::Subject(Standing::default())) {
        return Err(refuse(vault, call, Some(named), Touched::default(), denied.into()).await);
    }
    let state = vault.read(|reads| match receipts::find(reads, &receipt)? {
        Some(Progress::Done { .. }) => nothing_is_left(reads, *subject, receipt).map(|()| SubjectState::Erased),
        Some(Progress::Pending { .. } | Progress::Parting) | None => Ok(SubjectState::ErasurePending),
    })?;
    let touched = Touched { view: Some(View::Exists), count: 1, ..Touched::default() };
    let at = (vault.now(), vault.epoch());
    vault.record(vec![call.recorder().entry(Whom::Evidence(receipt), touched, Ended::Done, at)?]).await?;
    Ok(SubjectView::erased(*subject, receipt, state))
}

fn look(vault: &Vault, call: &Call, named: &SubjectRef) -> Result<(SubjectView, DetailKeys), Refusal> {
    let target = Target::of(named);
    vault.read(|reads| {
        let subject = target.open(reads, call)?;
        call.permit(Resource::Subject(subject.row.standing.clone())).map_err(Refusal::from)?;
        Ok((view_of(reads, call, &subject)?, subject.detail_keys(reads)?))
    })
}

/// A subject as far as the caller may know of it.
pub fn view_of(reads: &dyn Reads, call: &Call, subject: &OpenSubject) -> Result<SubjectView, Fault> {
    let mut counts: Vec<(ClassId, u64)> = Vec::new();
    each_item(reads, &subject.id, |item| match counts.iter_mut().find(|(class, _)| *class == item.head.class) {
        Some((_, count)) => *count += 1,
        None => counts.push((item.head.class, 1)),
    })?;
    // Whatever the call is for: what it is shown of a subject is what GetSubject shows.
    let may_know = |class| call.permit_to(Action::GetSubject, subject.data(call.purpose(), class)).is_ok();
    counts.retain(|(class, _)| may_know(*class));
    let vault = call.recorder().vault();
    let external_id = if call.may_know_existence() { subject.external_id(vault)? } else { Text::default() };
    let whole = subject.row.objections.iter().filter(|objection| objection.class.is_none());
    Ok(SubjectView {
        subject: subject.id,
        external_id,
        labels: subject.row.standing.labels.to_vec(),
        state: if subject.row.standing.restricted { SubjectState::Restricted } else { SubjectState::Active },
        objections: whole.map(|objection| objection.purpose.clone()).collect(),
        created: Some(subject.row.created),
        item_counts: counts,
        receipt: None,
    })
}

/// A subject's live items, in the order of their ids.
pub fn items_of(reads: &dyn Reads, subject: &SubjectId) -> Result<Vec<StoredItem>, Fault> {
    let mut items = Vec::new();
    each_item(reads, subject, |item| items.push(item))?;
    Ok(items)
}

/// Shows `each` of a subject's live items in turn.
pub fn each_item(reads: &dyn Reads, subject: &SubjectId, mut each: impl FnMut(StoredItem)) -> Result<(), Fault> {
    each_row(reads, subject, |id, row| {
        if let ItemRow::Live(item) = decode_item(id, row)? {
            each(*item);
        }
        Ok(())
    })
}

/// Shows `each` of the rows of a subject's items in turn.
pub fn each_row(
    reads: &dyn Reads,
    subject: &SubjectId,
    mut each: impl FnMut(ItemId, &[u8]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut from = Vec::new();
    loop {
        let rows = reads.rows(Space::Item, subject.as_bytes(), &from, ITEM_SCAN_ROWS)?;
        for (key, row) in &rows {
            let id: [u8; 16] = key[16..].try_into().map_err(|_| Fault::Torn)?;
            each(ItemId::from_bytes(id), row)?;
        }
        match rows.last() {
            Some((last, _)) if rows.len() == ITEM_SCAN_ROWS => from = [&last[..], &[0]].concat(),
            Some(_) | None => return Ok(()),
        }
    }
}
