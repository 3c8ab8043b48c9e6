//! PutItem and BatchPutItems: new items of subjects that exist.

use crate::audit::detail::DetailKeys;
use crate::audit::event::{About, Event};
use crate::base::id::SubjectId;
use crate::base::limits::BATCH_ITEMS_MAX;
use crate::base::log_safe::SafeText;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;

use super::draft::Draft;
use super::model::{NewItem, PutDone, PutEntry, Stamp, SubjectRef};
use super::record::{open_subject, resolve};

/// Creates one item.
///
/// # Durability
/// On `Ok` the item and its event survive power loss; on an error nothing was created.
pub async fn put(vault: &Vault, call: &Call, named: SubjectRef, item: NewItem) -> Result<(SubjectId, Stamp), Refusal> {
    match try_put(vault, call, &named, item).await {
        Ok(done) => Ok(done),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

/// Creates items one by one with a shared sync; each succeeds or fails by itself.
pub async fn put_batch(
    vault: &Vault,
    call: &Call,
    entries: Vec<PutEntry>,
) -> Result<Vec<Result<PutDone, Refusal>>, Refusal> {
    if entries.len() > BATCH_ITEMS_MAX {
        return Err(vault.refuse(call, Fault::new("entries", FaultReason::TooMany).into()).await);
    }
    let entries = entries.into_iter().map(|entry| put_entry(vault, call, entry));
    // All are handed to the writer before the first is waited for, so that they share its sync.
    let running = entries.map(|entry| Box::pin(entry) as std::pin::Pin<Box<dyn Future<Output = _> + Send + '_>>);
    Ok(join_all(running.collect()).await)
}

async fn put_entry(vault: &Vault, call: &Call, entry: PutEntry) -> Result<PutDone, Refusal> {
    if entry.create_subject {
        let fault = Fault::new("create_subject", FaultReason::UnknownField);
        return Err(vault.refuse(call, fault.into()).await);
    }
    let Some(item) = entry.item else {
        return Err(vault.refuse(call, Fault::new("item", FaultReason::Required).into()).await);
    };
    let (subject, stamp) = put(vault, call, entry.subject, item).await?;
    Ok(PutDone { subject, item: Some(stamp), subject_created: false })
}

async fn try_put(vault: &Vault, call: &Call, named: &SubjectRef, item: NewItem) -> Result<(SubjectId, Stamp), Refusal> {
    let draft = Draft::check(call, item, vault.now(), "item")?;
    let (id, keys) = vault.read(|reads| {
        let subject = resolve(reads, vault.id(), vault.index_key(), named)?;
        Ok((subject.id, DetailKeys::derive(&subject.audit_key(reads)?)))
    })?;
    let event = Event {
        class: SafeText::of(&draft.class()),
        about: About::Subject(keys.token(vault.now())),
        detail: Some(call.detail(vault, &keys, vec![draft.id()])?),
        ..call.event(vault.epoch())
    };
    let vault_id = *vault.id();
    let work = move |txn: &mut Txn<'_>| {
        let tree = open_subject(txn, &vault_id, id)?.tree();
        let stamp = draft.store(txn, &vault_id, &id, tree)?;
        txn.record(event);
        Ok((id, stamp))
    };
    vault.committer().commit(work).await
}

type Running<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs all at once; answers in order.
async fn join_all<T>(mut running: Vec<Running<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
