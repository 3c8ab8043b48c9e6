//! CreateSubject: a person and their first items, all or nothing.

use crate::audit::detail::DetailKeys;
use crate::audit::event::{About, Event};
use crate::base::id::SubjectId;
use crate::base::secret::Key;
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::txn::{Reads as _, Txn};
use crate::gate::vault::Vault;
use crate::keys::page::{Entry, Tree};
use crate::store::keyspace::Space;

use super::draft::Draft;
use super::model::{Created, NewSubject};
use super::record::{AUDIT_POSITION, IndexRow, RECORD_POSITION, SubjectRow, seal_external};

/// Creates a subject and its first items.
///
/// # Durability
/// On `Ok` subject, items and the event survive power loss; on an error nothing was created.
pub async fn create(vault: &Vault, call: &Call, new: NewSubject) -> Result<Created, Refusal> {
    match try_create(vault, call, new).await {
        Ok(created) => Ok(created),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

async fn try_create(vault: &Vault, call: &Call, new: NewSubject) -> Result<Created, Refusal> {
    if new.items.len() > crate::base::limits::BATCH_ITEMS_MAX {
        return Err(Fault::new("items", FaultReason::TooMany).into());
    }
    let now = vault.now();
    let mut drafts = Vec::with_capacity(new.items.len());
    for (i, item) in new.items.into_iter().enumerate() {
        drafts.push(Draft::check(call, item, now, &format!("items[{i}]"))?);
    }
    let id = SubjectId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let keys = Keys::make()?;
    let detail_keys = DetailKeys::derive(&keys.audit);
    let detail = call.detail(vault, &detail_keys, drafts.iter().map(Draft::id).collect())?;
    let event = Event {
        about: About::Subject(detail_keys.token(now)),
        count: u32::try_from(drafts.len()).unwrap_or(u32::MAX),
        detail: Some(detail),
        ..call.event(vault.epoch())
    };
    let index = (!new.external_id.is_empty()).then(|| IndexRow::of(vault.id(), vault.index_key(), &new.external_id));
    let vault_id = *vault.id();
    let work = move |txn: &mut Txn<'_>| {
        if let Some(index) = &index {
            if txn.row(Space::Index, &index.key)?.is_some() {
                return Err(State::AlreadyExists.into());
            }
            txn.put(Space::Index, &index.key[..], index.seal(&id)?);
        }
        let position = txn.claim_position(Tree::Subjects)?;
        let tree = Tree::Subject(id, position);
        let record = Entry { generation: 1, extra: 1, key: keys.record };
        // The first two positions of a new tree; `record` names them.
        let (audit_at, record_at) = (txn.claim_position(tree)?, txn.claim_position(tree)?);
        debug_assert_eq!((audit_at, record_at), (AUDIT_POSITION, RECORD_POSITION));
        txn.set(tree, audit_at, &Entry { generation: 1, extra: 0, key: keys.audit })?;
        txn.set(tree, record_at, &record)?;
        let external = seal_external(&vault_id, &id, &record, &new.external_id)?;
        let row = SubjectRow { position, created: txn.now(), labels: new.labels, external };
        txn.put(Space::Subject, *id.as_bytes(), row.encode(&vault_id, &id, &record));
        let mut items = Vec::with_capacity(drafts.len());
        for draft in drafts {
            items.push(draft.store(txn, &vault_id, &id, tree)?);
        }
        txn.record(event);
        Ok(Created { subject: id, items, time: txn.now() })
    };
    vault.committer().commit(work).await
}

struct Keys {
    audit: Key,
    record: Key,
}

impl Keys {
    fn make() -> Result<Self, Refusal> {
        let make = || rng::make_secret().map_err(|_| Refusal::from(Unavailable::Internal));
        Ok(Self { audit: make()?, record: make()? })
    }
}
