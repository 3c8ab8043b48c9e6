//! Slots that are no longer the vault's: how each ended, and what still waits for it.
//!
//! A slot leaves the vault as lost, in the same batch that takes it out of the vault's list, and stops being lost when it
//! was seen to be destroyed or when two people attest that it is. So a crash at any point leaves at most too little
//! claimed.

use std::path::PathBuf;

use super::refusal::Refusal;
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ActorId, AttestationId, SlotId};
use crate::base::limits::SLOTS_FORMER_MAX;
use crate::base::time::Timestamp;
use crate::keys::slot::grade::Grade;
use crate::store::keyspace::Space;
use crate::store::{self, Engine};

const VERSION: u8 = 1;

/// A slot that left the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerSlot {
    /// The slot.
    pub slot: SlotId,
    /// Where its file was.
    pub path: PathBuf,
    /// How strongly it destroyed.
    pub grade: Grade,
    /// The last epoch that it may hold a secret of.
    pub last_epoch: u64,
    /// When it left.
    pub left: Timestamp,
    /// How many acts of forgetting wait for its end.
    pub waiting: u64,
    /// How it ended.
    pub end: End,
}

/// How a former slot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Not known: whatever its last secret opens cannot be said to be forgotten.
    Lost,
    /// It was seen to be overwritten.
    Destroyed,
    /// Two people say so.
    Attested(Attestation),
}

/// Two people's word that a slot is destroyed. Receipts that rely on it will need all of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// Names it.
    pub id: AttestationId,
    /// How it was destroyed.
    pub method: Method,
    /// When, as they say.
    pub destroyed: Timestamp,
    /// When they said it.
    pub made: Timestamp,
    /// Who attested.
    pub actor: ActorId,
    /// Who approved.
    pub approver: ActorId,
    /// Where the evidence is, sealed.
    pub evidence: Vec<u8>,
}

/// How a medium was destroyed. The tags are on disk and in the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Method {
    /// Overwritten.
    Overwritten = 1,
    /// Purged by the device's own command.
    Purged = 2,
    /// Physically destroyed.
    PhysicallyDestroyed = 3,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Overwritten, Self::Purged, Self::PhysicallyDestroyed];

    /// The best grade of a receipt that relies on an attestation of it: nobody's word makes a medium better than what
    /// is known of the way it was destroyed.
    pub fn grade_max(self) -> Grade {
        match self {
            Self::Overwritten => Grade::E0,
            Self::Purged | Self::PhysicallyDestroyed => Grade::E1,
        }
    }
}

impl FormerSlot {
    /// Whether its end is not known.
    pub fn is_lost(&self) -> bool {
        self.end == End::Lost
    }

    /// The word that stands for its end, if there is one.
    pub(super) fn attestation(&self) -> Option<&Attestation> {
        match &self.end {
            End::Attested(said) => Some(said),
            End::Lost | End::Destroyed => None,
        }
    }

    /// The name of its file, without the folder.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(|| "?".into(), |name| name.to_string_lossy().into_owned())
    }

    /// Writes its row.
    pub(super) fn put(&self, txn: &mut Txn<'_>) {
        txn.put(Space::FormerSlot, *self.slot.as_bytes(), self.encode());
    }

    fn encode(&self) -> Vec<u8> {
        let writer = Writer::new()
            .u8(VERSION)
            .text(&self.path.to_string_lossy())
            .u8(self.grade as u8)
            .u64(self.last_epoch)
            .i64(self.left.as_millis())
            .u64(self.waiting);
        match &self.end {
            End::Lost => writer.u8(1),
            End::Destroyed => writer.u8(2),
            End::Attested(said) => writer
                .u8(3)
                .raw(said.id.as_bytes())
                .u8(said.method as u8)
                .i64(said.destroyed.as_millis())
                .i64(said.made.as_millis())
                .raw(said.actor.as_bytes())
                .raw(said.approver.as_bytes())
                .bytes(&said.evidence),
        }
        .finish()
    }

    fn decode(key: &[u8], row: &[u8]) -> Result<Self, Malformed> {
        let slot = SlotId::from_bytes(key.try_into().map_err(|_| Malformed)?);
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let path = PathBuf::from(r.text()?);
        let grade = read_grade(r.u8()?)?;
        let (last_epoch, left, waiting) = (r.u64()?, Timestamp::from_millis(r.i64()?), r.u64()?);
        let end = match r.u8()? {
            1 => End::Lost,
            2 => End::Destroyed,
            3 => End::Attested(Attestation {
                id: AttestationId::from_bytes(r.array()?),
                method: read_method(r.u8()?)?,
                destroyed: Timestamp::from_millis(r.i64()?),
                made: Timestamp::from_millis(r.i64()?),
                actor: ActorId::from_bytes(r.array()?),
                approver: ActorId::from_bytes(r.array()?),
                evidence: r.bytes()?.to_vec(),
            }),
            _ => return Err(Malformed),
        };
        r.finish()?;
        Ok(Self { slot, path, grade, last_epoch, left, waiting, end })
    }
}

/// Every former slot.
pub(super) fn all(reads: &dyn Reads) -> Result<Vec<FormerSlot>, Fault> {
    let rows = reads.rows(Space::FormerSlot, &[], &[], SLOTS_FORMER_MAX)?;
    rows.iter().map(|(key, row)| FormerSlot::decode(key, row).map_err(|_| Fault::Torn)).collect()
}

/// The same, as stored.
pub(super) fn load(engine: &dyn Engine) -> Result<Vec<FormerSlot>, store::Error> {
    let rows = engine.scan(Space::FormerSlot, &[], &[], SLOTS_FORMER_MAX)?;
    rows.iter().map(|(key, row)| FormerSlot::decode(key, row).map_err(|_| store::Error::Corrupt)).collect()
}

/// One former slot.
pub(super) fn find(reads: &dyn Reads, slot: SlotId) -> Result<Option<FormerSlot>, Refusal> {
    let row = reads.row(Space::FormerSlot, slot.as_bytes())?;
    let decoded = row.map(|row| FormerSlot::decode(slot.as_bytes(), &row).map_err(|_| Fault::Torn));
    Ok(decoded.transpose()?)
}

fn read_grade(tag: u8) -> Result<Grade, Malformed> {
    Grade::from_tag(tag).ok_or(Malformed)
}

fn read_method(tag: u8) -> Result<Method, Malformed> {
    Method::ALL.into_iter().find(|method| *method as u8 == tag).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_slot_reads_back_however_it_ended() {
        let attested = End::Attested(Attestation {
            id: AttestationId::from_bytes([2; 16]),
            method: Method::Purged,
            destroyed: Timestamp::from_millis(5),
            made: Timestamp::from_millis(6),
            actor: ActorId::from_bytes([3; 16]),
            approver: ActorId::from_bytes([4; 16]),
            evidence: vec![1, 2],
        });
        for end in [End::Lost, End::Destroyed, attested] {
            let slot = FormerSlot {
                slot: SlotId::from_bytes([1; 16]),
                path: "/media/a/slot".into(),
                grade: Grade::E1,
                last_epoch: 7,
                left: Timestamp::from_millis(8),
                waiting: 9,
                end,
            };
            assert_eq!(FormerSlot::decode(slot.slot.as_bytes(), &slot.encode()), Ok(slot));
        }
    }
}
