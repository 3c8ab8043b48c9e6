//! Changes of matters and holds that a caller repeats: the same matter or hold again.
//!
//! The record is sealed under the key of the matter; that of a placed hold, whose request names a person, under the
//! person's, with whom it dies.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{MatterId, SubjectId};
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::gate::call::Call;
use crate::gate::once::{MadeOf, Record};
use crate::gate::refusal::{Refusal, State};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::items::record::OpenSubject;
use crate::keep::matter::{self, Matter};

/// What an earlier call made: its id, and for a hold how many versions it covered; for a release whether other reasons
/// keep something of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// The matter or the hold.
    pub id: [u8; 16],
    /// The count it was answered.
    pub count: u64,
}

/// What an earlier call with the same key made, where that belongs to a matter.
///
/// # Errors
/// [`State::IdempotencyKeyReused`] if that was another request.
pub fn of_matter(reads: &dyn Reads, call: &Call, now: Timestamp) -> Result<Option<Earlier>, Fault> {
    let key = |owner: SubjectId| {
        let matter = matter::find(reads, MatterId::from_bytes(*owner.as_bytes()))?;
        // Another call of the same caller had this key.
        Ok(matter.ok_or(Fault::Refused(State::IdempotencyKeyReused.into()))?.companion())
    };
    find(reads, call, now, key)
}

/// The same where it belongs to a person.
///
/// # Errors
/// As for [`of_matter`]; [`State::Erased`] if the person was erased since.
pub fn of_subject(reads: &dyn Reads, call: &Call, now: Timestamp) -> Result<Option<Earlier>, Fault> {
    let vault = *reads.index().vault();
    let key = |owner: SubjectId| match crate::items::record::open_subject_to_tell(reads, &vault, owner) {
        Ok(subject) => Ok(subject.companion()),
        Err(Fault::Refused(Refusal::State(State::NotFound))) => Err(Fault::Refused(State::IdempotencyKeyReused.into())),
        Err(fault) => Err(fault),
    };
    find(reads, call, now, key)
}

/// Notes what was made under a matter.
pub fn remember_matter(txn: &mut Txn<'_>, call: &Call, matter: &Matter, made: Earlier) -> Result<(), Refusal> {
    remember(txn, call, SubjectId::from_bytes(*matter.id.as_bytes()), &matter.companion(), made)
}

/// Notes what was made about a person.
pub fn remember_subject(txn: &mut Txn<'_>, call: &Call, subject: &OpenSubject, made: Earlier) -> Result<(), Refusal> {
    remember(txn, call, subject.id, &subject.companion(), made)
}

fn find(
    reads: &dyn Reads,
    call: &Call,
    now: Timestamp,
    key: impl FnOnce(SubjectId) -> Result<Key, Fault>,
) -> Result<Option<Earlier>, Fault> {
    let Some(once) = call.once() else { return Ok(None) };
    let live = match once.find(reads, now)? {
        None => return Ok(None),
        Some(Record::Gone { receipt, .. }) => return Err(Fault::Refused(State::Erased(Some(receipt)).into())),
        Some(Record::Live(live)) => live,
    };
    // What another method noted under this key has other owners, and so another key.
    if !live.made_of.with_subject || !live.made_of.items.is_empty() {
        return Err(Fault::Refused(State::IdempotencyKeyReused.into()));
    }
    let key = key(live.made_of.subject)?;
    let answer = once.open(call.recorder().vault(), &live, &[&key])?;
    let read = || {
        let mut r = Reader::new(answer.expose());
        let earlier = Earlier { id: r.array()?, count: r.u64()? };
        r.finish().map(|()| earlier)
    };
    read().map(Some).map_err(|_: Malformed| Fault::Torn)
}

fn remember(txn: &mut Txn<'_>, call: &Call, owner: SubjectId, key: &Key, made: Earlier) -> Result<(), Refusal> {
    let Some(once) = call.once() else { return Ok(()) };
    let made_of = MadeOf { subject: owner, with_subject: true, items: Vec::new() };
    let answer = PlainValue::new(Writer::new().raw(&made.id).u64(made.count).finish());
    once.remember(txn, call.recorder().vault(), &made_of, &[key], &answer)
}
