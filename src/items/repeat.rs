//! Changes that a caller repeats: the first answer again, as long as what it was about is there.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, ReceiptId, SubjectId, VaultId};
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::gate::call::Call;
use crate::gate::once::{MadeOf, Once, Record};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::envelope::{Envelope, Kind};

use super::model::Stamp;
use super::record::{ItemRow, decode_item, item_key, open_subject, open_subject_to_tell};
use crate::store::keyspace::Space;

const VERSION: u8 = 1;

/// What a change was answered: ids, etags and times, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The subject.
    pub subject: SubjectId,
    /// Whether the subject was created.
    pub created: bool,
    /// When.
    pub time: Timestamp,
    /// Items that were made or changed.
    pub items: Vec<Stamp>,
    /// The erasure that it began.
    pub receipt: Option<ReceiptId>,
}

/// An earlier call with the same key.
pub enum Repeated {
    /// The change stands.
    Answer(Answer),
    /// It was to forget something, or something that it made was forgotten since.
    Gone {
        /// The subject.
        subject: SubjectId,
        /// The evidence.
        receipt: ReceiptId,
    },
}

impl Repeated {
    /// The first answer, for a change that made something.
    ///
    /// # Errors
    /// [`State::Erased`] if something that it made was forgotten since.
    pub fn standing(self) -> Result<Answer, Refusal> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Gone { receipt, .. } => Err(State::Erased(Some(receipt)).into()),
        }
    }
}

/// What is known of an earlier call with the same key.
///
/// # Errors
/// [`State::IdempotencyKeyReused`] if that was another request.
pub fn repeated(
    reads: &dyn Reads,
    vault: &VaultId,
    once: Option<&Once>,
    now: Timestamp,
) -> Result<Option<Repeated>, Fault> {
    let Some(once) = once else { return Ok(None) };
    let live = match once.find(reads, now)? {
        None => return Ok(None),
        Some(Record::Gone { subject, receipt }) => return Ok(Some(Repeated::Gone { subject, receipt })),
        Some(Record::Live(live)) => live,
    };
    let keys = companions(reads, vault, &live.made_of)?;
    let answer = once.open(vault, &live, &keys.iter().collect::<Vec<_>>())?;
    let made_of = &live.made_of;
    decode(made_of.subject, &answer).map(|answer| Some(Repeated::Answer(answer))).map_err(|_| Fault::Torn)
}

/// Notes the answer, so that a repeat gets it again.
pub fn remember(txn: &mut Txn<'_>, vault: &VaultId, once: Option<&Once>, answer: &Answer) -> Result<(), Refusal> {
    let Some(once) = once else { return Ok(()) };
    let items: Vec<_> = answer.items.iter().map(|stamp| (stamp.item, stamp.version)).collect();
    // What concerns no item concerns the subject, and dies with it.
    let with_subject = answer.created || items.is_empty();
    let made_of = MadeOf { subject: answer.subject, with_subject, items };
    let keys = companions(txn, vault, &made_of)?;
    once.remember(txn, vault, &made_of, &keys.iter().collect::<Vec<_>>(), &encode(answer))
}

/// Records a repeat that changed nothing.
pub fn record_repeat(txn: &mut Txn<'_>, call: &Call, subject: SubjectId) -> Result<(), Refusal> {
    let at = (txn.now(), txn.epoch());
    let recorder = call.recorder();
    let entry = match open_subject(txn, recorder.vault(), subject) {
        Ok(subject) => {
            recorder.entry(Whom::Subject(&subject.detail_keys(txn)?), Touched::default(), Ended::Done, at)?
        }
        // The person is gone, with the keys of their entries.
        Err(Fault::Refused(Refusal::State(State::Erased(Some(receipt))))) => {
            recorder.entry(Whom::Evidence(receipt), Touched::default(), Ended::Done, at)?
        }
        Err(fault) => return Err(fault.into()),
    };
    txn.record(entry);
    Ok(())
}

/// The keys of everything a change made, from which its record is sealed.
fn companions(reads: &dyn Reads, vault: &VaultId, made_of: &MadeOf) -> Result<Vec<Key>, Fault> {
    let subject = open_subject_to_tell(reads, vault, made_of.subject)?;
    let mut keys = Vec::with_capacity(made_of.items.len() + 1);
    if made_of.with_subject {
        keys.push(subject.companion());
    }
    for (id, version) in &made_of.items {
        let gone = Fault::Refused(State::Erased(None).into());
        let row = reads.row(Space::Item, &item_key(&made_of.subject, id))?.ok_or(gone.clone())?;
        let ItemRow::Live(item) = decode_item(*id, &row)? else { return Err(gone) };
        if item.head.version != *version {
            return Err(gone);
        }
        let entry = reads.entry(subject.tree(), item.head.position)?.ok_or(Fault::Torn)?;
        keys.push(Envelope::derive(Kind::Item, &entry.key).into_companion());
    }
    Ok(keys)
}

fn encode(answer: &Answer) -> PlainValue {
    let writer = Writer::new().u8(VERSION).u8(answer.created.into()).i64(answer.time.as_millis());
    let writer = writer.option(answer.receipt, |w, receipt| w.raw(receipt.as_bytes()));
    let writer = writer.list(answer.items.iter(), |w, stamp| {
        let w = w.raw(stamp.item.as_bytes()).u64(stamp.version).text(&stamp.etag);
        w.option(stamp.expires, |w, time| w.i64(time.as_millis()))
    });
    PlainValue::new(writer.finish())
}

fn decode(subject: SubjectId, bytes: &PlainValue) -> Result<Answer, Malformed> {
    let mut r = Reader::new(bytes.expose());
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let created = r.u8()? == 1;
    let time = Timestamp::from_millis(r.i64()?);
    let receipt = r.option(|r| r.array().map(ReceiptId::from_bytes))?;
    let items = r.list(|r| {
        Ok(Stamp {
            item: ItemId::from_bytes(r.array()?),
            version: r.u64()?,
            etag: r.text()?.to_owned(),
            expires: r.option(|r| r.i64().map(Timestamp::from_millis))?,
        })
    })?;
    r.finish()?;
    Ok(Answer { subject, created, time, items, receipt })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reads_back() {
        let subject = SubjectId::from_bytes([1; 16]);
        let stamp = Stamp {
            item: ItemId::from_bytes([2; 16]),
            version: 3,
            etag: "v3.1".into(),
            expires: Some(Timestamp::from_millis(4)),
        };
        let answer = Answer {
            subject,
            created: true,
            time: Timestamp::from_millis(5),
            items: vec![stamp.clone(), Stamp { expires: None, ..stamp }],
            receipt: Some(ReceiptId::from_bytes([6; 16])),
        };
        assert_eq!(decode(subject, &encode(&answer)), Ok(answer));
    }
}
