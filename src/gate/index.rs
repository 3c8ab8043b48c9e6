//! The blind index: which keys are in use, and the rows that lead from an identifier to who has it.
//!
//! Each field has a current key, under which every row is there, and while that is being replaced a next one. Whoever
//! writes rows, writes them under both, on the writer's thread; whoever looks, looks under the current one.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::refusal::{Refusal, Unavailable};
use super::service_keys::{self, Name};
use super::txn::{Fault, Reads, Txn};
use crate::base::id::{SubjectId, VaultId};
use crate::catalog::class::{Identifier, IdentifierField};
use crate::keys::index::{Holder, IndexKey, Lead};
use crate::store::keyspace::Space;

/// The blind index of a vault.
pub struct Index {
    vault: VaultId,
    live: ArcSwapOption<Live>,
}

/// The keys in use.
pub struct Live(Vec<FieldKeys>);

/// The keys in use of one field.
struct FieldKeys {
    field: IdentifierField,
    current: IndexKey,
    next: Option<IndexKey>,
}

impl Index {
    pub(super) fn new(vault: VaultId) -> Self {
        Self { vault, live: ArcSwapOption::empty() }
    }

    /// Puts keys into use.
    pub(super) fn put_live(&self, live: Live) {
        self.live.store(Some(Arc::new(live)));
    }

    /// The vault that the rows belong to.
    pub fn vault(&self) -> &VaultId {
        &self.vault
    }

    /// The keys in use.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full().expect("a vault's keys are put into use while it is opened")
    }
}

impl Live {
    /// The key under which every row of a field is there.
    pub fn current(&self, field: IdentifierField) -> &IndexKey {
        &self.of(field).current
    }

    /// Every key under which rows of a field are written.
    pub fn each(&self, field: IdentifierField) -> impl Iterator<Item = &IndexKey> {
        let keys = self.of(field);
        std::iter::once(&keys.current).chain(&keys.next)
    }

    fn of(&self, field: IdentifierField) -> &FieldKeys {
        self.0.iter().find(|keys| keys.field == field).expect("load makes keys of every field")
    }
}

/// The keys in use; made where there are none yet.
pub(super) fn load(txn: &mut Txn<'_>) -> Result<Live, Refusal> {
    let keys = IdentifierField::ALL.iter().map(|field| {
        let key = service_keys::find_or_make(txn, Name::Index(*field, 1))?;
        Ok(FieldKeys { field: *field, current: IndexKey::derive(*field, 1, &key), next: None })
    });
    keys.collect::<Result<_, Refusal>>().map(Live)
}

/// Writes the rows of an identifier.
pub fn put(txn: &mut Txn<'_>, identifier: &Identifier, subject: SubjectId, holder: Holder<'_>) -> Result<(), Refusal> {
    let (live, vault) = (txn.index().live(), *txn.index().vault());
    let lead = Lead { subject, item: holder.map(|(item, _)| *item) };
    for key in live.each(identifier.field) {
        let row = key.row(identifier, holder);
        let sealed = key.seal(&vault, &row, lead).map_err(|_| Unavailable::Internal)?;
        txn.put(Space::Index, row, sealed);
    }
    Ok(())
}

/// The keys of an identifier's rows, under every key in use.
pub fn rows(reads: &dyn Reads, identifier: &Identifier, holder: Holder<'_>) -> Vec<Vec<u8>> {
    reads.index().live().each(identifier.field).map(|key| key.row(identifier, holder)).collect()
}

/// Who has an identifier that only one can have; none if nobody does.
pub fn find_one(reads: &dyn Reads, identifier: &Identifier) -> Result<Option<SubjectId>, Fault> {
    let mut live = reads.index().live();
    loop {
        let key = live.current(identifier.field);
        let row = key.row(identifier, None);
        if let Some(sealed) = reads.row(Space::Index, &row)? {
            let lead = key.open(reads.index().vault(), &row, &sealed).map_err(|_| Fault::Torn)?;
            return Ok(Some(lead.subject));
        }
        // Rows go only once another key is in use: where none is, there was no row.
        let now = reads.index().live();
        if Arc::ptr_eq(&now, &live) {
            return Ok(None);
        }
        live = now;
    }
}
