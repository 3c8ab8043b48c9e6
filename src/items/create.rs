//! CreateSubject: a person and their first items, all or nothing.

use crate::base::limits::FIRST_ITEMS_MAX;
use crate::base::log_safe::SafeText;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Fault, FaultReason, Refusal};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;

use super::draft::{Draft, permit_to_write, touched};
use super::model::{Created, NewSubject};
use super::person::NewPerson;
use super::recorded::refuse;
use super::repeat::{Answer, record_repeat, remember, repeated};

/// Creates a subject and its first items.
///
/// # Durability
/// On `Ok` subject, items and the entry survive power loss; on an error nothing was created.
pub async fn create(vault: &Vault, call: &Call, new: NewSubject) -> Result<Created, Refusal> {
    match try_create(vault, call, new).await {
        Ok(answer) => Ok(Created { subject: answer.subject, items: answer.items, time: answer.time }),
        Err(refusal) => Err(refuse(vault, call, None, Touched::default(), refusal).await),
    }
}

async fn try_create(vault: &Vault, call: &Call, new: NewSubject) -> Result<Answer, Refusal> {
    if new.items.len() > FIRST_ITEMS_MAX {
        return Err(Fault::new("items", FaultReason::TooMany).into());
    }
    let now = vault.now();
    let mut drafts = Vec::with_capacity(new.items.len());
    for (i, item) in new.items.into_iter().enumerate() {
        drafts.push(Draft::check(call, item, now, &format!("items[{i}]"))?);
    }
    let person = NewPerson::make(new.external_id, new.labels)?;
    let mut rule = call.permit(person.resource()).map_err(Access::openly)?.rule().clone();
    for draft in &drafts {
        rule = permit_to_write(call, person.data(draft.class())).map_err(Access::openly)?;
    }
    let mut once = call.once().cloned();
    for draft in &mut drafts {
        once = draft.harden(vault, once).await?;
    }
    let call = call.repeating(once);
    vault.committer().commit(move |txn| store(txn, &call, person, drafts, rule)).await
}

fn store(
    txn: &mut Txn<'_>,
    call: &Call,
    person: NewPerson,
    drafts: Vec<Draft>,
    rule: SafeText,
) -> Result<Answer, Refusal> {
    let vault = call.recorder().vault();
    if let Some(repeated) = repeated(txn, vault, call.once(), txn.now())? {
        let answer = repeated.standing()?;
        record_repeat(txn, call, answer.subject)?;
        return Ok(answer);
    }
    let placed = person.store(txn, vault)?;
    let touched = touched(&drafts, Some(rule));
    let mut items = Vec::with_capacity(drafts.len());
    for (order, draft) in drafts.into_iter().enumerate() {
        items.push(draft.store(txn, vault, (&placed.id, placed.tree), order)?);
    }
    let answer = Answer { subject: placed.id, created: true, time: txn.now(), items, receipt: None };
    remember(txn, vault, call.once(), &answer)?;
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Subject(&placed.detail_keys), touched, Ended::Done, at)?);
    Ok(answer)
}
