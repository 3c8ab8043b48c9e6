//! From the name that a caller has for a person to the person.

use super::subject::{OpenSubject, open_subject_to_tell};
use crate::base::id::{SubjectId, VaultId};
use crate::catalog::class::Identifier;
use crate::catalog::text::Text;
use crate::crypto::mac;
use crate::gate::call::Call;
use crate::gate::index;
use crate::gate::refusal::{Refusal, State};
use crate::gate::txn::{Fault, Reads};
use crate::items::model::SubjectRef;

/// Whom a request names, ready to be looked up: owned, so that it can travel to the writer's thread.
pub enum Target {
    /// By the vault's id.
    Id(SubjectId),
    /// By the caller's, through the blind index.
    External(Text),
}

impl Target {
    /// From a reference.
    pub fn of(named: &SubjectRef) -> Self {
        match named {
            SubjectRef::Id(id) => Self::Id(*id),
            SubjectRef::External(id) => Self::External(id.duplicate()),
        }
    }

    /// The subject's id; what is not there is found out when it is opened.
    pub fn id(&self, reads: &dyn Reads) -> Result<SubjectId, Fault> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::External(id) => {
                let found = index::find_one(reads, &Identifier::external_id(id))?;
                found.ok_or(Fault::Refused(State::NotFound.into()))
            }
        }
    }

    /// The subject, for a call that may reach it: one that acts for a person reaches that person alone, and finds
    /// everybody else absent.
    pub fn open(&self, reads: &dyn Reads, call: &Call) -> Result<OpenSubject, Fault> {
        let mut subject = match self.open_unasked(reads, call.recorder().vault()) {
            // That there was somebody is not for everybody to know.
            Err(Fault::Refused(Refusal::State(State::Erased(_)))) if !call.may_know_existence() => {
                return Err(Fault::Refused(State::NotFound.into()));
            }
            opened => opened?,
        };
        subject.row.standing.own = call.owns(subject.id).map_err(Refusal::from)?;
        Ok(subject)
    }

    /// The subject, whoever asks: for entries of the log, never for answers.
    pub fn open_unasked(&self, reads: &dyn Reads, vault: &VaultId) -> Result<OpenSubject, Fault> {
        let subject = open_subject_to_tell(reads, vault, self.id(reads)?)?;
        match self {
            Self::Id(_) => Ok(subject),
            Self::External(named) => {
                // A token is truncated: the subject's own record decides.
                let own = subject.external_id(vault)?;
                let same = mac::equal(own.expose().as_bytes(), named.expose().as_bytes());
                if same { Ok(subject) } else { Err(Fault::Refused(State::NotFound.into())) }
            }
        }
    }
}

/// The subject that a call began to read, as long as it is there: somebody new may have its name by now.
///
/// # Errors
/// [`State::SubjectErased`].
pub fn same(target: &Target, reads: &dyn Reads, call: &Call, begun: SubjectId) -> Result<OpenSubject, Fault> {
    let erased = || Fault::Refused(State::SubjectErased.into());
    match target.open(reads, call) {
        Ok(subject) if subject.id == begun => Ok(subject),
        Ok(_) | Err(Fault::Refused(Refusal::State(State::NotFound | State::Erased(_)))) => Err(erased()),
        Err(other) => Err(other),
    }
}
