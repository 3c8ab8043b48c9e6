//! Who keeps a version, and keeping it: asked on the writer's thread by whatever is about to forget something.

use super::hold::{self, Hold};
use super::kept::{self, Copy, Kept, Opening, VersionId};
use super::matter::Matter;
use super::reason_of;
use crate::base::id::{MatterId, PseudonymId, ReceiptId, SubjectId};
use crate::base::protobuf::Message;
use crate::catalog::class::ClassId;
use crate::crypto::hash::{Digest, sha256};
use crate::crypto::rng;
use crate::gate::intents::DoomedRow;
use crate::gate::receipts::KeptVersion;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::page::Entry;

/// The reasons, besides the account, that a subject's items have now; what is kept for them is counted, and the counts
/// are stored by [`Keeping::finish`].
pub struct Keeping {
    subject: SubjectId,
    holds: Vec<Hold>,
    matters: Vec<Matter>,
    openings: Vec<Opening>,
    changed: bool,
}

/// A version that is about to lose its account.
pub struct Leaving<'a> {
    /// Which.
    pub id: VersionId,
    /// Its class.
    pub class: ClassId,
    /// Its key.
    pub entry: &'a Entry,
    /// Its row as it is.
    pub row: Vec<u8>,
    /// Rows that belong to it besides.
    pub rows: Vec<DoomedRow>,
}

impl Keeping {
    /// The holds in force on a subject.
    pub fn of(reads: &dyn Reads, subject: SubjectId) -> Result<Self, Fault> {
        let (mut holds, mut matters) = (Vec::new(), Vec::<Matter>::new());
        for (hold, matter) in hold::in_force(reads, &subject)? {
            holds.push(hold);
            if !matters.iter().any(|known| known.id == matter.id) {
                matters.push(matter);
            }
        }
        Ok(Self { subject, holds, matters, openings: Vec::new(), changed: false })
    }

    /// Whether nothing keeps anything of the subject.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Whether some reason keeps a version.
    pub fn covers(&self, reads: &dyn Reads, id: &VersionId, class: ClassId) -> Result<bool, Fault> {
        for hold in &self.holds {
            if hold.covers(reads, class, &id.item, id.version)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Copies a version's key to every reason that keeps it, with its row, before the account forgets it. What the
    /// receipt says of it; none if no reason keeps it.
    ///
    /// The copy is added in the tree as it is; the original is forgotten by the epoch of the intent that the same batch
    /// lodges. Either both are durable or none.
    pub fn keep(
        &mut self,
        txn: &mut Txn<'_>,
        leaving: Leaving<'_>,
        receipt: ReceiptId,
        pseudonym: PseudonymId,
    ) -> Result<Option<KeptVersion>, Refusal> {
        let Leaving { id, class, entry, row, rows } = leaving;
        let mut covering = Vec::new();
        for (number, hold) in self.holds.iter().enumerate() {
            if hold.covers(txn, class, &id.item, id.version)? {
                covering.push(number);
            }
        }
        if covering.is_empty() {
            return Ok(None);
        }
        let mut commitments = Vec::new();
        for matter in &mut self.matters {
            let of_matter = covering.iter().map(|number| &self.holds[*number]).filter(|hold| hold.matter == matter.id);
            let holds: Vec<_> = of_matter.map(|hold| hold.id).collect();
            if holds.is_empty() {
                continue;
            }
            let tree = matter.tree();
            let position = txn.claim_position(tree)?;
            let copied = Entry { generation: entry.generation, extra: entry.extra, key: entry.key.duplicate() };
            txn.set(tree, position, &copied)?;
            let crate::keys::page::Tree::Reason(reason, at) = tree else { return Err(Unavailable::Internal.into()) };
            kept::put_copy(txn, &id, &Copy { reason, at, position, holds }, &receipt);
            matter.kept += 1;
            let (opening, commitment) = commit_to(matter.id)?;
            self.openings.push(opening);
            commitments.push(commitment);
        }
        for number in covering {
            self.holds[number].kept += 1;
        }
        let kept = Kept { subject: self.subject, receipt, pseudonym, rows, row };
        kept::put(txn, &id, class.as_str(), entry, &kept);
        self.changed = true;
        Ok(Some(KeptVersion { item: id.item, version: id.version, class: class.as_str().into(), reasons: commitments }))
    }

    /// Stores the counts of what was kept, and the openings of what the receipt says of the reasons.
    pub fn finish(mut self, txn: &mut Txn<'_>, receipt: &ReceiptId) -> Result<(), Refusal> {
        if !self.changed {
            return Ok(());
        }
        for matter in &mut self.matters {
            matter.store(txn)?;
        }
        for hold in &mut self.holds {
            let matter = self.matters.iter().find(|matter| matter.id == hold.matter).ok_or(Unavailable::Internal)?;
            hold.store(txn, matter)?;
        }
        kept::put_openings(txn, receipt, &self.openings);
        Ok(())
    }
}

/// A commitment to a matter as a reason, as the contract has it, and what opens it.
fn commit_to(matter: MatterId) -> Result<(Opening, Digest), Refusal> {
    const DOMAIN: &[u8] = b"lacuna-keep-reason-v1\0";
    const KIND_MATTER: u64 = 2;
    debug_assert_eq!(reason_of(matter).as_bytes(), matter.as_bytes());
    let salt: [u8; 32] = rng::make_bytes().map_err(|_| Unavailable::Internal)?;
    let reason = Message::new().number(1, KIND_MATTER).text(2, &matter.to_string()).finish();
    let commitment = sha256(&[DOMAIN, &salt, &reason]);
    Ok((Opening { salt, reason }, commitment))
}
