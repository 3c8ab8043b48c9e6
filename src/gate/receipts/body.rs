//! The statement of a receipt: the message `ReceiptBody` of the contract, byte for byte as it is signed.

use super::case::{Case, History, KeptList, KeptVersion};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ReceiptId, SlotId, VaultId};
use crate::base::limits::{INDEX_ROTATION_DAYS, PURGE_DAYS};
use crate::base::protobuf::Message;
use crate::base::time::Timestamp;
use crate::gate::former::{Attestation, FormerSlot};
use crate::keys::slot::grade::Grade;

/// The one kind of slot there is.
pub const BACKEND: &str = "file";
/// What the claim rests on.
const ALGORITHMS: &str = "AES-256-GCM; HKDF-SHA256; HMAC-SHA256; getrandom";
const FORMAT: u64 = 1;
const DAY: i64 = 24 * 3600 * 1000;

/// What was seen in one slot after it had destroyed the old secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot.
    pub slot: SlotId,
    /// How strongly it destroys.
    pub grade: Grade,
    /// The epoch that it states.
    pub epoch: u64,
    /// That the old secret was asked for and is not there.
    pub old_failed: bool,
    /// When that was seen.
    pub at: Timestamp,
}

/// By what, and when, an act of forgetting was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The epoch.
    pub epoch: u64,
    /// When every slot had been read back.
    pub at: Timestamp,
    /// What each slot showed.
    pub slots: Vec<SlotProof>,
}

impl Carried {
    pub(in crate::gate) fn encode(&self) -> Vec<u8> {
        let slot = |w: Writer, proof: &SlotProof| {
            let w = w.raw(proof.slot.as_bytes()).u8(proof.grade as u8).u64(proof.epoch);
            w.u8(proof.old_failed.into()).i64(proof.at.as_millis())
        };
        Writer::new().u64(self.epoch).i64(self.at.as_millis()).list(self.slots.iter(), slot).finish()
    }

    pub(in crate::gate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let carried = Self {
            epoch: r.u64()?,
            at: Timestamp::from_millis(r.i64()?),
            slots: r.list(|r| {
                Ok(SlotProof {
                    slot: SlotId::from_bytes(r.array()?),
                    grade: Grade::from_tag(r.u8()?).ok_or(Malformed)?,
                    epoch: r.u64()?,
                    old_failed: r.u8()? == 1,
                    at: Timestamp::from_millis(r.i64()?),
                })
            })?,
        };
        r.finish()?;
        Ok(carried)
    }
}

/// The statement.
pub(super) fn encode(
    vault: &VaultId,
    receipt: &ReceiptId,
    case: &Case,
    carried: &Carried,
    attested: &[(&FormerSlot, &Attestation)],
) -> Vec<u8> {
    let after = |days: i64| time(Timestamp::from_millis(carried.at.as_millis() + days * DAY));
    let message = head(receipt)
        .text(3, &vault.to_string())
        .text(4, &case.pseudonym.to_string())
        .number(5, u64::from(case.scope as u8))
        .number(6, u64::from(case.ground as u8))
        .text(7, &case.supplements.map(|first| first.to_string()).unwrap_or_default())
        .message(8, time(case.requested))
        .message(9, time(carried.at))
        .number(10, carried.epoch)
        .number(11, case.keys.count)
        .bytes(12, &case.keys.digest);
    let message = case.keys.names.iter().fold(message, |message, name| message.bytes(13, name));
    let kept = case.kept.iter().map(KeptVersion::message);
    let attested_slots = attested.iter().map(|(former, said)| attested_slot(former, said, carried));
    let message = message
        .messages(14, kept)
        .number(15, u64::from(case.history == History::Kept))
        .messages(16, carried.slots.iter().map(slot).chain(attested_slots))
        .number(17, grade_number(grade(carried, attested)))
        .messages(18, attested.iter().map(|(former, said)| attestation(former, said)))
        .message(19, after(PURGE_DAYS));
    let message = if case.indexed { message.message(20, after(INDEX_ROTATION_DAYS)) } else { message };
    let message = message.text(21, ALGORITHMS).text(22, env!("CARGO_PKG_VERSION"));
    let message = case.index_keys.iter().fold(message, |message, key| message.bytes(23, key.as_bytes()));
    let message = message.number(24, u64::from(case.history == History::Ended));
    match &case.kept_list {
        None => message,
        Some(KeptList { count, digest, classes }) => {
            let of_class = |(class, count): &(String, u64)| Message::new().text(1, class).number(2, *count);
            message.number(25, *count).bytes(26, digest).messages(27, classes.iter().map(of_class))
        }
    }
    .finish()
}

/// Whether a statement is of the act with this receipt.
pub(super) fn names(body: &[u8], receipt: &ReceiptId) -> bool {
    body.starts_with(&head(receipt).finish())
}

/// What every statement begins with.
fn head(receipt: &ReceiptId) -> Message {
    Message::new().number(1, FORMAT).text(2, &receipt.to_string())
}

/// The weakest of the slots, and no more than any word that it relies on is good for.
fn grade(carried: &Carried, attested: &[(&FormerSlot, &Attestation)]) -> Grade {
    let slots = carried.slots.iter().map(|slot| slot.grade);
    let words = attested.iter().map(|(_, said)| said.method.grade_max());
    slots.chain(words).min().unwrap_or(Grade::E0)
}

fn slot(proof: &SlotProof) -> Message {
    Message::new()
        .text(1, &proof.slot.to_string())
        .text(2, BACKEND)
        .number(3, grade_number(proof.grade))
        .number(4, proof.epoch)
        .number(5, proof.old_failed.into())
        .message(6, time(proof.at))
}

/// A slot that was not seen to destroy, and for which two people's word stands.
fn attested_slot(former: &FormerSlot, said: &Attestation, carried: &Carried) -> Message {
    Message::new()
        .text(1, &former.slot.to_string())
        .text(2, BACKEND)
        .number(3, grade_number(former.grade.min(said.method.grade_max())))
        .number(4, former.last_epoch)
        .message(6, time(carried.at))
        .text(7, &said.id.to_string())
}

fn attestation(former: &FormerSlot, said: &Attestation) -> Message {
    Message::new()
        .text(1, &said.id.to_string())
        .text(2, &former.slot.to_string())
        .number(3, former.last_epoch)
        .number(4, u64::from(said.method as u8))
        .message(5, time(said.destroyed))
        .text(6, &said.actor.to_string())
        .text(7, &said.approver.to_string())
        .number(8, grade_number(said.method.grade_max()))
}

/// Its number in the contract, where 0 is "not set".
fn grade_number(grade: Grade) -> u64 {
    match grade {
        Grade::E0 => 1,
        Grade::E1 => 2,
        Grade::E2 => 3,
        Grade::E3 => 4,
    }
}

fn time(time: Timestamp) -> Message {
    let (seconds, millis) = (time.as_millis().div_euclid(1_000), time.as_millis().rem_euclid(1_000));
    Message::new().number(1, seconds as u64).number(2, millis as u64 * 1_000_000)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn carried() -> Carried {
        let at = Timestamp::from_millis(1_780_000_000_456);
        let proof = |id, grade| SlotProof { slot: SlotId::from_bytes([id; 16]), grade, epoch: 9, old_failed: true, at };
        Carried { epoch: 9, at, slots: vec![proof(1, Grade::E2), proof(2, Grade::E1)] }
    }

    #[test]
    fn what_was_carried_out_reads_back() {
        assert_eq!(Carried::decode(&carried().encode()), Ok(carried()));
    }
}
