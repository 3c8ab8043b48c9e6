//! From the name that a caller has for a person to the person.

use super::subject::{OpenSubject, open_subject};
use crate::base::codec::Writer;
use crate::base::id::{SubjectId, VaultId};
use crate::base::secret::Key;
use crate::catalog::text::Text;
use crate::crypto::{aead, kdf, label, mac};
use crate::gate::call::Call;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Reads};
use crate::items::model::SubjectRef;
use crate::store::keyspace::Space;

/// Whom a request names, ready to be looked up: owned, so that it can travel to the writer's thread.
pub enum Target {
    /// By the vault's id.
    Id(SubjectId),
    /// By the caller's, through the blind index.
    Indexed(IndexRow, Text),
}

impl Target {
    /// From a reference.
    pub fn of(vault: &VaultId, index_key: &Key, named: &SubjectRef) -> Self {
        match named {
            SubjectRef::Id(id) => Self::Id(*id),
            SubjectRef::External(id) => Self::Indexed(IndexRow::of(vault, index_key, id), id.duplicate()),
        }
    }

    /// The subject's id; what is not there is found out when it is opened.
    pub fn id(&self, reads: &dyn Reads) -> Result<SubjectId, Fault> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Indexed(index, _) => {
                let sealed = reads.row(Space::Index, &index.key)?.ok_or(Fault::Refused(State::NotFound.into()))?;
                index.open(&sealed)
            }
        }
    }

    /// The subject, for a call that may reach it: one that acts for a person reaches that person alone, and finds
    /// everybody else absent.
    pub fn open(&self, reads: &dyn Reads, call: &Call) -> Result<OpenSubject, Fault> {
        let mut subject = self.open_unasked(reads, call.recorder().vault())?;
        subject.row.standing.own = call.owns(subject.id).map_err(Refusal::from)?;
        Ok(subject)
    }

    /// The subject, whoever asks: for entries of the log, never for answers.
    pub fn open_unasked(&self, reads: &dyn Reads, vault: &VaultId) -> Result<OpenSubject, Fault> {
        let subject = open_subject(reads, vault, self.id(reads)?)?;
        match self {
            Self::Id(_) => Ok(subject),
            Self::Indexed(_, named) => {
                // A token is truncated: the subject's own record decides.
                let own = subject.external_id(vault)?;
                let same = mac::equal(own.expose().as_bytes(), named.expose().as_bytes());
                if same { Ok(subject) } else { Err(Fault::Refused(State::NotFound.into())) }
            }
        }
    }
}

/// The blind index row of a caller's id: a truncated keyed token leads to a sealed subject id.
pub struct IndexRow {
    /// The row's key.
    pub key: Vec<u8>,
    seal: Key,
    aad: Vec<u8>,
}

impl IndexRow {
    /// The row for an id.
    pub fn of(vault: &VaultId, index_key: &Key, external: &Text) -> Self {
        let field = b"external_id";
        let token = kdf::derive_key(b"", index_key, label::INDEX_TOKEN, &[field]);
        let token = mac::mac(&token, label::INDEX_TOKEN, &[field, external.expose().as_bytes()]);
        let key = Writer::new().u8(1).raw(&token[..16]).finish();
        let seal = kdf::derive_key(b"", index_key, label::INDEX_SEAL, &[field]);
        let aad = Writer::new().bytes(label::INDEX_ROW.as_bytes()).bytes(vault.as_bytes()).bytes(&key).finish();
        Self { key, seal, aad }
    }

    /// The row's value.
    pub fn seal(&self, subject: &SubjectId) -> Result<Vec<u8>, Refusal> {
        Ok(aead::seal(&self.seal, &self.aad, subject.as_bytes()).map_err(|_| Unavailable::Internal)?)
    }

    fn open(&self, sealed: &[u8]) -> Result<SubjectId, Fault> {
        let plain = aead::open(&self.seal, &self.aad, sealed).map_err(|_| Fault::Torn)?;
        plain.expose().try_into().map(SubjectId::from_bytes).map_err(|_| Fault::Torn)
    }
}
