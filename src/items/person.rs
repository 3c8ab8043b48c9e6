//! A new subject on its way in: its id and keys made before the writer sees it, placed and sealed by the writer.

use crate::audit::detail::DetailKeys;
use crate::base::id::SubjectId;
use crate::base::secret::Key;
use crate::catalog::class::{ClassId, Identifier};
use crate::catalog::text::Text;
use crate::crypto::rng;
use crate::gate::index;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::Txn;
use crate::keys::page::{Entry, Tree};
use crate::policy::question::{Resource, Standing};
use crate::store::keyspace::Space;

use super::record::{AUDIT_POSITION, RECORD_POSITION, SubjectRow, seal_external};

/// A subject, ready for the writer.
pub struct NewPerson {
    id: SubjectId,
    audit: Key,
    record: Key,
    external_id: Text,
    standing: Standing,
}

/// A subject that the writer placed.
pub struct Placed {
    /// Its id.
    pub id: SubjectId,
    /// The tree of its keys.
    pub tree: Tree,
    /// The keys of its entries in the log.
    pub detail_keys: DetailKeys,
}

impl NewPerson {
    /// Makes its id and its keys.
    pub fn make(external_id: Text, labels: Vec<(String, String)>) -> Result<Self, Refusal> {
        let internal = |_| Refusal::from(Unavailable::Internal);
        Ok(Self {
            id: SubjectId::from_bytes(rng::make_bytes().map_err(internal)?),
            audit: rng::make_secret().map_err(internal)?,
            record: rng::make_secret().map_err(internal)?,
            external_id,
            standing: Standing { labels: labels.into(), restricted: false, own: false },
        })
    }

    /// The person as access rules see it.
    pub fn resource(&self) -> Resource {
        Resource::Subject(self.standing.clone())
    }

    /// Items of a class of it, as access rules see them.
    pub fn data(&self, class: ClassId) -> Resource {
        Resource::Data { class, standing: self.standing.clone(), objected: false, kept: false }
    }

    /// Gives it a place in the tree and stores its row.
    ///
    /// # Errors
    /// [`State::AlreadyExists`] if the caller's id is taken.
    pub fn store(self, txn: &mut Txn<'_>, vault: &crate::base::id::VaultId) -> Result<Placed, Refusal> {
        if !self.external_id.is_empty() {
            let identifier = Identifier::external_id(&self.external_id);
            if index::find_one(txn, &identifier)?.is_some() {
                return Err(State::AlreadyExists.into());
            }
            index::put(txn, &identifier, self.id, None)?;
        }
        let position = txn.claim_position(Tree::Subjects)?;
        let tree = Tree::Subject(self.id, position);
        // The first two positions of a new tree; `record` names them.
        let (audit_at, record_at) = (txn.claim_position(tree)?, txn.claim_position(tree)?);
        debug_assert_eq!((audit_at, record_at), (AUDIT_POSITION, RECORD_POSITION));
        let detail_keys = DetailKeys::derive(&self.audit);
        let record = Entry { generation: 1, extra: 1, key: self.record };
        txn.set(tree, audit_at, &Entry { generation: 1, extra: 0, key: self.audit })?;
        txn.set(tree, record_at, &record)?;
        let external = seal_external(vault, &self.id, &record, &self.external_id)?;
        let row = SubjectRow::new(position, txn.now(), self.standing, external);
        txn.put(Space::Subject, *self.id.as_bytes(), row.encode(vault, &self.id, &record));
        Ok(Placed { id: self.id, tree, detail_keys })
    }
}
