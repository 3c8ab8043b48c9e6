//! Whom a query is about: from a person to the tokens of their entries, without a word about the person.

use crate::audit::detail::DetailKeys;
use crate::audit::event::SubjectToken;
use crate::audit::leaf;
use crate::audit::query::Filter;
use crate::audit::sequence::Error;
use crate::audit::stored::StoredLog;
use crate::base::id::{ReceiptId, SubjectId};
use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::readings::Reading;
use crate::gate::refusal::{Access, Refusal, State, Unavailable};
use crate::gate::vault::Vault;
use crate::items::model::SubjectRef;
use crate::items::record::Target;
use crate::keep::history;
use crate::policy::question::Resource;

use super::model::Person;
use super::proofs::unreadable;

/// A subject whose entries are read. As long as it is held, the end of the subject waits, or cuts the reading.
pub(super) struct Known {
    pub(super) id: SubjectId,
    pub(super) keys: DetailKeys,
    pub(super) reading: Reading,
}

/// Whom a query is about.
pub(super) enum Whose {
    /// Whomever.
    Anyone,
    /// This subject.
    Known(Known),
    /// Somebody who is not there.
    Absent,
    /// Somebody whom the caller may not ask about.
    Denied(Known, Access),
}

impl Whose {
    /// Finds the subject that a query names.
    ///
    /// # Errors
    /// [`Unavailable`]; that there is no such subject is no error.
    pub(super) fn find(vault: &Vault, call: &Call, named: Option<&Person>) -> Result<Self, Refusal> {
        let found = match named {
            None => return Ok(Self::Anyone),
            Some(Person::Present(named)) => Self::look(vault, call, named),
            Some(Person::Erased(receipt)) => Self::look_back(vault, receipt),
        };
        match found {
            Err(Refusal::State(_)) => Ok(Self::Absent),
            found => found,
        }
    }

    /// With the audit key that a matter keeps.
    fn look_back(vault: &Vault, receipt: &ReceiptId) -> Result<Self, Refusal> {
        let find = || vault.read(|reads| history::find(reads, receipt));
        let Some((_, history::Whose { subject: id, .. })) = find()? else { return Ok(Self::Absent) };
        // Registered before the key is looked at again: its end waits, or cuts the reading.
        let reading = vault.readings().begin_log(id);
        let Some((entry, _)) = find()? else { return Ok(Self::Absent) };
        Ok(Self::Known(Known { id, keys: DetailKeys::derive(&entry.key), reading }))
    }

    fn look(vault: &Vault, call: &Call, named: &SubjectRef) -> Result<Self, Refusal> {
        let target = Target::of(named);
        let id = vault.read(|reads| target.id(reads))?;
        let reading = vault.readings().begin_log(id);
        let (keys, standing) = vault.read(|reads| {
            let subject = target.open(reads, call)?;
            Ok((subject.detail_keys(reads)?, subject.row.standing.clone()))
        })?;
        let known = Known { id, keys, reading };
        Ok(match call.permit(Resource::Subject(standing)) {
            Ok(_) => Self::Known(known),
            Err(denied) => Self::Denied(known, denied),
        })
    }

    /// The tokens to look for; none for whomever. For somebody who is not to be found they are made up, so that the
    /// search is the same.
    pub(super) fn tokens(&self, vault: &Vault, filter: &Filter) -> Result<Option<Vec<SubjectToken>>, Refusal> {
        let made_up;
        let keys = match self {
            Self::Anyone => return Ok(None),
            Self::Known(known) => &known.keys,
            Self::Absent | Self::Denied(..) => {
                let key: Key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
                made_up = DetailKeys::derive(&key);
                &made_up
            }
        };
        let now = vault.now();
        let oldest = first_time(vault.log().stored()).map_err(unreadable)?.map_or(now, |first| first.min(now));
        let first = filter.start.map_or(oldest, |start| start.max(oldest));
        let last = filter.end.map_or(now, |end| end.min(now));
        Ok(Some(keys.tokens(first, last)))
    }

    /// Why the query is recorded as refused although it is answered: with nothing.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Anyone | Self::Known(_) => None,
            Self::Absent => Some(State::NotFound.into()),
            Self::Denied(_, access) => Some(access.clone().into()),
        }
    }

    /// The keys of the entry that records the query.
    pub(super) fn keys(&self) -> Option<&DetailKeys> {
        match self {
            Self::Anyone | Self::Absent => None,
            Self::Known(known) | Self::Denied(known, _) => Some(&known.keys),
        }
    }

    /// The subject, if the query selects any of its entries.
    pub(super) fn known(self) -> Option<Known> {
        match self {
            Self::Known(known) => Some(known),
            Self::Anyone | Self::Absent | Self::Denied(..) => None,
        }
    }
}

/// When the log began, whether or not its first entries are integrated.
fn first_time(log: StoredLog<'_>) -> Result<Option<Timestamp>, Error> {
    let Some((_, (first, _))) = log.entries(0)?.next().transpose()? else { return Ok(None) };
    let leaf = leaf::decode(&first).map_err(|_| Error::Damaged("an entry is not in its place"))?;
    Ok(Some(leaf.time))
}

/// Runs `work`, or gives up when the end of the subject cuts the reading.
pub(super) async fn unless_cut<T>(known: Option<&Known>, work: impl Future<Output = T>) -> Result<T, Refusal> {
    match known {
        None => Ok(work.await),
        Some(known) => known.reading.unless_cut(work).await.ok_or(State::SubjectErased.into()),
    }
}
